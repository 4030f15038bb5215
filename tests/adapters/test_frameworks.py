"""What holds for the adapters of all frameworks: what is found, never stored, and never shared."""

from __future__ import annotations

import contextlib
import threading
from contextvars import ContextVar
from importlib.util import find_spec

import pytest

from langcache import AsyncLangCache, LangCache

from .frameworks import FRAMEWORKS
from .provider import Provider, Reply

QUESTION = "How do I reset my password?"
ALIKE = "I forgot my password, what now?"


@pytest.fixture
async def cache(shared_cache):
    return shared_cache


def marked(kind):
    """A framework as a parameter. Where it is not installed, its tests are skipped before anything starts."""
    missing = [package for package in kind.needs if find_spec(package) is None]
    return pytest.param(
        kind, id=kind.__name__, marks=pytest.mark.skipif(bool(missing), reason=f"it needs {missing}")
    )


@pytest.fixture(params=map(marked, FRAMEWORKS))
def kind(request):
    return request.param


@pytest.fixture
async def framework(kind, provider, cache):
    framework = kind(provider, cache)
    yield framework
    await framework.aclose()


def skip_without_streams(kind):
    if not kind.streams:
        pytest.skip("its streams don't ask a cache")


async def test_a_question_in_other_words_is_answered_from_the_cache(framework, provider, cache):
    count = provider.count
    first = await framework.ask(QUESTION)
    assert await framework.ask(ALIKE) == first
    assert provider.count == count + 1
    assert [each.status.value for each in framework.seen] == ["miss", "hit"]
    assert (cache.stats().misses, cache.stats().hits, cache.stats().stores) == (1, 1, 1)


async def test_a_stream_and_a_plain_call_share_an_entry(framework, kind, provider):
    skip_without_streams(kind)
    count = provider.count
    first = await framework.ask(QUESTION, stream=True)
    assert await framework.ask(QUESTION) == first
    assert await framework.ask(QUESTION, stream=True) == first
    assert provider.count == count + 1


async def test_with_a_blocking_client_the_calls_that_are_awaited_work_as_well(
    kind, server, provider, patient
):
    with LangCache(server.url, server.api_key, server.cache_id, aside=patient) as cache:
        await cache.flush_async()
        framework = kind(provider, cache)
        first = await framework.ask(QUESTION)
        assert await framework.ask(QUESTION) == first
        assert framework.last == ("hit", None)
        await framework.aclose()


async def test_a_verdict_on_a_hit_is_given_on_the_outcome_of_its_lookup(framework, cache):
    await framework.ask(QUESTION)
    await framework.ask(QUESTION)
    await framework.seen[-1].wrong()
    await framework.ask(QUESTION)
    assert framework.last == ("miss", None)
    assert cache.stats().verdicts_wrong == 1


TWO = {
    "models": ({"model": "small"}, {"model": "large"}),
    "system prompts": ({"system": "Be kind."}, {"system": "Be short."}),
    "with and without a system prompt": ({"system": "Be kind."}, {}),
    "tool sets": ({"tools": ("weather",)}, {"tools": ("weather", "traffic")}),
    "with and without tools": ({}, {"tools": ("weather",)}),
    "pictures": ({"picture": "red"}, {"picture": "blue"}),
    "with and without a picture": ({"picture": "red"}, {}),
    "temperatures": ({"temperature": 0.1}, {"temperature": 0.9}),
}


@pytest.mark.parametrize("two", TWO.values(), ids=TWO)
async def test_two_requests_that_differ_in_more_than_the_question_never_share(framework, provider, two):
    count = provider.count
    one, other = [await framework.ask(QUESTION, **how) for how in two]
    assert one != other
    assert [await framework.ask(QUESTION, **how) for how in two] == [one, other]  # and each has its own entry
    assert provider.count == count + 2


async def test_two_users_never_share(kind, provider, cache):
    user = ContextVar("user")
    framework = kind(provider, cache, attributes=lambda request: {"user": user.get()})
    answers = {}
    for name in ("ann", "bob", "ann", "bob"):
        user.set(name)
        answers.setdefault(name, set()).add(await framework.ask(QUESTION))
    assert [len(each) for each in answers.values()] == [1, 1]
    assert answers["ann"] != answers["bob"]
    await framework.aclose()


async def test_two_tenants_in_scopes_of_their_own_never_share(kind, provider, cache):
    one, other = [kind(provider, cache.scoped(user=name)) for name in ("ann", "bob")]
    assert await one.ask(QUESTION) != await other.ask(QUESTION)
    assert [each.last for each in (one, other)] == [("miss", None)] * 2
    for framework in (one, other):
        await framework.aclose()


async def test_two_providers_of_one_model_never_share(kind, provider, cache):
    with Provider() as another:
        one, other = kind(provider, cache), kind(another, cache)
        await one.ask(QUESTION)
        await other.ask(QUESTION)
        assert [each.last for each in (one, other)] == [("miss", None)] * 2
        for framework in (one, other):
            await framework.aclose()


HISTORIES = [(("user", f"What are the hours of {shop}?"), ("assistant", "9 to 5")) for shop in ("Ann", "Bob")]


async def test_a_later_question_of_a_conversation_is_not_asked(framework, provider):
    answers = [await framework.ask("And on Sundays?", history=history) for history in HISTORIES]
    assert framework.last == ("bypass", "conversation")
    assert answers[0] != answers[1]


async def test_with_turns_hashed_each_conversation_has_its_own_entry(kind, provider, cache):
    framework = kind(provider, cache, turns="hashed")
    answers = [await framework.ask("And on Sundays?", history=history) for history in HISTORIES * 2]
    assert [each.status.value for each in framework.seen] == ["miss", "miss", "hit", "hit"]
    assert answers[:2] == answers[2:]
    assert answers[0] != answers[1]
    await framework.aclose()


async def test_when_decides_whether_the_cache_is_asked(kind, provider, cache):
    framework = kind(provider, cache, when=lambda request: False)
    assert await framework.ask(QUESTION) != await framework.ask(QUESTION)
    assert framework.last == ("bypass", "when")
    await framework.aclose()


TEMPLATES = {
    "lines": "Answer from the context.\nContext: {context}\nQuestion: {question}",
    "long": "Answer from the context below, in one sentence, and say that you don't know if it does not say. "
    "The context, as it was found, is this: {context} The question to answer from it is this: {question}",
}
RAG = [
    {"context": "Ann's shop is open from 9 to 5.", "question": "When does it open?"},
    {"context": "Ann's shop is open from 9 to 5.", "question": "When does it close?"},
    {"context": "Ann's shop is open from 8 to 5.", "question": "When does it open?"},
]


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
async def test_two_questions_in_one_template_never_share(framework, provider, template):
    count = provider.count
    answers = [await framework.ask(template.format(**each)) for each in RAG * 2]
    assert len(set(answers)) == 3
    assert answers[:3] == answers[3:]
    assert provider.count == count + 3


async def test_text_chooses_what_is_looked_up(kind, provider, cache):
    framework = kind(provider, cache, text=lambda text: text.partition("Question: ")[2] or None)
    await framework.ask(f"Answer by the book.\nQuestion: {QUESTION}")
    await framework.ask(f"Answer by the book.\nQuestion: {ALIKE}")
    assert framework.last == ("hit", None)
    await framework.ask(f"Answer by heart.\nQuestion: {ALIKE}")
    assert framework.last == ("miss", None)
    await framework.aclose()


async def test_options_of_the_call_are_passed_on(kind, provider, cache):
    framework = kind(provider, cache, no_store=True)
    for _ in range(2):
        await framework.ask(QUESTION)
    assert framework.last == ("miss", None)
    await framework.aclose()


NEVER_STORED = {
    "truncated": Reply(text="Cut", truncated=True),
    "refused": Reply(refusal="I can't."),
    "empty": Reply(text=""),
    "429": Reply(status=429),
    "500": Reply(status=500),
    "no JSON": Reply(body=b"{", content_type="application/json"),
    "cut connection": Reply(text="A long answer of several words", cut_after=4),
    "ended early": Reply(text="A long answer of several words", end_after=4),
}


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("name", NEVER_STORED)
async def test_what_is_no_whole_answer_is_never_stored(framework, kind, provider, cache, name, stream):
    if stream:
        skip_without_streams(kind)
    elif name == "ended early":
        pytest.skip("only streams can end early")
    for _ in range(2):
        provider.script(NEVER_STORED[name])
        framework.seen.clear()
        with contextlib.suppress(Exception):  # of as many classes as there are frameworks
            await framework.ask(QUESTION, stream=stream)
        assert framework.seen[0].status == "miss"
    assert cache.stats().stores == 0
    assert await framework.ask(QUESTION, stream=stream) == await framework.ask(QUESTION, stream=stream)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
async def test_calls_of_tools_are_never_stored(framework, kind, provider, cache, stream):
    if stream:
        skip_without_streams(kind)
    for _ in range(2):
        provider.script(Reply(tools=(("weather", {"city": "Paris"}),)))
        framework.seen.clear()
        await framework.ask(QUESTION, tools=("weather",), stream=stream)
        assert framework.seen[0].status == "miss"
        assert len(framework.seen) == 1 or framework.last[0] == "bypass"  # after the tool has answered
    assert cache.stats().stores == 0


async def test_of_a_stream_that_is_left_nothing_is_stored(framework, kind, provider, cache):
    skip_without_streams(kind)
    hold = threading.Event()
    provider.script(
        Reply(text="A long answer of several words, left before its end", hold=hold, hold_after=6)
    )
    try:
        assert "end" not in await framework.ask(QUESTION, stream=True, leave=True)
    finally:
        hold.set()
    assert cache.stats().stores == 0
    assert "several" not in await framework.ask(QUESTION)


async def test_a_cache_that_is_gone_costs_no_answer(kind, provider):
    async with AsyncLangCache("http://127.0.0.1:1", "key", "cache") as cache:
        framework = kind(provider, cache)
        assert "Answer" in await framework.ask(QUESTION)
        assert framework.last[0] == "error"
        await framework.aclose()


async def test_a_mistake_in_the_arguments_is_found_when_the_adapter_is_made(kind, provider, cache):
    for wrong, error in (
        ({"when": 1}, TypeError),
        ({"attributes": 1}, TypeError),
        ({"attributes": {"fingerprint": "x"}}, ValueError),
        ({"turns": "all"}, ValueError),
        ({"text": 1}, TypeError),
        ({"attribute": ""}, ValueError),
        ({"on_lookup": 1}, TypeError),
        ({"simliarity_threshold": 0.9}, TypeError),
        ({"similarity_threshold": 9}, ValueError),
    ):
        name = next(iter(wrong))
        with pytest.raises(error, match=name):
            kind(provider, cache, **wrong)
    with pytest.raises(TypeError, match="cache: must be an AsyncLangCache or a LangCache, but is str"):
        kind(provider, "cache")
