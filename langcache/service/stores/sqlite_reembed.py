"""Embeds the prompts of a SQLite file again when another embedder made their vectors."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from ..embedders import Embedder
from ..vectors import embed
from .sqlite_file import SqliteFile
from .sqlite_rows import EmbeddedWith

__all__ = ["embed_again"]

_log = logging.getLogger(__name__)

_AT_ONCE = 64
"""How many prompts are embedded in one call. Every known endpoint accepts as many."""


async def embed_again(
    run: Callable[..., Awaitable[Any]],
    file: SqliteFile,
    embedder: Embedder,
    now: EmbeddedWith,
    progress: Callable[[int, int], None] | None,
) -> int:
    """Replace vectors that another embedder made: all vectors of the file, or none if it fails.

    Args:
        run: calls a method of the file in the file's thread.
        file: the file, open and used by nobody else.
        embedder: makes the new vectors.
        now: what the file is to say of the embedder.
        progress: called with how many prompts are done, and how many there are.

    Returns:
        How many prompts were embedded.
    """
    before = await run(file.embedded_with)
    if before is not None and (before.name, before.dimensions) == (now.name, now.dimensions):
        return 0
    await run(file.begin)
    try:
        count: int = await run(file.count)
        if count:
            _log.warning(
                "%s was made with the embedder %s; embedding its %d prompts anew with %s",
                *(file.path, "that it no longer names" if before is None else before.name),
                *(count, embedder.name),
            )
        last = done = 0
        while rows := await run(file.next_rows, last, _AT_ONCE):
            last = rows[-1].number
            vectors = await embed(embedder, [row.entry.prompt for row in rows])
            renewed = [
                msgspec.structs.replace(row, vector=vector.tobytes())
                for row, vector in zip(rows, vectors, strict=True)
            ]
            await run(file.replace, renewed)
            done += len(rows)
            if progress is not None:
                progress(done, count)
        await run(file.set_embedder, now)
    except BaseException:
        await run(file.end, "ROLLBACK")
        raise
    await run(file.end, "COMMIT")
    return count
