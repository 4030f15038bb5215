"""The weights of the score are those that tests/quality/fit.py fits, and judge pairs as documented."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("numpy")
sys.path.insert(0, str(Path(__file__).parents[1] / "quality"))

import fit
from sets import HELD_OUT, UNSEEN, labelled_sets

import langcache.matching.score as score


@pytest.fixture(scope="module")
def pairs():
    return labelled_sets()


@pytest.fixture(scope="module")
def tables(pairs):
    return fit.tables(pairs)


def test_fitting_again_gives_the_weights_bit_by_bit(tables):
    assert "fow" in tables, "the package fow-cache of the dependency group test is missing"
    assert fit.written(fit.fit_all(fit.without_held_out(tables))) == fit.WEIGHTS.read_text("utf-8")


@pytest.mark.parametrize(
    ("name", "kept", "wrong"), [("redis", 0.83, 0.05), ("quality", 0.8, 0.02), ("guard", 0.95, 0.02)]
)
def test_a_set_is_judged_about_as_well_as_documented_by_weights_fitted_to_the_others(
    tables, name, kept, wrong
):
    own = tables[name]
    names = score.FEATURES["words"]
    others = {other: table for other, table in fit.without_held_out(tables).items() if other != name}
    likely = fit.fit("words", others).likelihoods(own.rows[:, : len(names)], names)
    assert (likely[own.same] >= 0.5).mean() >= kept
    assert (likely[~own.same] >= 0.5).mean() <= wrong
    assert (likely[~own.same] >= 0.6).mean() <= 0.06


def test_terms_that_exclude_each_other_are_not_in_questions_with_one_answer(tables):
    column = [*fit.LEXICAL].index("contrasts")
    for name in ("redis", "quality", "guard", "changed", HELD_OUT, "fow"):  # the others are of intents
        said = tables[name].rows[:, column] > 0
        assert said[tables[name].same].mean() <= 0.015
        assert said[~tables[name].same].mean() >= 0.13


@pytest.mark.parametrize(("name", "most_wrong"), [(HELD_OUT, 0.12), (UNSEEN, 0.13)])
def test_nothing_is_fitted_to_a_set_that_is_held_out_and_it_is_judged_as_documented(tables, name, most_wrong):
    known = fit.without_held_out(tables)
    assert name not in known
    own = tables[name]
    names = score.FEATURES["words"]
    likely = fit.fit("words", known).likelihoods(own.rows[:, : len(names)], names)
    hit = (likely >= 0.5) & ~own.told_apart
    assert hit[own.same].mean() >= 0.8
    assert hit[~own.same].mean() <= most_wrong


@pytest.mark.parametrize("name", [HELD_OUT, UNSEEN])
def test_no_pair_of_a_set_that_is_held_out_is_in_another(pairs, name):
    held_out = {frozenset((pair.stored, pair.asked)) for pair in pairs[name]}
    for other, others in pairs.items():
        if other != name:
            assert held_out.isdisjoint(frozenset((pair.stored, pair.asked)) for pair in others)
