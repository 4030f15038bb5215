"""The client that commands use: its options, its settings, and what its errors are called here."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .embedder import read_secret, secret
from .messages import CommandError, failed
from .parser import Parser

if TYPE_CHECKING:
    from ..aside.entries import Entries
    from ..client import AsyncLangCache
    from ..retries import RetryConfig

__all__ = [
    "MISS",
    "ClientSettings",
    "add_attributes",
    "add_client_command",
    "add_client_options",
    "attributes_of",
    "entries_of",
    "patient",
    "settings_of",
]

MISS = 3
"""The exit status if all went well and nothing was found."""

_EPILOG = """\
The service is the one that clients use: at --server-url or in the variable LANGCACHE_SERVER_URL, with the key
in --api-key-file or LANGCACHE_API_KEY, and the cache in --cache-id or LANGCACHE_CACHE_ID.
"""

Work = Callable[[argparse.Namespace], int]


class ClientSettings(NamedTuple):
    """Arguments of a client. None: that of the environment."""

    server_url: str | None
    api_key: str | None
    cache_id: str | None


def add_client_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which cache of which service."""
    parser.add_argument("--server-url", metavar="URL", help="the service (default: LANGCACHE_SERVER_URL)")
    parser.add_argument(
        "--api-key-file", type=Path, metavar="FILE", help="a file with the key (default: LANGCACHE_API_KEY)"
    )
    parser.add_argument("--cache-id", metavar="ID", help="the cache (default: LANGCACHE_CACHE_ID)")


def add_client_command(commands: Any, name: str, help: str, work: Work, description: str = "") -> Parser:
    """Add a command that uses a cache. Errors that may happen are said in one line."""
    command: Parser = commands.add_parser(
        name,
        help=help,
        description=description or f"{help[0].upper()}{help[1:]}.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_client_options(command)
    command.add_argument("--json", action="store_true", help="print JSON, for programs")
    command.set_defaults(run=functools.partial(_run, work), parser=command)
    return command


def settings_of(options: argparse.Namespace) -> ClientSettings:
    """What a client is made with. Raises `ValueError`."""
    key = None
    if options.api_key_file is not None:
        key = secret("--api-key-file", read_secret("--api-key-file", options.api_key_file))
    return ClientSettings(options.server_url, key, options.cache_id)


def entries_of(cache: AsyncLangCache) -> Entries:
    """What asks for all entries of a prompt."""
    from ..aside.entries import Entries

    return Entries(cache._caller, cache._limits, frozenset(), lambda: None)


def patient() -> RetryConfig:
    """For commands that make many calls: a service that is busy is waited for, for a minute at most."""
    from ..retries import BackoffStrategy, RetryConfig

    waits = BackoffStrategy(initial_interval=500, max_interval=10_000, exponent=2, max_elapsed_time=60_000)
    return RetryConfig("backoff", waits)


def add_attributes(command: argparse.ArgumentParser, help: str) -> None:
    """Add the option ``--attribute``, which `attributes_of` reads."""
    command.add_argument(
        "--attribute",
        type=_attribute,
        metavar="NAME=VALUE",
        action="append",
        dest="attributes",
        default=[],
        help=f"{help}; give it once for each",
    )


def _attribute(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"must be NAME=VALUE, but is {text!r}")
    return name, value


def attributes_of(options: argparse.Namespace) -> dict[str, str]:
    """What several ``--attribute`` say together. Raises `ValueError`."""
    found: dict[str, str] = {}
    for name, value in options.attributes:
        if name in found:
            raise ValueError(f"--attribute: {name} is given twice")
        found[name] = value
    return found


def _run(work: Work, options: argparse.Namespace) -> int:
    from ..errors import LangCacheError

    expected: tuple[type[Exception], ...] = (
        *(LangCacheError, CommandError, ValueError, OverflowError, ImportError),
    )
    if (store_errors := _store_errors(options)) is not None:
        expected = (*expected, *store_errors)
    try:
        return work(options)
    except expected as error:  # of an `OSError`, which may be of the output, `main` tells
        return failed(error, options)


def _store_errors(options: argparse.Namespace) -> tuple[type[Exception], ...] | None:
    """Those of entries in a store, for a command that has such options."""
    if not hasattr(options, "store"):
        return None
    try:
        from ..service import EmbedderError, StoreError
    except ImportError:  # then the command can't get that far
        return None
    return StoreError, EmbedderError
