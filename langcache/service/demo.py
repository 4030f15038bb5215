"""What `python -m langcache demo` shows: one short life of a cache, with the figures as they come."""
# ruff: noqa: T201 (it is there to be read)

from __future__ import annotations

import time

from langcache import LangCache, SearchResponse
from langcache.service import LocalServer

__all__ = ["demo"]

_SAVED = (
    ("How long does shipping to Canada take?", "Five working days.", "shipping"),
    ("How do I reset my password?", "Under Settings, Security, choose 'Reset'.", "account"),
    ("How do I turn on two-factor authentication?", "Under Settings, Security, scan the code.", "account"),
)


def demo() -> None:
    """Start a local service, use it through `LangCache`, and print what happens."""
    began = time.perf_counter()
    with LocalServer(attributes=("topic",)) as server:
        _heading(f"A LangCache on this machine: {server.url}, up in {time.perf_counter() - began:.1f} s")
        with LangCache(server.url, server.api_key, server.cache_id) as cache:
            _show(cache)


def _show(cache: LangCache) -> None:
    _heading("Save three answers")
    entry_ids: list[str] = []
    for prompt, response, topic in _SAVED:
        began = time.perf_counter()
        entry_ids.append(cache.set(prompt=prompt, response=response, attributes={"topic": topic}).entry_id)
        print(f"  {prompt}  [topic {topic}, {_millis(began)}]")

    _heading("Ask for them in other words")
    _ask(cache, "My parcel goes to Canada. How many days is the shipping?")
    _ask(cache, "My password is lost, how can it be reset?")

    _heading("Ask for something else: a miss, and the program would ask its model")
    _ask(cache, "Which wine goes with grilled fish?")

    _heading("The same question among the answers of one topic only")
    _ask(cache, "My password is lost, how can it be reset?", topic="account")
    _ask(cache, "My password is lost, how can it be reset?", topic="shipping")

    _heading("The threshold decides: 0.85 is the default, and lower finds more")
    _ask(cache, "How can I get a new password?")
    _ask(cache, "How can I get a new password?", threshold=0.8)

    _heading("Know its limits: a small model finds on and off much the same")
    _ask(cache, "How do I turn off two-factor authentication?")

    _heading("Delete")
    cache.delete_by_id(entry_id=entry_ids[0])
    print("  by id: the answer about Canada")
    count = cache.delete_query(attributes={"topic": "account"}).deleted_entries_count
    print(f"  by attribute: {count} answers of topic account")
    _ask(cache, "My parcel goes to Canada. How many days is the shipping?")


def _ask(cache: LangCache, prompt: str, topic: str | None = None, threshold: float | None = None) -> None:
    began = time.perf_counter()
    result = cache.search(
        prompt=prompt, similarity_threshold=threshold, attributes=None if topic is None else {"topic": topic}
    )
    took = _millis(began)
    settings = [f"topic {topic}"] * (topic is not None) + [f"threshold {threshold}"] * (threshold is not None)
    print(f"  {prompt}" + (f"  [{', '.join(settings)}]" if settings else ""))
    print(f"    {_outcome(result)}  [{took}]")


def _outcome(result: SearchResponse) -> str:
    if not result:
        return "miss"
    entry = result[0]
    return f"hit, similarity {entry.similarity:.3f}: {entry.response}  (saved as: {entry.prompt})"


def _millis(began: float) -> str:
    return f"{(time.perf_counter() - began) * 1000:.1f} ms"


def _heading(text: str) -> None:
    print(f"\n{text}")
