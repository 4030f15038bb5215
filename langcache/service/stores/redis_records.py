"""The records in Redis, which all services with the same URL share: the fields of one hash."""

from __future__ import annotations

from typing import Any, cast

from .records import Contents
from .redis_connect import Connection, checked_reply, scripted
from .store import StoreError

__all__ = ["RedisRecords"]

_VERSION = b"version"

# The version is told apart from one of before the data were lost by the server's time.
_REPLACE = """
local there = redis.call('HGET', KEYS[1], ARGV[1])
if (there or '') ~= ARGV[2] then return 0 end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
end
local count = tonumber(string.match(redis.call('HGET', KEYS[1], 'version') or '0', '^%d+') or '0') + 1
local time = redis.call('TIME')
redis.call('HSET', KEYS[1], 'version', count .. ':' .. time[1] .. '.' .. time[2])
return 1
"""


class RedisRecords:
    """`Records` in Redis."""

    shared = True

    def __init__(self, connection: Connection, prefix: str) -> None:
        self._connection = connection
        self._key = f"{prefix}:{{*}}:records"  # in no cache's slot on purpose: no cache's id has a star

    async def read(self, known: bytes | None) -> Contents | None:
        """See `Records.read`."""
        (version,) = await self._call("HGET", self._key, _VERSION)
        if version is None:
            return Contents(b"", {})  # by any user of Redis that may use entries
        if version == known:
            return None
        (found,) = await self._call("HGETALL", self._key)
        fields: dict[bytes, bytes] = (
            cast("dict[bytes, bytes]", found)
            if isinstance(found, dict)
            else dict(zip(found[::2], found[1::2], strict=True))
        )
        try:
            records = {name.decode(): value for name, value in fields.items() if name != _VERSION}
        except (AttributeError, UnicodeDecodeError):
            raise StoreError(f"what Redis has at {self._key} was not written by langcache") from None
        return Contents(fields.get(_VERSION, b""), records)

    async def replace(self, name: str, before: bytes | None, after: bytes | None) -> bool:
        """See `Records.replace`."""
        calls = self._connection.calls(self._key)
        given = (1, self._key, name, before or b"", after or b"")
        return bool(await scripted(calls, _REPLACE, *given, again=False))

    async def _call(self, *command: Any) -> list[Any]:
        return [checked_reply(reply) for reply in await self._connection.calls(self._key)(command)]
