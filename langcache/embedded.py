"""A cache in the program's own process: the engine of the local service, behind the same clients."""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote

import msgspec

from . import aside  # also at run time: `typing.get_type_hints` looks the names up, and only then loads them
from ._call.deadlines import time_limit
from ._call.debug import Logger
from ._wire.exchange import Reply
from .errors import ConnectError
from .limits import Limits
from .models import HealthResponse, Model, SetResponse
from .telemetry import Telemetry

if TYPE_CHECKING:
    from ._portal.portal import Portal
    from .service.at_once import AtOnce
    from .service.config import CacheConfig
    from .service.embedders import Embedder
    from .service.engine import Cache
    from .service.stores.sqlite import Database
else:  # they are loaded when they are used
    Embedder = Portal = Any

__all__ = ["Embeddable", "Engine"]

ClientT = TypeVar("ClientT", bound="Embeddable")

SERVER_URL = "https://embedded.invalid"
"""What a client of an embedded cache has as the URL of its service. Nothing is sent to it."""

_NO_KEY = "an-embedded-cache-needs-no-key"  # masked in messages, so it is no word of any

_LOOKUP_SECONDS = 30.0

_JSON = {"Content-Type": "application/json"}

_encode = msgspec.json.Encoder().encode


class Embeddable:
    """A client that can have its cache in the program's own process."""

    @classmethod
    def embedded(
        cls: type[ClientT],
        db: str | os.PathLike[str] | None = None,
        *,
        attributes: Iterable[str] = (),
        cache_id: str = "local",
        threshold: float = 0.85,
        ttl_millis: int | None = None,
        embedder: Embedder | None = None,
        timeout_ms: float | None = None,
        debug_logger: Logger | None = None,
        debug_bodies: bool = False,
        limits: Limits | None = None,
        aside: aside.AsideConfig | None = None,
        telemetry: Telemetry | None = None,
    ) -> ClientT:
        """A client with a cache of its own, in this process: no server, no key, no network.

        ::

            with LangCache.embedded("cache.db", attributes=("topic",)) as cache:
                cache.set("What is Redis?", "A database.", attributes={"topic": "databases"})

        It has the operations, errors, limits and cache-aside of every other client; what it finds is what
        ``python -m langcache serve`` finds. The entries are in memory and end with the client, or in a SQLite
        file, which one client or service can have open at a time: for several processes run a service. A
        change is on disk when the call returns. The cache is opened by the first operation, and closed with
        the client. A child that is forked afterwards can't use it: make a client of its own there.

        Needs the extra ``local``.

        Args:
            db: the SQLite file, made if there is none. Default: the entries are kept in memory.
            attributes: the names of the attributes that entries may have. Default: none.
            cache_id: the cache's name in the file, which may hold several.
            threshold: the similarity threshold of a search that gives none, 0.5 to 1.0.
            ttl_millis: how long an entry lives, in milliseconds, if `set` gives no time. Default: for ever.
            embedder: one of ``langcache.service``. Default: a `MiniLMEmbedder`.
            timeout_ms: milliseconds for one operation that waits: for a model in a thread, say, a change of
                the file, or a search of very many entries. One that waits for nothing is not cut short: it
                takes 2 ms at most, and the embedder's own time. Default: no limit.
            debug_logger, debug_bodies, limits, telemetry: as for the class. The cache itself has the
                documented limits, whatever ``limits`` is.
            aside: as for the class. Default: a lookup may take 30 seconds, since the first one loads the
                model, and no other waits for a network.

        Raises:
            ImportError: the extra ``local`` is missing; the first operation raises it for a model's package.
            ValueError, TypeError: a setting is not possible.

        The first operation raises `langcache.errors.ConnectError` if the file can't be used, with the reason.
        """
        from .aside.options import AsideConfig

        engine = Engine(
            db, embedder, cache_id=cache_id, attributes=attributes, threshold=threshold, ttl_millis=ttl_millis
        )
        return cls._around(
            engine,
            server_url=SERVER_URL,
            api_key=_NO_KEY,
            cache_id=cache_id,
            timeout_ms=timeout_ms,
            debug_logger=debug_logger,
            debug_bodies=debug_bodies,
            limits=limits,
            aside=AsideConfig(lookup_timeout=_LOOKUP_SECONDS) if aside is None else aside,
            telemetry=telemetry,
        )

    @classmethod
    def _around(cls: type[ClientT], engine: Engine, **settings: Any) -> ClientT:
        """A client of an engine, which closes it."""
        raise NotImplementedError


class Engine:
    """An `AsyncHttpClient` that answers from a cache in this process.

    What waits for nothing is done where it is called; the rest, on the event loop of one portal.

    Args:
        db, embedder, settings: as for `Embeddable.embedded`.
    """

    portal: Portal
    """Where the cache lives. It ends with the portal; a portal of its own ends with the last user of this."""

    def __init__(self, db: str | os.PathLike[str] | None, embedder: Embedder | None, **settings: Any) -> None:
        from .service import CacheConfig, MiniLMEmbedder  # which say what is missing

        if embedder is not None and (isinstance(embedder, type) or not hasattr(embedder, "embed")):
            kind = f"the class {embedder.__name__}" if isinstance(embedder, type) else type(embedder).__name__
            raise TypeError(
                f"embedder: must be an embedder of langcache.service, such as WordLlamaEmbedder(), not {kind}"
            )
        if not isinstance(db, str | os.PathLike | NoneType):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"db: must be the name of a file, or None for memory, not {type(db).__name__}")
        if db is not None and not os.fspath(db):
            raise ValueError("db: is empty; give the name of a file, or None for memory")
        config = CacheConfig(**settings)
        path = None if db is None else Path(db)
        self._home = _Home(config, path, MiniLMEmbedder() if embedder is None else embedder)
        self._waiting: set[object] = set()
        self._prefix = f"{SERVER_URL}/v1/caches/{config.cache_id}/"

    def live_on(self, portal: Portal) -> None:
        """Have the cache live on the event loop of a portal."""
        self.portal = portal
        portal.interrupts = self._home.is_held_here

    def live_on_own_portal(self) -> None:
        """Have an event loop on a thread of its own."""
        from ._portal.portal import Portal  # which few async programs need

        self.live_on(Portal(None))
        weakref.finalize(self, self.portal.discard).atexit = False

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        content: bytes | None,
        timeout: float | None,
    ) -> Reply:
        """The reply of the service that this stands for."""
        if not url.startswith(self._prefix):
            raise ConnectError(
                "server_url: the cache of this client is embedded, and it has no other service"
            )
        path, content = url[len(self._prefix) :], content or b""
        is_alone = self.portal.is_here or await self._turn()
        if not self.portal.is_closed:
            reply = self._home.answer_at_once(method, path, content, is_alone)
            if reply is not None:
                return reply
        answer = partial(self._home.answer, method, path, content)
        if timeout is None:
            return await self.portal.run(answer)
        await self.portal.move()
        async with time_limit(timeout):
            return await self.portal.run(answer)

    async def _turn(self) -> bool:
        """Let other tasks of the event loop have a turn, and a cancellation arrive.

        Returns whether no other call waits for one in the meantime.
        """
        waits = object()
        is_alone = not self._waiting
        self._waiting.add(waits)
        try:
            await asyncio.sleep(0)
        finally:
            self._waiting.discard(waits)
        return is_alone and not self._waiting

    async def aclose(self) -> None:
        """Close the cache, and wait until it is closed."""
        await asyncio.get_running_loop().run_in_executor(None, self.portal.close)


_lives: set[asyncio.Task[None]] = set()
"""An event loop does not keep a task: it could be collected, along with a client, before it has closed."""


class _Home:
    """The cache of an engine, in one event loop. It is open until the event loop ends."""

    def __init__(self, config: CacheConfig, db: Path | None, embedder: Embedder) -> None:
        from .service.operations import Operations

        self._config = config
        self._db = db
        self._embedder = embedder
        self._operations = Operations()
        self._cache: Cache | None = None
        self._at_once: AtOnce | None = None
        self._process: int | None = None
        self._opened: asyncio.Future[Cache] | None = None

    async def answer(self, method: str, path: str, content: bytes) -> Reply:
        """The reply to a request. Raises `ConnectError` if the cache can't be opened."""
        cache = await self._open_cache()
        try:
            model = await self._called(cache, method, path, content)
        except Exception as error:
            return _failure(error, method, path)
        return _reply(model)

    def answer_at_once(self, method: str, path: str, content: bytes, is_alone: bool) -> Reply | None:
        """The reply to a request that waits for nothing, else None. May be called in any thread."""
        at_once = self._at_once
        if at_once is None or method != "POST" or self._process != os.getpid():
            return None
        try:
            model = at_once.answer(path, content, is_alone=is_alone)
        except Exception as error:
            # Closing the client may have made it fail.
            return None if self._at_once is None else _failure(error, method, path)
        return None if model is None else _reply(model)

    def is_held_here(self) -> bool:
        """Whether this code interrupts `answer_at_once` where its thread is using the entries."""
        return self._at_once is not None and self._at_once.is_held_here

    async def _called(self, cache: Cache, method: str, path: str, content: bytes) -> Model | None:
        from .service import operations as service

        operations = self._operations
        if method == "POST" and path == "entries/search":
            return await operations.search(cache, service.decode_search(content))
        if method == "POST" and path == "entries":
            return await operations.set(cache, service.decode_set(content))
        if method == "POST" and path == "conversations/search":
            return await operations.conversational_search(cache, service.decode_conversation(content))
        if method == "POST" and path == "flush":
            await operations.flush(cache)
            return None
        if method == "DELETE" and path == "entries":
            return await operations.delete_query(cache, service.decode_attributes_to_delete(content))
        if method == "DELETE":
            await operations.delete_by_id(cache, unquote(path.removeprefix("entries/")))
            return None
        return HealthResponse()

    async def _open_cache(self) -> Cache:
        if self._process not in (None, os.getpid()):
            raise ConnectError(
                "this embedded cache belongs to the process that this one was forked from; make one in each "
                "process, and for one cache for all of them run `python -m langcache serve`"
            )
        if self._cache is not None:
            return self._cache
        if self._opened is None:
            self._process = os.getpid()
            loop = asyncio.get_running_loop()
            self._opened = loop.create_future()
            life = loop.create_task(self._live(self._opened))
            _lives.add(life)
            life.add_done_callback(_lives.discard)
        return await asyncio.shield(self._opened)

    async def _live(self, opened: asyncio.Future[Cache]) -> None:
        """Open the cache, and close it when this is cancelled, at the end of the event loop."""
        try:
            async with AsyncExitStack() as stack:
                self._cache = await self._open(stack)
                opened.set_result(self._cache)
                await asyncio.Event().wait()
        except Exception as error:
            if not opened.done():
                opened.set_exception(_not_opened(error))
                opened.exception()  # whoever asked for it may have left
        finally:
            opened.cancel()
            self._cache = self._at_once = self._opened = None

    async def _open(self, stack: AsyncExitStack) -> Cache:
        from .service.at_once import AtOnce
        from .service.engine import Cache
        from .service.readable import ReadableOnly
        from .service.scoring import start
        from .service.stores.memory import Memory

        embedder = ReadableOnly(self._embedder)
        stack.push_async_callback(embedder.close)
        await start(embedder)
        storage: Memory | Database
        if self._db is None:
            storage = Memory(embedder)
        else:
            from .service.stores.sqlite import Database

            storage = Database(self._db, embedder)
        await storage.open()
        stack.push_async_callback(storage.close)
        store = await storage.store(self._config)
        self._at_once = AtOnce(self._config, store, embedder)
        return Cache(self._config, store, embedder)


def _not_opened(error: Exception) -> Exception:
    if isinstance(error, ImportError):  # which says what to install
        return error
    failure = ConnectError(f"the embedded cache can't be opened: {error}")
    failure.__cause__ = error
    return failure


def _reply(model: Model | None) -> Reply:
    if model is None:
        return Reply(204, {}, b"")
    return Reply(201 if type(model) is SetResponse else 200, _JSON, _encode(model))


def _failure(error: Exception, method: str, path: str) -> Reply:
    """The reply that the service would give."""
    from .service.problems import body_of, log_failure, problem_of

    problem = problem_of(error)
    if problem.status == 500:
        log_failure(method, path)
    return Reply(problem.status, _JSON, body_of(problem))
