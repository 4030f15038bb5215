"""A service of several processes that need no Redis: each has entries of its own, which is enough here.

Arguments: what is wrong with the embedder (``-``, ``fails`` at the start, ``hangs`` for prompts), how many
seconds the end may take, and settings of `ServerConfig` as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys

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


if __name__ == "__main__":
    wrong, drain, settings = sys.argv[1:]
    config = ServerConfig(**json.loads(settings))
    sys.exit(_serve_with_workers(Plan(config, Plain(wrong), "-", 2, float(drain), None)))
