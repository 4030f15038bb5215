"""Run the local service: in an event loop with `serving`, or on a thread of its own with `LocalServer`."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
from collections.abc import AsyncGenerator, Iterable, Sequence
from concurrent.futures import Future
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar, cast

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from .app import application
from .catalogue import Catalogue
from .config import (
    DEFAULT_API_KEY,
    DEFAULT_CACHE_ID,
    DEFAULT_THRESHOLD,
    MAX_CONNECTIONS,
    CacheConfig,
    ServerConfig,
)
from .connections import Connections
from .embedders import Embedder, MiniLMEmbedder, WordLlamaEmbedder
from .grouped import Grouped
from .hosts import AllowedHosts
from .limiting import RateLimiter
from .page import Draw
from .rate import RateLimit, Usage
from .readable import ReadableOnly
from .readiness import Readiness, Remembered
from .scoring import start
from .stores.memory import Memory
from .stores.redis_url import redis_url
from .stores.sqlite import Database
from .stores.store import Storage
from .tls import Certificate
from .traffic import Traffic

if TYPE_CHECKING:
    from .metrics import Metrics

__all__ = ["LocalServer", "Running", "serving", "url_of"]

_SHUTDOWN_SECONDS = 2.0
"""How long a server that stops waits for requests to finish."""

ServerT = TypeVar("ServerT", bound="LocalServer")


def _is_no_parse_error(record: logging.LogRecord) -> bool:
    # aiohttp logs a traceback for a request that is not HTTP. It also answers with a 400, which is enough.
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


_log = logging.getLogger(__name__)
_log.addFilter(_is_no_parse_error)


class Running:
    """A service that answers requests."""

    def __init__(
        self,
        url: str,
        connections: Connections,
        traffic: Traffic,
        readiness: Readiness,
        tls: Certificate | None,
    ) -> None:
        self.url = url
        self._connections = connections
        self._traffic = traffic
        self._readiness = readiness
        self._tls = tls

    async def drain(self, seconds: float) -> None:
        """Finish the requests that there are, for at most so many seconds; then end those that are left.

        Meanwhile ``/health/readiness`` answers 503, and each connection ends with its next reply. For half of
        the time at most new connections are answered as well, until no request is under way.
        """
        self._readiness.draining = self._traffic.closing = True
        try:
            await self._idle(seconds / 2)
            await self._connections.finish(seconds / 2)
            await self._idle(seconds / 2)
            self._traffic.cut()
        except asyncio.CancelledError:
            self._traffic.cut()
            raise

    async def _idle(self, seconds: float) -> None:
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._traffic.idle(), seconds)

    def reload(self) -> None:
        """Read the certificate again, if there is one. If it can't be used, the former one stays."""
        if self._tls is not None:
            try:
                self._tls.reload()
            except ValueError as error:
                _log.error("the certificate stays as it was: %s", error)
            else:
                _log.info("the certificate was read again")


@asynccontextmanager
async def serving(
    config: ServerConfig,
    embedder: Embedder,
    bound: Sequence[socket.socket] = (),
    usage: Usage | None = None,
    draw: Draw | None = None,
) -> AsyncGenerator[Running, None]:
    """Run the service in this event loop. Gives it once it answers requests.

    ``bound`` are sockets to listen at, if not at the address of ``config``; ``usage`` is what other processes
    count with, for its limit of requests; ``draw`` makes the picture of labelled pairs for the page.

    Raises `OSError` if it can't listen at the address, `StoreError` if the database or Redis can't be used,
    `ValueError` if the certificate can't, `ImportError` where the extra ``redis`` or ``metrics`` is missing,
    and whatever `Embedder.start` raises.
    """
    figures = _figures(config)
    tls = None if config.tls_cert is None else Certificate(config.tls_cert, config.tls_key)
    in_loop = isinstance(embedder, WordLlamaEmbedder)
    embedder = ReadableOnly(embedder)
    if in_loop:
        embedder = Grouped(embedder)
    embedder = Remembered(embedder)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(embedder.close)
        await start(embedder)
        storage = _storage(config, embedder)
        await storage.open()
        stack.push_async_callback(storage.close)
        catalogue = Catalogue(config.caches, storage, embedder, config.admin_key)
        stack.push_async_callback(catalogue.close)
        await catalogue.open()
        readiness = Readiness(catalogue.stores, embedder)
        traffic = Traffic(figures)
        app = application(
            catalogue,
            AllowedHosts(config.host, config.allowed_hosts),
            page=config.has_page,
            recent=config.kept_searches,
            draw=draw,
        )
        app.middlewares.insert(0, traffic.watch)
        app.add_routes([web.get("/health/readiness", readiness.readiness)])
        if figures is not None:
            app.add_routes([web.get("/metrics", figures.metrics)])
        if config.rate_limit is not None:
            if usage is None:
                usage = Usage(RateLimit(config.rate_limit))
                stack.callback(usage.close)
            app.middlewares.append(RateLimiter(usage, catalogue.knows_key).limit)
        runner = web.AppRunner(app, shutdown_timeout=_SHUTDOWN_SECONDS)
        stack.push_async_callback(runner.cleanup)
        await runner.setup()
        assert runner.server is not None
        context = None if tls is None else tls.context
        connections = Connections(runner.server, config.max_connections, context, logger=_log)
        stack.push_async_callback(connections.close)
        address = await connections.listen(config.host, config.port, bound)
        yield Running(url_of(config, *address), connections, traffic, readiness, tls)


def url_of(config: ServerConfig, host: str, port: int) -> str:
    """The URL of a service that listens at an address."""
    scheme = "http" if config.tls_cert is None else "https"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _figures(config: ServerConfig) -> Metrics | None:
    if not config.metrics and config.metrics_key is None:
        return None
    from .metrics import Metrics  # needs the extra metrics

    return Metrics(config.metrics_key)


def _storage(config: ServerConfig, embedder: Embedder) -> Storage:
    if config.store is not None:
        from .stores.redis_storage import RedisStorage  # needs the extra redis

        return RedisStorage(redis_url(config.store), embedder)
    return Memory(embedder) if config.db is None else Database(config.db, embedder)


class LocalServer:
    """A LangCache service on this machine, for tests and for development.

    ::

        with LocalServer(attributes=("topic",)) as server:
            client = LangCache(server.url, server.api_key, server.cache_id)

    The server runs on a thread with an event loop of its own, also under ``async with``. So a sync client
    that blocks the program's event loop still gets its reply. A server can be entered again after its end.

    ``attributes`` are the names of the attributes that entries may have (default: none). ``host`` and
    ``port`` say where to listen; port 0, the default, is any free port. ``threshold`` (0.5 to 1.0, default
    0.85) is the similarity threshold of a search that gives none. ``ttl_millis`` is how long an entry lives,
    in milliseconds, if `set` gives no time (default None: for ever). ``max_entries`` is how many entries
    there may be: one more takes the place of the oldest (default None: any number). ``db`` is the SQLite file
    that keeps the entries, ``store`` the URL of a Redis that does, such as ``redis://localhost:6379`` (extra
    ``redis``); with neither they end with the server. ``embedder`` is a `MiniLMEmbedder` by default; an
    embedder works for one server at a time. ``caches`` sets up several caches, in place of ``attributes``,
    ``cache_id``, ``api_key``, ``threshold``, ``ttl_millis`` and ``max_entries``; the server's ``api_key`` and
    ``cache_id`` are then those of the first cache. ``allowed_hosts``, ``max_connections``, ``rate_limit`` and
    ``admin_key`` are as in `ServerConfig`.

    The constructor raises `ValueError` or `TypeError` for settings that are not possible. Entering raises
    `OSError` if it can't listen at the address, `StoreError` if the database can't be used, `EmbedderError`
    if the embeddings endpoint fails, and `ImportError` where the extra ``local`` or the model's package is
    missing.
    """

    def __init__(
        self,
        attributes: Iterable[str] = (),
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        cache_id: str = DEFAULT_CACHE_ID,
        api_key: str = DEFAULT_API_KEY,
        threshold: float = DEFAULT_THRESHOLD,
        ttl_millis: int | None = None,
        db: str | os.PathLike[str] | None = None,
        store: str | None = None,
        embedder: Embedder | None = None,
        caches: Iterable[CacheConfig] | None = None,
        allowed_hosts: Iterable[str] = (),
        max_connections: int = MAX_CONNECTIONS,
        max_entries: int | None = None,
        rate_limit: str | None = None,
        admin_key: str | None = None,
    ) -> None:
        if caches is None:
            caches = [
                CacheConfig(
                    cache_id=cache_id,
                    api_key=api_key,
                    attributes=cast("tuple[str, ...]", attributes),  # which makes a tuple of any iterable
                    threshold=threshold,
                    ttl_millis=ttl_millis,
                    max_entries=max_entries,
                )
            ]
        self._config = ServerConfig(
            caches=cast("tuple[CacheConfig, ...]", caches),
            host=host,
            port=port,
            db=None if db is None else Path(db),
            store=store,
            allowed_hosts=cast("tuple[str, ...]", allowed_hosts),
            max_connections=max_connections,
            rate_limit=rate_limit,
            admin_key=admin_key,
        )
        self._embedder = MiniLMEmbedder() if embedder is None else embedder
        self._thread: _ServerThread | None = None

    @property
    def url(self) -> str:
        """A client's ``server_url``. Raises `RuntimeError` while the server does not run."""
        if self._thread is None:
            raise RuntimeError("the local server is not running; enter it using `with` or `async with`")
        return self._thread.url.result()

    @property
    def cache_id(self) -> str:
        """A client's ``cache_id``: the id of the first cache."""
        return self._config.caches[0].cache_id

    @property
    def api_key(self) -> str:
        """A client's ``api_key``: the key of the first cache."""
        return self._config.caches[0].api_key

    def __enter__(self: ServerT) -> ServerT:
        thread = self._launch()
        try:
            thread.url.result()
        except BaseException:
            self._end(thread)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._thread is not None and self._thread.is_of_this_process():
            self._end(self._thread)

    async def __aenter__(self: ServerT) -> ServerT:
        thread = self._launch()
        try:
            await asyncio.wrap_future(thread.url)
        except BaseException:
            await self._end_async(thread)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._thread is not None and self._thread.is_of_this_process():
            await self._end_async(self._thread)

    def _launch(self) -> _ServerThread:
        if self._thread is not None:
            raise RuntimeError("the local server is running already")
        self._thread = _ServerThread(self._config, self._embedder)
        self._thread.start()
        return self._thread

    def _end(self, thread: _ServerThread) -> None:
        self._thread = None
        thread.stop.set_result(None)
        thread.ended.result()
        thread.join()

    async def _end_async(self, thread: _ServerThread) -> None:
        self._thread = None
        thread.stop.set_result(None)
        await asyncio.wrap_future(thread.ended)
        thread.join()  # returns at once: the thread has nothing left to do


class _ServerThread(threading.Thread):
    """A thread that serves from `start` until ``stop`` is set."""

    def __init__(self, config: ServerConfig, embedder: Embedder) -> None:
        # A daemon, so that a server that was never stopped does not keep the program alive.
        super().__init__(name="langcache-local", daemon=True)
        self._config = config
        self._embedder = embedder
        self._process = os.getpid()
        self.url: Future[str] = Future()
        """The URL, set when the server listens; or the exception that prevented it."""
        self.stop: Future[None] = Future()
        self.ended: Future[None] = Future()
        """Set when the server has ended; or the exception of its end."""
        for future in (self.url, self.ended):
            future.set_running_or_notify_cancel()  # so that a caller that stops waiting does not cancel them

    def is_of_this_process(self) -> bool:
        """False in a forked child: the server belongs to the parent, and the child has no such thread."""
        return self._process == os.getpid()

    def run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            if self.url.done():
                self.ended.set_exception(error)
                return
            self.url.set_exception(error)
        self.ended.set_result(None)

    async def _serve(self) -> None:
        async with serving(self._config, self._embedder) as running:
            self.url.set_result(running.url)
            await asyncio.wrap_future(self.stop)
