"""Refuses requests of keys that make too many, as ``rate.py`` counts them."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

from aiohttp import web

from .access import digest_of, given_key
from .problems import Problem
from .rate import Usage

__all__ = ["RateLimiter"]


class RateLimiter:
    """Answers 429, with ``Retry-After``, to a key that has made too many requests.

    Only keys that the service knows are counted, so that nobody can use up the memory for them.

    Args:
        usage: counts.
        known: whether there is a key with this digest.
    """

    def __init__(self, usage: Usage, known: Callable[[bytes], bool]) -> None:
        self._usage = usage
        self._known = known

    @web.middleware
    async def limit(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Count the request, unless it has no key or is for the whole service, such as ``/health``."""
        key = given_key(request)
        if key is None or not request.path.startswith(("/v1/", "/page/")):
            return await handler(request)
        digest = digest_of(key)
        if not self._known(digest):
            return await handler(request)
        wait = self._usage.take(digest[:16])
        if wait:
            seconds = math.ceil(wait)
            raise Problem(
                429,
                f"this key has made too many requests; try again in {seconds} s",
                headers={"Retry-After": f"{seconds}"},
            )
        return await handler(request)
