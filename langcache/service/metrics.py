"""Figures for Prometheus, of all processes of a service. They have no prompt and no key in them."""

from __future__ import annotations

import asyncio
import hmac
import os
import struct
from typing import Any

from aiohttp import web

from . import missing_extra
from .access import given_key
from .problems import Problem

try:
    from prometheus_client import (
        CollectorRegistry,
        Counter,
        Gauge,
        Histogram,
        generate_latest,
        multiprocess,
        values,
    )
    from prometheus_client.exposition import CONTENT_TYPE_LATEST
except ModuleNotFoundError as _error:
    raise missing_extra(_error.name or "prometheus_client", "metrics") from _error

__all__ = ["FOLDER_VARIABLE", "Metrics", "count_as", "forget_process"]

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""The variable of prometheus-client with the folder in which processes keep what they count. Set it before
this module is imported."""

_multiprocess: Any = multiprocess  # which has no types
_values: Any = values

_MOST_CACHES = 2000
"""How many caches have figures of their own; those of the rest are together in ``cache="other"``. No service
has so many at once, but caches that come and go would make the reply longer for ever."""

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


_TRIES = 20
_PAUSE_SECONDS = 0.05


class Metrics:
    """What is counted, and the reply that shows it.

    Args:
        key: what ``Authorization: Bearer`` must have. None: everybody may read the figures.
    """

    def __init__(self, key: str | None = None) -> None:
        self._key = None if key is None else key.encode()
        self._caches: set[str] = set()
        self._several = FOLDER_VARIABLE in os.environ
        self._registry = CollectorRegistry()
        # With several processes, a collector of all of them is made for each reply.
        where: Any = {"registry": None if self._several else self._registry}
        self._requests = Counter(
            "langcache_requests", "Requests that were answered.", ["operation", "status"], **where
        )
        self._seconds = Histogram(
            "langcache_request_seconds",
            "Time from the head of a request until its reply is ready.",
            ["operation"],
            buckets=_SECONDS,
            **where,
        )
        self._searches = Counter(
            "langcache_searches", "Searches, by whether an entry was found.", ["cache", "result"], **where
        )
        self._under_way = Gauge(
            "langcache_requests_under_way", "Requests under way.", multiprocess_mode="livesum", **where
        )

    def began(self) -> None:
        """Count a request that is under way."""
        self._under_way.inc()

    def ended(self, operation: str, status: int, seconds: float) -> None:
        """Count a request that has its reply."""
        self._under_way.dec()
        self._requests.labels(operation, str(status)).inc()
        self._seconds.labels(operation).observe(seconds)

    def searched(self, cache_id: str, hit: bool) -> None:
        """Count a search of a cache that there is."""
        if len(self._caches) < _MOST_CACHES:
            self._caches.add(cache_id)
        shown = cache_id if cache_id in self._caches else "other"
        self._searches.labels(shown, "hit" if hit else "miss").inc()

    async def metrics(self, request: web.Request) -> web.Response:
        """All figures, in Prometheus's format. Raises `Problem`."""
        if self._key is not None and not hmac.compare_digest(given_key(request) or b"", self._key):
            raise Problem(401, "the figures need their own key: Authorization: Bearer <metrics key>")
        for _ in range(_TRIES):
            try:
                figures = generate_latest(self._collected())
            except struct.error:  # a process that starts has made its file, and written nothing yet
                await asyncio.sleep(_PAUSE_SECONDS)
            else:
                return web.Response(body=figures, headers={"Content-Type": CONTENT_TYPE_LATEST})
        raise Problem(503, "the figures of a process can't be read")

    def _collected(self) -> CollectorRegistry:
        if not self._several:
            return self._registry
        registry = CollectorRegistry()
        _multiprocess.MultiProcessCollector(registry)
        return registry


def count_as(number: int) -> None:
    """Let this process keep what it counts in the files of a number, before `Metrics` is made.

    By itself prometheus-client takes the number of the process: then each process that takes the place of
    another leaves further files, which are read for each reply.
    """
    _values.ValueClass = _values.MultiProcessValue(lambda: number)


def forget_process(number: int, folder: str) -> None:
    """Count a process that has ended no longer among those that have requests under way."""
    _multiprocess.mark_process_dead(number, folder)
