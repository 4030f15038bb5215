"""``langcache keys``: the keys that open the caches of a service."""
# ruff: noqa: T201 (a command line prints)

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from .admin import add_command, add_group
from .terminal import print_json, print_table

if TYPE_CHECKING:
    from ..admin_sync import LangCacheAdmin
    from ..caches import KeyInfo, NewKey

__all__ = ["add_keys"]


def add_keys(commands: Any) -> None:
    """Add the command."""
    group = add_group(commands, "keys", "create, list, rotate and revoke keys for the caches of a service")

    create = add_command(group, "create", "make a key, and print it: it is not told again", _create)
    create.add_argument("cache_ids", metavar="CACHE", nargs="+", help="the id of a cache that it opens")
    create.add_argument("--name", default="key", help="a name to know it by (default %(default)s)")
    rights = create.add_mutually_exclusive_group()
    rights.add_argument("--read-only", action="store_true", help="it searches, and changes nothing")
    rights.add_argument("--write-only", action="store_true", help="it stores and deletes, and searches not")

    listed = add_command(group, "list", "list keys, without the keys themselves", _list)
    listed.add_argument("cache_id", metavar="CACHE", nargs="?", help="only those that open this cache")

    rotate = add_command(group, "rotate", "make another key in place of one, and print it", _rotate)
    rotate.add_argument("key_id", metavar="ID")

    revoke = add_command(group, "revoke", "delete a key: it opens nothing any longer", _revoke)
    revoke.add_argument("key_id", metavar="ID")


def _create(admin: LangCacheAdmin, options: argparse.Namespace) -> None:
    actions = [
        *(() if options.write_only else ("read",)),
        *(() if options.read_only else ("write",)),
    ]
    _print_new(admin.create_key(options.name, dict.fromkeys(options.cache_ids, actions)), options)


def _list(admin: LangCacheAdmin, options: argparse.Namespace) -> None:
    keys = [key for key in admin.list_keys() if options.cache_id in (None, *_caches_of(key))]
    if options.json:
        print_json(keys)
        return
    rows = [
        (
            key.key_id,
            key.name or "",
            f"{key.created_at:%Y-%m-%d %H:%M}" if key.created_at else "",
            " ".join(f"{grant.resource_id}:{'+'.join(grant.actions)}" for grant in key.grants or ()),
        )
        for key in keys
    ]
    print_table([("ID", "NAME", "CREATED", "CACHES"), *rows])


def _rotate(admin: LangCacheAdmin, options: argparse.Namespace) -> None:
    _print_new(admin.rotate_key(options.key_id), options)


def _revoke(admin: LangCacheAdmin, options: argparse.Namespace) -> None:
    admin.revoke_key(options.key_id)
    if not options.json:
        print(f"The key {options.key_id} is revoked.")


def _print_new(key: NewKey, options: argparse.Namespace) -> None:
    if options.json:
        print_json(key)
        return
    print(f"The id of the key is {key.key_id}.", file=sys.stderr)  # so that the key alone can go into a file
    print(key.token)


def _caches_of(key: KeyInfo) -> list[str]:
    return [grant.resource_id for grant in key.grants or ()]
