"""The `Embedder` protocol, which turns texts into vectors; a model in this process; a model behind HTTP."""

from __future__ import annotations

import asyncio
import logging
import platform
import re
import sys
import sysconfig
import threading
import unicodedata
from collections.abc import Sequence
from functools import cache
from http import HTTPStatus
from importlib import import_module
from itertools import zip_longest
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import msgspec
import numpy as np
from numpy.typing import NDArray
from yarl import URL

from . import missing_extra

__all__ = ["Embedder", "EmbedderError", "OpenAIEmbedder", "Vectors", "WordLlamaEmbedder"]

Vectors = NDArray[np.float32]


class EmbedderError(Exception):
    """A text could not be embedded. The service answers 424."""


class Embedder(Protocol):
    """What the local service needs of a sentence-embedding model. An embedder works for one server at a time.

    An embedder may have one more method, ``can_read(text: str) -> bool``, which is called after `start`. A
    text for which it gives false, such as one in a language that the model does not know, is stored and found
    by exact search, but never by meaning. Without the method every text counts as readable.
    """

    @property
    def name(self) -> str:
        """The name of the model. Vectors of embedders with different names are never compared.

        Change it with whatever changes the vectors, or which texts can be read.
        """
        ...

    @property
    def dimensions(self) -> int:
        """The length of a vector. Valid after `start` has returned."""
        ...

    async def start(self) -> None:
        """Get ready, in the event loop that will call `embed`. Raises whatever keeps it from working."""
        ...

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """One float32 vector of length 1 for each text, as the rows of an array.

        A row of zeros is for a text that is similar to none. Raises `EmbedderError`.
        """
        ...

    async def close(self) -> None:
        """Release what `start` opened. May be called without `start`, and twice."""
        ...


class WordLlamaEmbedder:
    """WordLlama (256 dimensions): a static model whose weights are installed with its package.

    A prompt takes about 0.1 ms on one core, without a network. Case, spacing and the encoding of accents make
    no difference. The model knows words but not their order, so prompts that differ in one word, such as
    "enable" and "disable", look alike to it. It reads English, most European languages that are written in
    Latin or Cyrillic letters, and much Chinese; `can_read` tells. docs/local-service.md has figures.

    `start` raises `ImportError` where the extra ``local`` is missing, and on a Python for which the package
    ``wordllama`` has no wheels: it has some for CPython 3.10 to 3.13, free-threaded builds excepted.
    """

    name = "wordllama/l2_supercat_256-uncased-2"  # 2: without vectors for what it can't read
    dimensions = 256

    def __init__(self) -> None:
        self._model: Any = None

    async def start(self) -> None:
        """Load the model, which takes about a second. A process loads it once and shares it."""
        self._model = await asyncio.to_thread(_wordllama)

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder.embed`. Runs in the event loop: passing the work to a thread would take longer."""
        return unit_rows(self._model.embed([_folded(text) for text in _several(texts)]))

    def can_read(self, text: str) -> bool:
        """Whether the model has pieces of words for at least 60 % of the letters of a text.

        A Chinese character is a word; one that the model lacks counts half. A text without letters can't be
        read, and neither can a text in a script that the model spells letter by letter: the mean of the
        vectors of single letters is much the same whatever the text says.
        """
        folded = _folded(text)
        pieces = self._model.tokenizer.encode(folded, add_special_tokens=False).tokens
        read = chinese = 0
        for piece, next_piece in zip_longest(pieces, pieces[1:], fillvalue=""):
            letters, is_chinese = _letters_of(piece)
            chinese += is_chinese
            if letters > 1 or is_chinese or (letters and piece[0] == _SPACE and not _letter(next_piece[:1])):
                read += letters
        # A Chinese character that the model does not know is three bytes, which still tell it from others.
        unknown_chinese = sum(map(_chinese, folded)) - chinese
        return read > 0 and read >= _READABLE_SHARE * (sum(map(_letter, folded)) - unknown_chinese / 2)

    async def close(self) -> None:
        """Does nothing: the model stays loaded for the next server of this process."""


_READABLE_SHARE = 0.6
"""Measured with the questions in quality_languages.tsv: below it, unrelated questions begin to hit."""

_SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
"""What the tokenizer puts in place of a space."""


def _several(texts: Sequence[str]) -> list[str]:
    if isinstance(texts, str):
        raise TypeError("texts: must be a list of texts, but is one str")
    return list(texts)


def _folded(text: str) -> str:
    # The model has a vector for each of "Spain", "spain" and "SPAIN", and they are far apart. After a change
    # here the embedder needs another name, or old vectors in files would be compared with new ones.
    return " ".join(unicodedata.normalize("NFC", text.casefold()).split())


@cache  # at most one for each of the model's 32,000 pieces
def _letters_of(piece: str) -> tuple[int, bool]:
    """The number of letters in a piece of the tokenizer's, and whether the piece is a Chinese character."""
    if _BYTE.fullmatch(piece):
        return 0, False
    text = piece.strip(_SPACE)
    return sum(map(_letter, text)), len(text) == 1 and _chinese(text)


_BYTE = re.compile("<0x[0-9A-F]{2}>")
"""A piece that is one byte of a character that the model does not know."""


def _letter(character: str) -> bool:
    # Marks belong to letters, and pictures such as emoji stand for words. "▁" is a picture to Unicode.
    category = unicodedata.category(character) if character else ""
    return category[:1] in ("L", "M") or (category == "So" and character != _SPACE)


def _chinese(character: str) -> bool:
    return "\u3400" <= character <= "\u9fff"


_wordllama_model: Any = None
_wordllama_lock = threading.Lock()


def _wordllama() -> Any:
    """The WordLlama model of this process."""
    global _wordllama_model
    with _wordllama_lock:
        if _wordllama_model is None:
            package = _import_quietly("wordllama")
            # Without cache_dir, it looks for the tokenizer in a folder that does not exist and downloads it.
            _wordllama_model = package.WordLlama.load(
                cache_dir=Path(package.__file__).parent, disable_download=True
            )
        return _wordllama_model


def _import_quietly(package: str) -> Any:
    """Import a package that sets up the root logger on import, and restore the root logger."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        return import_module(package)
    except ImportError as error:
        python = _python_without_wheels()
        if python is not None:
            raise _no_wheels(package, python) from error
        if not isinstance(error, ModuleNotFoundError):
            raise
        raise missing_extra(error.name or package) from error
    finally:
        for handler in [handler for handler in root.handlers if handler not in handlers]:
            root.removeHandler(handler)
        root.setLevel(level)


def _python_without_wheels() -> str | None:
    """The name and version of this Python if WordLlama has no wheels for it, None if it has."""
    name = platform.python_implementation()
    version = ".".join(map(str, sys.version_info[:2]))
    free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    if name == "CPython" and sys.version_info[:2] < _FIRST_WITHOUT_WHEELS and not free_threaded:
        return None
    return f"{name} {version}" + " free-threaded" * free_threaded


_FIRST_WITHOUT_WHEELS = (3, 14)


def _no_wheels(package: str, python: str) -> ImportError:
    return ImportError(
        f"the default embedder needs the package {package!r}, which has no wheels for {python}; "
        "use Python 3.13, or an embeddings endpoint that speaks OpenAI's API: "
        "`python -m langcache serve --embedder openai:URL --embedder-model MODEL`, "
        "or `LocalServer(embedder=OpenAIEmbedder(url, model))`",
        name=package,
    )


class _Embedding(msgspec.Struct):
    embedding: list[float]
    index: int = 0


class _Embeddings(msgspec.Struct):
    data: list[_Embedding]


_decode_embeddings = msgspec.json.Decoder(_Embeddings).decode


class OpenAIEmbedder:
    """Any endpoint that speaks OpenAI's embeddings API: OpenAI, Azure, Ollama, vLLM, LM Studio and others.

    ``url`` is the address without ``/embeddings``, such as ``https://api.openai.com/v1``. ``api_key`` may be
    None if the endpoint needs no key. ``timeout`` is the limit for one request, in seconds (default 10).
    Raises `ValueError` for what can't be the URL of an endpoint, for a key with a character that no key has,
    for a key along with a user in the URL, and for an empty ``model``. Methods raise `EmbedderError`. No
    message contains the key, a user or password, or what the endpoint says in its reply.
    """

    def __init__(self, url: str, model: str, api_key: str | None = None, *, timeout: float = 10.0) -> None:
        if not url.lower().startswith(("https://", "http://")):
            raise ValueError("url: must begin with https:// or http://")
        parsed = _url(f"{url.rstrip('/')}/embeddings")
        if parsed is None:  # raised here, so that the parser's error, which has the URL, is not its context
            raise ValueError(
                "url: must be a URL such as https://host[:port]/v1; its user, host or port can't be one "
                "(in a password, # / ? and [ are written as %23 %2F %3F and %5B), and it ends with its path"
            )
        if api_key and not _KEY.fullmatch(api_key):
            raise ValueError(
                "api_key: has a character that no key has (a space or line end around it, perhaps)"
            )
        if api_key and (parsed.user is not None or parsed.password is not None):
            raise ValueError("api_key: can't be given along with a user or password in the url")
        if not model:
            raise ValueError("model: is empty")
        self.name: str = f"openai/{model}"
        self.dimensions: int = 0
        self._url = parsed
        self._model = model
        self._headers = {"Content-Type": "application/json"}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Open a session and embed one word, to test the endpoint and to learn the length of its vectors."""
        self._session = aiohttp.ClientSession(timeout=self._timeout, headers=self._headers)
        self.dimensions = int((await self.embed(["hello"])).shape[1])

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder.embed`."""
        if self._session is None:
            raise EmbedderError("the embedder was not started")
        body = msgspec.json.encode(
            {"model": self._model, "input": _several(texts), "encoding_format": "float"}
        )
        try:
            async with self._session.post(self._url, data=body, allow_redirects=False) as reply:
                if reply.status != 200:
                    # Without the body and the reason in the reply: a provider may quote the key there.
                    raise EmbedderError(f"the embeddings endpoint answered {_status(reply.status)}")
                content = await reply.read()
        except asyncio.TimeoutError as error:
            raise EmbedderError(
                f"the embeddings endpoint gave no answer in {self._timeout.total} seconds"
            ) from error
        except (aiohttp.ClientConnectionError, OSError) as error:
            raise EmbedderError(f"the embeddings endpoint can't be reached: {error}") from error
        except aiohttp.ClientError as error:
            kind = type(error).__name__
        else:
            return self._read(content, len(texts))
        # Raised here, so that the error, which may quote what the endpoint sent, is not the context.
        raise EmbedderError(f"the embeddings endpoint sent no reply that can be read ({kind})")

    def _read(self, content: bytes, count: int) -> Vectors:
        try:
            embeddings = _decode_embeddings(content).data
            rows = [item.embedding for item in sorted(embeddings, key=lambda item: item.index)]
            with np.errstate(over="raise"):  # an infinite number would be similar to everything
                vectors = np.array(rows, dtype=np.float32)
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError, FloatingPointError) as error:
            raise EmbedderError(f"the embeddings endpoint sent no embeddings: {error}") from error
        shape = (count, self.dimensions or vectors.shape[-1])
        if vectors.shape != shape or not vectors.size:
            raise EmbedderError(
                f"the embeddings endpoint sent an array of {vectors.shape}, where {shape} is due"
            )
        return unit_rows(vectors)

    async def close(self) -> None:
        """Close the session."""
        if self._session is not None:
            await self._session.close()
            self._session = None


_KEY = re.compile("[!-~]+")


def _url(text: str) -> URL | None:
    """A URL with a host and nothing after its path; None for what is none."""
    try:
        url = URL(text)
        return url if url.host and url.port and not url.query_string and not url.fragment else None
    except ValueError:
        return None


def _status(status: int) -> str:
    """A status with its standard name, whatever the reply calls it."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def unit_rows(vectors: Vectors) -> Vectors:
    """The rows, scaled to length 1. A row of zeros stays as it is."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths == 0, 1, lengths)).astype(np.float32)
