"""What `python -m langcache demo` prints: a cache in use, step by step, with similarity and time."""
# ruff: noqa: T201 (its output is its purpose)

from __future__ import annotations

import sys
import time

from .. import CacheEntry, LangCache
from .terminal import Colours

__all__ = ["demo"]

_SAVED = (
    ("How long does shipping to Canada take?", "Five working days.", "shipping"),
    ("How do I reset my password?", "Under Settings, Security, choose 'Reset'.", "account"),
    ("Where can I see my invoices?", "Under Account, Billing.", "account"),
)
_PATIENT_SECONDS = 30.0  # so that a busy machine is no reason to ask the model


def demo() -> None:
    """Use a cache in this process through `LangCache`, and print what happens, in colours on a terminal."""
    began = time.perf_counter()
    with LangCache.embedded(attributes=("topic",)) as cache:
        cache.health()
        show = _Show(cache, Colours(sys.stdout))
        show.heading(f"A LangCache in this process, ready in {time.perf_counter() - began:.1f} s")
        _steps(cache, show)
    show.heading("What next")
    print("  python -m langcache serve    a service for your programs; says what to set")
    print("  python -m langcache doctor   whether what is set works")


def _steps(cache: LangCache, show: _Show) -> None:
    show.heading("Save three answers")
    shipping, _, _ = [show.save(*each) for each in _SAVED]

    show.heading("Ask for them in other words: hits, with their similarity")
    show.search("My parcel goes to Canada. How many days is the shipping?")
    show.search("I forgot my password, what now?")

    show.heading("Ask for something else: a miss, and a program would ask its model")
    show.search("Which wine goes with grilled fish?")

    show.heading("The same question among the answers of one topic only")
    show.search("I forgot my password, what now?", topic="account")
    show.search("I forgot my password, what now?", topic="shipping")

    show.heading("The threshold decides: 0.85 by default, higher is stricter, lower finds more")
    show.search("I forgot my password, what now?", threshold=0.95)
    show.search("I am locked out, what now?")
    show.search("I am locked out, what now?", threshold=0.6)

    show.heading("Delete")
    cache.delete_by_id(entry_id=shipping)
    print("  by id: the answer about Canada")
    count = cache.delete_query(attributes={"topic": "account"}).deleted_entries_count
    print(f"  by attribute: {count} answers of topic account")
    show.search("My parcel goes to Canada. How many days is the shipping?")

    show.heading("Look up, ask the model on a miss, store its answer: get_or_set")
    show.get_or_set("How do I turn on two-factor authentication?")
    show.get_or_set("How can I turn on two-factor authentication?")

    show.heading("One word makes it another question: its similarity is low, and it is a miss")
    show.search("How do I turn off two-factor authentication?", threshold=0)
    show.get_or_set("How do I turn off two-factor authentication?")


def _model(prompt: str) -> str:
    """What stands for a language model here."""
    return "Under Settings, Security, " + ("remove the device." if "off" in prompt else "scan the code.")


class _Show:
    """Uses a cache, and prints what was asked, what came of it and how long it took."""

    def __init__(self, cache: LangCache, colours: Colours) -> None:
        self._cache = cache
        self._colours = colours

    def heading(self, text: str) -> None:
        print(f"\n{self._colours.bold(text)}")

    def save(self, prompt: str, response: str, topic: str) -> str:
        began = time.perf_counter()
        entry_id = self._cache.set(prompt=prompt, response=response, attributes={"topic": topic}).entry_id
        self._print(f"  {prompt}", f"topic {topic}, {_millis(began)}")
        return entry_id

    def search(self, prompt: str, topic: str | None = None, threshold: float | None = None) -> None:
        began = time.perf_counter()
        found = self._cache.search(
            prompt=prompt,
            similarity_threshold=threshold,
            attributes=None if topic is None else {"topic": topic},
        )
        took = _millis(began)
        settings = {"topic": topic, "threshold": threshold}
        self._print(
            f"  {prompt}", *(f"{name} {value}" for name, value in settings.items() if value is not None)
        )
        self._outcome(found[0] if found else None, took)

    def get_or_set(self, prompt: str) -> None:
        began = time.perf_counter()
        answer = self._cache.get_or_set(prompt, _model, on_error="raise", lookup_timeout=_PATIENT_SECONDS)
        took = _millis(began)
        print(f"  {prompt}")
        self._outcome(answer.entry, took)
        if answer.entry is None:
            print(f"      the model says: {answer.value}")

    def _outcome(self, entry: CacheEntry | None, took: str) -> None:
        if entry is None:
            self._print(f"    {self._colours.doubtful('miss')}", took)
        else:
            self._print(f"    {self._colours.good('hit')}  {entry.similarity:.3f}  {entry.prompt}", took)
            print(f"      {entry.response}")

    def _print(self, text: str, *details: str) -> None:
        print(text + (self._colours.dim(f"  [{', '.join(details)}]") if details else ""))


def _millis(began: float) -> str:
    return f"{(time.perf_counter() - began) * 1000:.1f} ms"
