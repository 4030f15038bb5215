"""The similarity of the two texts of each pair: as a local service gives it, or as any running one does."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING, TypeVar

from ..errors import NotFoundError
from ..limits import LimitError
from ..many import Progress
from ..sync import LangCache
from .pairs import Pair

if TYPE_CHECKING:
    from ..service.embedders import Embedder
    from ..service.stores.memory import Memory

__all__ = ["by_embedder", "by_service"]

T = TypeVar("T")

_TTL_SECONDS = 600
"""How long an entry stays that could not be deleted, say because the process was killed."""

_RESPONSE = "an entry of `langcache tune`, which may be deleted"


def by_embedder(
    pairs: Sequence[Pair], embedder: Embedder, concurrency: int, progress: Progress | None
) -> list[float]:
    """The similarities that a local service with this embedder gives."""

    def run() -> list[float]:
        return asyncio.run(_embedded(pairs, embedder, concurrency, progress))

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return run()
    return _in_a_thread(run)  # in a notebook, for example, which has a running event loop


def by_service(
    pairs: Sequence[Pair],
    client: LangCache,
    attribute: str | None,
    concurrency: int,
    progress: Progress | None,
) -> list[float]:
    """The similarities that the client's service gives.

    Each prompt is stored, searched for and deleted again. With an attribute, whose values tell these entries
    from all others, as many pairs as ``concurrency`` says at once; else one after the other, in a cache that
    has to be empty.
    """
    if attribute is None:
        concurrency = 1
        if client.search(pairs[0].question, similarity_threshold=0):
            raise _not_empty()
    run = uuid.uuid4().hex

    def similarity_of(at: int) -> float:
        pair = pairs[at]
        attributes = None if attribute is None else {attribute: f"tune-{run}-{at}"}
        try:
            stored = client.set(pair.prompt, _RESPONSE, attributes=attributes, ttl=_TTL_SECONDS)
        except LimitError as error:
            raise ValueError(f"pair {at + 1} of {len(pairs)}: {error}") from error
        try:
            found = client.search(pair.question, similarity_threshold=0, attributes=attributes, max_results=2)
        except LimitError as error:
            raise ValueError(f"pair {at + 1} of {len(pairs)}: {error}") from error
        finally:
            with suppress(NotFoundError):  # of a delete that was retried
                client.delete_by_id(stored.entry_id)
        if attribute is None and any(entry.id != stored.entry_id for entry in found):
            raise _not_empty()
        # The service may not find the entry at all, say of a prompt that its model can't read.
        return max((entry.similarity for entry in found if entry.id == stored.entry_id), default=-1.0)

    return _in_threads(similarity_of, len(pairs), concurrency, progress)


def _not_empty() -> ValueError:
    return ValueError(
        "attribute: is needed, since the cache has other entries; name one that the cache was set up "
        "with, to tell the entries of this run from others, or take an empty cache"
    )


def _in_threads(
    function: Callable[[int], float], count: int, concurrency: int, progress: Progress | None
) -> list[float]:
    """The results for 0 to ``count`` - 1. After an error no more begin, and those begun are waited for."""
    similarities = [0.0] * count
    with ThreadPoolExecutor(concurrency, "langcache-tune") as threads:
        numbers = iter(range(count))
        running: dict[Future[float], int] = {}
        done = 0
        while True:
            for number in _up_to(concurrency - len(running), numbers):
                running[threads.submit(function, number)] = number
            if not running:
                return similarities
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                similarities[running.pop(future)] = future.result()
                done += 1
                if progress is not None:
                    progress(done, count)


def _up_to(count: int, numbers: Iterator[int]) -> Iterator[int]:
    for _ in range(count):
        number = next(numbers, None)
        if number is None:
            return
        yield number


async def _embedded(
    pairs: Sequence[Pair], embedder: Embedder, concurrency: int, progress: Progress | None
) -> list[float]:
    from ..service.readable import ReadableOnly
    from ..service.stores.memory import Memory

    embedder = ReadableOnly(embedder)
    similarities = [0.0] * len(pairs)
    numbered = iter(enumerate(pairs))
    done = 0

    async def score(memory: Memory) -> None:
        from ..service.config import CacheConfig
        from ..service.engine import Cache

        nonlocal done
        # A cache of its own, which holds one entry at a time.
        config = CacheConfig()
        cache = Cache(config, await memory.store(config), embedder)
        for at, pair in numbered:
            entry_id = await cache.set(pair.prompt, _RESPONSE)
            found = await cache.search(pair.question, threshold=0.0)
            await cache.delete_by_id(entry_id)
            similarities[at] = found[0].similarity if found else -1.0
            done += 1
            if progress is not None:
                progress(done, len(pairs))

    try:
        await embedder.start()
        memory = Memory(embedder)
        await memory.open()
        tasks = [asyncio.ensure_future(score(memory)) for _ in range(min(concurrency, len(pairs)))]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
    finally:
        await embedder.close()
    return similarities


def _in_a_thread(function: Callable[[], T]) -> T:
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    Thread(target=run, name="langcache-tune", daemon=True).start()
    return future.result()
