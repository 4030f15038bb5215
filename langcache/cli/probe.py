"""An HTTP client for commands that look at a service: it notes what it has asked, and what came back."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from .._call.connections import AiohttpClient
from .._call.proxies import EnvProxies

__all__ = ["Probe"]

_CACHES = "/v1/caches/"
_MOST_BYTES = 16 * 1024 * 1024


class Probe:
    """Sends the requests of a client, to which it is given as ``client=probe.begin``, and some of its own."""

    def __init__(self) -> None:
        self.url: str = ""
        """That of the last request."""
        self.headers: Mapping[str, str] = {}
        """Those of the last reply."""
        self.clock: float | None = None
        """When the last reply came, in seconds since the epoch."""
        self.proxies: EnvProxies | None = None
        self._client: AiohttpClient | None = None

    def begin(self) -> Probe:
        """Make what sends, in a running event loop. It goes through the proxies of the environment."""
        self.proxies = EnvProxies.read(os.environ)
        self._client = AiohttpClient.with_own_session(max_reply_bytes=_MOST_BYTES, proxies=self.proxies)
        return self

    @property
    def root(self) -> str:
        """The service's own URL: what is before the path of a cache in that of the last request."""
        return self.url.partition(_CACHES)[0]

    @property
    def cache_id(self) -> str:
        """The id of the cache that the last request was for."""
        return unquote(self.url.partition(_CACHES)[2].partition("/")[0])

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        content: bytes | None,
        timeout: float | None,
    ) -> Any:
        """Send a request."""
        assert self._client is not None
        self.url = url
        reply = await self._client.request(method, url, headers=headers, content=content, timeout=timeout)
        self.headers, self.clock = reply.headers, time.time()
        return reply

    async def aclose(self) -> None:
        """Close the connections."""
        assert self._client is not None
        await self._client.aclose()
