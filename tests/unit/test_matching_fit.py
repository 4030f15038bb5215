"""The weights of the score are those that tests/quality/fit.py fits, and judge pairs as documented."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

pytest.importorskip("numpy")
sys.path.insert(0, str(Path(__file__).parents[1] / "quality"))

import fit
import table
from sets import HELD_OUT, UNSEEN, labelled_sets


@pytest.fixture(scope="module")
def pairs():
    return labelled_sets()


@pytest.fixture(scope="module")
def tables(pairs):
    return fit.tables(pairs)


def test_fitting_again_gives_the_weights_bit_by_bit(tables):
    assert "fow" in tables, "the package fow-cache of the dependency group test is missing"
    assert fit.written(fit.fit_all(fit.without_held_out(tables))) == fit.WEIGHTS.read_text("utf-8")


@pytest.fixture(scope="module")
def judged(pairs, tables):
    return table.judged("words", pairs, tables)


def test_the_page_has_the_figures_of_today(pairs, judged):
    shares = {
        name: [100 * (each or 0) for each in table.shares(judged[name], pairs[name], 0.85)] for name in pairs
    }
    shares["mean"] = [sum(each) / len(pairs) for each in zip(*shares.values(), strict=True)]
    rows = re.findall(
        r"^\| ([\w ]+) \| (\d+) / (\d+) (?:\|[ \d/]+){8}\|$", table.PAGE.read_text("utf-8"), re.M
    )
    documented = {name: [int(found), int(wrong)] for name, found, wrong in rows}
    assert documented.keys() == shares.keys()
    for name, figures in documented.items():
        assert figures == pytest.approx(shares[name], abs=1), f"{name}: run tests/quality/table.py --write"


def test_terms_that_exclude_each_other_are_not_in_questions_with_one_answer(tables):
    column = [*fit.LEXICAL].index("contrasts")
    for name in ("redis", "quality", "guard", "changed", HELD_OUT, "fow"):  # the others are of intents
        said = tables[name].rows[:, column] > 0
        assert said[tables[name].same].mean() <= 0.015
        assert said[~tables[name].same].mean() >= 0.13


@pytest.mark.parametrize("name", [HELD_OUT, UNSEEN])
def test_nothing_is_fitted_to_a_set_that_is_held_out_and_most_of_it_is_judged_rightly(
    pairs, tables, judged, name
):
    assert name not in fit.without_held_out(tables)
    found, wrong = table.shares(judged[name], pairs[name], 0.85)
    assert found >= 0.8
    assert wrong <= 0.1


@pytest.mark.parametrize("name", [HELD_OUT, UNSEEN])
def test_no_pair_of_a_set_that_is_held_out_is_in_another(pairs, name):
    held_out = {frozenset((pair.stored, pair.asked)) for pair in pairs[name]}
    for other, others in pairs.items():
        if other != name:
            assert held_out.isdisjoint(frozenset((pair.stored, pair.asked)) for pair in others)
