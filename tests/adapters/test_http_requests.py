"""What is asked, with which settings, and what a program sees of the cache under its SDK."""

from __future__ import annotations

import asyncio

import pytest

openai = pytest.importorskip("openai")
anthropic = pytest.importorskip("anthropic")
genai = pytest.importorskip("google.genai")

from langcache import AsyncLangCache  # noqa: E402
from langcache.aside import AsideConfig, Shadow  # noqa: E402
from langcache.http import cached_http  # noqa: E402

from .provider import Provider, Reply  # noqa: E402
from .sdks import HTTPX, SDKS, Chat, Messages, Responses  # noqa: E402

QUESTION = "Where is the Louvre?"
WAYS = ["ask", "stream"]
TEMPLATE = "Use the context to answer.\nContext: The library has {} floors.\nQuestion: {}"


@pytest.fixture(params=SDKS, ids=lambda kind: kind.api)
def kind(request):
    return request.param


def last_line(text):
    return text.rpartition("Question: ")[2]


TWO_IN_ONE_TEMPLATE = {
    "questions": [TEMPLATE.format(3, f"How do I {do} my order?") for do in ("cancel", "pay for")],
    "contexts": [TEMPLATE.format(floors, "How many floors does the library have?") for floors in (3, 4)],
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("two", TWO_IN_ONE_TEMPLATE.values(), ids=TWO_IN_ONE_TEMPLATE)
async def test_what_stands_around_the_part_that_text_chooses_keeps_questions_apart(
    provider, sdks, cache, kind, two, way
):
    sdk = sdks.cached(kind, cache, text=last_line)
    said = [(await getattr(sdk, way)(question)).text for question in two]
    assert len(set(said)) == 2
    assert [(await getattr(sdk, way)(question)).text for question in two] == said  # each finds its own
    assert provider.count == 2


async def test_in_one_template_questions_in_other_words_are_found_if_text_says_which_part_is_asked(
    provider, sdks, cache
):
    asked = [TEMPLATE.format(3, f"How do I reset my password{end}") for end in ("?", "??")]
    for text, requests in ((None, 2), (last_line, 3)):
        sdk = sdks.cached(Chat, cache.scoped(user=str(text is None)), text=text)
        for question in asked:
            await sdk.ask(question)
        assert provider.count == requests


async def test_users_hosts_and_paths_share_nothing(provider, sdks, either, kind):
    user = ["ann"]
    sdk = sdks.cached(kind, either, attributes=lambda body: {"user": user[0]})
    said = [(await sdk.ask(QUESTION)).text]
    user[0] = "bob"
    said.append((await sdk.ask(QUESTION)).text)
    with Provider() as elsewhere:
        elsewhere.answer = lambda question, number: f"elsewhere {number}"
        base = elsewhere.openai if kind in (Chat, Responses) else elsewhere.url
        other = sdks.cached(kind, either, {"base_url": base}, attributes={"user": "ann"})
        said.append((await other.ask(QUESTION)).text)
    deeper = f"{provider.openai}/v1" if kind in (Chat, Responses) else f"{provider.url}/deeper"
    other = sdks.cached(kind, either, {"base_url": deeper}, attributes={"user": "ann"})
    said.append((await other.ask(QUESTION)).text)
    assert len(set(said)) == 4


async def test_follow_up_questions_are_not_looked_up(provider, sdks, either):
    sdk = sdks.cached(Chat, either)
    for shop in ("bakery", "bank"):
        talk = [
            {"role": "user", "content": f"When does the {shop} open?"},
            {"role": "assistant", "content": "At nine."},
            {"role": "user", "content": "And on Sundays?"},
        ]
        await sdk.ask("", messages=talk)
    assert provider.count == 2
    assert (either.stats().bypasses, either.stats().stores) == (2, 0)


async def raw(sdk, **body):
    """The HTTP response of a chat completion, and what the SDK makes of it."""
    response = await sdk.raw(QUESTION, **body)
    return response.http_response, response.parse()


@pytest.mark.parametrize("directive", ["bypass", "refresh", "no-store", "ReFresh"])
@pytest.mark.parametrize("way", WAYS)
async def test_a_request_says_what_the_cache_does(provider, sdks, either, directive, way):
    sdk = sdks.cached(Chat, either)
    await sdk.ask(QUESTION)
    asked = getattr(sdk, way)
    told = (await asked(QUESTION, extra_headers={"x-langcache": directive})).text
    later = (await asked(QUESTION)).text
    answers = [f"Answer {number} to {QUESTION}" for number in (1, 2)]
    expected = {"bypass": answers[::-1], "no-store": [answers[0]] * 2, "refresh": [answers[1]] * 2}
    assert [told, later] == expected[directive.lower()]
    assert all("x-langcache" not in seen.headers for seen in provider.requests)


@pytest.mark.parametrize("value", ["", "off", "bypass, refresh"])
async def test_another_value_is_an_error_before_anything_is_sent(provider, sdks, either, value):
    sdk = sdks.cached(Chat, either)
    with pytest.raises((ValueError, openai.APIConnectionError)) as caught:  # which older SDKs make of it
        await sdk.ask(QUESTION, extra_headers={"x-langcache": value})
    error = caught.value if isinstance(caught.value, ValueError) else caught.value.__cause__
    assert str(error) == f"x-langcache: must be bypass, refresh or no-store, but is {value!r}"
    assert provider.count == 0


async def test_a_reply_says_where_it_is_from(provider, sdks, either):
    sdk = sdks.cached(Chat, either)
    headers = [(await raw(sdk))[0].headers for _ in range(2)]
    headers.append((await raw(sdk, extra_headers={"x-langcache": "bypass"}))[0].headers)
    headers.append((await raw(sdk, n=2))[0].headers)
    assert [each["x-langcache"] for each in headers] == ["miss", "hit", "bypass", "bypass"]
    similarities = [each.get("x-langcache-similarity") for each in headers]
    assert similarities == [None, "1.0000", None, None]
    reasons = [each.get("x-langcache-reason") for each in headers]
    assert reasons == [None, None, "asked", "several answers"]


async def test_a_verdict_can_be_given_on_a_reply(provider, sdks, either):
    sdk = sdks.cached(Chat, either)
    await sdk.ask(QUESTION)
    response, _ = await raw(sdk)
    wrong = response.extensions["langcache"].wrong
    await (wrong() if isinstance(either, AsyncLangCache) else asyncio.to_thread(wrong))
    assert either.stats().verdicts_wrong == 1
    assert (await sdk.ask(QUESTION)).text == f"Answer 2 to {QUESTION}"


@pytest.mark.parametrize("way", WAYS)
async def test_what_the_sdk_sends_again_is_not_looked_up_but_stored(provider, sdks, either, way):
    sdk = sdks.cached(Chat, either, {"max_retries": 2})
    provider.script(Reply(status=500, headers={"retry-after-ms": "1"}))
    assert (await getattr(sdk, way)(QUESTION)).text == f"Answer 2 to {QUESTION}"
    assert [seen.headers["x-stainless-retry-count"] for seen in provider.requests] == ["0", "1"]
    assert either.stats().stores == 1
    assert (await getattr(sdk, way)(QUESTION)).text == f"Answer 2 to {QUESTION}"
    assert provider.count == 2


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("options", "header"),
    [
        ({"no_store": True}, None),
        ({"bypass": True}, None),
        ({"no_store": True, "bypass": True}, None),
        ({}, "no-store"),
        ({}, "bypass"),
        ({"no_store": True}, "bypass"),
    ],
    ids=str,
)
async def test_what_the_sdk_sends_again_is_not_stored_if_nothing_is_to_be(
    provider, sdks, either, options, header, way
):
    await sdks.cached(Chat, either).ask(QUESTION)  # which would be a hit
    sdk = sdks.cached(Chat, either, **options)
    headers = {"x-stainless-retry-count": "1"} | ({} if header is None else {"x-langcache": header})
    assert (await getattr(sdk, way)(QUESTION, extra_headers=headers)).text == f"Answer 2 to {QUESTION}"
    assert (either.stats().stores, either.stats().bypasses) == (1, 1)
    assert (await sdks.cached(Chat, either).ask(QUESTION)).text == f"Answer 1 to {QUESTION}"


async def test_what_is_not_understood_is_sent_on_untouched(provider, sdks, either):
    sdk, is_async = sdks.cached(Chat, either), isinstance(either, AsyncLangCache)
    response = await sdk.call(lambda sdk: sdk.post("/embeddings", cast_to=object, body={"input": "a"}))
    assert response["path"] == "/v1/embeddings"
    http = cached_http(either, sdks.client(either))
    url = f"{provider.openai}/chat/completions"
    for body in ({"files": {"file": b"content"}}, {"content": b'{"messages": ['}, {"json": [1]}):
        sent = http.post(url, **body) if is_async else await asyncio.to_thread(http.post, url, **body)
        response = await sent if is_async else sent
        assert response.json()["bytes"] == len(provider.requests[-1].content)
        assert "x-langcache" not in response.headers
    await (http.aclose() if is_async else asyncio.to_thread(http.close))
    assert either.stats().calls == 0


@pytest.mark.parametrize("option", ["when", "text"])
async def test_hooks_can_say_that_the_cache_is_not_asked(provider, sdks, either, kind, option):
    hook = (lambda body: False) if option == "when" else (lambda text: None)
    sdk = sdks.cached(kind, either, **{option: hook})
    for way in (*WAYS, *WAYS):
        await getattr(sdk, way)(QUESTION)
    assert provider.count == 4
    assert (either.stats().bypasses, either.stats().stores) == (4, 0)


async def test_store_if_is_asked_about_the_json_of_what_may_be_stored(provider, sdks, either):
    asked = []
    sdk = sdks.cached(Chat, either, store_if=lambda reply: asked.append(reply) or False)
    provider.script(Reply(tools=(("weather", {}),)), Reply(text="one two"))
    for way in ("ask", "stream", "ask"):
        await getattr(sdk, way)(QUESTION)
    assert [reply["choices"][0]["message"]["content"] for reply in asked] == [
        "one two",
        f"Answer 3 to {QUESTION}",
    ]
    assert either.stats().stores == 0


async def test_no_user_is_shown_the_data_of_another(provider, sdks, either):
    sdk = sdks.cached(Responses, either)
    said = []
    for user in ("ann", "bob"):
        whole = {**provider_reply(user), "store": False}
        provider.script(Reply(body=__import__("json").dumps(whole).encode()))
        answer = await sdk.call(
            lambda sdk, user=user: sdk.responses.create(
                model="m", input=QUESTION, store=False, metadata={"who": user}, extra_body={"user": user}
            )
        )
        said.append(answer)
    assert provider.count == 1
    assert [answer.metadata for answer in said] == [{"who": "ann"}, {"who": "bob"}]
    assert [answer.user for answer in said] == ["ann", "bob"]
    assert said[0].output[0].id != said[1].output[0].id


def provider_reply(user):
    from .replies import plain

    reply = plain("openai.responses", {}, Reply(text="In Paris."), "m")
    return {**reply, "metadata": {"who": user}, "user": user}


async def test_replies_that_openai_keeps_are_not_stored(provider, sdks, either):
    sdk = sdks.cached(Responses, either)
    for _ in range(2):
        await sdk.ask(QUESTION, store=True)
    assert (provider.count, either.stats().bypasses) == (2, 2)
    kept = {**provider_reply("ann"), "store": True}  # whatever was asked for
    provider.script(Reply(body=__import__("json").dumps(kept).encode()))
    await sdk.ask(QUESTION)
    assert either.stats().stores == 0


@pytest.mark.parametrize("way", WAYS)
async def test_a_cache_that_is_down_or_closed_is_no_concern_of_the_program(provider, sdks, kind, way):
    async with AsyncLangCache(server_url="http://127.0.0.1:9", api_key="k", cache_id="c") as cache:
        sdk = sdks.cached(kind, cache)
        assert (await getattr(sdk, way)(QUESTION)).text == f"Answer 1 to {QUESTION}"
        assert cache.stats().errors == 1
    assert (await getattr(sdk, way)(QUESTION)).text == f"Answer 2 to {QUESTION}"


@pytest.mark.parametrize("way", WAYS)
async def test_hits_are_measured_in_shadow_by_their_texts(provider, sdks, connection, kind, way):
    config = AsideConfig(shadow=Shadow(share=1, when="before"), lookup_timeout=60)
    async with AsyncLangCache(**connection, aside=config) as cache:
        sdk = sdks.cached(kind, cache)
        provider.script(*[Reply(text=text) for text in ("In Paris.", "in  paris.", "In Rome.")])
        provider.script(Reply(tools=(("weather", {}),)), Reply(status=500))
        for _ in range(5):
            assert (await getattr(sdk, way)(QUESTION)).text == "In Paris."
        stats = cache.stats()
    assert (stats.shadow_right, stats.shadow_wrong, stats.shadow_failures) == (1, 2, 1)


@pytest.mark.parametrize("way", WAYS)
async def test_a_dry_run_gives_no_hit(provider, sdks, connection, kind, way):
    config = AsideConfig(shadow=Shadow(dry_run=True, when="before"), lookup_timeout=60)
    async with AsyncLangCache(**connection, aside=config) as cache:
        sdk = sdks.cached(kind, cache)
        said = [(await getattr(sdk, way)(QUESTION)).text for _ in range(2)]
        assert said == [f"Answer {number} to {QUESTION}" for number in (1, 2)]
        assert cache.stats().dry_run_hits == 1


async def test_a_scope_and_a_function_attribute_keep_answers_apart(provider, sdks, connection):
    config = AsideConfig(function_attribute="function", lookup_timeout=60)
    async with AsyncLangCache(**connection, aside=config) as cache:
        for user in ("ann", "bob"):
            await sdks.cached(Chat, cache.scoped(user=user)).ask(QUESTION)
        assert provider.count == 2
        names = {entry.attributes["function"] for entry in (await cache.search(QUESTION, max_results=9)).data}
    assert names == {"langcache.http"}


async def test_redirects_are_followed_by_the_sdk(provider, sdks, either):
    sdk = sdks.cached(Chat, either)
    provider.script(Reply(status=307, headers={"location": f"{provider.url}/moved/chat/completions"}))
    assert (await sdk.ask(QUESTION)).text == f"Answer 2 to {QUESTION}"
    assert [seen.path for seen in provider.requests] == ["/v1/chat/completions", "/moved/chat/completions"]


async def test_the_client_that_is_wrapped_keeps_its_hooks_headers_and_authentication(provider, sdks, either):
    seen = []
    is_async = isinstance(either, AsyncLangCache)

    async def hook(request):
        seen.append(request)

    client = sdks.client(
        either,
        headers={"x-ours": "1"},
        event_hooks={"request": [hook if is_async else seen.append]},
        timeout=33,
        auth=("ann", "secret"),
    )
    http = cached_http(either, client)
    assert http.timeout == HTTPX.Timeout(33)
    sent = http.post(f"{provider.openai}/chat/completions", json={"model": "m", "messages": []})
    await (sent if is_async else asyncio.sleep(0))
    assert provider.requests[0].headers["x-ours"] == "1"
    assert provider.requests[0].headers["authorization"].startswith("Basic ")
    assert len(seen) == 1
    await (http.aclose() if is_async else asyncio.to_thread(http.close))
    assert not client.is_closed


async def test_a_client_of_its_own_is_closed_with_it(either, monkeypatch):
    is_async = isinstance(either, AsyncLangCache)
    kind, name = (HTTPX.AsyncClient, "aclose") if is_async else (HTTPX.Client, "close")
    closed, close = [], getattr(kind, name)
    monkeypatch.setattr(kind, name, lambda client: closed.append(client) or close(client))
    http = cached_http(either)
    await (http.aclose() if is_async else asyncio.to_thread(http.close))
    assert closed[0] is http
    assert len(closed) == 2


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_cache_and_a_client_that_do_not_fit_are_an_error(cache, blocking_cache, is_async):
    ours, theirs = (cache, HTTPX.Client) if is_async else (blocking_cache, HTTPX.AsyncClient)
    client = theirs()
    name = "AsyncClient" if is_async else "Client"
    with pytest.raises(TypeError, match=rf"client: .* needs an {HTTPX.__name__}.{name}, but this is"):
        cached_http(ours, client)
    await (asyncio.to_thread(client.close) if is_async else client.aclose())


WRONG = {
    "cache": (lambda: {"cache": object()}, TypeError, "cache: must be an AsyncLangCache or a LangCache"),
    "client": (
        lambda: {"client": object()},
        TypeError,
        "client: must be an httpx2.AsyncClient or httpx.Async",
    ),
    "when": (lambda: {"when": True}, TypeError, "when: must be a function of a request, but is bool"),
    "text": (lambda: {"text": "x"}, TypeError, "text: must be a function of the question, but is str"),
    "turns": (lambda: {"turns": "all"}, ValueError, "turns: must be 'single' or 'hashed'"),
    "attribute": (lambda: {"attribute": ""}, ValueError, "attribute: must be the name of an attribute"),
    "attributes": (lambda: {"attributes": {"user": None}}, (TypeError, ValueError), "user"),
    "ttl": (lambda: {"ttl": -1}, ValueError, "ttl"),
    "unknown": (lambda: {"key": len}, TypeError, "key"),
}


@pytest.mark.parametrize("name", WRONG)
async def test_a_wrong_argument_is_an_error_that_names_it(cache, name):
    given, kind, text = WRONG[name]
    with pytest.raises(kind, match=text):
        cached_http(**{"cache": cache, **given()})


class City(__import__("pydantic").BaseModel):
    city: str


async def test_the_helpers_of_the_sdks_take_what_is_given_again(provider, sdks, either):
    chat, responses = sdks.cached(Chat, either), sdks.cached(Responses, either)
    messages = sdks.cached(Messages, either)
    ask = {"model": "m", "messages": [{"role": "user", "content": QUESTION}]}
    provider.script(*[Reply(text='{"city": "Paris"}') for _ in range(2)])
    for _ in range(2):
        parsed = await chat.call(lambda sdk: sdk.beta.chat.completions.parse(**ask, response_format=City))
        assert parsed.choices[0].message.parsed == City(city="Paris")
        found = await responses.call(
            lambda sdk: sdk.responses.parse(model="m", input=QUESTION, store=False, text_format=City)
        )
        assert found.output_parsed == City(city="Paris")
    assert provider.count == 2
    provider.script(Reply(text="In Paris."))
    for _ in range(2):
        assert await messages.final(QUESTION) == "In Paris."
    assert provider.count == 3


async def test_raw_and_streaming_responses_of_the_sdks_work(provider, sdks, either):
    sdk = sdks.cached(Chat, either)
    for _ in range(2):
        content = await sdk.streaming_bytes(QUESTION)
        assert b"Answer 1" in content
    provider.script(Reply(status=429, headers={"retry-after": "7"}))
    with pytest.raises(openai.RateLimitError) as caught:
        await sdk.raw("Who wrote Faust?")
    assert caught.value.response.headers["retry-after"] == "7"
