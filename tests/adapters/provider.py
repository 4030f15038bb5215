"""A provider of language models on a real socket, which answers what a test tells it to.

    with Provider() as provider:
        client = openai.OpenAI(base_url=provider.openai, api_key="k")
        provider.script(Reply(status=429), Reply(text="Paris."))

It speaks OpenAI chat completions and responses, Anthropic messages and Gemini, plain and as streams. Replies
that are scripted are given in their order, to whatever is asked. After that each question gets what
`Provider.answer` makes of it, which differs from one request to the next: two equal answers to one question
are one answer.
"""

from __future__ import annotations

import asyncio
import json
import threading
import zlib
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from aiohttp import web

from .replies import API_OF, Reply, Usage, error, events, plain, question_of

__all__ = ["Provider", "Reply", "Seen", "Usage"]


@dataclass(frozen=True)
class Seen:
    """A request that came in."""

    api: str | None
    """None for a path of none of the four APIs."""

    method: str
    path: str
    headers: Mapping[str, str]
    """By their names in small letters."""

    content: bytes
    body: Any
    """The JSON of the content; None if it is none."""


class Provider:
    """The server, on a thread of its own, to be used under ``with``."""

    def __init__(self) -> None:
        self.requests: list[Seen] = []
        """All that came in, in its order, whatever it was answered."""
        self.answer: Callable[[str, int], str] = lambda question, number: f"Answer {number} to {question}"
        """What a request is answered that no reply is scripted for, from its question and its number."""
        self.url = ""
        """Base of the URL; that of the Anthropic and the Gemini SDK."""
        self._script: deque[Reply] = deque()
        self._came = threading.Condition()

    @property
    def openai(self) -> str:
        """The ``base_url`` of the OpenAI SDK."""
        return f"{self.url}/v1"

    @property
    def count(self) -> int:
        """How many requests came in."""
        return len(self.requests)

    def script(self, *replies: Reply) -> None:
        """Give these replies to the next requests."""
        self._script.extend(replies)

    def wait_for(self, count: int, seconds: float = 60) -> bool:
        """Wait until so many requests have come in; False if they have not by then."""
        with self._came:
            return self._came.wait_for(lambda: len(self.requests) >= count, seconds)

    def __enter__(self) -> Provider:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="provider")
        self._thread.start()
        port = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        self.url = f"http://127.0.0.1:{port}"
        return self

    def __exit__(self, *exception: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        asyncio.run_coroutine_threadsafe(self._loop.shutdown_default_executor(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> int:
        app = web.Application(client_max_size=1 << 26)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        assert self._runner.server is not None
        self._listening = await self._loop.create_server(self._runner.server, "127.0.0.1", 0)
        port: int = self._listening.sockets[0].getsockname()[1]
        return port

    async def _stop(self) -> None:
        """Close all connections, also those that were only accepted and those whose client does not read."""
        # A server that is closed makes no connection of a socket that it has just accepted:
        # the socket would stay open.
        for listening in self._listening.sockets:
            self._loop.remove_reader(listening.fileno())
        await _turns()  # in which it makes those connections
        self._listening.close()
        server = self._runner.server
        assert server is not None
        transports = [connection.transport for connection in server.connections]
        await self._runner.cleanup()
        for transport in transports:
            if transport is not None:
                transport.abort()
        await _turns()  # in which it closes their sockets

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        content = await request.read()
        api = next((name for end, name in API_OF.items() if request.path.endswith(end)), None)
        try:
            body = json.loads(content)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            api = body = None
        headers = {name.lower(): value for name, value in request.headers.items()}
        with self._came:
            self.requests.append(Seen(api, request.method, request.path, headers, content, body))
            number = len(self.requests)
            reply = self._script.popleft() if self._script else Reply()
            self._came.notify_all()
        if api is None and reply == Reply():
            reply = replace(reply, body=json.dumps({"path": request.path, "bytes": len(content)}).encode())
        elif api is not None and reply.text is None and reply.refusal is None and not reply.tools:
            reply = replace(reply, text=self.answer(question_of(api, body), number))
        if reply.hold is not None and not reply.hold_after:
            await asyncio.to_thread(reply.hold.wait, 60)
        is_stream = (body or {}).get("stream") is True or request.path.endswith(":streamGenerateContent")
        if api is not None and is_stream and reply.status < 300 and reply.body is None:
            model = str(body.get("model", "gemini"))
            return await self._send_events(request, reply, list(events(api, body, reply, model)))
        return await self._send_plain(request, reply, api, body)

    async def _send_plain(
        self, request: web.Request, reply: Reply, api: str | None, body: Any
    ) -> web.StreamResponse:
        data = reply.body
        if data is None and reply.status >= 300:
            data = json.dumps(error(api or "", reply.status)).encode()
        elif data is None:
            data = json.dumps(plain(api or "", body, reply, str(body.get("model", "gemini")))).encode()
        response = web.StreamResponse(status=reply.status, headers={**reply.headers})
        response.content_type = reply.content_type or "application/json"
        if reply.gzip:
            data = _gzipped(data)
            response.headers["Content-Encoding"] = "gzip"
        response.content_length = len(data)
        await response.prepare(request)
        if reply.cut_after is not None:
            await response.write(data[: len(data) // 2])
            return _cut(request, response)
        await response.write(data)
        await response.write_eof()
        return response

    async def _send_events(self, request: web.Request, reply: Reply, sent: list[bytes]) -> web.StreamResponse:
        response = web.StreamResponse(headers={**reply.headers, "Cache-Control": "no-cache"})
        response.content_type = reply.content_type or "text/event-stream"
        pack = _gzip() if reply.gzip else None
        if pack is not None:
            response.headers["Content-Encoding"] = "gzip"
        response.enable_chunked_encoding()
        await response.prepare(request)
        for number, event in enumerate(sent):
            if number == reply.cut_after:
                return _cut(request, response)
            if number == reply.end_after:
                break
            if reply.hold is not None and number == reply.hold_after and number:
                await asyncio.to_thread(reply.hold.wait, 60)
            # Flushed, so that each event can be read when it is sent.
            data = event if pack is None else pack.compress(event) + pack.flush(zlib.Z_SYNC_FLUSH)
            await response.write(data)
        if pack is not None:
            await response.write(pack.flush())
        await response.write_eof()
        return response


async def _turns() -> None:
    """Let the event loop do what it does in its next turns."""
    for _ in range(5):
        await asyncio.sleep(0)


def _cut(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.close()  # once what was written is sent
    return response


def _gzip() -> Any:
    return zlib.compressobj(wbits=31)


def _gzipped(data: bytes) -> bytes:
    pack = _gzip()
    packed: bytes = pack.compress(data) + pack.flush()
    return packed
