"""The nearest vectors, whatever shares a pass, held against float64 sums that are done one by one."""

from __future__ import annotations

import numpy as np
import pytest

from langcache.service.stores import nearest
from langcache.service.stores.index import Index
from langcache.service.stores.store import Entry

DIMENSIONS = 256


def unit(vectors):
    vectors = np.asarray(vectors, np.float32)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


class Naive:
    """Entries, oldest first, that are compared in float64 and sorted all."""

    def __init__(self):
        self.kept = {}

    def add(self, entries, vectors):
        self.kept |= {entry.id: (entry, vector) for entry, vector in zip(entries, vectors, strict=True)}

    def remove(self, ids):
        for entry_id in ids:
            self.kept.pop(entry_id, None)

    def nearest_of_all(self, wanted):
        newest_first = list(reversed(self.kept.values()))
        stored = np.array([vector for _, vector in newest_first], np.float64)
        cosines = stored @ np.array([vector for vector, _, _ in wanted], np.float64).T
        for column, (_, attributes, limit) in enumerate(wanted):
            found = [
                (round((1 + min(1.0, max(-1.0, cosine))) / 2, 6), entry)
                for cosine, (entry, vector) in zip(cosines[:, column].tolist(), newest_first, strict=True)
                if attributes.items() <= entry.attributes.items() and vector[:1].any()
            ]
            yield sorted(found, key=lambda pair: -pair[0])[:limit]  # stable, so newest first


def random_vectors(random, count):
    """Vectors of which many are the same, almost the same, opposite, or zeros."""
    base = unit(random.standard_normal((8, DIMENSIONS)))
    vectors = base[random.integers(0, 8, count)]
    kinds = random.integers(0, 6, count)
    vectors = np.where((kinds == 1)[:, None], -vectors, vectors)
    for kind, much in ((2, 1e-5), (3, 1e-3), (4, 1.0)):
        moved = unit(vectors + much * random.standard_normal(vectors.shape))
        vectors = np.where((kinds == kind)[:, None], moved, vectors)
    vectors[random.random(count) < 0.02] = 0
    return vectors.astype(np.float32)


@pytest.mark.parametrize("seed", range(2))
def test_random_changes_and_batches_find_what_one_by_one_finds(seed, monkeypatch):
    monkeypatch.setattr(nearest, "_SCORES", 1 << 12)  # so that a pass looks several times
    random = np.random.default_rng(seed)
    index, naive = Index(DIMENSIONS), Naive()
    index._rows.block_rows = 256  # so that there are many blocks
    number = 0
    for _ in range(8):
        count = int(random.integers(1, 500))
        vectors = random_vectors(random, count)
        entries = [
            Entry(f"{number + i:032x}", "p", "r", {"tenant": "ab"[i % 2], "one": str(i % 100)}, None)
            for i in range(count)
        ]
        number += count
        index.add(entries, vectors)
        naive.add(entries, vectors)
        gone = [f"{i:032x}" for i in random.integers(0, number, int(random.integers(0, 400)))]
        index.remove(gone)
        naive.remove(gone)
        asked = [vector for vector in random_vectors(random, 36) if vector.any()]
        ways = ({}, {"tenant": "a"}, {"one": "7"}, {"tenant": "b", "one": "3"}, {"tenant": "c"})
        wanted = [
            (vector, ways[i % len(ways)], int(random.choice([1, 1, 2, 10, 5000])))
            for i, vector in enumerate(asked)
        ]
        expected = list(naive.nearest_of_all(wanted))
        assert [index.nearest(*each) for each in wanted] == expected
        for size in (1, 3, 16, 32):
            batches = [wanted[first : first + size] for first in range(0, len(wanted), size)]
            assert [found for batch in batches for found in index.scan(batch).run()] == expected


@pytest.mark.parametrize("dimensions", [2, 100, 384, 1536])
def test_a_vector_of_any_length_is_multiplied_right(dimensions):
    random = np.random.default_rng(dimensions)
    index = Index(dimensions)
    vectors = unit(random.standard_normal((700, dimensions)))
    index.add([Entry(str(i), f"p{i}", "r", {}, None) for i in range(700)], vectors)
    found = index.scan([(vector, {}, 1) for vector in vectors[:40]]).run()
    nearest_by_hand = (vectors[:40].astype(np.float64) @ vectors.T.astype(np.float64)).max(axis=1)
    assert [pairs[0][0] for pairs in found] == pytest.approx(((nearest_by_hand + 1) / 2).tolist(), abs=1e-6)


def test_similarities_at_a_rounding_boundary_do_not_depend_on_the_batch():
    """Float32 sums of one vector differ by its place in a batch; 6 decimals of them would, too."""
    random = np.random.default_rng(5)
    index = Index(DIMENSIONS)
    query = unit(random.standard_normal(DIMENSIONS))
    near = unit(query + 0.02 * random.standard_normal((3000, DIMENSIONS)))
    index.add([Entry(f"{i:032x}", f"p{i}", "r", {}, None) for i in range(3000)], near)
    alone = index.scan([(query, {}, 3000)]).run()[0]
    others = unit(random.standard_normal((31, DIMENSIONS)))
    for place in (0, 7, 16, 31):
        batch = [(other, {}, 1) for other in others]
        batch.insert(place, (query, {}, 3000))
        assert index.scan(batch).run()[place] == alone
    index.remove([f"{i:032x}" for i in range(0, 1500, 2)])  # and neither on the row
    kept = [pair for pair in alone if int(pair[1].id, 16) >= 1500 or int(pair[1].id, 16) % 2]
    assert index.nearest(query, {}, 3000) == kept


def test_a_pass_is_of_the_rows_as_they_were_when_it_was_made():
    index = Index(2)
    index.add([Entry(str(i), "p", "r", {}, None) for i in range(100)], np.tile([[1, 0]], (100, 1)))
    scan = index.scan([(np.array([1, 0], np.float32), {}, 1)])
    index.hold()
    index.remove([str(i) for i in range(90)])
    index.add([Entry("new", "p", "r", {}, None)] * 1, np.array([[1, 0]]))
    for number in range(1000):  # the arrays grow
        index.add([Entry(f"n{number}", "p", "r", {}, None)], np.array([[0, 1]]))
    assert [entry.id for _, entry in scan.run()[0]] == ["99"]
    assert [entry.id for _, entry in index.nearest(np.array([1, 0], np.float32), {}, 1)] == ["new"]
    assert index.nbytes > 0
    index.release()
    index.tidy()
    assert len(index) == 1011
    assert [entry.id for _, entry in index.nearest(np.array([1, 0], np.float32), {}, 1)] == ["new"]


def test_the_memory_of_a_pass_is_bounded(monkeypatch):
    """Products are worked out for some rows at a time, and similarities of candidates too."""
    random = np.random.default_rng(1)
    index = Index(8)
    index.add(
        [Entry(f"{i:032x}", f"p{i}", "r", {}, None) for i in range(100_000)],
        unit(np.array([1] + [0] * 7) + 1e-7 * random.standard_normal((100_000, 8))),  # all as good
    )
    sizes = []
    empty, gathered = np.empty, nearest.gathered

    def noted_empty(shape, *more, **options):
        sizes.append(np.prod(shape))
        return empty(shape, *more, **options)

    def noted_gathered(blocks, rows):
        sizes.append(blocks[0].shape[1] * len(rows))
        return gathered(blocks, rows)

    monkeypatch.setattr(np, "empty", noted_empty)
    monkeypatch.setattr(nearest, "gathered", noted_gathered)
    query = np.array([1] + [0] * 7, np.float32)
    found = index.scan([(query, {}, 2)] * 8).run()
    newest = [f"{i:032x}" for i in (99_999, 99_998)]
    assert [[entry.id for _, entry in pairs] for pairs in found] == [newest] * 8
    assert 1 << 16 < max(sizes) <= 1 << 20


@pytest.mark.parametrize("count", [1, 60, 2_500, 9_000])
def test_a_search_for_the_one_nearest_of_all_finds_what_one_by_one_finds(count):
    random = np.random.default_rng(count)
    index, naive = Index(DIMENSIONS), Naive()
    vectors = random_vectors(random, count)
    entries = [Entry(str(number), f"prompt {number}", "r", {}, None) for number in range(count)]
    index.add(entries, vectors)
    naive.add(entries, vectors)
    index.hold()  # so that removed rows stay where they are, and may have the highest score
    for _ in range(10):
        vector = vectors[random.integers(0, count)]
        vector = vector if vector.any() else unit(np.ones(DIMENSIONS))
        expected = next(naive.nearest_of_all([(vector, {}, 1)])) if naive.kept else []
        assert index.nearest(vector, {}, 1) == expected
        gone = [entry.id for _, entry in expected]
        index.remove(gone)
        naive.remove(gone)
