"""URLs of Redis: what they say, what is refused, and that no password is shown."""

from __future__ import annotations

import pickle

import pytest

from langcache.service import ServerConfig
from langcache.service.stores import redis_url as module
from langcache.service.stores.redis_url import redis_url

TLS = {"ssl_ca_certs": "/ca.pem", "ssl_certfile": "/me.pem", "ssl_keyfile": "/me.key"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("redis://h", {"kind": "one", "tls": False, "hosts": (("h", 6379),), "password": ""}),
        ("redis://h:7000/", {"hosts": (("h", 7000),)}),
        ("redis://h/0", {"hosts": (("h", 6379),)}),
        ("REDISS://h", {"tls": True}),
        ("redis://[::1]:7", {"hosts": (("::1", 7),)}),
        ("redis://:p%40%2Fw@h", {"username": "", "password": "p@/w"}),
        ("redis://u:p:q@h", {"username": "u", "password": "p:q"}),
        ("redis://h?index=hnsw&prefix=a.b&timeout=0.5", {"index": "hnsw", "prefix": "a.b", "seconds": 0.5}),
        ("redis+cluster://a:1,b,[::2]:3", {"kind": "cluster", "hosts": (("a", 1), ("b", 6379), ("::2", 3))}),
        (
            "rediss+sentinel://u:p@a,b:2/main/0?sentinel_username=s&sentinel_password=t",
            {
                "kind": "sentinel",
                "tls": True,
                "service": "main",
                "hosts": (("a", 26379), ("b", 2)),
                "username": "u",
                "password": "p",
                "sentinel_username": "s",
                "sentinel_password": "t",
            },
        ),
        ("rediss://h?ssl_ca_certs=/ca.pem&ssl_certfile=/me.pem&ssl_keyfile=/me.key", {"tls_files": TLS}),
    ],
)
def test_what_a_url_says(text, said):
    url = redis_url(text)
    assert {name: getattr(url, name) for name in said} == said
    assert pickle.loads(pickle.dumps(url)) == url


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "begins with"),
        ("h:6379", "begins with"),
        ("http://h", "begins with"),
        ("redis://", "needs a host"),
        ("redis://:6379", "needs a host"),
        ("redis://h:0", "needs a host"),
        ("redis://h:65536", "needs a host"),
        ("redis://h:a", "needs a host"),
        ("redis://u:hunter2/x@h", "needs a host|database 0"),
        ("redis://[::1", "IPv6"),
        ("redis://a,b", "takes one host"),
        ("redis://h/1", "database 0"),
        ("redis+cluster://h/3", "database 0"),
        ("redis+sentinel://h", "name of a service"),
        ("redis+sentinel://h/s/2", "database 0"),
        ("redis://hunter2@h", "user without a password"),
        ("redis://h?index=tree", "flat or hnsw"),
        ("redis://h?prefix=a:b", "prefix must be"),
        ("redis://h?prefix=", "with a value"),
        ("redis://h?timeout=0", "0.05 to 600"),
        ("redis://h?timeout=nan", "0.05 to 600"),
        ("redis://h?timeout=5s", "0.05 to 600"),
        ("redis://h?timeout=1&timeout=2", "given once"),
        ("redis://h?hunter2=1", "none of index, prefix, timeout"),
        ("redis://h?ssl_ca_certs=/ca", "none of"),
        ("redis://:hunter2 @h", "%20"),
        ("redis://:hunter2ü@h", "%20"),
        ("redis://:hunter2#@h", "%23"),
    ],
)
def test_a_url_that_says_something_else_is_refused_without_being_shown(text, reason):
    with pytest.raises(ValueError, match=f"^store: .*({reason})") as raised:
        redis_url(text)
    assert "hunter2" not in str(raised.value)
    assert raised.value.__context__ is None or raised.value.__suppress_context__
    with pytest.raises(ValueError, match=r"^store: "):
        ServerConfig(store=text)


def test_a_url_must_be_a_text():
    with pytest.raises(TypeError, match="store: must be a URL"):
        redis_url(b"redis://h")


def test_no_password_is_shown():
    text = "redis+sentinel://user:hunter2@a,b:2/main?sentinel_password=hunter3&prefix=p"
    assert redis_url(text).shown == "redis+sentinel://a:26379,b:2/main"
    config = ServerConfig(store=text)
    for shown in (repr(redis_url(text)), str(redis_url(text)), repr(config), str(config), f"{config}"):
        assert "hunter" not in shown
        assert "redis+sentinel://a:26379,b:2/main" in shown


def test_entries_are_kept_in_one_place(tmp_path):
    with pytest.raises(ValueError, match=r"either a SQLite file \(db\) or Redis \(store\)"):
        ServerConfig(store="redis://h", db=tmp_path / "cache.db")


@pytest.mark.parametrize("hosts", ["[::1]:7,h", "h,[::1]:7", "a,[::1]:7,[::2]", "user:p@[::1]:7,h"])
def test_an_address_in_brackets_may_stand_among_other_hosts(hosts, monkeypatch):
    """On each Python: some releases allow brackets around a host that stands alone, and nowhere else."""
    split = module.urlsplit

    def strict(url):
        parts = split(url)
        if "[" in parts.netloc and ("," in parts.netloc or "@" in parts.netloc):
            raise ValueError("Invalid IPv6 URL")
        return parts

    monkeypatch.setattr(module, "urlsplit", strict)
    assert ("::1", 7) in redis_url(f"redis+cluster://{hosts}").hosts
