"""`python -m langcache serve` with a Redis: where its URL may stand, and where its password may not."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from redis_servers import Server, needs

from langcache import LangCache
from langcache.cli import main
from langcache.cli.serve_settings import STORE_VARIABLE
from langcache.service import LocalServer

SECRET = "hunter2"


@pytest.fixture(autouse=True)
def no_variable(monkeypatch):
    monkeypatch.delenv(STORE_VARIABLE, raising=False)


@pytest.mark.parametrize(
    ("options", "variable", "reason"),
    [
        (
            ["--store", f"redis://:{SECRET}@h"],
            None,
            "--store: other users.*--store-file FILE.*LANGCACHE_SERVE_STORE",
        ),
        (["--store", f"redis+sentinel://h/s?sentinel_password={SECRET}"], None, "--store: other users"),
        (["--store", "h:6379"], None, "--store: must be a URL that begins with redis://"),
        (["--store", ""], None, "--store: must be a URL"),
        ([], f"redis://:{SECRET}@h/7", "LANGCACHE_SERVE_STORE: Redis has search indexes in database 0 alone"),
        (["--store", "redis://h", "--db", "x.db"], None, "--db: .*one place, and --store names another"),
        (
            ["--db", "x.db"],
            f"redis://:{SECRET}@h",
            "--db: .*one place, and LANGCACHE_SERVE_STORE names another",
        ),
        (
            ["--store", "redis://h", "--store-file", "f"],
            None,
            "--store-file: can't be given along with --store",
        ),
        (["--store-file", "nowhere"], None, "--store-file: can't read 'nowhere'"),
    ],
)
def test_what_can_t_be_meant_is_refused(options, variable, reason, monkeypatch, capsys):
    if variable is not None:
        monkeypatch.setenv(STORE_VARIABLE, variable)
    assert main(["serve", *options]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert SECRET not in printed.err
    assert len(printed.err.splitlines()) == 1
    assert re.search(reason, printed.err)


def test_a_file_may_have_the_url(tmp_path, capsys):
    file = tmp_path / "store"
    file.write_text(f"redis://:{SECRET}@127.0.0.1:1\n")
    file.chmod(0o600)
    needs()
    assert main(["serve", "--store-file", str(file)]) == 1
    assert "redis://127.0.0.1:1: Redis can't be reached" in capsys.readouterr().err


def test_without_the_extra_it_says_how_to_install_it(monkeypatch, capsys):
    for name in [name for name in sys.modules if name.startswith("langcache.service.stores.redis_")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "redis", None)
    assert main(["serve", "--store", "redis://h"]) == 1
    assert "pip install '.[redis]'" in capsys.readouterr().err


def test_entries_outlive_the_service_and_no_password_is_printed(embedder):
    with Server("--requirepass", SECRET) as server:
        url = f"redis://:{SECRET}@127.0.0.1:{server.port}"
        command = [sys.executable, "-W", "error", "-m", "langcache", "serve", "--port", "0", "--ttl", "1h"]
        process = subprocess.Popen(
            command, env={STORE_VARIABLE: url}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            first = process.stdout.readline()
            process.terminate()
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
        assert f"entries in redis://127.0.0.1:{server.port}," in first
        assert (process.returncode, err) == (0, "")
        assert SECRET not in first + out
        assert server.do("KEYS", "*") == [b"langcache:{local}:meta"]
        store = f"{url}?prefix=other"
        for life in range(2):
            with LocalServer(store=store, embedder=embedder) as service:
                assert SECRET not in repr(service) + repr(service._config)
                with LangCache(service.url, service.api_key, service.cache_id) as cache:
                    assert len(cache.search("p @10")) == life
                    cache.set("p", "r")


def test_a_local_server_is_told_the_same():
    with pytest.raises(ValueError, match="store: must be a URL"):
        LocalServer(store="h:6379")
    with pytest.raises(ValueError, match="one place"):
        LocalServer(store="redis://h", db="x.db")
