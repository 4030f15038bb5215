"""One call from request to result: it chooses the API key, the URL, the timeout and the retries."""

from __future__ import annotations

import asyncio
import functools
import os
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from inspect import isawaitable
from typing import Any, TypeAlias, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from .._checks import check_duration, check_path_segment
from .._copies import Uncopied, shallow_copy
from .._wire.exchange import Request
from ..errors import TimeoutException
from ..retries import RetryConfig, check_retries
from ..telemetry import Telemetry
from . import head, protocol
from .deadlines import is_over, time_left, time_limit
from .loops import running_loop
from .masking import Secrets
from .received import Received
from .retrying import with_retries
from .transport import Transport

__all__ = ["ApiKey", "Caller", "given_or_env"]

ModelT = TypeVar("ModelT")

ApiKey: TypeAlias = str | Callable[[], str | Awaitable[str | None] | None]
"""A key, or a sync or async callable that returns one. The callable is called before each try."""

_DEFAULT_TIMEOUT = 10.0


class Caller(Uncopied):
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
        retry_config: RetryConfig | int | UnsetType | None,
        timeout_ms: float | None,
        telemetry: Telemetry | None,
        *,
        users_own: bool,
    ) -> None:
        url, key, cache = given_or_env(server_url=server_url, api_key=api_key, cache_id=cache_id)
        cache_id = check_path_segment("cache_id", cache)
        base_url = head.base_url(url, cache_id)
        self._set_up(
            transport, base_url, cache_id, key, retry_config, timeout_ms, telemetry, users_own=users_own
        )

    @classmethod
    def of_root(
        cls,
        transport: Transport,
        root_url: str,
        api_key: ApiKey,
        retry_config: RetryConfig | int | UnsetType | None,
        timeout_ms: float | None,
        *,
        users_own: bool,
    ) -> Caller:
        """A caller for operations of a whole service: their paths begin behind ``root_url`` and ``/v1/``."""
        caller = cls.__new__(cls)
        base_url = f"{root_url}/v1/"
        caller._set_up(transport, base_url, "", api_key, retry_config, timeout_ms, None, users_own=users_own)
        return caller

    def _set_up(
        self,
        transport: Transport,
        base_url: str,
        cache_id: str,
        key: ApiKey,
        retry_config: RetryConfig | int | UnsetType | None,
        timeout_ms: float | None,
        telemetry: Telemetry | None,
        *,
        users_own: bool,
    ) -> None:
        self._transport = transport
        self._telemetry = telemetry
        self.cache_id: str = cache_id
        self.base_url: str = base_url
        self._key_source = key if callable(key) else None
        self._authorization = None if callable(key) else head.authorization(key)
        self._last_authorization = ""
        self.retry_config: RetryConfig | None = check_retries("retry_config", retry_config)
        """Which failures the calls retry, and how; None for none."""
        timeout = _seconds(timeout_ms)
        self.timeout: float | None = _DEFAULT_TIMEOUT if timeout is None and not users_own else timeout
        """Seconds for one try; None if the timeouts of the user's own HTTP client apply."""
        self.asks_for_key: bool = callable(key)
        """Whether the key comes from a callable, which is asked before each try."""
        self.timeout_bounds_call: bool = not (users_own or callable(key) or self.retry_config)
        """Whether `timeout` limits a whole call: there is one try, no callable key, and our own transport."""

    def call(
        self,
        request: Request[ModelT],
        retries: RetryConfig | int | UnsetType | None = UNSET,
        server_url: str | None = None,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
    ) -> Coroutine[Any, Any, ModelT]:
        """Send a request, retry it as configured, and read the reply. Every operation uses this."""
        base = self.base_url if server_url is None else head.base_url(server_url, self.cache_id)
        config = self.retry_config if retries is UNSET else check_retries("retries", retries)
        timeout = self.timeout if timeout_ms is None else _seconds(timeout_ms)
        return self.call_checked(request, base, timeout, config, http_headers)

    def call_checked(
        self,
        request: Request[ModelT],
        base_url: str,
        timeout: float | None,
        config: RetryConfig | None,
        http_headers: Mapping[str, str] | None = None,
    ) -> Coroutine[Any, Any, ModelT]:
        """Like `call`, with arguments that are checked already, and a timeout for one try in seconds."""
        url = base_url + request.path
        if self._telemetry is None:
            # Without a coroutine of its own and without functools.partial, which would cost every call time.
            return self._exchange(request, url, timeout, http_headers, config)
        exchange = functools.partial(self._exchange, request, url, timeout, http_headers, config)
        return self._observed(self._telemetry, request, url, http_headers, exchange)

    async def _observed(
        self,
        telemetry: Telemetry,
        request: Request[ModelT],
        url: str,
        http_headers: Mapping[str, str] | None,
        exchange: Callable[[], Coroutine[Any, Any, ModelT]],
    ) -> ModelT:
        mask = functools.partial(self._masked, http_headers)
        with telemetry.operation(request, url, self.cache_id, mask) as span:
            result = await exchange()
            span.returned(result)
            return result

    def _masked(self, http_headers: Mapping[str, str] | None, text: str) -> str:
        """The text without the secrets of a call: the key, or the last one that the callable gave."""
        sent = {**(http_headers or {}), "Authorization": self._authorization or self._last_authorization}
        return Secrets.of_request(sent).mask(text)

    async def _exchange(
        self,
        request: Request[ModelT],
        url: str,
        timeout: float | None,
        http_headers: Mapping[str, str] | None,
        config: RetryConfig | None,
    ) -> ModelT:
        if config is None:
            received, tries = await self._try(request, url, timeout, http_headers, 1, None), 1
        else:
            send = functools.partial(self._try, request, url, timeout, http_headers)
            received, tries = await with_retries(send, config, self._transport.unless_closed)
        return protocol.read_reply(request, received, tries)

    def _try(
        self,
        request: Request[Any],
        url: str,
        timeout: float | None,
        http_headers: Mapping[str, str] | None,
        nth_try: int,
        left: float | None,
    ) -> Coroutine[Any, Any, Received]:
        """Send once, within the timeout and within the seconds that are left for the call."""
        within = timeout if left is None else left if timeout is None else min(timeout, left)
        if self._authorization is None:
            return self._try_with_asked_key(request, url, within, http_headers, nth_try)
        headers = head.headers(request, self._authorization, http_headers)
        return self._transport.exchange(request, url, headers, within, nth_try)

    async def _try_with_asked_key(
        self,
        request: Request[Any],
        url: str,
        within: float | None,
        http_headers: Mapping[str, str] | None,
        nth_try: int,
    ) -> Received:
        """Like `_try`, with a key that the user's callable gives now. Its time counts in the timeout."""
        asked = time.monotonic()
        authorization = self._last_authorization = await self.ask_for_key(within)
        headers = head.headers(request, authorization, http_headers)
        return await self._transport.exchange(request, url, headers, time_left(within, asked), nth_try)

    def check_open(self) -> None:
        """Raise `ClosedError` if the client is closed."""
        self._transport.check_open()

    def retries_within(self, seconds: float) -> RetryConfig | None:
        """The client's `RetryConfig`, with tries and waits that take no longer than this in all."""
        config = self.retry_config
        if config is None or config.backoff is None:
            return config
        most = min(config.backoff.max_elapsed_time, max(1000 * seconds, 1))
        backoff = msgspec.structs.replace(config.backoff, max_elapsed_time=most)
        return msgspec.structs.replace(config, backoff=backoff)

    def with_authorization(self, authorization: str) -> Caller:
        """A caller that uses this authorization, as `ask_for_key` gave it, for each try."""
        caller = shallow_copy(self)
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
        running_loop()  # before anything is made that waits for one
        key = self._key_source()
        if isawaitable(key):
            limit = time_limit(timeout)
            try:
                async with limit:
                    key = await self._transport.unless_closed(key)
            except asyncio.TimeoutError as error:
                what = (
                    f"gave no key within {timeout:g} s"
                    if is_over(limit)
                    else f"raised {type(error).__name__}"
                )
                raise TimeoutException(f"api_key: the callable {what}") from error
        if key is None:
            raise ValueError("api_key: the callable returned None instead of a key")
        return head.authorization(key)


def given_or_env(**given: Any) -> list[Any]:
    """The settings, those that are None from the environment. Raises an error that names all missing ones."""
    settings: list[Any] = []
    missing: list[str] = []
    for argument, value in given.items():
        variable = f"LANGCACHE_{argument.upper()}"
        if value is None:
            value = os.environ.get(variable, "").strip()  # often read from a file that ends in a line end
            if not value:
                missing.append(f"{argument}: is missing; pass {argument}= or set {variable}")
        settings.append(value)
    if missing:
        if len(missing) == len(given) and "cache_id" in given:  # it prints no admin key
            missing.append("python -m langcache serve starts a service on this machine and prints all three")
        raise ValueError("\n".join(missing))
    return settings


def _seconds(timeout_ms: object) -> float | None:
    if timeout_ms is None:
        return None
    seconds = check_duration("timeout_ms", timeout_ms, "milliseconds") / 1000
    return max(seconds, sys.float_info.min)  # one that rounds to 0 would be no timeout at all to aiohttp
