"""`AsyncLangCacheAdmin`: a client for the control plane, which makes caches and keys."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Mapping
from types import TracebackType
from typing import Any, TypeVar

from msgspec import UNSET, UnsetType

from ._call import admin_protocol, head
from ._call.caller import ApiKey, Caller, given_or_env
from ._call.debug import Logger, check_logger
from ._call.transport import Transport
from ._copies import Uncopied
from ._wire.exchange import Request
from .caches import CacheInfo, CreateCacheResponse, EmbeddingProvider, KeyInfo, NewKey
from .httpclient import ClientSource
from .limits import Limits
from .models import SearchStrategy
from .retries import RetryConfig

__all__ = ["AsyncLangCacheAdmin"]

R = TypeVar("R")
AdminT = TypeVar("AdminT", bound="AsyncLangCacheAdmin")

_REPLY_BYTES = Limits().reply_bytes


class AsyncLangCacheAdmin(Uncopied):
    """A client for the control plane of a LangCache service, for asyncio programs.

    It works with a service of this package that was started with an admin key, and with the vendor's
    self-managed one. The hosted service has a web console instead.

    Use it under ``async with``, or call `aclose` at the end. Tasks may share it, as they may share an
    `AsyncLangCache`.

    Args:
        server_url: the URL of the control plane; ``https://`` is added to a bare host. A service of this
            package has one URL for all. Default: ``LANGCACHE_SERVER_URL``.
        admin_key: the admin key, or a sync or async callable that returns it, called before each try.
            Default: ``LANGCACHE_ADMIN_KEY``.
        identity_url: the URL of the identity service, which makes keys, where that is another one. Default:
            ``server_url``.
        identity_key: the key of the identity service. Default: ``admin_key``.
        client: an HTTP client of your own, as `AsyncLangCache` takes it.
        retry_config: as `AsyncLangCache` takes it. Creating a cache or a key twice makes two. Default: no
            retries.
        timeout_ms: milliseconds for one try. Default: 10,000; with a ``client`` of your own, its timeouts.
        debug_logger: logs each request and reply: method, URL, sizes, status and time, never a key or a body.
            Default: the logger ``langcache`` if ``LANGCACHE_DEBUG`` is set.

    Every operation also takes, for that call alone: ``retries`` (a `RetryConfig`, a number of further tries,
    or None for a single try), ``timeout_ms``, and ``http_headers``. Operations raise what those of
    `AsyncLangCache` raise.

    Raises:
        ValueError: a URL or a key is missing or invalid.
        TypeError: an argument is of the wrong type.
    """

    def __init__(
        self,
        server_url: str | None = None,
        admin_key: ApiKey | None = None,
        *,
        identity_url: str | None = None,
        identity_key: ApiKey | None = None,
        client: ClientSource | None = None,
        retry_config: RetryConfig | int | UnsetType | None = UNSET,
        timeout_ms: float | None = None,
        debug_logger: Logger | None = None,
    ) -> None:
        url, key = given_or_env(server_url=server_url, admin_key=admin_key)
        root = head.root_url("server_url", url)
        identity = root if identity_url is None else head.root_url("identity_url", identity_url)
        if identity != root and identity_key is None:
            # Not the admin key: each service would see a key of the other one.
            raise ValueError("identity_key: is needed along with identity_url, which has a key of its own")
        users_own = client is not None
        for name, given in (("admin_key", key), ("identity_key", identity_key)):
            if given is not None and not callable(given):
                _check_key(name, given)
        self._transport = Transport(
            client, max_reply_bytes=_REPLY_BYTES, logger=check_logger(debug_logger), log_bodies=False
        )

        def caller(root: str, key: ApiKey) -> Caller:
            return Caller.of_root(self._transport, root, key, retry_config, timeout_ms, users_own=users_own)

        self._control = caller(root, key)
        self._identity = caller(identity, key if identity_key is None else identity_key)

    async def list_caches(
        self,
        *,
        retries: RetryConfig | int | UnsetType | None = UNSET,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
    ) -> list[CacheInfo]:
        """All caches."""
        return await self._call(admin_protocol.list_caches(), retries, timeout_ms, http_headers)

    async def create_cache(
        self,
        name: str,
        *,
        attributes: Iterable[str] = (),
        default_search_threshold: float = 0.85,
        default_ttl_millis: int | None = None,
        search_strategies: Iterable[SearchStrategy | str] | None = None,
        max_entries: int | None = None,
        database_id: str = "default",
        retries: RetryConfig | int | UnsetType | None = UNSET,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
    ) -> CreateCacheResponse:
        """Create a cache.

        Args:
            name: 1 to 64 characters. It need not be another than those of other caches.
            attributes: the names of the attributes that entries may have, at most 5. They can't be changed
                later.
            default_search_threshold: the similarity threshold of a search that gives none, 0 to 1.
            default_ttl_millis: how long an entry lives, in milliseconds, if ``set`` gives no time. None, 0 or
                -1: for ever.
            search_strategies: the strategies of a search that gives none. Default: the service's.
            max_entries: how many entries there may be: one more takes the place of the oldest. None, 0 or -1:
                any number. The vendor's service does not know it.
            database_id: which of its databases the vendor's service keeps the entries in. A service of this
                package has one alone.

        Returns:
            The id of the cache, which no key opens yet (see `create_key`).
        """
        request = admin_protocol.create_cache(
            name,
            database_id,
            attributes,
            default_search_threshold,
            default_ttl_millis,
            search_strategies,
            max_entries,
        )
        return await self._call(request, retries, timeout_ms, http_headers)

    async def get_cache(
        self,
        cache_id: str,
        *,
        retries: RetryConfig | int | UnsetType | None = UNSET,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
    ) -> CacheInfo:
        """One cache. Raises `NotFoundError` if there is none with this id."""
        return await self._call(admin_protocol.get_cache(cache_id), retries, timeout_ms, http_headers)

    async def update_cache(
        self,
        cache_id: str,
        *,
        default_search_threshold: float | None = None,
        default_ttl_millis: int | None = None,
        search_strategies: Iterable[SearchStrategy | str] | None = None,
        max_entries: int | None = None,
        retries: RetryConfig | int | UnsetType | None = UNSET,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
    ) -> None:
        """Change what a cache does by default. What is None stays as it is.

        Args:
            cache_id: its id.
            default_search_threshold: as for `create_cache`.
            default_ttl_millis: as for `create_cache`; 0 or -1: for ever. Entries that there are keep theirs.
            search_strategies: as for `create_cache`.
            max_entries: as for `create_cache`; 0 or -1: any number. What is too much is deleted within some
                seconds, oldest first.
        """
        request = admin_protocol.update_cache(
            cache_id, default_search_threshold, default_ttl_millis, search_strategies, max_entries
        )
        await self._call(request, retries, timeout_ms, http_headers)

    async def delete_cache(
        self,
        cache_id: str,
        *,
        flush: bool = True,
        retries: RetryConfig | int | UnsetType | None = UNSET,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
    ) -> None:
        """Delete a cache, and what its keys may do with it.

        Args:
            cache_id: its id.
            flush: whether its entries are deleted too. Otherwise they stay in the database.
        """
        await self._call(admin_protocol.delete_cache(cache_id, flush), retries, timeout_ms, http_headers)

    async def flush_cache(
        self,
        cache_id: str,
        *,
        retries: RetryConfig | int | UnsetType | None = UNSET,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
    ) -> None:
        """Delete all entries of a cache, and not the cache."""
        await self._call(admin_protocol.flush_cache(cache_id), retries, timeout_ms, http_headers)

    async def list_embedding_providers(
        self,
        *,
        retries: RetryConfig | int | UnsetType | None = UNSET,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
    ) -> list[EmbeddingProvider]:
        """Who makes the embeddings of the service, and with which models."""
        request = admin_protocol.list_embedding_providers()
        return await self._call(request, retries, timeout_ms, http_headers)

    async def create_key(
        self,
        name: str,
        caches: Mapping[str, Iterable[str]],
        *,
        retries: RetryConfig | int | UnsetType | None = UNSET,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
    ) -> NewKey:
        """Make a key.

        Args:
            name: 1 to 64 characters, to know it by.
            caches: the ids of the caches that it opens, each with ``"read"``, ``"write"`` or both:
                ``{cache_id: ["read"]}``. Without the right to do something a client gets a
                `ForbiddenError`.

        Returns:
            The key, in ``token``, which is not told again.
        """
        request = admin_protocol.create_key(name, caches)
        return await self._call(request, retries, timeout_ms, http_headers, self._identity)

    async def list_keys(
        self,
        *,
        retries: RetryConfig | int | UnsetType | None = UNSET,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
    ) -> list[KeyInfo]:
        """All keys that were made by `create_key`, without the keys themselves."""
        request = admin_protocol.list_keys()
        return await self._call(request, retries, timeout_ms, http_headers, self._identity)

    async def rotate_key(
        self,
        key_id: str,
        *,
        retries: RetryConfig | int | UnsetType | None = UNSET,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
    ) -> NewKey:
        """Make another key with the same id, name and rights. The former one opens nothing any longer."""
        request = admin_protocol.rotate_key(key_id)
        return await self._call(request, retries, timeout_ms, http_headers, self._identity)

    async def revoke_key(
        self,
        key_id: str,
        *,
        retries: RetryConfig | int | UnsetType | None = UNSET,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
    ) -> None:
        """Delete a key. It opens nothing any longer."""
        request = admin_protocol.revoke_key(key_id)
        await self._call(request, retries, timeout_ms, http_headers, self._identity)

    async def aclose(self) -> None:
        """Close the client. Calls in flight and later ones end in `ClosedError`. It may be closed twice."""
        await self._transport.aclose()

    def discard(self) -> None:
        """Close without waiting, from any thread. Each event loop closes its connections in its next turn."""
        self._transport.discard()

    async def __aenter__(self: AdminT) -> AdminT:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._control.base_url}>"

    def _call(
        self,
        request: Request[R],
        retries: RetryConfig | int | UnsetType | None,
        timeout_ms: float | None,
        http_headers: Mapping[str, str] | None,
        caller: Caller | None = None,
    ) -> Coroutine[Any, Any, R]:
        return (caller or self._control).call(request, retries, None, timeout_ms, http_headers)


def _check_key(name: str, key: object) -> None:
    """Check a key. Raises `TypeError` or `ValueError`, without the key."""
    try:
        head.authorization(key)
    except (TypeError, ValueError) as error:
        raise type(error)(str(error).replace("api_key", name)) from None
