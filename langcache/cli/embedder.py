"""The embedder that options name, and secrets from files and variables."""
# ruff: noqa: T201 (a command line prints)

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..service.embedders import Embedder

__all__ = ["EMBEDDER_HELP", "EMBEDDER_KEY_VARIABLE", "embedder_of", "read_secret", "secret", "warn_if_shared"]

EMBEDDER_KEY_VARIABLE = "LANGCACHE_EMBEDDER_API_KEY"
"""The variable with the key of the embeddings endpoint: other users can see a command line."""

EMBEDDER_HELP = (
    "the model that compares meanings: minilm; wordllama, which is faster and less exact (extra wordllama); "
    "a sentence transformer exported to ONNX, in a folder; or any endpoint that speaks OpenAI's embeddings "
    "API, such as openai:http://localhost:11434/v1, with the key in the variable "
    f"{EMBEDDER_KEY_VARIABLE} (default minilm)"
)


def embedder_of(name: str, model: str | None) -> Embedder:
    """The embedder that ``--embedder`` and ``--embedder-model`` name. Raises `ValueError`, `ImportError`."""
    from ..service import MiniLMEmbedder, OnnxEmbedder, OpenAIEmbedder, WordLlamaEmbedder

    kind, _, place = name.partition(":")
    if kind == "openai" and place:
        if not model:
            raise ValueError(
                "embedder_model: is needed with openai:, say --embedder-model text-embedding-3-small"
            )
        key = secret(EMBEDDER_KEY_VARIABLE, os.environ.get(EMBEDDER_KEY_VARIABLE, ""))
        return _made(OpenAIEmbedder, place, model, key or None)
    if model:
        raise ValueError("embedder_model: is for --embedder openai:URL alone")
    if kind == "onnx" and place:
        return _made(OnnxEmbedder, place)
    if name == "wordllama":
        return WordLlamaEmbedder()
    if name == "minilm":
        return MiniLMEmbedder()
    raise ValueError(
        "embedder: must be minilm, wordllama, onnx:FOLDER, or openai:URL together with --embedder-model, "
        f"but is {name!r}"
    )


def _made(make: Callable[..., Embedder], *arguments: str | None) -> Embedder:
    """An embedder. What it says of its arguments is said of the option that they are parts of."""
    try:
        return make(*arguments)
    except ValueError as error:
        raise ValueError(f"embedder: {error}") from error


def read_secret(where: str, path: Path) -> str:
    """The text of a file with a secret. Raises `ValueError`; warns if other users can read it."""
    try:
        text = path.read_bytes().decode("ascii", "replace")
    except OSError as error:
        raise ValueError(f"{where}: can't read {str(path)!r}: {error.strerror}") from error
    warn_if_shared(path)
    if not text.strip():
        raise ValueError(f"{where}: {str(path)!r} is empty")
    return text


def warn_if_shared(path: Path) -> None:
    """Say so if other users can read a file."""
    mode = path.stat().st_mode
    if os.name == "posix" and stat.S_ISREG(mode) and mode & 0o077:
        # No refusal: what mounts secrets into containers often makes them readable by all there.
        print(f"langcache: other users can read {path}; chmod 600 {path} keeps it yours", file=sys.stderr)


def secret(where: str, text: str) -> str:
    """A key without the white space around it. Raises `ValueError`, which does not hold the key."""
    key = text.strip()
    if not all("!" <= character <= "~" for character in key):
        raise ValueError(f"{where}: the key has a space, a line end or another character that no key has")
    return key
