"""Calls that ask the same at once, streams while they come in, and consumers that leave."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
import time
from contextlib import suppress

import anyio
import pytest

openai = pytest.importorskip("openai")
anthropic = pytest.importorskip("anthropic")
genai = pytest.importorskip("google.genai")

from langcache import AsyncLangCache, LangCache  # noqa: E402
from langcache.aside import AsideConfig  # noqa: E402
from langcache.http import cached_http  # noqa: E402

from .provider import Reply  # noqa: E402
from .sdks import HTTPX, SDKS, Chat, Messages  # noqa: E402

QUESTION = "Where is the Louvre?"
WAYS = ["ask", "stream"]
FOLLOWERS = 3


@pytest.fixture(params=SDKS, ids=lambda kind: kind.api)
def kind(request):
    return request.param


async def until(condition):
    """Wait until a condition holds, for as long as the test may take."""

    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0)


def participants(cache):
    """How many calls take part in flights and streams of a cache."""
    state = cache._aside.state
    return state.execution.flights.participants + sum(
        stream.participants for stream in list(state.streams.values())
    )


async def asked_at_once(provider, cache, sdk, way, first):
    """The outcomes of calls that ask the same while the first of them waits for the provider."""
    first.hold = threading.Event()
    provider.script(first)
    leader = asyncio.create_task(getattr(sdk, way)(QUESTION))
    await asyncio.to_thread(provider.wait_for, 1)
    followers = [asyncio.create_task(getattr(sdk, way)(QUESTION)) for _ in range(FOLLOWERS)]
    await until(lambda: participants(cache) == 1 + FOLLOWERS)
    first.hold.set()
    return await asyncio.gather(leader, *followers, return_exceptions=True)


@pytest.mark.parametrize("way", WAYS)
async def test_calls_that_ask_the_same_at_once_share_one_request(provider, sdks, either, kind, way):
    sdk = sdks.cached(kind, either)
    said = await asked_at_once(provider, either, sdk, way, Reply(text="In Paris."))
    assert provider.count == 1
    assert {each.text for each in said} == {"In Paris."}
    assert len({each.id for each in said}) == 1 + FOLLOWERS
    assert said[0].tokens > 0
    assert [each.tokens for each in said[1:]] == [0] * FOLLOWERS  # which the first one took
    assert (either.stats().misses, either.stats().shared, either.stats().stores) == (
        1 + FOLLOWERS,
        FOLLOWERS,
        1,
    )


NOT_SHARED = {
    "tool_call": Reply(tools=(("weather", {"city": "Paris"}),)),
    "truncated": Reply(text="In Pa", truncated=True),
    "429": Reply(status=429),
    "cut": Reply(text="a b c d", cut_after=2),
    "html": Reply(body=b"<html>", content_type="text/html"),
}

WITH_USAGE = ("tool_call", "truncated")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", NOT_SHARED)
async def test_what_is_not_stored_is_not_shared_so_that_each_sends_its_own(
    provider, sdks, either, kind, way, name
):
    sdk = sdks.cached(kind, either)
    first, *others = await asked_at_once(provider, either, sdk, way, Reply(**vars(NOT_SHARED[name])))
    assert provider.count == 1 + FOLLOWERS
    assert sorted(each.text for each in others) == [f"Answer {number} to {QUESTION}" for number in (2, 3, 4)]
    assert all(each.tokens > 0 for each in others)
    assert isinstance(first, Exception) or not first.text.startswith("Answer")
    stats = either.stats()
    assert (stats.shared, stats.bypasses, stats.stores) == (0, FOLLOWERS, 0)
    saved, spent = stats.saved, stats.spent
    assert (saved.input_tokens, saved.output_tokens, saved.unknown) == (0, 0, 0)
    await getattr(sdk, way)("Who wrote Faust?")
    of_one = either.stats().spent.output_tokens - spent.output_tokens
    assert spent.output_tokens == of_one * (FOLLOWERS + (name in WITH_USAGE) - spent.unknown)


@pytest.mark.parametrize("kind", [Chat, Messages], indirect=True, ids=lambda kind: kind.api)
@pytest.mark.parametrize("client", [AsyncLangCache, LangCache])
@pytest.mark.parametrize("way", WAYS)
async def test_a_request_waits_for_another_no_longer_than_for_its_own_reply(
    provider, sdks, connection, kind, way, client
):
    cache = client(**connection, aside=AsideConfig(lookup_timeout=60, flight_timeout=1e6))
    hold = threading.Event()
    provider.script(*[Reply(text="In Paris.", hold=hold)] * 2)
    asked = [asyncio.create_task(getattr(sdks.cached(kind, cache), way)(QUESTION))]
    await asyncio.to_thread(provider.wait_for, 1)
    sdk = sdks.cached(kind, cache, sdk={"timeout": HTTPX.Timeout(60, read=0.1)})
    asked.append(asyncio.create_task(getattr(sdk, way)(QUESTION)))
    try:
        assert await asyncio.to_thread(provider.wait_for, 2)  # its own, which may time out on a busy machine
        assert cache.stats().flight_timeouts == 1
    finally:
        hold.set()
        await asyncio.gather(*asked, return_exceptions=True)
        await cache.aclose()


@pytest.mark.parametrize("way", WAYS)
async def test_if_the_first_call_is_cancelled_the_others_still_get_its_answer(
    provider, sdks, cache, kind, way
):
    sdk = sdks.cached(kind, cache)
    hold = threading.Event()
    provider.script(Reply(text="In Paris.", hold=hold))
    leader = asyncio.create_task(getattr(sdk, way)(QUESTION))
    await asyncio.to_thread(provider.wait_for, 1)
    follower = asyncio.create_task(getattr(sdk, way)(QUESTION))
    await until(lambda: participants(cache) == 2)
    leader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leader
    hold.set()
    assert (await follower).text == "In Paris."
    assert provider.count == 1
    assert cache.stats().stores == 1


@pytest.mark.parametrize("way", WAYS)
async def test_if_the_only_call_is_cancelled_nothing_is_stored_and_nothing_stays_open(
    provider, sdks, cache, kind, way
):
    sdk = sdks.cached(kind, cache)
    hold = threading.Event()
    provider.script(Reply(text="In Paris.", hold=hold))
    asked = asyncio.create_task(getattr(sdk, way)(QUESTION))
    await asyncio.to_thread(provider.wait_for, 1)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    hold.set()
    await until(lambda: participants(cache) == 0)
    assert (await getattr(sdk, way)(QUESTION)).text == f"Answer 2 to {QUESTION}"
    assert cache.stats().stores == 1


async def test_if_the_first_call_is_cancelled_and_fails_the_others_ask_for_themselves(provider, sdks, cache):
    sdk = sdks.cached(Chat, cache)
    hold = threading.Event()
    provider.script(Reply(status=429, hold=hold))
    leader = asyncio.create_task(sdk.ask(QUESTION))
    await asyncio.to_thread(provider.wait_for, 1)
    follower = asyncio.create_task(sdk.ask(QUESTION))
    await until(lambda: participants(cache) == 2)
    leader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leader
    hold.set()
    assert (await follower).text == f"Answer 2 to {QUESTION}"


async def until_left(cache):
    """Wait until nobody reads any more. google-genai leaves its stream to the garbage collector."""
    while participants(cache):
        gc.collect()  # which takes long
        for _ in range(100):
            await asyncio.sleep(0)


@pytest.mark.parametrize("is_held", [False, True], ids=["sent", "held"])
@pytest.mark.parametrize("count", [1, 4])
async def test_a_consumer_that_leaves_early_stores_nothing(provider, sdks, either, kind, count, is_held):
    failures = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, failure: failures.append(failure))
    sdk = sdks.cached(kind, either)
    hold = threading.Event() if is_held else None
    provider.script(Reply(text="one two three four five six seven", hold=hold, hold_after=6))
    assert len(await sdk.leave(QUESTION, count)) == count
    assert either.stats().stores == 0
    await until_left(either)
    if hold is not None:
        hold.set()
    assert (await sdk.stream(QUESTION)).text == f"Answer 2 to {QUESTION}"
    assert either.stats().stores == 1
    gc.collect()
    assert not failures


async def test_events_are_given_on_when_they_come(provider, sdks, either, kind):
    sdk = sdks.cached(kind, either)
    hold = threading.Event()
    provider.script(Reply(text="one two three four five six seven", hold=hold, hold_after=4))
    assert (
        len(await sdk.leave(QUESTION, 4 if kind is not Messages else 3)) > 2
    )  # one of Anthropic's is a ping
    assert not hold.is_set()
    hold.set()


async def test_a_stream_that_ends_before_its_last_event_is_not_stored(provider, sdks, either, kind):
    direct, sdk = sdks.direct(kind, either), sdks.cached(kind, either)
    cut = Reply(text="one two three four five six", end_after=3)
    provider.script(cut, cut)
    assert (await sdk.stream(QUESTION))[::2] == (await direct.stream(QUESTION))[::2]
    assert either.stats().stores == 0


@pytest.mark.parametrize("client", [AsyncLangCache, LangCache])
async def test_connections_are_used_again(provider, sdks, connection, kind, client):
    made = client(**connection)
    http = sdks.client(made, limits=HTTPX.Limits(max_connections=1), timeout=20)
    sdk = sdks.cached(kind, made, client=http)
    provider.script(Reply(tools=(("weather", {}),)), Reply(status=429))
    for way in ("stream", "ask", "ask", "stream"):
        for question in ("What is 1 + 1?", "Who wrote Faust?"):
            with suppress(openai.APIStatusError, anthropic.APIStatusError, genai.errors.APIError):
                await getattr(sdk, way)(f"{question} {way}")
    await (made.aclose() if client is AsyncLangCache else asyncio.to_thread(made.close))


async def test_a_caller_that_is_cancelled_leaves_no_connection_open(cache):
    """As a web framework cancels a handler of which the client has left: every ``await`` in it raises."""
    sent, end = asyncio.Event(), asyncio.Event()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"

    async def serve(reader, writer):
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(head)
                for delta, finish in (
                    ({"content": "hello "}, None),
                    ({"content": "you"}, None),
                    ({}, "stop"),
                ):
                    choice = {"index": 0, "delta": delta, "finish_reason": finish}
                    chunk = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
                    event = f"data: {json.dumps({**chunk, 'choices': [choice]})}\n\n".encode()
                    writer.write(b"%x\r\n%s\r\n" % (len(event), event))
                writer.write(b"e\r\ndata: [DONE]\n\n\r\n")
                await writer.drain()
                sent.set()
                await end.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/chat/completions"
    one = HTTPX.AsyncClient(limits=HTTPX.Limits(max_connections=1), timeout=60)
    async with cached_http(cache, client=one) as http:
        request = {"model": "m", "stream": True, "messages": [{"role": "user", "content": QUESTION}]}
        with anyio.CancelScope() as scope:
            async with http.stream("POST", url, json=request) as response:
                async for _ in response.aiter_bytes():
                    await sent.wait()
                    for _ in range(1000):  # the reply is read ahead, and its end has not come
                        await asyncio.sleep(0)
                    scope.cancel()
                    await asyncio.sleep(0)
        assert scope.cancelled_caught
        assert one._transport._pool.connections == []
    end.set()
    server.close()
