"""One module for each semantic cache that is compared, ours included.

Each has ``connect(place)``, a context manager, async or not, that gives two functions, async or not:
``store``, of a prompt and a response, and ``find``, of a prompt, which returns the response found or None. A
`Place` says what to connect to, has the vectors, and says which of the module's caches is meant.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Place:
    """Where a cache is to be."""

    kind: str
    server: str
    """The URL of a service or of Redis; empty if the cache has neither."""
    folder: Path
    """An empty folder for files."""
    vector: Callable[[str], bytes]
    """The vector of a text, float32."""
