"""One call from request to result: it chooses the API key, the URL, the timeout and the retries."""

from __future__ import annotations

import asyncio
import copy
import functools
import os
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from inspect import isawaitable
from typing import Any, TypeAlias, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from .._wire.exchange import Reply, Request
from ..errors import TimeoutException
from ..limits import check_duration, check_path_segment
from ..retries import RetryConfig, check_retries
from ..telemetry import Telemetry
from . import protocol
from .deadlines import is_over, time_left, time_limit
from .retrying import with_retries
from .transport import Transport

__all__ = ["ApiKey", "Caller"]

ModelT = TypeVar("ModelT")
T = TypeVar("T")

ApiKey: TypeAlias = str | Callable[[], str | Awaitable[str | None] | None]
"""A key, or a sync or async callable that returns one. The callable is called before each try."""

_DEFAULT_TIMEOUT = 10.0


class Caller:
    """Makes the calls of one client, with the client's settings.

    Args:
        transport: sends each try.
        server_url, api_key, cache_id, retry_config, timeout_ms, telemetry: the client's arguments, unchecked.
        users_own: whether the HTTP client is the user's; its own timeouts are then the default.
    """

    def __init__(
        self,
        transport: Transport,
        server_url: str | None,
        api_key: ApiKey | None,
        cache_id: str | None,
        retry_config: RetryConfig | UnsetType | None,
        timeout_ms: float | None,
        telemetry: Telemetry | None,
        *,
        users_own: bool,
    ) -> None:
        self._transport = transport
        self._telemetry = telemetry
        self.cache_id: str = check_path_segment(
            "cache_id", _given_or_env("cache_id", cache_id, "LANGCACHE_CACHE_ID")
        )
        self.base_url: str = protocol.base_url(
            _given_or_env("server_url", server_url, "LANGCACHE_SERVER_URL"), self.cache_id
        )
        key = _given_or_env("api_key", api_key, "LANGCACHE_API_KEY")
        self._key_source = key if callable(key) else None
        self._authorization = None if callable(key) else protocol.authorization(key)
        self._retry_config = check_retries("retry_config", retry_config)
        timeout = _seconds(timeout_ms)
        self.timeout: float | None = _DEFAULT_TIMEOUT if timeout is None and not users_own else timeout
        """Seconds for one try; None if the timeouts of the user's own HTTP client apply."""
        self.asks_for_key: bool = callable(key)
        """Whether the key comes from a callable, which is asked before each try."""
        self.timeout_bounds_call: bool = not (users_own or callable(key) or self._retry_config)
        """Whether `timeout` limits a whole call: there is one try, no callable key, and our own transport."""

    def call(
        self,
        request: Request[ModelT],
        retries: RetryConfig | UnsetType | None = UNSET,
        server_url: str | None = None,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
    ) -> Coroutine[Any, Any, ModelT]:
        """Send a request, retry it as configured, and read the reply. Every operation uses this."""
        base = self.base_url if server_url is None else protocol.base_url(server_url, self.cache_id)
        url = base + request.path
        config = self._retry_config if retries is UNSET else check_retries("retries", retries)
        timeout = self.timeout if timeout_ms is None else _seconds(timeout_ms)
        if self._telemetry is None:
            # Without a coroutine of its own and without functools.partial, which would cost every call time.
            return self._exchange(request, url, timeout, http_headers, config)
        exchange = functools.partial(self._exchange, request, url, timeout, http_headers, config)
        return self._observed(self._telemetry, request, url, exchange)

    async def _observed(
        self,
        telemetry: Telemetry,
        request: Request[ModelT],
        url: str,
        exchange: Callable[[], Coroutine[Any, Any, ModelT]],
    ) -> ModelT:
        with telemetry.operation(request, url, self.cache_id) as span:
            result = await exchange()
            span.returned(result)
            return result

    async def _exchange(
        self,
        request: Request[ModelT],
        url: str,
        timeout: float | None,
        http_headers: Mapping[str, str] | None,
        config: RetryConfig | None,
    ) -> ModelT:
        if config is None:
            reply, tries = await self._try(request, url, timeout, http_headers, 1, None), 1
        else:
            send = functools.partial(self._try, request, url, timeout, http_headers)
            reply, tries = await with_retries(send, config, self._transport.unless_closed)
        return protocol.read_reply(request, reply, tries)

    async def _try(
        self,
        request: Request[Any],
        url: str,
        timeout: float | None,
        http_headers: Mapping[str, str] | None,
        nth_try: int,
        left: float | None,
    ) -> Reply:
        """Send once, within the timeout and within the seconds that are left for the call."""
        within = timeout if left is None else left if timeout is None else min(timeout, left)
        authorization = self._authorization
        if authorization is None:
            asked = time.monotonic()
            authorization = await self.ask_for_key(within)
            within = time_left(within, asked)
        headers = protocol.headers(request, authorization, http_headers)
        reply = await self._transport.exchange(request, url, headers, within, nth_try)
        return reply if reply.status_code < 300 else protocol.without_key(reply, authorization)

    def check_open(self) -> None:
        """Raise `ClosedError` if the client is closed."""
        self._transport.check_open()

    def retries_within(self, seconds: float) -> RetryConfig | None:
        """The client's `RetryConfig`, with tries and waits that take no longer than this in all."""
        config = self._retry_config
        if config is None or config.backoff is None:
            return config
        most = min(config.backoff.max_elapsed_time, max(1000 * seconds, 1))
        backoff = msgspec.structs.replace(config.backoff, max_elapsed_time=most)
        return msgspec.structs.replace(config, backoff=backoff)

    def with_authorization(self, authorization: str) -> Caller:
        """A caller that uses this authorization, as `ask_for_key` gave it, for each try."""
        caller = copy.copy(self)
        caller._authorization = authorization
        return caller

    async def ask_for_key(self, timeout: float | None) -> str:
        """The authorization that the callable for the key gives now.

        Args:
            timeout: seconds; None for 10.

        Raises:
            TimeoutException: it gave none in time.
            TypeError, ValueError: what it gave is no key. And whatever it raises itself.
        """
        assert self._key_source is not None
        timeout = timeout or _DEFAULT_TIMEOUT  # a user's own HTTP client limits only the exchange
        key = self._key_source()
        if isawaitable(key):
            limit = time_limit(timeout)
            try:
                async with limit:
                    key = await self._transport.unless_closed(key)
            except asyncio.TimeoutError as error:
                what = f"gave no key within {timeout:g} s" if is_over(limit) else f"raised {error!r}"
                raise TimeoutException(f"api_key: the callable {what}") from error
        if key is None:
            raise ValueError("api_key: the callable returned None instead of a key")
        return protocol.authorization(key)


def _given_or_env(argument: str, given: T | None, variable: str) -> T | str:
    if given is not None:
        return given
    from_env = os.environ.get(variable, "").strip()  # often read from a file that ends in a line end
    if not from_env:
        raise ValueError(f"{argument}: is missing; pass {argument}= or set {variable}")
    return from_env


def _seconds(timeout_ms: object) -> float | None:
    if timeout_ms is None:
        return None
    seconds = check_duration("timeout_ms", timeout_ms, "milliseconds") / 1000
    return max(seconds, sys.float_info.min)  # one that rounds to 0 would be no timeout at all to aiohttp
