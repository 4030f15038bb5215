"""The `langcache_server` fixture, as a project that uses the package gets it."""

from __future__ import annotations

import subprocess
import sys

import pytest

USES = """
import pytest
from langcache import AsyncLangCache, LangCache

def client(server):
    return LangCache(server.url, server.api_key, server.cache_id)

@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_gets_an_empty_cache(langcache_server, turn):
    with client(langcache_server) as cache:
        assert not cache.search(prompt="How do I boil an egg?")
        cache.set(prompt="How do I boil an egg?", response="Ten minutes.")
        assert cache.search(prompt="boiling an egg").response == "Ten minutes."

@pytest.mark.langcache(attributes=("topic",), threshold=0.5)
class TestMarked:
    def test_the_marker_sets_it_up(self, langcache_server):
        with client(langcache_server) as cache:
            cache.set(prompt="p", response="r", attributes={"topic": "t"})
            assert cache.search(prompt="p", attributes={"topic": "t"})

    @pytest.mark.langcache(("tenant",))
    def test_the_nearest_marker_counts(self, langcache_server):
        with client(langcache_server) as cache:
            cache.set(prompt="p", response="r", attributes={"tenant": "t"})

def test_it_serves_async_tests_too(langcache_server):
    import asyncio

    async def main():
        server = langcache_server
        async with AsyncLangCache(server.url, server.api_key, server.cache_id) as cache:
            assert (await cache.health()).status == "ok"

    asyncio.run(main())
"""


def test_tests_of_others_run_against_a_real_langcache(pytester: pytest.Pytester, plugin_options):
    pytester.makepyfile(USES)
    pytester.runpytest(*plugin_options, "--strict-markers", "-W", "error").assert_outcomes(passed=5)


def test_a_marker_with_one_name_in_place_of_names_is_refused(pytester: pytest.Pytester, plugin_options):
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.langcache(attributes="tenant")
        def test_it(langcache_server):
            pass
        """
    )
    result = pytester.runpytest(*plugin_options, "--strict-markers")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*TypeError: attributes: must be names, such as ('topic',), but is 'tenant'"]
    )


def test_the_fixture_and_its_marker_are_described(pytester: pytest.Pytester, plugin_options):
    result = pytester.runpytest(*plugin_options, "--markers")
    result.stdout.fnmatch_lines(["@pytest.mark.langcache(attributes=(), threshold=0.85, *"])


def test_the_plugin_loads_nothing_of_the_service():
    code = """
import sys, langcache
before = set(sys.modules)
import langcache.service.pytest_plugin
print(*set(sys.modules) - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    loaded = done.stdout.split()
    assert "langcache.service.pytest_plugin" in loaded
    assert not {"numpy", "wordllama", "langcache.service.server", "langcache.service.config"}.intersection(
        loaded
    )
