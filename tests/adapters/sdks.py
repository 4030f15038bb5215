"""The official SDKs, async and blocking, asked in one way: what each test asks of all of them."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator
from functools import partial
from inspect import isawaitable
from typing import Any, NamedTuple

import anthropic
import openai
from google import genai

from langcache import AsyncLangCache, LangCache
from langcache.aside.computing import run_to_end
from langcache.http import cached_http

from .provider import Provider

HTTPX: Any = vars(openai._base_client).get("httpx2") or vars(openai._base_client)["httpx"]
"""What the SDKs that are installed send requests with."""

_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # to load certificates takes longer than a test


def _client(*, is_async: bool, **settings: Any) -> Any:
    kind = HTTPX.AsyncClient if is_async else HTTPX.Client
    return kind(verify=_NO_TLS, follow_redirects=True, **settings)


SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


class Said(NamedTuple):
    """What an answer says, in whichever API."""

    text: str
    id: str | None
    tokens: int
    """All that its usage counts; of a stream that has no usage, 0."""


async def settled(value: Any) -> Any:
    """The value of what an async SDK or a blocking one returns."""
    return await value if isawaitable(value) else value


async def items(stream: Any) -> AsyncGenerator[Any, None]:
    """The items of a stream, async or not."""
    stream = await settled(stream)
    if hasattr(stream, "__aiter__"):
        async for item in stream:
            yield item
    else:
        for item in stream:
            yield item


class Chat:
    """Chat completions."""

    api = "openai.chat"

    def __init__(self, provider: Provider, http: Any, *, is_async: bool, **settings: Any) -> None:
        kind = openai.AsyncOpenAI if is_async else openai.OpenAI
        self.sdk: Any = kind(
            **{"base_url": provider.openai, "api_key": "k", "max_retries": 0, "http_client": http, **settings}
        )

    def body(self, question: str, body: dict[str, Any]) -> dict[str, Any]:
        return {"model": "m", "messages": [{"role": "user", "content": question}], **body}

    async def ask(self, question: str, **body: Any) -> Said:
        answer = await settled(self.sdk.chat.completions.create(**self.body(question, body)))
        usage = answer.usage.total_tokens
        return Said(answer.choices[0].message.content or "", answer.id, usage)

    def open(self, question: str, **body: Any) -> Any:
        """A stream of chunks."""
        body = {"stream_options": {"include_usage": True}, "stream": True, **body}
        return self.sdk.chat.completions.create(**self.body(question, body))

    async def stream(self, question: str, **body: Any) -> Said:
        text, id_, tokens = "", None, 0
        async for chunk in items(self.open(question, **body)):
            id_ = chunk.id
            text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
            tokens += chunk.usage.total_tokens if chunk.usage else 0
        return Said(text, id_, tokens)

    async def call(self, function: Any) -> Any:
        """What a function of the SDK itself returns."""
        return await settled(function(self.sdk))

    async def raw(self, question: str, **body: Any) -> Any:
        """The raw response of a chat completion."""
        asked = self.sdk.chat.completions.with_raw_response.create(**self.body(question, body))
        return await settled(asked)

    async def streaming_bytes(self, question: str) -> bytes:
        """The bytes of a chat completion, by way of a streaming response."""
        opened = self.sdk.chat.completions.with_streaming_response.create(**self.body(question, {}))
        if hasattr(opened, "__aenter__"):
            async with opened as response:
                return b"".join([chunk async for chunk in response.iter_bytes()])
        with opened as response:
            return b"".join(response.iter_bytes())

    async def final(self, question: str) -> str:
        """The text of a message, by the helper for streams."""
        opened = self.sdk.messages.stream(**self.body(question, {}))
        if hasattr(opened, "__aenter__"):
            async with opened as stream:
                return str(await stream.get_final_text())
        with opened as stream:
            return str(stream.get_final_text())

    async def leave(self, question: str, count: int) -> list[Any]:
        """The first items of a stream, which is then closed."""
        stream = await settled(self.open(question))
        given = items(stream)
        found = [await anext(given) for _ in range(count)]
        await given.aclose()
        await settled((getattr(stream, "close", None) or stream.aclose)())
        return found


class Responses(Chat):
    """The Responses API."""

    api = "openai.responses"

    def body(self, question: str, body: dict[str, Any]) -> dict[str, Any]:
        return {"model": "m", "input": question, "store": False, **body}

    async def ask(self, question: str, **body: Any) -> Said:
        answer = await settled(self.sdk.responses.create(**self.body(question, body)))
        return Said(answer.output_text, answer.id, answer.usage.total_tokens)

    def open(self, question: str, **body: Any) -> Any:
        return self.sdk.responses.create(**self.body(question, {"stream": True, **body}))

    async def stream(self, question: str, **body: Any) -> Said:
        text, id_, tokens = "", None, 0
        async for event in items(self.open(question, **body)):
            text += event.delta if event.type == "response.output_text.delta" else ""
            if event.type in ("response.completed", "response.incomplete"):
                id_, tokens = event.response.id, event.response.usage.total_tokens
        return Said(text, id_, tokens)


class Messages(Chat):
    """Anthropic's messages."""

    api = "anthropic.messages"

    def __init__(self, provider: Provider, http: Any, *, is_async: bool, **settings: Any) -> None:
        kind = anthropic.AsyncAnthropic if is_async else anthropic.Anthropic
        self.sdk = kind(
            **{"base_url": provider.url, "api_key": "k", "max_retries": 0, "http_client": http, **settings}
        )

    def body(self, question: str, body: dict[str, Any]) -> dict[str, Any]:
        return {"max_tokens": 99, **super().body(question, body)}

    async def ask(self, question: str, **body: Any) -> Said:
        answer = await settled(self.sdk.messages.create(**self.body(question, body)))
        text = "".join(block.text for block in answer.content if block.type == "text")
        return Said(text, answer.id, answer.usage.input_tokens + answer.usage.output_tokens)

    def open(self, question: str, **body: Any) -> Any:
        return self.sdk.messages.create(**self.body(question, {"stream": True, **body}))

    async def stream(self, question: str, **body: Any) -> Said:
        text, id_, tokens = "", None, 0
        async for event in items(self.open(question, **body)):
            if event.type == "message_start":
                id_, tokens = event.message.id, event.message.usage.input_tokens
            elif event.type == "content_block_delta" and event.delta.type == "text_delta":
                text += event.delta.text
            elif event.type == "message_delta":
                tokens += event.usage.output_tokens
        return Said(text, id_, tokens)


class Gemini(Chat):
    """google-genai."""

    api = "gemini"

    def __init__(self, provider: Provider, http: Any, *, is_async: bool, **settings: Any) -> None:
        # One is made of each kind, if it is not given.
        clients = [http, _client(is_async=not is_async)]
        settings["httpx_async_client"], settings["httpx_client"] = clients if is_async else clients[::-1]
        base_url = settings.pop("base_url", provider.url)
        settings.pop("max_retries", None)
        self.whole = genai.Client(api_key="k", http_options={"base_url": base_url, **settings})
        self.sdk = self.whole.aio if is_async else self.whole

    def body(self, question: str, body: dict[str, Any]) -> dict[str, Any]:
        contents: Any = [{"role": "user", "parts": [{"text": question}]}]
        return {"model": "m", "contents": contents, **body}

    async def ask(self, question: str, **body: Any) -> Said:
        answer = await settled(self.sdk.models.generate_content(**self.body(question, body)))
        return Said(answer.text or "", answer.response_id, answer.usage_metadata.total_token_count)

    def open(self, question: str, **body: Any) -> Any:
        return self.sdk.models.generate_content_stream(**self.body(question, body))

    async def stream(self, question: str, **body: Any) -> Said:
        text, id_, tokens = "", None, 0
        async for chunk in items(self.open(question, **body)):
            text += chunk.text or ""
            id_, tokens = chunk.response_id, chunk.usage_metadata.total_token_count
        return Said(text, id_, tokens)


class _InThread:
    """A blocking SDK, each method of which runs in a thread: no event loop may run in it."""

    def __init__(self, sdk: Chat) -> None:
        self._sdk = sdk
        self.sdk = sdk.sdk

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._sdk, name)
        return partial(asyncio.to_thread, lambda *args, **body: run_to_end(method(*args, **body)))


SDKS = [Chat, Responses, Messages, Gemini]


class Sdks:
    """Makes SDKs, and closes all of them."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._open: list[Any] = []

    def direct(self, kind: type[Chat], cache: AsyncLangCache | LangCache, **settings: Any) -> Any:
        """An SDK without a cache, async or blocking as the cache is."""
        return self._made(kind, cache, self.client(cache), settings)

    def cached(
        self, kind: type[Chat], cache: AsyncLangCache | LangCache, sdk: Any = None, **options: Any
    ) -> Any:
        """An SDK that asks through the cache.

        Args:
            kind: which of `SDKS`.
            cache: the cache.
            sdk: settings of the SDK.
            **options: those of `cached_http`.
        """
        http = cached_http(cache, **{"client": self.client(cache), **options})
        self._open.append(http)
        return self._made(kind, cache, http, sdk or {})

    def client(self, cache: object, **settings: Any) -> Any:
        """An HTTP client, async or blocking as the cache is."""
        made = _client(is_async=isinstance(cache, AsyncLangCache), **settings)
        self._open.append(made)
        return made

    def _made(self, kind: type[Chat], cache: object, http: Any, settings: dict[str, Any]) -> Any:
        made = kind(self._provider, http, is_async=isinstance(cache, AsyncLangCache), **settings)
        self._open.append(made.sdk)
        return made if isinstance(cache, AsyncLangCache) else _InThread(made)

    async def close(self) -> None:
        """Close them."""
        for each in self._open:
            await settled((getattr(each, "aclose", None) or each.close)())
