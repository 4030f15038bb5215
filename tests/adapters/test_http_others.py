"""What else takes an HTTP client of httpx or httpx2, with `cached_http` under it."""

from __future__ import annotations

import pytest

openai = pytest.importorskip("openai")
pydantic = pytest.importorskip("pydantic")

from langcache.http import cached_http  # noqa: E402

from .provider import Reply  # noqa: E402

QUESTION = "Where is the Louvre?"
MESSAGES = [{"role": "user", "content": QUESTION}]


async def test_langchain(provider, cache, blocking_cache):
    langchain_openai = pytest.importorskip("langchain_openai")
    async with cached_http(cache) as http_async:
        with cached_http(blocking_cache) as http:
            model = langchain_openai.ChatOpenAI(
                base_url=provider.openai,
                api_key="k",
                model="m",
                http_client=http,
                http_async_client=http_async,
            )
            said = [(await model.ainvoke(QUESTION)).text for _ in range(2)]
            said.append("".join([chunk.text async for chunk in model.astream(QUESTION)]))
    assert said == [f"Answer 1 to {QUESTION}"] * 3
    assert provider.count == 1


class City(pydantic.BaseModel):
    city: str


async def test_instructor_asks_anew_after_an_answer_that_does_not_fit(provider, cache):
    instructor = pytest.importorskip("instructor")
    async with openai.AsyncOpenAI(
        base_url=provider.openai, api_key="k", http_client=cached_http(cache)
    ) as client:
        wrapped = instructor.from_openai(client, mode=instructor.Mode.JSON)
        provider.script(Reply(text="{}"), Reply(text='{"city": "Paris"}'))
        asked = {"model": "m", "messages": MESSAGES, "response_model": City, "max_retries": 2}
        assert (await wrapped.chat.completions.create(**asked)).city == "Paris"
    assert provider.count == 2
    assert cache.stats().bypasses == 1  # the second request is a conversation


async def test_llama_index(provider, cache):
    llama_index = pytest.importorskip("llama_index.llms.openai")
    async with cached_http(cache) as http:
        model = llama_index.OpenAI(
            api_base=provider.openai, api_key="k", model="gpt-4o-mini", async_http_client=http
        )
        said = [(await model.acomplete(QUESTION)).text for _ in range(2)]
    assert said == [f"Answer 1 to {QUESTION}"] * 2
    assert provider.count == 1
