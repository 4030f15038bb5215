"""The pytest fixture `langcache_server`: a real LangCache, fresh for each test.

It starts in some milliseconds, since all servers of a process share one embedding model; so each test gets
a server of its own, and nothing that one test stores can be found by another. Nothing of the service is
imported before a test asks for the fixture.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .server import LocalServer

_MARKER = (
    "langcache(attributes=(), threshold=0.85, ttl_millis=None, ...): "
    "the arguments of LocalServer for the langcache_server fixture"
)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture
def langcache_server(request: pytest.FixtureRequest) -> Iterator[LocalServer]:
    """A running LangCache, empty: ``.url``, ``.api_key`` and ``.cache_id`` are what a client needs.

    The marker ``@pytest.mark.langcache(attributes=("topic",))`` on a test, class or module sets it up; it
    takes the arguments of `langcache.service.LocalServer`.
    """
    from . import LocalServer

    marker = request.node.get_closest_marker("langcache")
    with LocalServer(*marker.args, **marker.kwargs) if marker else LocalServer() as server:
        yield server
