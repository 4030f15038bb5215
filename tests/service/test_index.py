"""The NumPy index, held against a list that is searched the slow way."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from langcache.service.index import Index
from langcache.service.store import Entry

ENTRIES = st.lists(
    st.tuples(
        st.sampled_from(["alpha", "Alpha", "beta", "gamma"]),
        st.integers(0, 17),  # times 10 degrees
        st.dictionaries(st.sampled_from(["topic", "tenant"]), st.sampled_from(["a", "b", "c"])),
        st.none() | st.integers(1, 100),
    ),
    max_size=150,
)


class Clock:
    now = 0

    def __call__(self) -> int:
        return self.now


def vector(degrees: float) -> np.ndarray:
    radians = math.radians(degrees)
    return np.array([math.cos(radians), math.sin(radians)], np.float32)


def entry(number: int, prompt: str = "prompt", **fields: object) -> Entry:
    return Entry(
        f"{number:032x}", prompt, f"response {number}", fields.get("attributes", {}), fields.get("expires_at")
    )  # type: ignore[arg-type]


@settings(deadline=None)
@given(
    ENTRIES,
    st.lists(st.integers(0, 149), max_size=100),
    st.integers(0, 110),
    st.dictionaries(st.sampled_from(["topic", "tenant", "none"]), st.sampled_from(["a", "b"])),
    st.integers(1, 5),
)
def test_finds_what_a_plain_list_finds(rows, removed, now, wanted, limit):
    clock = Clock()
    index = Index(2, clock)
    kept = []
    for number, (prompt, tens, attributes, expires_at) in enumerate(rows):
        new = entry(number, prompt, attributes=attributes, expires_at=expires_at)
        index.add([new], vector(10 * tens)[None])
        kept.append((new, 10 * tens))
    gone = {f"{number:032x}" for number in removed}
    assert index.remove(sorted(gone)) == sum(new.id in gone for new, _ in kept)
    clock.now = now

    kept = [
        (new, degrees)
        for new, degrees in reversed(kept)
        if new.id not in gone and (new.expires_at is None or new.expires_at > now)
    ]
    matching = [pair for pair in kept if wanted.items() <= pair[0].attributes.items()]
    nearest = sorted(matching, key=lambda pair: abs(pair[1] - 40))  # stable, so newest first
    assert [found.id for _, found in index.nearest(vector(40), wanted, limit)] == [
        new.id for new, _ in nearest[:limit]
    ]
    same = [new.id for new, _ in matching if new.prompt.lower() == "alpha"]
    assert [found.id for _, found in index.same("ALPHA", wanted, limit)] == same[:limit]
    assert sorted(index.matching(wanted)) == sorted(new.id for new, _ in matching)
    assert len(index) == len(kept)


def test_similarity_is_the_normalised_cosine():
    index = Index(2)
    index.add([entry(1)], vector(60)[None])
    assert [index.nearest(vector(angle), {}, 1)[0][0] for angle in (60, 0, 150, 240)] == [1.0, 0.75, 0.5, 0.0]


def test_a_vector_of_zeros_is_near_to_nothing_wherever_its_row_moves():
    index = Index(2)
    zeros = np.zeros(2, np.float32)
    for number in range(200):
        blank = number % 2 == 0
        new = entry(number, attributes={"topic": "a" if number % 3 else "b"})
        index.add([new], (zeros if blank else vector(30))[None])
    index.remove([entry(number).id for number in range(1, 100, 2)])  # rows from the end take these places
    found = {entry.id for _, entry in index.nearest(vector(30), {}, 1000)}
    assert found == {entry(number).id for number in range(101, 200, 2)}
    found = {entry.id for _, entry in index.nearest(vector(30), {"topic": "b"}, 1000)}
    assert found == {entry(number).id for number in range(105, 200, 6)}
    assert len(index.matching({})) == 150
    assert len(index.same("prompt", {}, 1000)) == 150
    index.remove([entry(number).id for number in range(101, 200, 2)])
    assert index.nearest(vector(30), {}, 1000) == []


def test_equal_matches_come_newest_first_wherever_they_stand():
    index = Index(2)
    index.add([entry(n) for n in range(200)], np.tile(vector(33), (200, 1)))
    index.remove([entry(199).id, entry(0).id])  # the last row moves to the front
    assert [found.response for _, found in index.nearest(vector(33), {}, 3)] == [
        "response 198",
        "response 197",
        "response 196",
    ]


def test_what_expired_is_let_go_of_and_not_only_hidden():
    clock = Clock()
    index = Index(2, clock)
    for number in range(10_000):
        clock.now = number
        new = entry(number, f"prompt {number}", attributes={"topic": str(number)}, expires_at=number + 10)
        index.add([new], vector(0)[None])
    assert len(index) == 10
    assert index.nbytes < 10_000
    assert len(index._same) == len(index._row_of) == len(index._rows.attributes) == 10


def test_an_entry_is_gone_the_moment_its_time_is_over():
    clock = Clock()
    index = Index(2, clock)
    index.add([entry(1, expires_at=1000)], vector(0)[None])
    clock.now = 999
    assert index.nearest(vector(0), {}, 1)
    clock.now = 1000
    assert not index.nearest(vector(0), {}, 1)
    assert not index.same("prompt", {}, 1)
    assert not index.matching({})
    assert index.remove([entry(1).id]) == 0
