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

from ..matching.score import load
from .config import ServerConfig
from .embedders import Embedder, OpenAIEmbedder
from .listeners import Listeners

__all__ = ["Supervisor", "Worker", "counting_together", "preload", "saying_what_needs_a_file"]

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
    """Load a model and the lists of words before processes are forked, which then share their memory.

    A model that has not been used has no thread, so it can be used in each of them. What asks an endpoint has
    nothing to load.
    """
    load()
    if not isinstance(embedder, OpenAIEmbedder):
        asyncio.run(embedder.start())


@contextmanager
def counting_together(
    config: ServerConfig,
) -> Generator[tuple[Callable[[int], None], Callable[[int], None]], None, None]:
    """Have the figures of all processes counted in one place.

    Gives what each process calls when it begins, and what is called after its end, both with its number.
    """
    if not config.metrics and config.metrics_key is None:
        yield (lambda _: None), (lambda _: None)
        return
    with saying_what_needs_a_file("metrics" if config.metrics else "metrics_key"):
        folder = tempfile.mkdtemp(prefix="langcache-metrics-")
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder  # prometheus-client looks for it when it is imported
    try:
        # Says what is missing, before processes are forked.
        from .metrics import count_as, forget_process

        yield count_as, lambda number: forget_process(number, folder)
    finally:
        del os.environ["PROMETHEUS_MULTIPROC_DIR"]
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def saying_what_needs_a_file(setting: str) -> Generator[None, None, None]:
    """Raise `ValueError` in place of `OSError` where there is no place for a file."""
    try:
        yield
    except OSError as error:
        raise ValueError(
            f"{setting}: several processes count together in a file, and none can be made: "
            f"{error.strerror or error}; TMPDIR names a folder for it"
        ) from error


class Worker:
    """What a forked process gets."""

    def __init__(self, number: int, sockets: Sequence[socket.socket], ready: int, end_of_parent: int) -> None:
        self.number = number
        """From 0 on. The process that takes the place of one that has ended has the same."""
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
        self._start_first(0)
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
                how = f"by signal {-status}" if status < 0 else f"with status {status}"
                self._plan_restart(number, f"has ended {how}")
            if not self._all_ready:
                if self._processes[0].ready:  # so what prevents a start is said once
                    for number in range(1, len(self._processes)):
                        if not self._processes[number].pid:
                            self._start_first(number)
                if all(process.ready for process in self._processes):
                    self._all_ready = True
                    ready()
            else:
                self._start_due()

    def _start_first(self, number: int) -> None:
        try:
            self._start(number)
        except OSError as error:
            raise ValueError(f"workers: a process can't be started: {error.strerror}") from error

    def _start_due(self) -> None:
        for number, process in enumerate(self._processes):
            if not process.pid and process.due <= time.monotonic():
                try:
                    self._start(number)
                except OSError as error:  # too many processes or files, say; the others go on
                    self._plan_restart(number, f"can't be started: {error.strerror}")

    def _start(self, number: int) -> None:
        """Fork a process. Raises `OSError`."""
        process = self._processes[number]
        process.ready = False
        process.began = time.monotonic()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):  # what can't be written now never will be
                stream.flush()
        says_ready, says = os.pipe()
        with warnings.catch_warnings():
            # Libraries of arithmetic have threads, which none of the others waits for.
            warnings.simplefilter("ignore", DeprecationWarning)
            # A signal that came before the new process has its own handlers would be lost.
            signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
            try:
                process.pid = os.fork()
                if not process.pid:
                    self._be(number, says)
            except OSError:
                os.close(says_ready)
                raise
            finally:
                os.close(says)
                signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        process.says_ready = says_ready

    def _be(self, number: int, says: int) -> None:
        """Be one of the processes. Does not return."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            for each in (signal.SIGTERM, signal.SIGCHLD):
                signal.signal(each, signal.SIG_DFL)
            for each in (signal.SIGINT, signal.SIGHUP):
                signal.signal(each, signal.SIG_IGN)  # they may reach all; the supervisor decides
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            os.close(self._end_write)
            self._listeners.keep(number)
            status = self._work(Worker(number, self._listeners.of(number), says, self._end_read))
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
                    self._ended(number)
                    process.pid = 0
                    if process.says_ready >= 0:
                        os.close(process.says_ready)
                        process.says_ready = -1
                    ended.append((number, os.waitstatus_to_exitcode(status)))
        return ended

    def _plan_restart(self, number: int, what: str) -> None:
        process = self._processes[number]
        lived = process.ready and time.monotonic() - process.began >= _LIVED_SECONDS
        pause = 0.0 if lived else min(_FIRST_PAUSE_SECONDS * 2**process.pauses, _LONGEST_PAUSE_SECONDS)
        process.pauses = 0 if lived else min(process.pauses + 1, 16)
        process.due = time.monotonic() + pause
        if pause:
            self._listeners.renew(number)
        _log.error("a process of the service %s; another one starts in %g s", what, pause)

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
