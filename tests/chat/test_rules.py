"""Attributes that can't be given together are an error when an adapter is made, not in each request."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from langcache import AsyncLangCache, LangCache
from langcache.aside import AsideConfig
from langcache.chat.adapters.asking import Asking
from langcache.http import cached_http

OF_FUNCTION = AsideConfig(function_attribute="function")
OF_TIME = AsideConfig(time_attribute="time")
OF_SOURCES = AsideConfig(source_attribute="sources")

WRONG = {
    "a value for the fingerprint": (None, {}, {"attributes": {"fingerprint": "x"}}, "fingerprint"),
    "a value for it by another name": (
        *(None, {}, {"attributes": {"user": "ann"}, "attribute": "user"}),
        "name another attribute",
    ),
    "the fingerprint in the scope": (None, {"fingerprint": "x"}, {}, "in the scope of the cache"),
    "another value than the scope's": (None, {"user": "ann"}, {"attributes": {"user": "bob"}}, "'ann'"),
    "the function's name": (OF_FUNCTION, {}, {"attributes": {"function": "x"}}, "function_attribute"),
    "the fingerprint as the function": (OF_FUNCTION, {}, {"attribute": "function"}, "function_attribute"),
    "the time": (OF_TIME, {}, {"attributes": {"time": "1"}}, "written by the client itself"),
    "the fingerprint as the time": (OF_TIME, {}, {"attribute": "time"}, "written by the client itself"),
    "the fingerprint as the sources": (
        *(OF_SOURCES, {}, {"attribute": "sources", "sources": ["a"]}),
        "written by the client itself",
    ),
    "too many": (None, {}, {"attributes": dict.fromkeys("abcde", "x")}, "at most 5"),
    "too many with the scope": (
        *(None, {"user": "ann"}, {"attributes": dict.fromkeys("abcd", "x")}),
        "at most 5",
    ),
    "no room for the time": (OF_TIME, {}, {"attributes": dict.fromkeys("abcd", "x")}, "room for 'time'"),
    "no name": (None, {}, {"attributes": {"of user": "x"}}, "of user"),
    "no name for the fingerprint": (None, {}, {"attribute": "of all"}, "of all"),
}


def adapter(cache, **given):
    return Asking("test", cache, None, given)


MAKERS = [
    adapter,
    pytest.param(
        cached_http,
        marks=pytest.mark.skipif(not (find_spec("httpx2") or find_spec("httpx")), reason="it needs httpx"),
    ),
]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("name", WRONG)
async def test_what_would_fail_in_each_request_fails_when_the_adapter_is_made(name, make):
    config, scope, given, text = WRONG[name]
    async with AsyncLangCache("http://127.0.0.1:1", "key", "cache", aside=config) as cache:
        with pytest.raises(ValueError, match=text) as raised:
            make(cache.scoped(**scope) if scope else cache, **given)
    assert str(raised.value).startswith(("attribute: ", "attributes: "))


@pytest.mark.parametrize("make", MAKERS)
def test_so_it_does_with_a_blocking_client(make):
    with LangCache("http://127.0.0.1:1", "key", "cache") as cache:
        with pytest.raises(ValueError, match="'fingerprint' is to hold the fingerprint"):
            make(cache.scoped(fingerprint="x"))
        with pytest.raises(ValueError, match="'ann'"):
            make(cache.scoped(user="ann"), attributes={"user": "bob"})


@pytest.mark.parametrize("make", MAKERS)
async def test_what_fits_is_taken(make):
    async with AsyncLangCache("http://127.0.0.1:1", "key", "cache", aside=OF_FUNCTION) as cache:
        adapters = [
            make(cache.scoped(user="ann"), attributes={"user": "ann", "plan": "p"}, attribute="print"),
            make(cache, attributes=lambda request: {"fingerprint": "x"}),  # known with the request alone
            make(cache, function=None),
        ]
        for each in adapters[: 3 * (make is cached_http)]:
            await each.aclose()
