"""`LangCacheAdmin`: the operations of `AsyncLangCacheAdmin` as blocking methods."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar

from msgspec import UNSET, UnsetType

from ._call.caller import ApiKey
from ._call.connections import refuse_open_session
from ._call.debug import Logger
from ._copies import Uncopied
from ._portal.portal import Portal
from ._portal.stubs import replaced_by
from .admin import AsyncLangCacheAdmin
from .httpclient import ClientSource
from .retries import RetryConfig

__all__ = ["LangCacheAdmin"]

P = ParamSpec("P")
R = TypeVar("R")
AdminT = TypeVar("AdminT", bound="LangCacheAdmin")


def _blocking(
    method: Callable[Concatenate[AsyncLangCacheAdmin, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[LangCacheAdmin, P], R]:
    """Make a blocking method of an async one. It runs on the client's portal."""
    name = method.__name__

    @functools.wraps(method)
    def call(self: LangCacheAdmin, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._portal.call(name, "use AsyncLangCacheAdmin", method, self._client, *args, **kwargs)

    call.__qualname__ = f"LangCacheAdmin.{name}"
    return call


class LangCacheAdmin(Uncopied):
    """A client for the control plane of a LangCache service, for scripts and threads.

    The arguments and operations are those of `AsyncLangCacheAdmin`, which runs on a thread of its own. Use it
    under ``with``, or call `close` at the end. ``client`` is a `langcache.httpclient.AsyncHttpClient`, or a
    callable that makes one or an `aiohttp.ClientSession` inside the client's event loop.
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
        refuse_open_session(client)
        self._client = AsyncLangCacheAdmin(
            server_url,
            admin_key,
            identity_url=identity_url,
            identity_key=identity_key,
            client=client,
            retry_config=retry_config,
            timeout_ms=timeout_ms,
            debug_logger=debug_logger,
        )
        self._portal = Portal(self._client)
        weakref.finalize(self, self._portal.discard).atexit = False

    @replaced_by(_blocking(AsyncLangCacheAdmin.list_caches))
    def list_caches(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    @replaced_by(_blocking(AsyncLangCacheAdmin.create_cache))
    def create_cache(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    @replaced_by(_blocking(AsyncLangCacheAdmin.get_cache))
    def get_cache(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    @replaced_by(_blocking(AsyncLangCacheAdmin.update_cache))
    def update_cache(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    @replaced_by(_blocking(AsyncLangCacheAdmin.delete_cache))
    def delete_cache(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    @replaced_by(_blocking(AsyncLangCacheAdmin.flush_cache))
    def flush_cache(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    @replaced_by(_blocking(AsyncLangCacheAdmin.list_embedding_providers))
    def list_embedding_providers(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    @replaced_by(_blocking(AsyncLangCacheAdmin.create_key))
    def create_key(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    @replaced_by(_blocking(AsyncLangCacheAdmin.list_keys))
    def list_keys(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    @replaced_by(_blocking(AsyncLangCacheAdmin.rotate_key))
    def rotate_key(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    @replaced_by(_blocking(AsyncLangCacheAdmin.revoke_key))
    def revoke_key(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    def close(self) -> None:
        """Close the client. Calls in flight and later ones end in `ClosedError`. It may be closed twice."""
        self._portal.close()

    def __enter__(self: AdminT) -> AdminT:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return repr(self._client).replace("AsyncLangCacheAdmin", type(self).__name__)
