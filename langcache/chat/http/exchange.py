"""One request to a provider and its reply: from the cache, or by way of it, or past it."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from typing import Any

import msgspec

from ...aside.key import Key
from ..replies import FORMATS, Json
from ..replies.reading import StreamReader, object_of
from .body import StreamBody
from .codec import NotShared, Piece
from .endpoints import Endpoints, marked
from .provider_request import ProviderRequest

__all__ = ["Exchange"]


class Exchange:
    """One request and its reply."""

    def __init__(
        self, endpoints: Endpoints, request: Any, read: ProviderRequest, options: dict[str, Any]
    ) -> None:
        self._endpoints = endpoints
        self._run = endpoints.run
        self._request = request
        self._read = read
        self._format = FORMATS[read.api]
        self._options = _patient_as(request, options, endpoints.cache._aside.state.config.flight_timeout)
        self._is_attached = True
        """Whether the caller is there to close what the provider's reply leaves open."""
        self._left: Any = None
        """The provider's reply, if the caller has to read on or close it."""
        self.rest: Any = None
        """What comes after the last event of a stream, if the caller is to read it."""
        self.error: Exception | None = None
        """The error of the HTTP client."""
        self._response: Any = None
        self._content: bytes | None = None

    async def plain(self) -> Any:
        """The reply to a request that asks for no stream."""
        get_or_set = self._endpoints.cache.get_or_set
        try:
            answer = await self._run.get_or_set(get_or_set, self._read.body, self._fetch, **self._options)
        except NotShared as given:
            return await self._passed_on(given)
        finally:
            await self.detach()
        if answer.hit or answer.shared:
            return await self._given_again(answer.value, answer)
        return marked(self._endpoints.rebuilt(self._response, self._content), answer)

    async def streamed(self) -> Any:
        """The reply to a request that asks for a stream."""
        get_or_stream = self._endpoints.cache.get_or_stream
        stream = self._run.get_or_stream(get_or_stream, self._read.body, self._events, **self._options)
        body: StreamBody | None = None
        try:
            await self._run.look_up(stream)
            piece: Piece = await self._run.next(stream)
            if stream.hit:
                assert piece.reply is not None
                return await self._given_again(piece.reply, stream)
            if self._response is not None:
                body = StreamBody(self, self._run, stream)
                bytes_ = self._run.stream_of(self._endpoints.module, body)
                return marked(self._endpoints.rebuilt(self._response, bytes_), stream)
            # Another call is getting the reply. Whether it can be shared is known when it is complete.
            reply = await self._last_of(stream)
            return await (self._alone() if reply is None else self._given_again(reply, stream))
        except NotShared as given:
            return await self._passed_on(given)
        finally:
            if body is None:
                try:
                    await self._run.close(stream)
                finally:
                    await self.detach()

    async def _alone(self) -> Any:
        """The reply to this request in place of what another call got, which this one must not have."""
        options = {**self._options, "key": _not_shared}
        alone = Exchange(self._endpoints, self._request, self._read, options)
        return await (alone.streamed() if self._read.is_streamed else alone.plain())

    async def _last_of(self, stream: Any) -> Json | None:
        """What a stream that another call began is a reply of; None if that call fails."""
        reply = None
        try:
            while True:
                reply = (await self._run.next(stream)).reply
        except StopAsyncIteration:
            return reply
        except Exception:  # whose cause is that call's own: this one asks for itself
            return None

    async def _given_again(self, reply: Json, found: Any) -> Any:
        """A reply that was stored or that another call got."""
        kept = self._format.kept(reply)
        assert kept is not None  # or it would be neither
        body = self._read.body
        replayed = self._format.replayed(kept, body, int(time.time()))
        if self._read.is_streamed:
            kind, content = "text/event-stream; charset=utf-8", b"".join(self._format.events(replayed, body))
        else:
            kind, content = "application/json", msgspec.json.encode(replayed)
        return marked(self._endpoints.made(200, [("content-type", kind)], content), found)

    async def _passed_on(self, given: NotShared) -> Any:
        """What came in place of an answer, as it came: to this call, or else to one that sends its own."""
        if given.owner is not self:
            return await self._alone()
        if self.error is not None:
            raise self.error from self.error.__cause__
        response, self._left = self._left, None
        response = (
            response if self._content is None else self._endpoints.rebuilt(self._response, self._content)
        )
        return marked(response, None)

    async def _fetch(self, body: object) -> Any:
        """Get the whole reply to store; the ``make`` of `get_or_set`."""
        response = await self._begun("application/json")
        try:
            self._content = await self._run.read(response)
        except Exception as error:
            self.error = error
            raise NotShared(self) from None
        finally:
            await self._run.close(response)
        reply = object_of(self._content)
        if not reply:
            raise NotShared(self)
        return self._format.kept(reply) or reply

    async def _events(self, body: object) -> AsyncGenerator[Piece, None]:
        """Get the events of a stream as they come in; the ``make`` of `get_or_stream`."""
        response = await self._begun("text/event-stream")
        reader = StreamReader(self._format.collector())
        chunks = self._run.chunks(response)
        data = b""
        try:
            yield Piece(b"")  # status and headers are known now
            while not reader.is_done:
                try:
                    data = reader.take(await anext(chunks))
                except StopAsyncIteration:
                    yield Piece(reader.end(), reader.reply())
                    return
                except Exception as error:
                    self.error = error
                    raise NotShared(self) from None
                if not reader.is_done:
                    yield Piece(data)
            # An SDK may stop reading at this event, so that it is given on after the reply is stored. What
            # comes after it is left to the caller.
            if self._is_attached:
                self._left, self.rest = response, chunks
            yield Piece(data + reader.end(), reader.reply(), ends=True)
        finally:
            if self._left is not response:
                await self._run.close(response)

    async def _begun(self, kind: str) -> Any:
        """The provider's reply, not read yet. Raises `NotShared` if it is none that can be stored."""
        try:
            self._response = response = await self._sent()
        except Exception as error:
            self.error = error
            raise NotShared(self) from None
        if response.status_code != 200 or not response.headers.get("content-type", "").startswith(kind):
            if self._is_attached:
                self._left = response
            else:
                await self._run.close(response)
            raise NotShared(self)
        return response

    async def _sent(self) -> Any:
        return await self._run.send(self._endpoints.client, self._request)

    async def detach(self) -> None:
        """Close what is left open. What the cache goes on with, for others, then closes its reply itself."""
        self._is_attached = False
        left, self._left = self._left, None
        if left is not None:
            await self._run.close(left)


def _patient_as(request: Any, options: dict[str, Any], flight_timeout: float) -> dict[str, Any]:
    """The options by which a request waits for another one no longer than it would for its own reply."""
    seconds: float | None = request.extensions.get("timeout", {}).get("read")
    if seconds is None or seconds >= (options.get("flight_timeout") or flight_timeout):
        return options
    return {**options, "flight_timeout": max(seconds, 0.001)}


def _not_shared(body: object) -> Key:
    return Key(None, reason="not shared")
