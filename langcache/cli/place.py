"""The place of entries that commands read or fill without a service: a SQLite file, or a Redis."""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from .client import ClientSettings
from .embedder import EMBEDDER_HELP, embedder_of
from .serve_settings import place_of

__all__ = ["add_embedder_options", "add_place_options", "is_given", "own_service", "place_given"]

_DEFAULT_CACHE_ID = "local"


def add_place_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that name a place."""
    parser.add_argument(
        "--db", metavar="FILE", help="a SQLite file that keeps entries, in place of a service"
    )
    parser.add_argument("--store", metavar="URL", help="or a Redis, as in `langcache serve`")
    parser.add_argument("--store-file", metavar="FILE", help="a file with the URL of that Redis")


def add_embedder_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that name the embedder of entries in a place."""
    parser.add_argument(
        "--embedder", default="minilm", metavar="NAME", help=f"with --db and --store: {EMBEDDER_HELP}"
    )
    parser.add_argument("--embedder-model", metavar="MODEL", help="the model to ask an openai: endpoint for")


def is_given(options: argparse.Namespace) -> bool:
    """Whether an option names a place."""
    return any(each is not None for each in (options.db, options.store, options.store_file))


def place_given(options: argparse.Namespace) -> tuple[Path | str, str]:
    """The place that options or the variables of ``serve`` name, and the cache's id. Raises `ValueError`."""
    store, db = place_of(options)
    place = store or db
    if place is None:
        raise ValueError("--db: name the SQLite file, or a Redis with --store URL")
    if options.server_url is not None:
        raise ValueError("--server-url: names a service, and entries are kept elsewhere; give one of the two")
    cache_id = options.cache_id or os.environ.get("LANGCACHE_CACHE_ID", "").strip()
    return place, cache_id or _DEFAULT_CACHE_ID


@contextlib.contextmanager
def own_service(
    options: argparse.Namespace, attributes: Sequence[str]
) -> Generator[ClientSettings, None, None]:
    """Run a service of our own on the place that options name, for as long as this lasts.

    Raises `ValueError`, `StoreError` if the place can't be used, and `EmbedderError`.
    """
    from ..service import LocalServer
    from ..service.stores.store import StoreError

    place, cache_id = place_given(options)
    embedder = embedder_of(options.embedder, options.embedder_model)
    made_with = _embedder_of(place)
    if made_with not in ("", embedder.name):
        raise StoreError(
            f"the entries of {place} are embedded with {made_with}, and not with {embedder.name}; name the "
            "same one with --embedder, or embed them anew: langcache reembed"
        )
    key = secrets.token_urlsafe()
    where: Any = {"db": place} if isinstance(place, Path) else {"store": place}
    with LocalServer(attributes, cache_id=cache_id, api_key=key, embedder=embedder, **where) as server:
        yield ClientSettings(server.url, key, cache_id)


def _embedder_of(place: Path | str) -> str:
    """What has embedded the entries of a file, which would else be embedded anew. Redis says so by itself."""
    from ..service.stores.listing import file_embedder

    return file_embedder(place) if isinstance(place, Path) and place.exists() else ""
