"""A model behind an endpoint that speaks OpenAI's embeddings API."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from http import HTTPStatus

import aiohttp
import msgspec
import numpy as np
from yarl import URL

from .base import EmbedderError, Vectors, several, unit_rows

__all__ = ["OpenAIEmbedder"]


_TEXTS_AT_ONCE = 32


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

    A server that starts with it embeds 50 short prompts (some 500 tokens) to learn how alike unrelated
    prompts are to the model; with a file, only when the file is first used with the model.
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
        """See `Embedder.embed`. Sends a request for every 32 texts: some endpoints take no more."""
        if self._session is None:
            raise EmbedderError("the embedder was not started")
        every = several(texts)
        if not every:
            return np.empty((0, self.dimensions), np.float32)
        starts = range(0, len(every), _TEXTS_AT_ONCE)
        parts = [await self._request(self._session, every[at : at + _TEXTS_AT_ONCE]) for at in starts]
        return np.concatenate(parts)

    async def _request(self, session: aiohttp.ClientSession, texts: list[str]) -> Vectors:
        body = msgspec.json.encode({"model": self._model, "input": texts, "encoding_format": "float"})
        try:
            async with session.post(self._url, data=body, allow_redirects=False) as reply:
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
        failure = EmbedderError(f"the embeddings endpoint sent no reply that can be read ({kind})")
        try:
            raise failure
        finally:
            failure.__context__ = None  # on Python 3.10 it is aiohttp's error all the same

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
