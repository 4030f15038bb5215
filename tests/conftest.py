"""What all tests share."""

import contextlib
import signal
import sys
import threading
from importlib.util import find_spec
from pathlib import Path

import pytest
from aiohttp.test_utils import BaseTestServer
from faults.proxy import stop_accepting
from hypothesis import HealthCheck, settings

pytest_plugins = ["pytester"]

# A test says what is right and not how fast it is: a busy machine fails none. Each run tries the same
# examples, so that a change fails for what it does; `--hypothesis-profile=random` looks for new ones.
untimed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("random", untimed)
settings.register_profile("same", untimed, derandomize=True)
settings.load_profile("same")

# A shell starts what it runs in the background with SIGINT ignored, and children inherit that: a test that
# presses Ctrl-C would wait for ever. What is handled here is as usual in the children.
signal.signal(signal.SIGINT, signal.default_int_handler)

WORDLLAMA_LACKS = "it needs wordllama, which has no wheels for this Python"


def pytest_addoption(parser):
    parser.addoption(
        "--store",
        choices=["memory", "redis"],
        default="memory",
        help="where services keep entries if a test names no place (default memory); redis is a server "
        "of the dependency group redis",
    )


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "wordllama: skipped where wordllama has no wheels and is not installed"
    )
    if config.getoption("--store") == "redis":
        sys.path.insert(0, str(Path(__file__).parent / "service"))
        from redis_servers import keep_in_redis

        keep_in_redis()


def wordllama_can_not_be_had():
    """Whether wordllama is missing where it has no wheels. Elsewhere its absence is a failure."""
    from langcache.service.embedders.packages import without_wheels

    return find_spec("wordllama") is None and without_wheels("wordllama") is not None


def pytest_collection_modifyitems(items):
    """Skip what has the marker: tests that use the model in another process, or that report its absence."""
    marked = [item for item in items if item.get_closest_marker("wordllama")]
    if marked and wordllama_can_not_be_had():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason=WORDLLAMA_LACKS))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Skip any other test that, or a fixture of which, could not import the model."""
    error = call.excinfo and call.excinfo.value
    if isinstance(error, ImportError) and error.name == "wordllama" and wordllama_can_not_be_had():
        call.excinfo = pytest.CallInfo.from_call(lambda: pytest.skip(WORDLLAMA_LACKS), call.when).excinfo
    return (yield)


if sys.version_info < (3, 11):
    # Where pytest-asyncio needs a backport of asyncio.Runner, that gives a task its context by replacing
    # contextvars.copy_context for a moment: for every thread, so that a portal's task that starts just then
    # gets it too, and never runs. Here it is replaced for the thread that asks for it.
    with contextlib.suppress(ImportError):
        from backports.asyncio.runner import runner as backport

        replace = backport._patch_object

        def replace_in_this_thread(target, attribute, new):
            here, old = threading.get_ident(), getattr(target, attribute)

            def either(*args, **kwargs):
                return (new if threading.get_ident() == here else old)(*args, **kwargs)

            return replace(target, attribute, new if isinstance(new, type) else either)

        backport._patch_object = replace_in_this_thread


@pytest.fixture(scope="session")
def patient():
    """Settings of cache-aside for what must succeed, however busy the machine is."""
    from langcache.aside import AsideConfig

    return AsideConfig(lookup_timeout=60)


@pytest.fixture
def connection(langcache_server):
    """What a client needs to use the cache of a local service."""
    return {
        "server_url": langcache_server.url,
        "api_key": langcache_server.api_key,
        "cache_id": langcache_server.cache_id,
    }


@pytest.fixture
async def cache(connection, patient):
    from langcache import AsyncLangCache

    async with AsyncLangCache(**connection, aside=patient) as client:
        yield client


@pytest.fixture
def blocking_cache(connection, patient):
    from langcache import LangCache

    with LangCache(**connection, aside=patient) as client:
        yield client


_close = BaseTestServer.close


async def _close_what_was_accepted(server):  # or it would be a failure of a later test
    if server.started and not server.closed:
        await stop_accepting(*(site._server for site in server.runner.sites))
    await _close(server)


BaseTestServer.close = _close_what_was_accepted
