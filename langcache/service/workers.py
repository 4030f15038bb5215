"""Several processes that answer requests at one address: forked, watched, started again and ended."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import select
import shutil
import signal
import socket
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from .config import ServerConfig
from .embedders import Embedder, OpenAIEmbedder

__all__ = ["Listeners", "Supervisor", "Worker", "bind", "counting_together", "preload"]

_log = logging.getLogger(__name__)

_LIVED_SECONDS = 10.0
"""A process that has lived for so long before it ended is started again at once."""

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
"""The pause before others, which doubles each time."""

_MORE_SECONDS = 10.0
"""How much longer than a process may take to finish its requests it may take to end."""


_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
"""The signals that the process handles which watches the others."""


def preload(embedder: Embedder) -> None:
    """Load a model before processes are forked, which then share its memory.

    A model that has not been used has no thread, so it can be used in each of them. What asks an endpoint has
    nothing to load.
    """
    if not isinstance(embedder, OpenAIEmbedder):
        asyncio.run(embedder.start())


class Listeners:
    """Sockets for each process, bound to one address.

    On Linux each process has sockets of its own, and the system hands each new connection to one of them.
    They are bound here, and stay open here: connections that wait for a process which has ended are those of
    the next one. Elsewhere all processes have the same sockets.
    """

    def __init__(self, host: str, port: int, count: int) -> None:
        self._apart = sys.platform == "linux"
        self._groups: list[list[socket.socket]] = []
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self._addresses: list[tuple[int, Any]] = [(info[0], info[4]) for info in dict.fromkeys(found)]
        try:
            for number in range(count if self._apart else 1):
                self._groups.append([])
                self._bind(self._groups[-1], look=not number)
        except BaseException:
            self.close()
            raise
        self._groups += self._groups * (count - len(self._groups))

    @property
    def address(self) -> tuple[str, int]:
        """The first address."""
        address: tuple[str, int] = self._groups[0][0].getsockname()[:2]
        return address

    def __len__(self) -> int:
        return len(self._groups)

    def of(self, number: int) -> Sequence[socket.socket]:
        """The sockets of a process."""
        return self._groups[number]

    def renew(self, number: int) -> None:
        """Refuse the connections that wait for a process which will not be there for a while."""
        if self._apart:
            for each in self._groups[number]:
                each.close()
            self._groups[number] = []
            self._bind(self._groups[number])

    def keep(self, number: int) -> None:
        """Close the sockets of all other processes, in the process that these are for."""
        for each in {each for group in self._groups for each in group}.difference(self._groups[number]):
            each.close()

    def close(self) -> None:
        """Close all sockets."""
        for each in [each for group in self._groups for each in group]:
            each.close()

    def _bind(self, group: list[socket.socket], look: bool = False) -> None:
        """Bind a socket to each address; ``look`` whether another service has it, which may share it too."""
        for at in range(len(self._addresses)):
            family, address = self._addresses[at]
            if look:
                with self._socket(family, alone=True) as probe:
                    probe.bind(address)
                    port = probe.getsockname()[1]
                if not address[1]:  # a free port was asked for: the same for all
                    self._addresses = [(kind, (of[0], port, *of[2:])) for kind, of in self._addresses]
            group.append(self._socket(family))
            group[-1].bind(self._addresses[at][1])

    def _socket(self, family: int, alone: bool = False) -> socket.socket:
        made = socket.socket(family, socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self._apart and not alone:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        return made


@contextmanager
def bind(host: str, port: int, count: int) -> Generator[Listeners, None, None]:
    """Sockets for so many processes. Raises `OSError`."""
    listeners = Listeners(host, port, count)
    try:
        yield listeners
    finally:
        listeners.close()


@contextmanager
def counting_together(config: ServerConfig) -> Generator[Callable[[int], None], None, None]:
    """Have the figures of all processes counted in one place. Gives what to call after the end of each."""
    if not config.metrics and config.metrics_key is None:
        yield lambda _: None
        return
    folder = tempfile.mkdtemp(prefix="langcache-metrics-")
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder  # prometheus-client looks for it when it is imported
    try:
        from .metrics import forget_process  # says what is missing, before processes are forked

        yield lambda pid: forget_process(pid, folder)
    finally:
        del os.environ["PROMETHEUS_MULTIPROC_DIR"]
        shutil.rmtree(folder, ignore_errors=True)


class Worker:
    """What a forked process gets."""

    def __init__(self, sockets: Sequence[socket.socket], ready: int, end_of_parent: int) -> None:
        self.sockets = sockets
        self.end_of_parent = end_of_parent
        """A file descriptor that can be read when the process that forked this one has ended."""
        self._ready = ready

    def ready(self) -> None:
        """Say that this process answers requests."""
        os.write(self._ready, b"1")


def _noted(number: int, frame: object) -> None:
    """Do nothing: the number of the signal wakes who waits for it."""


class _Process:
    """One of the processes, or the place of one that has ended."""

    def __init__(self) -> None:
        self.pid = 0
        self.ready = False
        self.says_ready = -1
        self.began = 0.0
        self.due = 0.0
        """When it is to be started."""
        self.pauses = 0


class Supervisor:
    """Forks processes and starts those again that end. It handles the signals of this process meanwhile.

    Args:
        work: runs in each process, and returns its exit status.
        listeners: sockets for each.
        drain: how many seconds each may take to finish its requests when it is told to end.
        ended: is called with the number of each process that has ended.
        hang_up_ends: whether SIGHUP ends all. Otherwise it is handed on to each process.
    """

    def __init__(
        self,
        work: Callable[[Worker], int],
        listeners: Listeners,
        drain: float,
        ended: Callable[[int], None] = lambda _: None,
        hang_up_ends: bool = True,
    ) -> None:
        self._work = work
        self._listeners = listeners
        self._drain = drain
        self._ended = ended
        self._ends = {signal.SIGTERM, signal.SIGINT, *([signal.SIGHUP] if hang_up_ends else [])}
        self._processes = [_Process() for _ in range(len(listeners))]
        self._all_ready = False

    def run(self, ready: Callable[[], object]) -> int:
        """Run until SIGTERM or SIGINT, and call ``ready`` when all processes are. Returns the exit status.

        If a process ends before it was ready at the start, all end, with its status. A second signal ends all
        at once.
        """
        gc.collect()
        gc.freeze()  # so that no process writes to what it shares with the others
        self._end_read, self._end_write = os.pipe()
        self._woken, wakes = os.pipe()
        os.set_blocking(wakes, False)
        os.set_blocking(self._woken, False)
        before = [(number, signal.signal(number, _noted)) for number in _SIGNALS]
        woken_before = signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
        try:
            return self._watch(ready)
        finally:
            for process in self._processes:
                self._kill(process, signal.SIGKILL)
            signal.set_wakeup_fd(woken_before)
            for number, handler in before:
                signal.signal(number, handler)
            for each in (self._woken, wakes, self._end_read, self._end_write):
                os.close(each)
            gc.unfreeze()

    def _watch(self, ready: Callable[[], object]) -> int:
        self._start(0)
        while True:
            signals = self._wait(self._next_start())
            if signals & self._ends:
                return self._stop()
            if signal.SIGHUP in signals:
                for process in self._processes:
                    self._kill(process, signal.SIGHUP)
            for number, status in self._reap():
                if not self._all_ready:
                    self._stop()
                    return status or 1
                self._plan_restart(number, status)
            if not self._all_ready:
                if self._processes[0].ready:  # so what prevents a start is said once
                    for number in range(1, len(self._processes)):
                        if not self._processes[number].pid:
                            self._start(number)
                if all(process.ready for process in self._processes):
                    self._all_ready = True
                    ready()
            else:
                self._start_due()

    def _start_due(self) -> None:
        for number, process in enumerate(self._processes):
            if not process.pid and process.due <= time.monotonic():
                self._start(number)

    def _start(self, number: int) -> None:
        process = self._processes[number]
        process.says_ready, says = os.pipe()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        with warnings.catch_warnings():
            # Libraries of arithmetic have threads, which none of the others waits for.
            warnings.simplefilter("ignore", DeprecationWarning)
            # A signal that came before the new process has its own handlers would be lost.
            signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
            try:
                pid = os.fork()
                if not pid:
                    self._be(number, says)
            finally:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        os.close(says)
        process.pid = pid
        process.ready = False
        process.began = time.monotonic()

    def _be(self, number: int, says: int) -> None:
        """Be one of the processes. Does not return."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            for each in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
                signal.signal(each, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the supervisor decides
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            os.close(self._end_write)
            self._listeners.keep(number)
            status = self._work(Worker(self._listeners.of(number), says, self._end_read))
        except BaseException:
            _log.exception("a process of the service failed")
        finally:
            with suppress(OSError, ValueError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)

    def _wait(self, seconds: float | None) -> set[int]:
        """Wait for a signal, or for what a process says. Returns the signals."""
        says = {process.says_ready: process for process in self._processes if process.says_ready >= 0}
        readable, _, _ = select.select([self._woken, *says], [], [], seconds)
        for each in readable:
            if each in says:
                process = says[each]
                process.ready = process.ready or bool(os.read(each, 1))
                os.close(each)
                process.says_ready = -1
        signals: set[int] = set()
        with suppress(BlockingIOError):
            signals.update(os.read(self._woken, 4096))
        return signals

    def _next_start(self) -> float | None:
        if not self._all_ready:
            return None
        due = [process.due for process in self._processes if not process.pid]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _reap(self) -> list[tuple[int, int]]:
        """The processes that have ended, and their exit statuses."""
        ended: list[tuple[int, int]] = []
        for number, process in enumerate(self._processes):
            if process.pid:
                pid, status = os.waitpid(process.pid, os.WNOHANG)
                if pid:
                    self._ended(pid)
                    process.pid = 0
                    if process.says_ready >= 0:
                        os.close(process.says_ready)
                        process.says_ready = -1
                    ended.append((number, os.waitstatus_to_exitcode(status)))
        return ended

    def _plan_restart(self, number: int, status: int) -> None:
        process = self._processes[number]
        lived = process.ready and time.monotonic() - process.began >= _LIVED_SECONDS
        pause = 0.0 if lived else min(_FIRST_PAUSE_SECONDS * 2**process.pauses, _LONGEST_PAUSE_SECONDS)
        process.pauses = 0 if lived else min(process.pauses + 1, 16)
        process.due = time.monotonic() + pause
        if pause:
            self._listeners.renew(number)
        how = f"by signal {-status}" if status < 0 else f"with status {status}"
        _log.error("a process of the service has ended %s; another one starts in %g s", how, pause)

    def _stop(self) -> int:
        """End all processes: in order, after a second signal or after too long a time at once."""
        for process in self._processes:
            self._kill(process, signal.SIGTERM)
        self._listeners.close()
        overdue = time.monotonic() + self._drain + _MORE_SECONDS
        statuses: list[int] = []
        while any(process.pid for process in self._processes):
            left = overdue - time.monotonic()
            if left <= 0 or self._wait(left) & self._ends:
                for process in self._processes:
                    self._kill(process, signal.SIGKILL)
            statuses += [status for _, status in self._reap()]
        return 0 if set(statuses) <= {0, -signal.SIGTERM} else 1  # it may have come before it was awaited

    @staticmethod
    def _kill(process: _Process, number: int) -> None:
        if process.pid:
            with suppress(ProcessLookupError):
                os.kill(process.pid, number)
