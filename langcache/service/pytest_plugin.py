"""The pytest fixture `langcache_server`: a real LangCache service, new and empty for each test.

All servers of a process share one embedding model, so a server starts within milliseconds. Each test has a
server of its own and can't find what another test stored. The service is imported when the first test uses
the fixture.
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
    """A running, empty LangCache service. A client needs its ``.url``, ``.api_key`` and ``.cache_id``.

    The marker ``@pytest.mark.langcache(attributes=("topic",))`` on a test, class or module gives settings. It
    takes the arguments of `langcache.service.LocalServer`.
    """
    from . import LocalServer

    marker = request.node.get_closest_marker("langcache")
    with LocalServer(*marker.args, **marker.kwargs) if marker else LocalServer() as server:
        yield server
