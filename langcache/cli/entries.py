"""``langcache search``, ``set``, ``delete`` and ``flush``: one operation on a cache."""
# ruff: noqa: T201 (a command line prints)

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from .client import MISS, add_attributes, add_client_command, attributes_of, settings_of
from .messages import CommandError
from .settings import time_in_millis
from .terminal import Colours, one_line, print_json, printable, stdin_text

if TYPE_CHECKING:
    from ..models import CacheEntry
    from ..sync import LangCache

__all__ = ["add_entries"]


def add_entries(commands: Any) -> None:
    """Add the commands."""
    search = add_client_command(
        commands,
        "search",
        "find the answer to a question",
        _search,
        f"Finds the answer to a question. The exit status is {MISS} if there is none.",
    )
    search.add_argument("prompt", metavar="PROMPT", help="the question, or - to read it from stdin")
    search.add_argument(
        "--threshold",
        type=float,
        metavar="NUMBER",
        help="similarity asked for, 0 to 1 (default: the cache's)",
    )
    search.add_argument(
        "--strategy",
        action="append",
        dest="strategies",
        choices=("exact", "semantic"),
        help="how to search; give it twice for both, in order (default: semantic)",
    )
    search.add_argument(
        "--max-results", type=int, metavar="NUMBER", help="how many entries at most (default 1)"
    )
    add_attributes(search, "find only entries with this attribute")

    store = add_client_command(commands, "set", "store an answer, and print its id", _set)
    store.add_argument("prompt", metavar="PROMPT", help="the question, or - to read it from stdin")
    store.add_argument("response", metavar="RESPONSE", help="the answer, or - to read it from stdin")
    store.add_argument(
        "--ttl",
        type=time_in_millis,
        metavar="TIME",
        help="how long to keep it, in milliseconds or as 500ms, 90s, 15m, 24h, 7d (default: the cache's)",
    )
    add_attributes(store, "an attribute of the entry")

    delete = add_client_command(
        commands,
        "delete",
        "delete entries by id or by attributes",
        _delete,
        f"Deletes entries by id, or those that have all the attributes. The exit status is {MISS} if "
        "there is none.",
    )
    delete.add_argument("ids", nargs="*", metavar="ID", help="the id of an entry, as set and search print it")
    add_attributes(delete, "delete the entries with this attribute")

    flush = add_client_command(commands, "flush", "delete all entries of a cache", _flush)
    flush.add_argument("--yes", action="store_true", help="do not ask whether it is meant")


def _client(options: argparse.Namespace) -> LangCache:
    from ..sync import LangCache

    return LangCache(*settings_of(options))


def _text(argument: str) -> str:
    """An argument, or what stdin has in place of ``-``, without the line end after it."""
    return stdin_text() if argument == "-" else argument


def _search(options: argparse.Namespace) -> int:
    with _client(options) as cache:
        found = cache.search(
            _text(options.prompt),
            similarity_threshold=options.threshold,
            search_strategies=options.strategies,
            attributes=attributes_of(options),
            max_results=options.max_results,
        )
    if options.json:
        print_json(found)
    elif found:
        print("\n".join(_shown(entry, Colours(sys.stdout)) for entry in found))
    else:
        print(Colours(sys.stdout).doubtful("miss"))
    return 0 if found else MISS


def _shown(entry: CacheEntry, colours: Colours) -> str:
    head = f"{colours.good('hit')}  {entry.similarity:.3f}  {one_line(entry.prompt)}"
    more = "".join(f"  {one_line(name)}={one_line(value)}" for name, value in entry.attributes.items())
    lines = [f"  {line}" for line in printable(entry.response).splitlines()]
    return "\n".join([head, *lines, colours.dim(f"  id {one_line(entry.id)}{more}")])


def _set(options: argparse.Namespace) -> int:
    if options.prompt == options.response == "-":
        raise ValueError("-: stdin has the question or the answer; give the other as an argument")
    with _client(options) as cache:
        stored = cache.set(
            _text(options.prompt),
            _text(options.response),
            attributes=attributes_of(options),
            ttl_millis=options.ttl,
        )
    if options.json:
        print_json(stored)
    else:
        print(one_line(stored.entry_id))
    return 0


def _delete(options: argparse.Namespace) -> int:
    from ..errors import NotFoundError

    attributes = attributes_of(options)
    if bool(options.ids) == bool(attributes):
        raise ValueError("delete: give ids, or --attribute; to delete all entries there is flush")
    missing: list[str] = []
    with _client(options) as cache:
        if attributes:
            count = cache.delete_query(attributes).deleted_entries_count
        else:
            for entry_id in options.ids:
                try:
                    cache.delete_by_id(entry_id)
                except NotFoundError as error:
                    if not _is_of_entry(error):
                        raise
                    missing.append(entry_id)
            count = len(options.ids) - len(missing)
    if options.json:
        print_json({"deletedEntriesCount": count})
    else:
        print(f"Deleted {_entries(count)}.")
    for entry_id in missing:
        print(f"langcache: there is no entry {entry_id}", file=sys.stderr)
    return 0 if count and not missing else MISS


def _is_of_entry(error: Any) -> bool:
    """Whether a 404 says that there is no entry, and not that there is no cache or no service."""
    return "entry" in f"{error.data.type} {error.data.title} {error.data.detail}".lower()


def _flush(options: argparse.Namespace) -> int:
    with _client(options) as cache:
        if not options.yes:
            _confirm(f"Delete all entries of {cache!r}?")
        cache.flush()
    if not options.json:
        print("All entries are deleted.")
    return 0


def _confirm(question: str) -> None:
    """Ask at a terminal. Raises `ValueError` without one, and `CommandError` if the answer is no."""
    if not (sys.stdin and sys.stdin.isatty()):
        raise ValueError("flush: deletes all entries; say --yes if that is meant")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CommandError("flush: nothing was deleted")


def _entries(count: int) -> str:
    return f"{count:,} {'entry' if count == 1 else 'entries'}"
