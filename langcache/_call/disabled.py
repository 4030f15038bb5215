"""The HTTP client of a disabled LangCache client: it sends nothing, and every reply is empty."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from .._wire.exchange import Reply

__all__ = ["DisabledClient"]


class DisabledClient:
    """An `AsyncHttpClient` that sends nothing. Every search is a miss, and nothing is stored."""

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        content: bytes | None,
        timeout: float | None,
    ) -> Reply:
        """The reply of a cache that holds nothing."""
        # One body for all operations: each reads the fields it knows.
        prompt = msgspec.json.decode(content, type=_Asked).prompt if content else ""
        nothing: dict[str, object] = {
            "data": [],
            "actualPrompt": prompt,
            "entryId": "",
            "deletedEntriesCount": 0,
        }
        return Reply(200, {}, msgspec.json.encode(nothing))

    async def aclose(self) -> None:
        """Do nothing: there are no connections."""


class _Asked(msgspec.Struct):
    prompt: str = ""
