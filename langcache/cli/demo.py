"""What `python -m langcache demo` prints: a cache in use, step by step, with similarity and time."""
# ruff: noqa: T201 (its output is its purpose)

from __future__ import annotations

import time

from .. import CacheEntry, LangCache, SearchResponse

__all__ = ["demo"]

_SAVED = (
    ("How long does shipping to Canada take?", "Five working days.", "shipping"),
    ("How do I reset my password?", "Under Settings, Security, choose 'Reset'.", "account"),
    ("Where can I see my invoices?", "Under Account, Billing.", "account"),
)
_PATIENT_SECONDS = 30.0  # so that a busy machine is no reason to ask the model


def demo() -> None:
    """Use a cache in this process through `LangCache`, and print what happens."""
    began = time.perf_counter()
    with LangCache.embedded(attributes=("topic",)) as cache:
        cache.health()
        _heading(f"A LangCache in this process, ready in {time.perf_counter() - began:.1f} s")
        _show(cache)
    _heading("What next")
    print("  python -m langcache serve    a service for your programs; it prints what to set")
    print("  python -m langcache doctor   whether what is set works")


def _show(cache: LangCache) -> None:
    _heading("Save three answers")
    entry_ids: list[str] = []
    for prompt, response, topic in _SAVED:
        began = time.perf_counter()
        entry_ids.append(cache.set(prompt=prompt, response=response, attributes={"topic": topic}).entry_id)
        print(f"  {prompt}  [topic {topic}, {_millis(began)}]")

    _heading("Ask for them in other words")
    _search(cache, "My parcel goes to Canada. How many days is the shipping?")
    _search(cache, "I forgot my password, what now?")

    _heading("Ask for something else: a miss, and a program would ask its model")
    _search(cache, "Which wine goes with grilled fish?")

    _heading("The same question among the answers of one topic only")
    _search(cache, "I forgot my password, what now?", topic="account")
    _search(cache, "I forgot my password, what now?", topic="shipping")

    _heading("The threshold decides: 0.85 is the default, a higher one is stricter, a lower one finds more")
    _search(cache, "I forgot my password, what now?", threshold=0.95)
    _search(cache, "I am locked out, what now?")
    _search(cache, "I am locked out, what now?", threshold=0.7)

    _heading("Delete")
    cache.delete_by_id(entry_id=entry_ids[0])
    print("  by id: the answer about Canada")
    count = cache.delete_query(attributes={"topic": "account"}).deleted_entries_count
    print(f"  by attribute: {count} answers of topic account")
    _search(cache, "My parcel goes to Canada. How many days is the shipping?")

    _heading("Look up, ask the model on a miss, store its answer: get_or_set")
    _get_or_set(cache, "How do I turn on two-factor authentication?")
    _get_or_set(cache, "How can I turn on two-factor authentication?")

    _heading("One word makes it another question: its similarity is low, and it is a miss")
    _search(cache, "How do I turn off two-factor authentication?", threshold=0)
    _get_or_set(cache, "How do I turn off two-factor authentication?")


def _model(prompt: str) -> str:
    """What stands for a language model here."""
    return "Under Settings, Security, " + ("remove the device." if "off" in prompt else "scan the code.")


def _search(cache: LangCache, prompt: str, topic: str | None = None, threshold: float | None = None) -> None:
    began = time.perf_counter()
    result = cache.search(
        prompt=prompt, similarity_threshold=threshold, attributes=None if topic is None else {"topic": topic}
    )
    took = _millis(began)
    settings = [f"topic {topic}"] * (topic is not None) + [f"threshold {threshold}"] * (threshold is not None)
    print(f"  {prompt}" + (f"  [{', '.join(settings)}]" if settings else ""))
    print(f"    {_outcome(result)}  [{took}]")


def _get_or_set(cache: LangCache, prompt: str) -> None:
    began = time.perf_counter()
    answer = cache.get_or_set(prompt, _model, on_error="raise", lookup_timeout=_PATIENT_SECONDS)
    took = _millis(began)
    print(f"  {prompt}")
    if answer.entry is not None:
        print(f"    {_hit(answer.entry)}  [{took}]")
    else:
        print(f"    miss, the model says: {answer.value}  [{took}]")


def _outcome(result: SearchResponse) -> str:
    return _hit(result[0]) if result else "miss"


def _hit(entry: CacheEntry) -> str:
    return f"hit, similarity {entry.similarity:.3f}: {entry.response}  (saved as: {entry.prompt})"


def _millis(began: float) -> str:
    return f"{(time.perf_counter() - began) * 1000:.1f} ms"


def _heading(text: str) -> None:
    print(f"\n{text}")
