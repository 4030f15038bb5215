"""GPTCache with faiss and SQLite, as its documentation shows it."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import rival_questions as questions
from gptcache import Cache, Config
from gptcache.adapter.api import get, put
from gptcache.manager import CacheBase, VectorBase, get_data_manager
from gptcache.processor.pre import get_prompt
from gptcache.similarity_evaluation.distance import SearchDistanceEvaluation

from . import Place

_FARTHEST = 4.0  # of squared distances of unit vectors


@contextmanager
def connect(place: Place) -> Iterator[Any]:
    def embed(text: str, **_: Any) -> Any:
        return np.array(array("f", place.vector(text)))

    cache = Cache()
    cache.init(
        pre_embedding_func=get_prompt,
        embedding_func=embed,
        data_manager=get_data_manager(
            CacheBase("sqlite", sql_url=f"sqlite:///{place.folder}/cache.db"),
            VectorBase("faiss", dimension=questions.DIMENSIONS, index_path=f"{place.folder}/faiss.index"),
            max_size=1_000_000,  # it evicts beyond 1,000 by default
        ),
        similarity_evaluation=SearchDistanceEvaluation(max_distance=_FARTHEST),
        # It compares (farthest - distance) / farthest, and the distance is 2 - 2 x cosine.
        config=Config(similarity_threshold=1 - (2 - 2 * questions.THRESHOLD) / _FARTHEST),
    )

    def store(prompt: str, response: str) -> None:
        put(prompt, response, cache_obj=cache)

    def find(prompt: str) -> str | None:
        return get(prompt, cache_obj=cache)

    yield store, find
