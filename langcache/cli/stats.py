"""``langcache stats``: figures of a service, or of what keeps its entries."""

from __future__ import annotations

import argparse
import asyncio
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

from .client import add_client_command, settings_of
from .embedder import read_secret, secret
from .messages import CommandError
from .place import add_place_options, is_given, place_given
from .terminal import one_line, print_json, print_table

__all__ = ["add_stats"]

_DESCRIPTION = """\
Shows the searches of a cache, hits and misses, from the figures of a service that was started with --metrics
or with a key for them; or with --db or --store how many entries a cache has, read from what keeps them.
"""

_KEY_VARIABLE = "LANGCACHE_METRICS_KEY"
_SEARCHES = re.compile(
    r'^langcache_searches_total\{cache="(?P<cache>[^"]*)",result="(?P<result>\w+)"\} (?P<n>\S+)$'
)
_REQUESTS = re.compile(
    r'^langcache_requests_total\{operation="(?P<operation>[^"]*)",status="(?P<status>\d+)"\} (?P<n>\S+)$'
)
_TIMEOUT_MS = 10_000


def add_stats(commands: Any) -> None:
    """Add the command."""
    stats = add_client_command(commands, "stats", "show figures of a cache", _stats, _DESCRIPTION)
    stats.add_argument(
        "--metrics-key-file",
        type=Path,
        metavar="FILE",
        help=f"a file with the key for figures, if they have one (default: {_KEY_VARIABLE})",
    )
    add_place_options(stats)


def _stats(options: argparse.Namespace) -> int:
    figures = asyncio.run(_of_place(options) if is_given(options) else _of_service(options))
    if options.json:
        print_json(figures)
    else:
        print_table([(name.replace("_", " "), _shown(value)) for name, value in figures.items()])
    return 0


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{one_line(f'{name}')} {_shown(each)}" for name, each in value.items()) or "none"  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, float):
        return f"{value:.1%}"
    return f"{value:,}" if isinstance(value, int) else one_line(f"{value}")


async def _of_place(options: argparse.Namespace) -> dict[str, Any]:
    from ..service.stores.listing import listing

    place, cache_id = place_given(options)
    entries = expiring = chars = 0
    prompts: set[int] = set()
    attributes: Counter[str] = Counter()
    async with listing(place, cache_id) as listed:
        async for entry in listed.entries:
            entries += 1
            expiring += entry.expires_at is not None
            chars += len(entry.prompt) + len(entry.response)
            prompts.add(hash(entry.prompt.casefold()))
            attributes.update([*entry.attributes])
        embedder = listed.embedder
    return {
        "cache": cache_id,
        "embedder": embedder or "unknown",
        "entries": entries,
        "different_prompts": len(prompts),
        "that_expire": expiring,
        "characters": chars,
        "entries_with_attribute": dict(attributes),
    }


async def _of_service(options: argparse.Namespace) -> dict[str, Any]:
    from .._call.head import authorization
    from ..client import AsyncLangCache
    from .probe import Probe

    headers: dict[str, str] = {}
    if key := _key(options):
        headers["Authorization"] = authorization(key)
    probe = Probe()
    async with AsyncLangCache(*settings_of(options), client=probe.begin, timeout_ms=_TIMEOUT_MS) as cache:
        await cache.health()  # since a cache that there is not has as few figures as one without searches
        url, cache_id = f"{probe.root}/metrics", probe.cache_id
        reply = await probe.request("GET", url, headers=headers, content=None, timeout=_TIMEOUT_MS / 1000)
    text = reply.content.decode("utf-8", "replace")
    if reply.status_code == 401:
        raise CommandError(
            f"the service gives its figures for a key alone: --metrics-key-file FILE, or {_KEY_VARIABLE}"
        )
    if reply.status_code != 200 or "langcache_" not in text:
        raise CommandError(
            "the service gives no figures; `langcache serve` does with --metrics, and --db FILE or --store "
            "URL here count what it keeps"
        )
    return _figures(text, cache_id)


def _key(options: argparse.Namespace) -> str:
    if options.metrics_key_file is not None:
        return secret("--metrics-key-file", read_secret("--metrics-key-file", options.metrics_key_file))
    return secret(_KEY_VARIABLE, os.environ.get(_KEY_VARIABLE, ""))


def _figures(text: str, cache_id: str) -> dict[str, Any]:
    found: Counter[str] = Counter()
    requests: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    for line in text.splitlines():
        if (searches := _SEARCHES.match(line)) and searches["cache"] == cache_id:
            found[searches["result"]] += int(float(searches["n"]))
        elif asked := _REQUESTS.match(line):
            requests[asked["operation"]] += int(float(asked["n"]))
            if int(asked["status"]) >= 400:
                failed[asked["status"]] += int(float(asked["n"]))
    total = found["hit"] + found["miss"]
    return {
        "cache": cache_id,
        "searches": total,
        "hits": found["hit"],
        "misses": found["miss"],
        "hit_rate": found["hit"] / total if total else 0.0,
        "requests_of_all_caches": dict(requests),
        "errors_by_status": dict(failed),
    }
