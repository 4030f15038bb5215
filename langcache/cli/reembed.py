"""``langcache reembed``: another embedder for entries that there are."""
# ruff: noqa: T201 (a command line prints)

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .embedder import EMBEDDER_HELP, embedder_of
from .messages import failed
from .serve_settings import place_of
from .terminal import Progress

if TYPE_CHECKING:
    from ..service.embedders import Embedder

__all__ = ["add_reembed"]

_DESCRIPTION = """\
Embeds the entries of a cache in Redis with another embedder. Services with the former one go on meanwhile;
at the end their calls fail, and services with the new embedder can be started. If it is stopped, the same
command takes it up where it ended. The entries of a --db file, which no service may have open, are embedded
anew all or none; `langcache serve` does the same when it is started with another embedder.
"""


def add_reembed(commands: Any) -> None:
    """Add the command."""
    reembed: argparse.ArgumentParser = commands.add_parser(
        "reembed",
        help="embed the entries of a Redis or a --db file with another embedder",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    reembed.add_argument("--store", metavar="URL", help="the Redis, as in `langcache serve`")
    reembed.add_argument("--store-file", metavar="FILE", help="a file with the URL of that Redis")
    reembed.add_argument("--db", metavar="FILE", help="or the SQLite file")
    reembed.add_argument(
        "--cache-id", metavar="ID", default="local", help="which cache of the Redis (default %(default)s)"
    )
    reembed.add_argument(
        "--embedder",
        required=True,
        metavar="minilm|wordllama|onnx:FOLDER|openai:URL",
        help=f"the new one, {EMBEDDER_HELP.removesuffix(' (default minilm)')}",
    )
    reembed.add_argument("--embedder-model", metavar="MODEL", help="the model to ask an openai: endpoint for")
    reembed.set_defaults(run=_run, parser=reembed)


def _run(options: argparse.Namespace) -> int:
    try:
        from ..service import CacheConfig, EmbedderError, StoreError

        embedder = embedder_of(options.embedder, options.embedder_model)
        store, db = place_of(options)
        CacheConfig(cache_id=options.cache_id)
        if store is None and db is None:
            raise ValueError("--store: name the Redis, or a SQLite file with --db FILE")
        if db is not None and not db.is_file():
            raise ValueError(f"--db: there is no file {str(db)!r}")
    except (ImportError, ValueError) as error:
        return failed(error, options)
    try:
        with Progress("embedded", "prompts") as progress:
            count = asyncio.run(_reembed(embedder, store or db, options.cache_id, progress))
    except (ImportError, EmbedderError, StoreError) as error:
        return failed(error, options)
    said = (
        f"{count} {'entry is' if count == 1 else 'entries are'} embedded"
        if count
        else "There is nothing to embed"
    )
    print(f"{said} with {embedder.name}.")
    return 0


async def _reembed(embedder: Embedder, place: str | Path | None, cache_id: str, progress: Progress) -> int:
    await embedder.start()
    try:
        if isinstance(place, Path):
            from ..service.stores.sqlite import Database

            database = Database(place, embedder, progress=progress)
            await database.open()
            await database.close()
            return database.embedded_anew
        from ..service.stores.redis_reembed import reembed  # needs the extra redis
        from ..service.stores.redis_url import redis_url

        return await reembed(redis_url(place), cache_id, embedder, progress)
    finally:
        await embedder.close()
