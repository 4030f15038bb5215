"""The cache and the HTTP client between which an exchange goes, and how replies are made for the SDK."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from .running import Running

__all__ = ["Endpoints", "marked"]

_OF_THE_CONNECTION = (b"content-encoding", b"content-length", b"transfer-encoding")
"""Headers that say how a body was sent. It is given on in another way."""


class Endpoints(NamedTuple):
    """Between what requests and replies go."""

    cache: Any
    """The `AsyncLangCache` or `LangCache`."""

    client: Any
    """The HTTP client that sends to the provider."""

    module: Any
    """httpx or httpx2, whichever the client is of."""

    run: Running

    def rebuilt(self, response: Any, content: Any) -> Any:
        """The provider's reply with this content, bytes or a stream of them, which is no longer packed."""
        raw: list[tuple[bytes, bytes]] = response.headers.raw
        headers = [(name, value) for name, value in raw if name.lower() not in _OF_THE_CONNECTION]
        return self.made(response.status_code, headers, content, response.extensions)

    def made(self, status: int, headers: Iterable[Any], content: Any, extensions: Any = None) -> Any:
        """A reply."""
        if isinstance(content, bytes):
            headers = [*headers, (b"content-length", str(len(content)).encode())]
            content = self.module.ByteStream(content)
        headers = self.module.Headers([*headers])
        return self.module.Response(
            status, headers=headers, stream=content, extensions={**(extensions or {})}
        )


def marked(response: Any, answer: Any) -> Any:
    """The reply itself, with headers that say where it is from and the answer, on which verdicts are given.

    Args:
        response: the reply.
        answer: an answer, or a stream that was looked up; None for what the cache knows nothing of.
    """
    found = getattr(answer, "lookup", answer)
    headers = response.headers
    headers["x-langcache"] = "miss" if found is None else found.status.value
    if found is not None:
        if found.similarity is not None:
            headers["x-langcache-similarity"] = f"{found.similarity:.4f}"
        if found.reason is not None:
            headers["x-langcache-reason"] = found.reason
        response.extensions["langcache"] = answer
    return response
