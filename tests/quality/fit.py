"""Fits langcache/matching/weights.json to the labelled pairs: ``python tests/quality/fit.py``.

A logistic regression with an L2 penalty, by Newton's method with a fixed number of steps. It reads nothing
but files of the repository and the package ``fow-cache``, and weights are rounded, so that they come out the
same everywhere; tests/unit/test_matching_fit.py compares.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # such small matrices take 20 times as long with more

import numpy as np
from measure import Measured, measured
from numpy.typing import NDArray
from sets import HELD_OUT, UNSEEN, Pair, labelled_sets

import langcache.matching.score as score
from langcache.matching.features import ALIGNED, COSINE, LEXICAL, compared, lexical

__all__ = ["Fit", "Table", "fit", "fit_all", "tables", "without_held_out"]

WEIGHTS = Path(score.__file__).with_name("weights.json")
PENALTY = 8.0
_STEPS = 25
_DECIMALS = 3
_SIGNS = {**LEXICAL, **COSINE, **ALIGNED}
_WRONG_COSTS = 1.5
"""What a wrong hit counts for when a lost one counts for 1."""
_COUNTS = {"everyday": 2.0}
"""What a set counts for, if not for 1: this one has 14 domains, each by an author of its own."""
_LEFT_OUT = {"words": {"one_exchanged", "cosine_squared"}}
"""What tells nothing more where vectors of words are known: sets left out are judged better without."""
_NEAR = 0.7
"""Pairs with a cosine of less are no hits of any service, so those for texts are fitted to the others."""

Array = NDArray[np.float64]


class Table(NamedTuple):
    """A set of pairs as numbers: a row of features, and whether the answer is the same."""

    rows: Array
    same: NDArray[np.bool_]
    near: NDArray[np.bool_]
    repeated: NDArray[np.bool_]
    told_apart: NDArray[np.bool_]


class Fit(NamedTuple):
    """The weights of a logistic regression."""

    intercept: float
    weights: dict[str, float]

    def likelihoods(self, rows: Array, names: Sequence[str]) -> Array:
        """How likely the answer is the same, for each row of features."""
        total = self.intercept + rows @ np.array([self.weights[name] for name in names])
        return 1 / (1 + np.exp(-total))


def tables(sets: Mapping[str, Sequence[Pair]] | None = None) -> dict[str, Table]:
    """All sets that are there, with every feature, from what data/cosines.tsv has of them."""
    sets = labelled_sets() if sets is None else sets
    known = measured()
    return {name: _table(pairs, known[name]) for name, pairs in sets.items()}


def _table(pairs: Sequence[Pair], known: Sequence[Measured]) -> Table:
    rows: list[list[float]] = []
    repeated: list[bool] = []
    told_apart: list[bool] = []
    for pair, models in zip(pairs, known, strict=True):
        one, other = compared(pair.asked, pair.stored)
        repeated.append(score.is_repeated(one, other))
        told_apart.append(score.are_told_apart(one, other))
        rows.append([*lexical(one, other), models.minilm, models.minilm**2, *models.aligned])
    return Table(
        np.array(rows, float),
        np.array([pair.same for pair in pairs]),
        np.array([max(models.minilm, models.wordllama) >= _NEAR for models in known]),
        np.array(repeated),
        np.array(told_apart),
    )


def without_held_out(sets: Mapping[str, Table]) -> dict[str, Table]:
    """The sets that weights may be fitted to."""
    return {name: table for name, table in sets.items() if name not in (HELD_OUT, UNSEEN)}


def fit_all(sets: Mapping[str, Table]) -> dict[str, Fit]:
    """All sets of weights."""
    return {kind: fit(kind, sets) for kind in score.FEATURES}


def fit(kind: str, sets: Mapping[str, Table]) -> Fit:
    """One set of weights."""
    names = score.FEATURES[kind]
    chosen = [table.near if kind == "texts" else np.ones(len(table.same), bool) for table in sets.values()]
    rows = np.concatenate(
        [table.rows[some, : len(names)] for table, some in zip(sets.values(), chosen, strict=True)]
    )
    same = np.concatenate(
        [table.same[some] for table, some in zip(sets.values(), chosen, strict=True)]
    ).astype(float)
    counts = np.concatenate(
        [
            np.full(some.sum(), _COUNTS.get(name, 1.0) / some.sum())
            for name, some in zip(sets, chosen, strict=True)
        ]
    )
    if kind != "texts":  # which has a service's threshold before it
        counts *= np.where(same == 1, 1, _WRONG_COSTS)
    counts *= len(counts) / counts.sum()
    kept = [at for at, name in enumerate(names) if name not in _LEFT_OUT.get(kind, ())]
    while True:
        found = _logistic(rows[:, kept], same, counts)
        spread = rows[:, kept].std(axis=0)
        wrong = [
            (abs(weight) * spread[at], at)
            for at, weight in enumerate(found[1:])
            if weight * _SIGNS[names[kept[at]]] < 0
        ]
        if not wrong:
            break
        del kept[max(wrong)[1]]  # what has the wrong sign counts for nothing
    weights = dict.fromkeys(names, 0.0)
    for at, weight in zip(kept, found[1:], strict=True):
        weights[names[at]] = round(float(weight), _DECIMALS) + 0.0
    return Fit(round(float(found[0]), _DECIMALS), weights)


def _logistic(rows: Array, same: Array, counts: Array) -> Array:
    """The intercept and the weights. The penalty is on weights for features of mean 0 and variance 1."""
    mean = np.average(rows, axis=0, weights=counts)
    spread = np.sqrt(np.average((rows - mean) ** 2, axis=0, weights=counts))
    spread[spread < 1e-9] = 1
    scaled = np.column_stack([np.ones(len(rows)), (rows - mean) / spread])
    penalty = np.full(scaled.shape[1], PENALTY)
    penalty[0] = 1e-6
    found = np.zeros(scaled.shape[1])
    for _ in range(_STEPS):
        likely = 1 / (1 + np.exp(-scaled @ found))
        slope = scaled.T @ (counts * (likely - same)) + penalty * found
        bend = (scaled * (counts * likely * (1 - likely))[:, None]).T @ scaled + np.diag(penalty)
        found -= np.linalg.solve(bend, slope)
    weights = found[1:] / spread
    return np.concatenate([[found[0] - weights @ mean], weights])


def written(fits: Mapping[str, Fit]) -> str:
    """The text of weights.json."""
    return json.dumps({kind: each._asdict() for kind, each in fits.items()}, indent=2) + "\n"


if __name__ == "__main__":
    WEIGHTS.write_text(written(fit_all(without_held_out(tables()))), "utf-8")
