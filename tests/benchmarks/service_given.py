"""A service whose vectors are given: ``python service_given.py FOLDER [--db FILE | --store URL]``.

``FOLDER`` has the vectors: a prompt ends with ``entry N`` or ``query N``, and its vector is row N of
``entries.npy`` or of ``queries.npy``. So the stores are measured, and not a model. Prints its URL, and ends
with its standard input.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from langcache.service import CacheConfig, ServerConfig
from langcache.service.server import serving


class Given:
    """Vectors from files, which all services share: they are mapped, not read."""

    name = "given"
    unrelated_cosine = 0.0
    compare_texts = False

    def __init__(self, folder: Path) -> None:
        self._rows: dict[str, Any] = {
            name: np.asarray(np.load(folder / f"{file}.npy", mmap_mode="r"))  # whose rows cost less to make
            for name, file in (("entry", "entries"), ("query", "queries"))
        }
        self.dimensions: int = self._rows["entry"].shape[1]

    async def start(self) -> None:
        """Nothing: the files are open."""

    async def embed(self, texts: Sequence[str]) -> Any:
        """The rows that the texts name."""
        named = (text.rsplit(" ", 2)[1:] for text in texts)
        rows = [self._rows[name][int(number)] for name, number in named]
        return rows[0].reshape(1, -1) if len(rows) == 1 else np.stack(rows)

    async def close(self) -> None:
        """Nothing."""


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--db", type=Path)
    parser.add_argument("--store")
    given = parser.parse_args()
    config = ServerConfig(caches=(CacheConfig(),), db=given.db, store=given.store)
    async with serving(config, Given(given.folder)) as running:
        print(running.url, flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
