"""What carries the requests of a disabled client: nothing goes out, and every reply is an empty one."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from .._wire.exchange import Reply

__all__ = ["DisabledClient"]


class DisabledClient:
    """An `AsyncHttpClient` that sends nothing: searches miss, what is stored is forgotten."""

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
        """Nothing to let go of."""


class _Asked(msgspec.Struct):
    prompt: str = ""
