"""LiteLLM's semantic cache on Redis. Its asynchronous methods import LiteLLM's proxy: ``sync`` only."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import rival_questions as questions
from litellm.caching.redis_semantic_cache import RedisSemanticCache

from . import Place


@contextmanager
def connect(place: Place) -> Iterator[Any]:
    class Given(RedisSemanticCache):
        def _get_embedding(self, prompt: str) -> list[float]:
            known = prompt if prompt.rsplit(" ", 1)[-1].isdigit() else "any entry 0"
            return array("f", place.vector(known)).tolist()

    cache = Given(redis_url=place.server, similarity_threshold=questions.THRESHOLD)

    def store(prompt: str, response: str) -> None:
        cache.set_cache("key", json.dumps(response), messages=[{"role": "user", "content": prompt}])

    def find(prompt: str) -> str | None:
        return cache.get_cache("key", messages=[{"role": "user", "content": prompt}])

    yield store, find
