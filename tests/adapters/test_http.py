"""The official SDKs, with `cached_http` under them."""

from __future__ import annotations

import pytest

openai = pytest.importorskip("openai")
anthropic = pytest.importorskip("anthropic")
genai = pytest.importorskip("google.genai")


from .provider import Reply, Usage  # noqa: E402
from .sdks import SDKS  # noqa: E402

QUESTION = "Where is the Louvre?"
ANSWER = "Answer 1 to Where is the Louvre?"
WAYS = ["ask", "stream"]


@pytest.fixture(params=SDKS, ids=lambda kind: kind.api)
def kind(request):
    return request.param


@pytest.mark.parametrize("second", WAYS)
@pytest.mark.parametrize("first", WAYS)
@pytest.mark.parametrize("gzip", [False, True], ids=["as_it_is", "gzip"])
async def test_what_is_stored_of_either_is_given_again_as_either(
    provider, sdks, either, kind, first, second, gzip
):
    sdk = sdks.cached(kind, either)
    provider.script(Reply(text=ANSWER, thinking="Let me think.", gzip=gzip, usage=Usage(30, 10, 20, 5)))
    miss = await getattr(sdk, first)(QUESTION)
    assert miss.text == ANSWER
    assert miss.tokens in (50, 40)  # Anthropic counts cached tokens apart
    hits = [await getattr(sdk, second)(QUESTION) for _ in range(2)]
    assert [(hit.text, hit.tokens) for hit in hits] == [(ANSWER, 0)] * 2
    assert len({miss.id, *(hit.id for hit in hits)}) == 3
    assert provider.count == 1
    stats = either.stats()
    assert (stats.hits, stats.misses, stats.stores) == (2, 1, 1)


NEVER_STORED = {
    "tool_call": Reply(tools=(("weather", {"city": "Paris"}),)),
    "text_and_tool_call": Reply(text="I'll look it up.", tools=(("weather", {"city": "Paris"}),)),
    "refusal": Reply(refusal="I can't help with that."),
    "truncated": Reply(text="The Louvre is in", truncated=True),
    "empty": Reply(text=""),
    "blank": Reply(text=" \n"),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", NEVER_STORED)
async def test_what_is_no_complete_answer_in_text_is_never_stored(provider, sdks, either, kind, way, name):
    direct = sdks.direct(kind, either)
    sdk = sdks.cached(kind, either)
    provider.script(*[NEVER_STORED[name]] * 3)
    expected = await getattr(direct, way)(QUESTION)
    for _ in range(2):
        said = await getattr(sdk, way)(QUESTION)
        assert (said.text, said.tokens) == (expected.text, expected.tokens)
    assert provider.count == 3
    assert (either.stats().stores, either.stats().declined) == (0, 2)


ERRORS = {
    "429": Reply(status=429, headers={"retry-after": "7", "x-request-id": "r1"}),
    "500": Reply(status=500),
    "529": Reply(status=529),
    "error_that_is_no_json": Reply(status=503, body=b"<html>down</html>", content_type="text/html"),
    "html_in_place_of_an_answer": Reply(body=b"<html>log in</html>", content_type="text/html"),
    "broken_json": Reply(body=b'{"id": "chatcm'),
    "json_of_another_shape": Reply(body=b"[1, 2]"),
    "cut": Reply(text="a b c d", cut_after=2),
    "cut_at_once": Reply(text="a b c d", cut_after=0),
}


def outcome_of(error):
    """What a program sees of an error: its class, and what the provider said."""
    response = getattr(error, "response", None)
    seen = [type(error), getattr(error, "status_code", None), str(error)]
    if response is not None and hasattr(response, "headers"):
        seen += [response.headers.get(name) for name in ("retry-after", "x-request-id", "content-type")]
    return seen


async def outcome(sdk, way):
    try:
        return (await getattr(sdk, way)(QUESTION))[::2]
    except Exception as error:
        return outcome_of(error)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ERRORS)
async def test_what_goes_wrong_looks_as_without_a_cache_and_is_never_stored(
    provider, sdks, either, kind, way, name
):
    direct = sdks.direct(kind, either)
    sdk = sdks.cached(kind, either)
    provider.script(*[ERRORS[name]] * 2)
    assert await outcome(sdk, way) == await outcome(direct, way)
    assert either.stats().stores == 0
    said = await getattr(sdk, way)(QUESTION)  # nothing is left of it
    assert said.text == f"Answer 3 to {QUESTION}"


@pytest.mark.parametrize("first", WAYS)
@pytest.mark.parametrize("second", WAYS)
async def test_tokens_are_counted_once_as_spent_or_as_saved(provider, sdks, either, kind, first, second):
    sdk = sdks.cached(kind, either)
    provider.script(Reply(text=ANSWER, usage=Usage(30, 10, 20, 5)))
    for way in (first, second, second):
        await getattr(sdk, way)(QUESTION)
    spent, saved = either.stats().spent, either.stats().saved
    assert (spent.input_tokens, spent.output_tokens, spent.unknown) == (20, 20, 0)
    assert (saved.input_tokens, saved.output_tokens, saved.unknown) == (40, 40, 0)


async def test_the_usage_of_a_stream_that_was_not_asked_for_is_unknown(provider, sdks, either):
    sdk = sdks.cached(SDKS[0], either)
    for _ in range(2):
        await sdk.stream(QUESTION, stream_options={"include_usage": False})
    assert (await sdk.ask(QUESTION)).tokens == 0
    stats = either.stats()
    assert (stats.spent.unknown, stats.saved.unknown) == (1, 2)
    assert stats.saved.input_tokens == 0
