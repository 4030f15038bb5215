"""One and the same program sees the same over the established package and over this one."""

import pytest
from interpreters import run

from langcache.service import CacheConfig, LocalServer


def told(python):
    caches = [CacheConfig(cache_id="with", attributes=("topic", "user")), CacheConfig(cache_id="without")]
    with LocalServer(caches=caches) as server:
        return dict(run(python, "program.py", server.url, server.api_key, "with", "without"))


@pytest.fixture(scope="module")
def ours(our_python):
    return told(our_python)


def test_the_program_sees_the_same(established_python, ours):
    assert told(established_python) == ours


def test_the_program_sees_what_it_should(ours):
    assert [entry["response"] for entry, *_ in ours["hit"]] == ["In Settings."]
    assert ours["same id"] is True
    assert ours["miss"] == ours["async miss"] == []
    assert ours["exact"][0][-1] == "exact"
    assert len(ours["filtered by account"]) == 1
    assert ours["filtered by billing"] == []
    assert ours["deleted"] == {"deleted_entries_count": 1}
    assert ours["left"] == 0
    assert ours["delete_by_id again"] == ours["wrong cache"] == 404
    assert ours["search_async without attributes"][-1] is True
    assert ours["wrong key"][0] == 401
