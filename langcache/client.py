"""`AsyncLangCache`: its settings, its scopes and its life."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import UNSET, UnsetType

from . import aside  # also at run time: `typing.get_type_hints` looks the names up, and only then loads them
from ._call.caller import ApiKey, Caller
from ._call.debug import Logger, check_logger
from ._call.forks import importing
from ._call.loops import running_loop
from ._call.transport import Transport
from ._checks import check_instance
from ._copies import Uncopied, shallow_copy
from ._established.mistakes import explain_arguments, missing_attribute, name_after
from ._operations import AsyncOperations
from .aside.lazy_aside import LazyAside, check_config
from .aside.methods import AsyncAsideMethods
from .aside.scope import AttributeValue, Scope
from .embedded import Embeddable, Engine
from .httpclient import ClientSource
from .limits import Limits
from .many import AsyncManyMethods
from .retries import RetryConfig
from .telemetry import Telemetry

if TYPE_CHECKING:
    from .aside.core import Aside
    from .aside.key import MessagesKey

__all__ = ["ApiKey", "AsyncLangCache"]


ClientT = TypeVar("ClientT", bound="AsyncLangCache")


class AsyncLangCache(AsyncOperations, AsyncAsideMethods, AsyncManyMethods, Embeddable, Uncopied):
    """A client for one cache of a LangCache service, for asyncio programs.

    Use it under ``async with``, or call `aclose` at the end; a client that is merely dropped is closed by its
    event loop. Any number of tasks may share a client at once, and it may be used in one event loop after
    another. It is never copied: ``copy.copy`` and ``copy.deepcopy`` return the client itself, and pickling it
    raises `TypeError`, since the pickle would hold the API key.

    Args:
        server_url: the URL of the service; ``https://`` is added to a bare host. Default:
            ``LANGCACHE_SERVER_URL``. White space around the value of an environment variable is ignored.
        api_key: the key, or a sync or async callable that returns it. The callable is called before each try,
            so that a rotated key needs no restart. For a service that checks no key, any text. Default:
            ``LANGCACHE_API_KEY``.
        cache_id: the id of the cache. Default: ``LANGCACHE_CACHE_ID``.
        client: an `aiohttp.ClientSession` of your own, or anything that satisfies
            `langcache.httpclient.AsyncHttpClient`; you close it. Or a callable that makes either, which is
            called inside the event loop that will use it; what it made is closed for you. Default: a session
            of the client's own, with the proxies that the environment names when the client is made.
        retry_config: which failures to retry, and how. Or how many further tries at most, after no reply or
            a status 429, 500, 502, 503 or 504: with waits of 100 ms, 200 ms, 400 ms and so on up to 2 s, each
            with up to 100 ms more at random, and 60 s for all tries and waits together. ``retries`` overrides
            it for one call. Default: no retries.
        timeout_ms: milliseconds for one try. It includes calling a callable for the key, waiting for one of
            256 connections, and reading the reply to its end. Default: 10,000, of which at most 5,000 to
            connect; with a ``client`` of your own, that client's timeouts, and 10,000 for the key.
        debug_logger: logs each request and reply: method, URL, sizes, status, time and number of the try,
            never the key. Default: the logger ``langcache`` if ``LANGCACHE_DEBUG`` is set, and not to
            ``0``, ``false``, ``no`` or ``off``.
        debug_bodies: whether the debug logger logs prompts and responses too. Default: False.
        limits: what the service accepts, checked before anything is sent. Pass others for a service that
            accepts more. Default: the documented limits of LangCache.
        enabled: False disables the cache: nothing is sent, every search is a miss, and no server, key or
            cache id is needed. Default: True.
        aside: a `langcache.aside.AsideConfig`, the settings of `get_or_set`, `get_or_stream` and `cached`.
            Default: its defaults. They are then loaded in the first call of one of these, which holds up its
            event loop meanwhile, once in a process; with an ``AsideConfig()``, when the client is made.
        telemetry: a `langcache.telemetry.Telemetry`, for OpenTelemetry spans and metrics. Default: none.

    Every operation also takes, for that call alone: ``retries`` (a `RetryConfig`, a number of further tries,
    or None for a single try), ``server_url`` (which gets the same key), ``timeout_ms``, and ``http_headers``,
    which are added to the headers or replace them.

    Before anything is sent, every operation raises `TypeError` for an argument of the wrong type, and
    `langcache.LimitError` (both a `ValueError` and a `BadRequestError`) for one that breaks a rule. After
    that it raises only `langcache.errors.LangCacheError` and its subclasses, or what a callable for the key
    raises.

    Raises:
        ValueError: a server URL, key or cache id is missing or invalid.
        TypeError: an argument is of the wrong type.
    """

    @explain_arguments
    def __init__(
        self,
        server_url: str | None = None,
        api_key: ApiKey | None = None,
        cache_id: str | None = None,
        client: ClientSource | None = None,
        retry_config: RetryConfig | int | UnsetType | None = UNSET,
        timeout_ms: float | None = None,
        debug_logger: Logger | None = None,
        *,
        debug_bodies: bool = False,
        limits: Limits | None = None,
        enabled: bool = True,
        aside: aside.AsideConfig | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        if not enabled:
            with importing:
                from ._call.disabled import DisabledClient

            server_url, api_key, cache_id, client = (
                "https://disabled.invalid",
                "none",
                "disabled",
                DisabledClient(),
            )
        self._scope: Scope | None = None
        self._engine: Engine | None = None
        aside = check_config(aside)
        telemetry = check_instance("telemetry", telemetry, Telemetry, "langcache.telemetry.Telemetry")
        limits = check_instance("limits", limits, Limits, "langcache.Limits") or Limits()
        self._limits: Limits = limits
        self._transport = Transport(
            client,
            max_reply_bytes=limits.reply_bytes,
            logger=check_logger(debug_logger),
            log_bodies=debug_bodies,
        )
        self._caller = caller = Caller(
            self._transport,
            server_url,
            api_key,
            cache_id,
            retry_config,
            timeout_ms,
            telemetry,
            users_own=client is not None,
        )

        def make_aside() -> Aside:  # without ``self``, so that it does not keep the client
            from .aside.core import Aside
            from .aside.execution import InLoop

            return Aside(caller, limits, aside, telemetry, InLoop(), messages_key, enabled=enabled)

        self._lazy_aside: LazyAside = LazyAside(make_aside)
        if aside is not None:  # to check the settings
            self._lazy_aside.get()

    def scoped(self: ClientT, **attributes: AttributeValue) -> ClientT:
        """A client of the same cache that adds these attributes to every operation.

        It stores, finds and deletes only entries that have these attributes: `flush` deletes the entries of
        the scope, not of the whole cache. `delete_by_id` raises `ValueError`, since an id does not tell the
        scope of its entry. A scoped client can be scoped further, but can't change the value of an attribute.
        It shares connections, statistics and settings with this client, and only this client closes them.

        Args:
            **attributes: str, int, float, bool or UUID, encoded by `langcache.aside.encode_attributes`.
                Together with those of this client's scope, no more than the service accepts.

        Raises:
            TypeError, ValueError: a name or value can't be an attribute, or there are too many or none.
        """
        if not attributes:
            raise ValueError("attributes: a scope needs at least one")
        scope = (self._scope or Scope({})).narrowed(attributes)
        self._limits.attribute_map(scope.attributes)
        scoped = shallow_copy(self)
        scoped._scope = scope
        return scoped

    async def aclose(self) -> None:
        """Close the client. Calls in flight and later ones end in `ClosedError`. It may be closed twice.

        Waits first for answers that are being stored, or computed, in the background. On a scoped
        client this does nothing: its connections belong to the client that it was made from.
        """
        if self._scope is None:
            running_loop()  # says what to do where there is none
            if (made := self._lazy_aside.made) is not None:
                await made.drain()
            self._lazy_aside.end_near()
            await self._transport.aclose()
            if self._engine is not None:
                await self._engine.aclose()

    def discard(self) -> None:
        """Close without waiting, from any thread. Each event loop closes its connections in its next turn."""
        if self._scope is None:
            self._lazy_aside.end_near()
            self._transport.discard()
            if self._engine is not None:
                self._engine.portal.discard()

    async def __aenter__(self: ClientT) -> ClientT:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._caller.base_url}>"

    @classmethod
    def _around(cls: type[ClientT], engine: Engine, **settings: Any) -> ClientT:
        client = cls(client=engine, **settings)
        engine.live_on_own_portal()
        client._engine = engine
        client._caller.timeout_bounds_call = True
        return client

    if not TYPE_CHECKING:  # so that type checkers still report wrong names

        def __getattr__(self, name: str) -> Any:
            raise missing_attribute(self, name)


def messages_key() -> MessagesKey:
    """The key of a decorated function of messages that is given none."""
    with importing:
        from .chat.keys import chat_key  # few programs decorate functions of messages
    return chat_key()


name_after(AsyncLangCache)
