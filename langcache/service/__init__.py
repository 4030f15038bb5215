"""A LangCache service for your own machine: `LocalServer`, its settings and its embedders.

Needs the extra ``local``: ``pip install '.[local]'`` in a checkout of langcache. A name is imported only when
it is first used, so that the pytest plugin costs nothing to those who don't use it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_names

if TYPE_CHECKING:
    from .config import CacheConfig, ServerConfig
    from .embedders import (
        Embedder,
        EmbedderError,
        MiniLMEmbedder,
        OnnxEmbedder,
        OpenAIEmbedder,
        WordLlamaEmbedder,
        WordVectors,
    )
    from .server import LocalServer
    from .stores.store import StoreError

__all__ = [
    "CacheConfig",
    "Embedder",
    "EmbedderError",
    "LocalServer",
    "MiniLMEmbedder",
    "OnnxEmbedder",
    "OpenAIEmbedder",
    "ServerConfig",
    "StoreError",
    "WordLlamaEmbedder",
    "WordVectors",
]

_MODULE_OF = {
    "CacheConfig": "config",
    "Embedder": "embedders",
    "EmbedderError": "embedders",
    "LocalServer": "server",
    "MiniLMEmbedder": "embedders",
    "OnnxEmbedder": "embedders",
    "OpenAIEmbedder": "embedders",
    "ServerConfig": "config",
    "StoreError": "stores.store",
    "WordLlamaEmbedder": "embedders",
    "WordVectors": "embedders",
}

_load = lazy_names(__name__, _MODULE_OF)

if not TYPE_CHECKING:  # a type checker that saw this would take every name for an existing one

    def __getattr__(name: str) -> object:
        try:
            return _load(name)
        except ModuleNotFoundError as error:
            if error.name != "numpy":
                raise
            raise missing_extra("numpy") from error


def missing_extra(package: str, extra: str = "local") -> ImportError:
    """The error that says how to install what the local service needs."""
    return ImportError(
        f"langcache.service needs the package {package!r}; install it with: pip install '.[{extra}]' in a "
        f"checkout of langcache, or pip install '/path/to/checkout[{extra}]' from anywhere else",
        name=package,
    )
