"""The NumPy index, held against a list that is searched the slow way."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langcache.service.stores import index as index_module
from langcache.service.stores.index import Index
from langcache.service.stores.rows import Rows
from langcache.service.stores.store import Entry

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
    for number in range(3_000):
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


UNLIKE = np.eye(4, dtype=np.float32)


def filled(count, clock=None, *, prompts=1, expires_at=lambda number: None, attributes=lambda number: {}):
    """An index of entries with few prompts, all in one call."""
    index = Index(4, clock or Clock())
    entries = [
        entry(number, f"p{number % prompts}", attributes=attributes(number), expires_at=expires_at(number))
        for number in range(count)
    ]
    index.add(entries, UNLIKE[np.arange(count) % 4])
    return index


def tidy(index):
    calls = 0
    while index.untidy:
        index.tidy()
        calls += 1
    return calls


def expire(index):
    index._clock.now = 1
    assert len(index) == 0


def delete_half(index):
    ids = index.matching({"half": "1"})
    assert index.remove(ids) == len(ids)


def delete_each(index):
    for entry_id in index.matching({"half": "1"}):
        index.remove([entry_id])


@pytest.mark.parametrize("prompts", [1, 10**9])
@pytest.mark.parametrize("change", [expire, delete_half, delete_each])
def test_removing_four_times_as_many_takes_about_four_times_as_long(prompts, change):
    def seconds(count):
        index = filled(
            count,
            prompts=prompts,
            expires_at=lambda _: 1,
            attributes=lambda number: {"half": str(number % 2), "own": str(number)},
        )
        started = time.thread_time()
        change(index)
        tidy(index)
        return time.thread_time() - started

    # Quadratic costs would be 16 times as much; the least of some is what the work takes undisturbed.
    assert min(seconds(4_800) for _ in range(3)) < 10 * min(seconds(1_200) for _ in range(3))


def test_a_hundred_thousand_entries_of_one_prompt_expire_in_slices():
    index = filled(100_000, expires_at=lambda _: 1)
    index._clock.now = 1
    assert len(index) == 0
    assert index.same("p0", {}, 1) == index.nearest(UNLIKE[0], {}, 1) == []
    assert tidy(index) > 90
    assert index.nbytes < 10_000


@pytest.mark.parametrize("change", [expire, delete_half])
def test_a_call_lets_go_of_no_more_than_a_slice(change, monkeypatch):
    forgotten = []
    forget = Index._forget
    monkeypatch.setattr(Index, "_forget", lambda self, row: forgotten.append(row) or forget(self, row))
    index = filled(20_000, expires_at=lambda _: 1, attributes=lambda number: {"half": str(number % 2)})
    most = 0

    class Counting(Index):
        pass

    for name in ("matching", "remove", "tidy", "_refresh"):

        def counting(self, *arguments, method=getattr(Index, name)):  # noqa: B008
            nonlocal most
            before = len(forgotten)
            result = method(self, *arguments)
            most = max(most, len(forgotten) - before)
            return result

        setattr(Counting, name, counting)
    index.__class__ = Counting
    change(index)
    tidy(index)
    assert len(forgotten) >= 10_000
    assert 0 < most <= 2 * index_module._SLICE  # a refresh, and the call's own


def test_each_expiry_looks_at_few_rows(monkeypatch):
    clock = Clock()
    index = filled(50_000, clock, prompts=10**9, expires_at=lambda number: number + 1)
    looked_at = 0
    flatnonzero = np.flatnonzero

    def counting(rows):
        nonlocal looked_at
        looked_at += len(rows)
        return flatnonzero(rows)

    monkeypatch.setattr(np, "flatnonzero", counting)
    for now in range(1, 300):
        clock.now = now
        assert len(index) == 50_000 - now
    assert looked_at < 299 * 5_000


def test_an_exact_search_looks_at_few_of_many_entries_with_the_same_prompt(monkeypatch):
    index = filled(80_000, attributes=lambda number: {"half": str(number % 2), "rare": str(number // 79_999)})

    class Counted(dict):
        looked_up = 0

        def __getitem__(self, key):
            Counted.looked_up += 1
            return super().__getitem__(key)

    index._row_of = Counted(index._row_of)
    found = [
        [pair[1].id for pair in index.same("P0", attributes, limit)]
        for attributes, limit in [
            ({}, 2),
            ({"half": "0"}, 2),
            ({"rare": "0", "half": "1"}, 1),
            ({"half": "0", "rare": "1"}, 3),
            ({"half": "2"}, 3),
        ]
    ]
    numbers = [[79_999, 79_998], [79_998, 79_996], [79_997], [], []]
    assert found == [[entry(number).id for number in row] for row in numbers]
    assert len(index.same("p0", {"half": "0"}, 10**9)) == 40_000
    assert Counted.looked_up < 500


@pytest.mark.parametrize("change", [expire, delete_half, Index.clear])
def test_memory_is_given_back(change):
    index = filled(50_000, prompts=3, expires_at=lambda _: 1, attributes=lambda number: {"half": "1"})
    many = index.nbytes
    change(index)
    tidy(index)
    assert index.nbytes < many / 100
    for container in (index._row_of, index._same, index._rows.attributes._codes):
        assert not container
        assert container.__sizeof__() < 10_000
    assert not index._rows.attributes.columns


def test_memory_is_given_back_when_some_entries_stay_and_they_are_found():
    index = filled(50_000, attributes=lambda number: {"half": "1"} if number % 50 else {})
    many = index.nbytes
    delete_half(index)
    tidy(index)
    assert len(index) == 1_000
    assert index.nbytes < many / 10
    assert index._row_of.__sizeof__() + index._same["p0"].__sizeof__() < 400_000
    stay = [entry(number).id for number in range(49_950, -1, -50)]
    assert [found.id for _, found in index.same("p0", {}, 2_000)] == stay
    assert {found.id for _, found in index.nearest(UNLIKE[2], {}, 2_000)} == set(stay)


def test_an_id_that_is_added_again_takes_the_place_of_the_former():
    for held in (False, True):
        index = filled(100)
        if held:
            index.hold()
        index.remove([entry(7).id])
        for _ in range(2):
            index.add([entry(7, "again", attributes={"a": "b"})], UNLIKE[:1])
        if held:
            index.release()
        tidy(index)
        assert len(index) == 100
        assert len(index.same("again", {"a": "b"}, 9)) == 1
        assert len(index.same("p0", {}, 200)) == 99
        assert index.remove([entry(7).id, entry(7).id]) == 1
        tidy(index)
        assert len(index) == len(index._row_of) == 99
        assert not index._rows.attributes.columns


@pytest.mark.parametrize("dimensions", [256, 300, 384, 512, 768, 1024, 1536, 3072, 4096])
def test_a_block_is_large_enough_for_large_pages_and_small_enough_for_the_cache(dimensions):
    assert 4 * 2**20 <= 4 * dimensions * Rows(dimensions).block_rows <= 8 * 2**20
