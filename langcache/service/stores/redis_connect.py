"""Connections to Redis, to a cluster and by sentinels, and what their failures are called.

Batches are packed by hiredis and sent here, rather than by pipelines of redis-py: its packing takes as much
processor time as all the rest of a search.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from functools import cache, partial
from hashlib import sha1
from typing import Any, cast

from .. import missing_extra
from .redis_calls import Call, Calls, Command
from .redis_url import RedisUrl
from .store import StoreError

try:
    import hiredis
    from redis import exceptions
    from redis.asyncio import Redis
    from redis.asyncio.cluster import ClusterNode, RedisCluster
    from redis.asyncio.retry import Retry
    from redis.asyncio.sentinel import Sentinel
    from redis.backoff import NoBackoff
    from redis.credentials import CredentialProvider
    from redis.exceptions import NoScriptError
except ModuleNotFoundError as _error:
    raise missing_extra(_error.name or "redis", "redis") from _error

__all__ = ["Connection", "checked_reply", "reason_of", "scripted"]

_CONNECT_SECONDS = 2.0
"""How long a connection may take to be made, if the deadline of a call is not shorter."""

_ELSEWHERE = (exceptions.AskError, exceptions.TryAgainError, exceptions.ClusterDownError)
"""What a node of a cluster answers that has not carried out a command. `MovedError` is one of them."""

_UNKNOWN = (exceptions.ConnectionError, exceptions.SlotNotCoveredError)
"""Failures after which a command may have been carried out or not, and there is time for another try."""


def reason_of(error: BaseException) -> StoreError:
    """The `StoreError` for a failure. It is for the log: it may name hosts, and never a password."""
    kinds: list[tuple[Any, str]] = [
        (StoreError, f"{error}"),
        (exceptions.AuthenticationError, "Redis refuses the user or the password of the store's URL"),
        (exceptions.NoPermissionError, f"the Redis user of the store's URL lacks a right: {error}"),
        (exceptions.OutOfMemoryError, f"Redis has no memory left, so it takes no changes: {error}"),
        (exceptions.ReadOnlyError, "Redis is a replica, which takes no changes"),
        (exceptions.BusyLoadingError, "Redis is still loading its data"),
        ((exceptions.TimeoutError, asyncio.TimeoutError), "Redis has not answered in time"),
        ((exceptions.ConnectionError, OSError), f"Redis can't be reached: {error}"),
        (_ELSEWHERE, f"no node of the cluster serves this cache at the moment: {error}"),
        (asyncio.CancelledError, "the service ends"),
    ]
    for kind, text in kinds:
        if isinstance(error, kind):
            return StoreError(text)
    if "unknown command" in str(error).lower() and "FT." in str(error).upper():
        needs = "it needs Redis 8 or newer, Redis Stack, or the module redisearch"
        return StoreError(f"this Redis has no search: {needs}")
    return StoreError(f"Redis failed: {error}")


def checked_reply(reply: Any) -> Any:
    """A reply. Raises `StoreError` if it is an exception of redis-py."""
    if isinstance(reply, Exception):
        raise reason_of(reply) from reply
    return reply


async def scripted(call: Calls, script: str, *given: Any, again: bool = True, size: int = 0) -> int:
    """What a script returns. ``given`` are the number of its keys, its keys and its arguments."""
    (reply,) = await call(("EVALSHA", _digest(script), *given), again=again, size=size)
    if isinstance(reply, NoScriptError):  # Redis has forgotten it, and has done nothing
        (reply,) = await call(("EVAL", script, *given), again=again, size=size)
    return int(checked_reply(reply))


@cache
def _digest(script: str) -> str:
    return sha1(script.encode(), usedforsecurity=False).hexdigest()


class _Credentials(CredentialProvider):
    """User and password; redis-py asks for them whenever it makes a connection, which is counted."""

    def __init__(self, username: str, password: str) -> None:
        self._given = (username, password) if username else (password,) if password else ()
        self.asked = 0

    def get_credentials(self) -> Any:
        self.asked += 1
        return self._given

    async def get_credentials_async(self) -> Any:
        return self.get_credentials()


class Connection:
    """Connections to the Redis of a URL, made when they are needed. Call its methods in one event loop."""

    def __init__(self, url: RedisUrl) -> None:
        self._url = url
        self._credentials = _Credentials(url.username, url.password)
        self._cluster: RedisCluster | None = None
        self._sentinel: Any = None
        self._client: Any = None  # a Redis, whose methods are typed for sync and async at once
        self._nodes: dict[tuple[str, int], Any] = {}
        self._calls: dict[int, Calls] = {}
        self._looking: asyncio.Task[None] | None = None

    @property
    def made(self) -> int:
        """How many connections were made so far: after the end of a server there is a new one."""
        return self._credentials.asked

    async def open(self) -> None:
        """Make a connection. Raises `StoreError`."""
        try:
            if self._url.kind == "cluster":
                self._cluster = RedisCluster(
                    startup_nodes=[
                        ClusterNode(host, port, **self._quick()) for host, port in self._url.hosts
                    ],
                    **self._quick(),
                )
                await self._cluster.initialize()
            elif self._url.kind == "sentinel":
                self._sentinel = Sentinel(  # type: ignore[no-untyped-call]
                    self._url.hosts, sentinel_kwargs=self._sentinel_settings(), **self._untimed()
                )
                self._client = self._sentinel.master_for(self._url.service)
            else:
                ((host, port),) = self._url.hosts
                self._client = Redis(host=host, port=port, **self._untimed())
            if self._client is not None:
                await asyncio.wait_for(self._client.ping(), self._url.seconds)
        except BaseException as error:
            await self.close()
            if isinstance(error, Exception):
                raise StoreError(f"{self._url.shown}: {reason_of(error)}") from error
            raise

    def calls(self, key: str) -> Calls:
        """The calls of the server that has a key, which are shared by all keys of its slot in a cluster."""
        shared = self._cluster.keyslot(key) if self._cluster is not None else 0
        if shared not in self._calls:
            send = partial(self._send_to_cluster, key) if self._cluster is not None else self._send
            self._calls[shared] = Calls(send, reason_of, self._url.seconds)
        return self._calls[shared]

    async def close(self) -> None:
        """Finish the calls that there are, and close the connections."""
        await asyncio.gather(*(calls.close() for calls in self._calls.values()))
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])
        sentinels = self._sentinel.sentinels if self._sentinel is not None else ()
        for client in (self._cluster, self._client, *self._nodes.values(), *sentinels):
            if client is not None:
                await client.aclose()

    def _settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = {
            "credential_provider": self._credentials,
            "protocol": 3,  # with version 2 a search that ran out of time looks like one that found nothing
            "socket_timeout": self._url.seconds,
            "socket_connect_timeout": min(_CONNECT_SECONDS, self._url.seconds),
            # The caller gets an error instead, in time: a retry would take as long again.
            "retry": Retry(NoBackoff(), 0),
            **_WITHOUT_NOTICES,
        }
        return {**settings, **self._tls()}

    def _quick(self) -> dict[str, Any]:
        # For questions about the cluster, which goes on to the next node when one does not answer.
        return {**self._settings(), "socket_timeout": min(_CONNECT_SECONDS, self._url.seconds)}

    def _untimed(self) -> dict[str, Any]:
        # redis-py would start and stop a timer for each reply. `_exchanged` has one for all of a batch.
        return {**self._settings(), "socket_timeout": None}

    def _sentinel_settings(self) -> dict[str, Any]:
        given = {"username": self._url.sentinel_username, "password": self._url.sentinel_password}
        seconds = min(_CONNECT_SECONDS, self._url.seconds)
        settings = {
            "socket_timeout": seconds,
            "socket_connect_timeout": seconds,
            "retry": Retry(NoBackoff(), 0),
            **self._tls(),
        }
        return {**settings, **{name: value for name, value in given.items() if value}}

    def _tls(self) -> dict[str, Any]:
        return {"ssl": True, **self._url.tls_files} if self._url.tls else {}

    async def _send(self, calls: Sequence[Call]) -> list[list[Any]]:
        return await _exchanged(self._client, calls, self._url.seconds)

    async def _send_to_cluster(self, key: str, calls: Sequence[Call]) -> list[list[Any]]:
        replies = await self._try_cluster(key, calls)
        repeated = {number for number, call in enumerate(calls) if _is_repeated(call, replies[number])}
        if repeated:
            again = [number for number, call in enumerate(calls) if number in repeated or call.follows]
            await self._find_node(key)
            later = await self._try_cluster(key, [calls[number] for number in again])
            for number, new in zip(again, later, strict=True):
                replies[number] = new
        return replies

    async def _try_cluster(self, key: str, calls: Sequence[Call]) -> list[list[Any]]:
        """The replies to each call, from the node that has the key as far as we know."""
        assert self._cluster is not None
        try:
            # Searches name no key by which redis-py could tell the node, so it is asked for the node alone.
            node = self._cluster.get_node_from_key(key)
            assert node is not None  # it can be for replicas alone
            return await _exchanged(self._node(node.host, int(node.port)), calls, self._url.seconds)
        except exceptions.RedisError as error:
            if isinstance(error, exceptions.TimeoutError):
                self._look_again()
            return [[error for _ in call.commands] for call in calls]

    def _node(self, host: str, port: int) -> Any:
        if (host, port) not in self._nodes:
            self._nodes[host, port] = Redis(host=host, port=port, **self._untimed())
        return self._nodes[host, port]

    def _look_again(self) -> None:
        # Not in a call, whose time is over. A node that hangs closes no connection, and says nothing.
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().create_task(self._read_nodes())

    async def _read_nodes(self) -> None:
        """Ask the cluster which of its nodes have what."""
        assert self._cluster is not None
        with contextlib.suppress(
            exceptions.RedisError, OSError, asyncio.TimeoutError
        ):  # the next call looks again
            await self._cluster.aclose()
            await self._cluster.initialize()

    async def _find_node(self, key: str) -> None:
        """Ask the cluster which node has a key: redis-py does when the one that had it fails or says no."""
        assert self._cluster is not None
        with contextlib.suppress(exceptions.RedisError):  # the next try says what is wrong
            await self._cluster.execute_command("HGET", key, "made")


async def _exchanged(client: Any, calls: Sequence[Call], seconds: float) -> list[list[Any]]:
    """Send calls on one connection; the replies to each, with exceptions for commands that Redis refuses.

    Raises redis-py's `TimeoutError` unless all is done in so many seconds.
    """
    commands = [_pack(command) for call in calls for command in call.commands]
    try:
        replies = iter(await asyncio.wait_for(_replies(client, commands), seconds))
    except asyncio.TimeoutError:
        raise exceptions.TimeoutError from None
    return [[next(replies) for _ in call.commands] for call in calls]


async def _replies(client: Any, commands: Sequence[bytes]) -> list[Any]:
    connection = await client.connection_pool.get_connection()
    try:
        await connection.send_packed_command(b"".join(commands))
        return [await _reply(connection) for _ in commands]
    except BaseException:
        await connection.disconnect(nowait=True)  # replies that nobody has read may still come
        raise
    finally:
        await client.connection_pool.release(connection)


async def _reply(connection: Any) -> Any:
    try:
        return await connection.read_response()
    except exceptions.ResponseError as error:
        return error


def _is_repeated(call: Call, replies: Sequence[Any]) -> bool:
    failures = [reply for reply in replies if isinstance(reply, Exception)]
    unknown = any(isinstance(failure, _UNKNOWN) for failure in failures)
    return (unknown and call.again) or (
        not unknown and any(isinstance(failure, _ELSEWHERE) for failure in failures)
    )


def _without_notices() -> dict[str, Any]:
    # With notices of maintenance, redis-py does not look whether an idle connection was closed meanwhile.
    try:
        from redis.maint_notifications import MaintNotificationsConfig
    except ModuleNotFoundError:  # a release that has none
        return {}
    return {"maint_notifications_config": MaintNotificationsConfig(enabled=False)}


_pack: Callable[[Command], bytes] = cast(Any, hiredis).pack_command

_WITHOUT_NOTICES = _without_notices()
