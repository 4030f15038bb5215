"""Refuses requests of keys that make too many, as ``rate.py`` counts them."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from hashlib import blake2b

from aiohttp import web

from .problems import Problem
from .rate import Usage

__all__ = ["RateLimiter", "given_key"]


class RateLimiter:
    """Answers 429, with ``Retry-After``, to a key that has made too many requests.

    Only keys that the service knows are counted: what is refused with a 401 leaves nothing behind.
    """

    def __init__(self, usage: Usage) -> None:
        self._usage = usage

    @web.middleware
    async def limit(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Count the request, unless it has no key or is for the whole service, such as ``/health``."""
        key = given_key(request)
        if key is None or not request.path.startswith("/v1/"):
            return await handler(request)
        digest = blake2b(key, digest_size=16).digest()
        wait = self._usage.take(digest)
        if wait:
            seconds = math.ceil(wait)
            raise Problem(
                429,
                f"this key has made too many requests; try again in {seconds} s",
                headers={"Retry-After": f"{seconds}"},
            )
        try:
            return await handler(request)
        except Problem as problem:
            if problem.status == 401:
                self._usage.forget(digest)
            raise


def given_key(request: web.Request) -> bytes | None:
    """The key that a request has, known or not."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    return key.strip().encode("utf-8", "surrogateescape") or None if scheme.lower() == "bearer" else None
