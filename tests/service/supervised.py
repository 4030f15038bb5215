"""A service of several processes that need no Redis: each has entries of its own, which is enough here.

Arguments: what goes wrong, how many seconds the end may take, and settings of `ServerConfig` as JSON.
Nothing goes wrong with ``-``. The embedder ``fails`` at the start, or ``hangs`` for prompts; or all are
``told early`` to end: when the third process is forked, before it has done anything.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time

import numpy as np

from langcache.cli.serve import _serve_with_workers
from langcache.cli.serve_settings import Plan
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
        if self._wrong == "fails" and os.getpid() != self._parent:
            raise EmbedderError("no model here")

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


if __name__ == "__main__":
    wrong, drain, settings = sys.argv[1:]
    if wrong == "told early":
        tell_when_the_third_is_forked()
    config = ServerConfig(**json.loads(settings))
    sys.exit(_serve_with_workers(Plan(config, Plain(wrong), "-", 2, float(drain), None)))
