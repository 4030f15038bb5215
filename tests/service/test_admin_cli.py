"""`python -m langcache caches` and `keys`, against a real service."""

from __future__ import annotations

import json
import re

import pytest

from langcache import LangCache
from langcache.cli import main
from langcache.service import LocalServer

ADMIN_KEY = "admin-key-0123456789"


@pytest.fixture
def server(embedder, monkeypatch):
    with LocalServer(embedder=embedder, admin_key=ADMIN_KEY) as server:
        monkeypatch.setenv("LANGCACHE_SERVER_URL", server.url)
        monkeypatch.setenv("LANGCACHE_ADMIN_KEY", ADMIN_KEY)
        yield server


@pytest.fixture
def run(server, capsys):
    """What a command prints that ends well: as JSON if it says ``--json``."""

    def run(*arguments):
        assert main(list(arguments)) == 0
        printed = capsys.readouterr().out
        return json.loads(printed) if "--json" in arguments and printed else printed

    return run


def test_a_cache_and_its_keys_from_birth_to_death(run, server):
    cache_id = run("caches", "create", "my cache", "--attribute", "topic", "--ttl", "7d").strip()
    key = run("keys", "create", cache_id, "--name", "app").strip()
    with LangCache(server.url, key, cache_id) as cache:
        cache.set("a @0", "A", attributes={"topic": "t"})
        assert not cache.search("b @60")
        run("caches", "change", cache_id, "--threshold", "0.7", "--strategy", "semantic")
        assert cache.search("b @60")
        run("caches", "flush", cache_id)
        assert not cache.search("a @0")

    listed = run("caches", "list")
    assert re.search(
        rf"^{cache_id}  my cache  READY   0\.7        604800000 ms  topic$", listed, re.MULTILINE
    )
    assert len({len(line.partition("READY")[0]) for line in listed.splitlines()[1:]}) == 1
    assert "default ttl millis: 604800000\n" in run("caches", "show", cache_id)
    assert run("caches", "show", cache_id, "--json")["defaultSearchThreshold"] == 0.7
    assert [cache["cacheId"] for cache in run("caches", "list", "--json")] == [server.cache_id, cache_id]

    (listed_key,) = run("keys", "list", "--json")
    assert listed_key["grants"][0]["actions"] == ["read", "write"]
    assert key not in run("keys", "list")
    rotated = run("keys", "rotate", listed_key["keyId"], "--json")
    assert (rotated["keyId"], rotated["token"] != key) == (listed_key["keyId"], True)
    assert run("keys", "revoke", listed_key["keyId"]) == f"The key {listed_key['keyId']} is revoked.\n"
    assert run("caches", "change", cache_id, "--ttl", "never", "--json") == ""
    assert run("caches", "show", cache_id, "--json")["defaultTtlMillis"] == -1
    assert run("caches", "change", cache_id, "--max-entries", "50", "--json") == ""
    assert "max entries: 50\n" in run("caches", "show", cache_id)
    run("caches", "change", cache_id, "--max-entries", "any")
    assert "max entries" not in run("caches", "show", cache_id)
    run("caches", "delete", cache_id)
    assert len(run("caches", "list").splitlines()) == 2


@pytest.mark.parametrize(
    ("option", "actions"), [((), ["read", "write"]), ("--read-only", ["read"]), ("--write-only", ["write"])]
)
def test_what_a_key_may_do(run, server, option, actions):
    one, two = (run("caches", "create", name, "--json")["cacheId"] for name in ("one", "two"))
    made = run("keys", "create", one, two, *([option] if option else []), "--json")
    assert set(made) == {"keyId", "token", "createdAt"}
    run("keys", "create", server.cache_id)
    (key,) = run("keys", "list", one, "--json")
    assert {grant["resourceId"]: grant["actions"] for grant in key["grants"]} == {one: actions, two: actions}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["caches", "show", "nothing"], "404 Not Found: there is no cache 'nothing'"),
        (["caches", "delete", "local"], "400 .*settings that the service was started with"),
        (["caches", "create", ""], "name: must have 1 to 64 characters"),
        (["caches", "create", "n", "--threshold", "2"], "--threshold: must be from 0 to 1"),
        (["caches", "change", "c"], "change: give --threshold, --ttl, --strategy or --max-entries"),
        (["keys", "create", "nothing"], "400 .*grants: must be for caches, but there is no cache"),
        (["keys", "revoke", "nothing"], "404 .*no key with the id 'nothing'"),
        (["caches", "list", "--server-url", "http://127.0.0.1:9"], "no connection to the service"),
        (["caches", "list", "--admin-key-file", "nowhere"], "--admin-key-file: can't read 'nowhere'"),
    ],
)
@pytest.mark.usefixtures("server")
def test_what_goes_wrong_is_said_in_one_line(arguments, reason, capsys):
    sent = re.match(r"4\d\d|no connection", reason)
    assert main(arguments) == (1 if sent else 2)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1
    assert re.search(reason, printed.err, re.IGNORECASE)


def test_what_is_missing_is_named(monkeypatch, capsys):
    for variable in ("LANGCACHE_SERVER_URL", "LANGCACHE_ADMIN_KEY"):
        monkeypatch.delenv(variable, raising=False)
    assert main(["caches", "list"]) == 2
    printed = capsys.readouterr().err
    assert "LANGCACHE_SERVER_URL" in printed
    assert "LANGCACHE_ADMIN_KEY" in printed


@pytest.mark.parametrize("arguments", [["caches"], ["keys"], ["caches", "create", "n", "--ttl", "soon"]])
def test_what_is_no_command_shows_the_usage(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert f"usage: langcache {arguments[0]}" in capsys.readouterr().err


def test_the_key_may_come_from_a_file(run, server, monkeypatch, tmp_path):
    monkeypatch.delenv("LANGCACHE_ADMIN_KEY")
    file = tmp_path / "admin.key"
    file.write_text(f"{ADMIN_KEY}\n")
    file.chmod(0o600)
    assert run("caches", "list", "--admin-key-file", str(file), "--server-url", server.url)
