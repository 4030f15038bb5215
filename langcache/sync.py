"""`LangCache`: the operations of `AsyncLangCache` as blocking methods, and as ``..._async`` methods."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Coroutine
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from msgspec import UNSET, UnsetType

from . import aside  # also at run time: `typing.get_type_hints` looks the names up, and only then loads them
from ._call.caller import ApiKey
from ._call.connections import refuse_open_session
from ._call.debug import Logger
from ._call.loops import running_loop
from ._copies import Uncopied, shallow_copy
from ._established.mistakes import explain_arguments, missing_attribute, name_after, rename_in
from ._portal.portal import Portal
from ._portal.stubs import replaced_by
from .aside.blocking_methods import BlockingAsideMethods
from .aside.lazy_aside import LazyAside, check_config
from .aside.scope import AttributeValue, Scope
from .client import AsyncLangCache, messages_key
from .embedded import Embeddable, Engine
from .errors import ClosedError
from .httpclient import ClientSource
from .limits import Limits
from .many import Batch, Result
from .retries import RetryConfig
from .telemetry import Telemetry

if TYPE_CHECKING:
    from .aside.core import Aside

__all__ = ["LangCache"]

P = ParamSpec("P")
R = TypeVar("R")
I = TypeVar("I")  # noqa: E741
ClientT = TypeVar("ClientT", bound="LangCache")


def _blocking(
    method: Callable[Concatenate[AsyncLangCache, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[LangCache, P], R]:
    """Make a blocking method of an async one. It runs on the client's portal, or begins in this thread."""
    name = method.__name__
    advice = f"use AsyncLangCache, or await {name}_async()"

    @functools.wraps(method)
    def call(self: LangCache, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            run = self._portal.call if kwargs.get("retries") else self._run  # tries wait for each other
            return run(name, advice, method, self._portal_client, *args, **kwargs)
        except TypeError as error:
            rename_in(error, method, call.__qualname__)
            raise

    call.__qualname__ = f"LangCache.{name}"
    return call


def _awaitable(
    method: Callable[Concatenate[AsyncLangCache, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[LangCache, P], Coroutine[Any, Any, R]]:
    """Make an ``..._async`` method, which runs in the event loop that awaits it."""

    @functools.wraps(method)
    async def call(self: LangCache, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await method(self._async_client, *args, **kwargs)
        except TypeError as error:
            rename_in(error, method, call.__qualname__)
            raise

    call.__name__ += "_async"
    call.__qualname__ = f"LangCache.{call.__name__}"
    return call


def _blocking_batch(
    method: Callable[Concatenate[AsyncLangCache, P], Batch[I, R]],
) -> Callable[Concatenate[LangCache, P], list[Result[I, R]]]:
    """Make a blocking method of one that returns a `Batch`. It reads the items in the calling thread."""
    name = method.__name__

    @functools.wraps(method)
    def call(self: LangCache, /, *args: P.args, **kwargs: P.kwargs) -> list[Result[I, R]]:
        try:
            batch = method(self._portal_client, *args, **kwargs)
        except TypeError as error:
            rename_in(error, method, call.__qualname__)
            raise
        return batch._run_in_thread(functools.partial(self._portal.begin, name, "use AsyncLangCache"))

    call.__qualname__ = f"LangCache.{name}"
    return call


class LangCache(BlockingAsideMethods, Embeddable, Uncopied):
    """A client for one cache of a LangCache service, for scripts and threaded programs.

    Any number of threads may share one. The first blocking call starts an event loop on a thread of the
    client's own, and each blocking call runs there; each ``..._async`` method runs in the event loop that
    awaits it. Use the client under ``with`` or ``async with``, or call `close`; one that is merely dropped is
    closed by the garbage collector, or when the interpreter exits. After a fork the child makes its own
    connections. ``copy.copy`` and ``copy.deepcopy`` return the client itself; it can't be pickled, so each
    process that multiprocessing spawns makes its own.

    The arguments are those of `AsyncLangCache`, except for these:

    Args:
        client: for the blocking methods: a `langcache.httpclient.AsyncHttpClient`, or a callable that makes
            one or an `aiohttp.ClientSession`, and is called inside the client's event loop.
        async_client: for the ``..._async`` methods: the same as ``client`` of `AsyncLangCache`.

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
        async_client: ClientSource | None = None,
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
        refuse_open_session(client)
        aside = check_config(aside)

        def make_client(http_client: ClientSource | None) -> AsyncLangCache:
            return AsyncLangCache(
                server_url,
                api_key,
                cache_id,
                http_client,
                retry_config,
                timeout_ms,
                debug_logger,
                debug_bodies=debug_bodies,
                limits=limits,
                enabled=enabled,
                telemetry=telemetry,
            )

        self._portal_client = make_client(client)
        try:
            self._async_client = make_client(async_client)
        except TypeError as error:  # all but this argument has been checked by now
            error.args = (f"async_{error}",)
            raise
        self._portal = Portal(self._portal_client)
        self._run = self._portal.call_here if isinstance(client, Engine) else self._portal.call
        self._scope: Scope | None = None
        caller, run, request = self._portal_client._caller, self._portal.call, self._run
        all_limits = self._portal_client._limits

        def make_aside() -> Aside:  # without ``self``, so that it does not keep the client
            from .aside.core import Aside
            from .aside.execution import InThread

            execution = InThread(run, request)
            return Aside(caller, all_limits, aside, telemetry, execution, messages_key, enabled=enabled)

        self._lazy_aside: LazyAside = LazyAside(make_aside)
        if aside is not None:  # to check the settings
            self._lazy_aside.get()
        for each in (self._portal_client, self._async_client):  # whose changes it has to know
            each._lazy_aside = self._lazy_aside
        # Set in a scoped client. It keeps the client that owns the portal from being collected.
        self._parent: LangCache | None = None
        weakref.finalize(self, self._portal.discard).atexit = False

    @replaced_by(_blocking(AsyncLangCache.search))
    def search(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    @replaced_by(_blocking(AsyncLangCache.set))
    def set(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    @replaced_by(_blocking(AsyncLangCache.delete_by_id))
    def delete_by_id(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    @replaced_by(_blocking(AsyncLangCache.delete_query))
    def delete_query(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    @replaced_by(_blocking(AsyncLangCache.flush))
    def flush(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    @replaced_by(_blocking(AsyncLangCache.conversational_search))
    def conversational_search(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    @replaced_by(_blocking(AsyncLangCache.health))
    def health(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    @replaced_by(_awaitable(AsyncLangCache.search))
    def search_async(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    @replaced_by(_awaitable(AsyncLangCache.set))
    def set_async(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    @replaced_by(_awaitable(AsyncLangCache.delete_by_id))
    def delete_by_id_async(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    @replaced_by(_awaitable(AsyncLangCache.delete_query))
    def delete_query_async(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    @replaced_by(_awaitable(AsyncLangCache.flush))
    def flush_async(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    @replaced_by(_awaitable(AsyncLangCache.conversational_search))
    def conversational_search_async(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    @replaced_by(_awaitable(AsyncLangCache.health))
    def health_async(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    def scoped(self: ClientT, **attributes: AttributeValue) -> ClientT:
        """See `AsyncLangCache.scoped`."""
        scoped = shallow_copy(self)
        scoped._portal_client = self._portal_client.scoped(**attributes)
        scoped._async_client = self._async_client.scoped(**attributes)
        scoped._scope = scoped._portal_client._scope
        scoped._parent = self
        return scoped

    @replaced_by(_blocking_batch(AsyncLangCache.set_many))
    def set_many(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    @replaced_by(_blocking_batch(AsyncLangCache.search_many))
    def search_many(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    def close(self) -> None:
        """Close the client. Calls in flight and later ones end in `ClosedError`. It may be closed twice.

        Waits first for answers that are being stored, or computed, in the background. On a scoped
        client this does nothing: its connections belong to the client that it was made from.
        """
        if self._parent is None:
            self._async_client._transport.discard()  # not the client, which would end the shared near cache
            self._close_portal()

    async def aclose(self) -> None:
        """Like `close`, without blocking the running event loop."""
        if self._parent is None:
            loop = running_loop()
            # Not the client, which would wait in this event loop for what the shared cache-aside does in the
            # portal's. `_close_portal` waits for that.
            await self._async_client._transport.aclose()
            await loop.run_in_executor(None, self._close_portal)

    @classmethod
    def _around(cls: type[ClientT], engine: Engine, **settings: Any) -> ClientT:
        client = cls(client=engine, async_client=engine, **settings)
        engine.live_on(client._portal)  # so that blocking calls are passed on once
        for each in (client._portal_client, client._async_client):
            each._caller.timeout_bounds_call = True
        return client

    def _close_portal(self) -> None:
        try:
            if (made := self._lazy_aside.made) is not None and made.pending:
                made.join()
                with suppress(ClosedError):
                    self._portal.call("close", "await aclose()", made.drain)
        finally:
            self._lazy_aside.end_near()
            self._portal.close()

    def __enter__(self: ClientT) -> ClientT:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

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
        return repr(self._portal_client).replace("AsyncLangCache", type(self).__name__)

    if not TYPE_CHECKING:  # so that type checkers still report wrong names

        def __getattr__(self, name: str) -> Any:
            raise missing_attribute(self, name)


name_after(LangCache)
