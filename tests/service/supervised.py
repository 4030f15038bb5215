"""A service of several processes that need no Redis: each has entries of its own, which is enough here.

Arguments: what goes wrong, how many seconds the end may take, and settings of `ServerConfig` as JSON.
Nothing goes wrong with ``-``. The embedder ``fails`` at the start, or ``hangs`` for prompts; or all are
``told early`` to end: when the third process is forked, before it has done anything. They are ``hung up``
while they start; or there is ``no process`` to be had for the third one, and then there is.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import sys
import time

import numpy as np

from langcache.cli.serve import _serve_with_workers
from langcache.cli.serve_settings import Plan
from langcache.cli.settings import Settings
from langcache.service import EmbedderError, ServerConfig


class Plain:
    name = "plain"
    dimensions = 2
    unrelated_cosine = 0.0
    compare_texts = False

    def __init__(self, wrong):
        self._wrong = wrong
        self._parent = os.getpid()

    async def start(self):
        if os.getpid() == self._parent:
            return
        if self._wrong == "fails":
            raise EmbedderError("no model here")
        if self._wrong == "hung up":
            for pid in (os.getpid(), self._parent):
                os.kill(pid, signal.SIGHUP)

    async def embed(self, texts):
        if self._wrong == "hangs":
            print("hangs", flush=True)
            await asyncio.Event().wait()
        return np.array([[1.0, 0.0]] * len(texts), np.float32)

    async def close(self):
        pass


def tell_when_the_third_is_forked():
    count = 0

    def note_one():
        nonlocal count
        count += 1

    def tell():
        if count == 3:
            os.kill(os.getppid(), signal.SIGTERM)
            time.sleep(0.5)  # meanwhile the signal comes here as well

    os.register_at_fork(before=note_one, after_in_child=tell)


def have_no_process_for_the_third():
    count, fork = 0, os.fork

    def fork_or_not():
        nonlocal count
        count += 1
        if count == 3:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        return fork()

    os.fork = fork_or_not


if __name__ == "__main__":
    wrong, drain, settings = sys.argv[1:]
    if wrong == "told early":
        tell_when_the_third_is_forked()
    if wrong == "no process":
        have_no_process_for_the_third()
    config = ServerConfig(**json.loads(settings))
    sys.exit(_serve_with_workers(Plan(config, Plain(wrong), "-", 2, float(drain), None, Settings({}, {}))))
