"""``langcache caches``: the caches of a service, by its control plane."""
# ruff: noqa: T201 (a command line prints)

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, cast

from .admin import add_command, add_group
from .settings import time_in_millis
from .terminal import print_json, print_table

if TYPE_CHECKING:
    from ..admin_sync import LangCacheAdmin
    from ..caches import CacheInfo

__all__ = ["add_caches"]

_FOR_EVER = _ANY_NUMBER = -1
_STRATEGIES = ("exact", "semantic")


def add_caches(commands: Any) -> None:
    """Add the command."""
    group = add_group(commands, "caches", "create, list, show, change, delete and empty caches of a service")

    create = add_command(group, "create", "create a cache, and print its id", _create)
    create.add_argument("name", help="1 to 64 characters")
    create.add_argument(
        "--attribute",
        metavar="NAME",
        action="append",
        dest="attributes",
        default=[],
        help="an attribute that entries may have, which can't be changed later; give it once for each",
    )
    create.add_argument(
        "--database-id", metavar="ID", default="default", help="a database of the vendor's service"
    )
    _add_settings(create)

    add_command(group, "list", "list all caches", _list)
    for name, help_, work in (
        ("show", "show one cache", _show),
        ("flush", "delete all entries of a cache, and not the cache", _flush),
    ):
        add_command(group, name, help_, work).add_argument("cache_id", metavar="ID")

    change = add_command(group, "change", "change what a cache does by default", _change)
    change.add_argument("cache_id", metavar="ID")
    _add_settings(change)

    delete = add_command(group, "delete", "delete a cache, with its entries", _delete)
    delete.add_argument("cache_id", metavar="ID")
    delete.add_argument("--keep-entries", action="store_true", help="leave the entries in the database")


def _add_settings(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--threshold", type=float, metavar="NUMBER", help="similarity asked for by default, 0 to 1"
    )
    command.add_argument(
        "--ttl",
        type=_ttl,
        metavar="TIME",
        help="how long entries live by default, in milliseconds or as 500ms, 90s, 15m, 24h, 7d, or 'never'",
    )
    command.add_argument(
        "--strategy",
        action="append",
        dest="strategies",
        choices=_STRATEGIES,
        help="how to search by default; give it twice for both, in order",
    )
    command.add_argument(
        "--max-entries",
        type=_max_entries,
        metavar="NUMBER",
        help="how many entries there may be, the newest, or 'any'; not for the vendor's service",
    )


def _max_entries(text: str) -> int:
    if text == "any":
        return _ANY_NUMBER
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError("must be a whole number from 1 on, or any")
    return number


def _ttl(text: str) -> int:
    if text == "never":
        return _FOR_EVER
    try:
        return time_in_millis(text)  # not 0, which stands for never in the control plane
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}, or never") from None


def _create(admin: LangCacheAdmin, options: argparse.Namespace) -> None:
    settings: dict[str, Any] = {}
    if options.threshold is not None:
        settings["default_search_threshold"] = options.threshold
    created = admin.create_cache(
        options.name,
        attributes=options.attributes,
        default_ttl_millis=options.ttl,
        search_strategies=options.strategies,
        max_entries=options.max_entries,
        database_id=options.database_id,
        **settings,
    )
    if options.json:
        print_json(created)
    else:
        print(created.cache_id)


def _list(admin: LangCacheAdmin, options: argparse.Namespace) -> None:
    caches = admin.list_caches()
    if options.json:
        print_json(caches)
        return
    rows = [(cache.cache_id, cache.name, cache.status.value, *_shown(cache)) for cache in caches]
    print_table([("ID", "NAME", "STATUS", "THRESHOLD", "TTL", "ATTRIBUTES"), *rows])


def _show(admin: LangCacheAdmin, options: argparse.Namespace) -> None:
    cache = admin.get_cache(options.cache_id)
    if options.json:
        print_json(cache)
        return
    for name, value in cache.model_dump(mode="json", exclude_none=True).items():
        print(f"{name.replace('_', ' ')}: {_line(value)}")


def _line(value: object) -> str:
    return ", ".join(map(str, cast("list[object]", value))) if isinstance(value, list) else f"{value}"


def _change(admin: LangCacheAdmin, options: argparse.Namespace) -> None:
    given = (options.threshold, options.ttl, options.strategies, options.max_entries)
    if all(each is None for each in given):
        raise ValueError("change: give --threshold, --ttl, --strategy or --max-entries")
    admin.update_cache(
        options.cache_id,
        default_search_threshold=options.threshold,
        default_ttl_millis=options.ttl,
        search_strategies=options.strategies,
        max_entries=options.max_entries,
    )
    _done(options, "changed")


def _delete(admin: LangCacheAdmin, options: argparse.Namespace) -> None:
    admin.delete_cache(options.cache_id, flush=not options.keep_entries)
    _done(options, "deleted")


def _flush(admin: LangCacheAdmin, options: argparse.Namespace) -> None:
    admin.flush_cache(options.cache_id)
    _done(options, "emptied")


def _done(options: argparse.Namespace, what: str) -> None:
    if not options.json:
        print(f"The cache {options.cache_id} is {what}.")


def _shown(cache: CacheInfo) -> tuple[str, str, str]:
    threshold, ttl = cache.default_search_threshold, cache.default_ttl_millis
    return (
        "" if threshold is None else f"{threshold:g}",
        f"{ttl} ms" if ttl is not None and ttl > 0 else "never",
        ",".join(cache.attributes or ()),
    )
