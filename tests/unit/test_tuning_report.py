"""A certified threshold keeps its promise; tables, estimates and pictures say what the pairs say."""

from __future__ import annotations

import math
import random
import re
import xml.etree.ElementTree as ElementTree
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langcache.tuning import Pair, Row, tune
from langcache.tuning.binomial import at_most, interval, upper_bound

COUNTS = st.integers(1, 60).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials)))


def exactly(count, trials, share):
    """The same probability from whole numbers, without rounding."""
    share = Fraction(share)
    return sum(math.comb(trials, at) * share**at * (1 - share) ** (trials - at) for at in range(count + 1))


@given(COUNTS, st.floats(0, 1))
def test_the_tail_of_the_binomial_distribution_is_exact(counts, share):
    assert at_most(*counts, share) == pytest.approx(float(exactly(*counts, share)), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    (
        "count",
        "trials",
        "low",
        "high",
        "upper",
    ),  # as SciPy has them: binomtest(...).proportion_ci(0.95, "exact")
    [
        (0, 10, 0.0, 0.30849710781876, 0.41129598134753),
        (3, 20, 0.03207093718555, 0.37892682654530, 0.44946540673949),
        (10, 100, 0.04900468922149, 0.17622259774018, 0.20195352078134),
        (4, 268, 0.00408124394875, 0.03777184217326, 0.04624483031996),
        (10, 10, 0.69150289218124, 1.0, 1.0),
    ],
)
def test_bounds_are_those_of_clopper_and_pearson(count, trials, low, high, upper):
    assert interval(count, trials, 0.95) == pytest.approx((low, high), abs=1e-10)
    assert upper_bound(count, trials, 0.005) == pytest.approx(upper, abs=1e-10)


@given(COUNTS, st.floats(0.0001, 0.5))
def test_an_upper_bound_is_where_the_tail_is_as_small_as_the_error(counts, error):
    bound = upper_bound(*counts, error)
    count, trials = counts
    assert count / trials <= bound <= 1
    if count < trials:
        assert at_most(count, trials, bound) == pytest.approx(error, rel=1e-6)


def test_counts_of_a_hundred_thousand_are_no_work():
    assert upper_bound(50_000, 100_000, 0.005) == pytest.approx(
        0.5 + 2.5758 * math.sqrt(0.25 / 1e5), abs=1e-4
    )


def sample(random_, size, wrong_at):
    """Pairs with any similarity from 0 to 1, on which the probability that they are wrong depends."""
    similarities = [random_.random() for _ in range(size)]
    return [Pair("a", "b", random_.random() >= wrong_at(each), each) for each in similarities]


def share_above(threshold, wrong_at):
    """The true share of wrong ones among hits."""
    steps = [threshold + (1 - threshold) * (at + 0.5) / 1000 for at in range(1000)]
    return sum(map(wrong_at, steps)) / len(steps)


MODELS = {
    "falls_evenly": (0.2, lambda similarity: 0.8 * (1 - similarity)),
    "falls_late": (0.1, lambda similarity: 0.6 if similarity < 0.7 else 0.05),
    # No similarity tells anything, and everywhere a little too many hits are wrong.
    "everywhere_just_too_many": (0.1, lambda similarity: 0.105),
    # As near misses do to a model that looks at words alone: the most similar are wrong most often.
    "rises_at_the_end": (
        0.15,
        lambda similarity: 0.5 if similarity < 0.4 else 0.3 if similarity > 0.9 else 0.1,
    ),
    "rises_and_falls": (0.1, lambda similarity: 0.1 + 0.04 * math.sin(40 * similarity)),
}


@pytest.mark.parametrize(("max_wrong", "wrong_at"), MODELS.values(), ids=MODELS)
def test_what_is_certified_holds_as_often_as_it_says(max_wrong, wrong_at):
    random_ = random.Random(7)
    runs, broken = 300, 0
    for _ in range(runs):
        pairs = sample(random_, 400, wrong_at)
        threshold = tune(pairs, max_wrong=max_wrong, confidence=0.95, thresholds=[]).threshold
        broken += threshold is not None and share_above(threshold, wrong_at) > max_wrong
    assert broken <= 0.05 * runs


def test_enough_pairs_certify_most_of_what_could_be_kept():
    wrong_at = MODELS["falls_late"][1]
    report = tune(sample(random.Random(7), 2000, wrong_at), max_wrong=0.1)
    assert report.certified is not None
    assert report.threshold == report.certified.threshold
    assert 0.6 < report.threshold < 0.75  # about 0.66 with all the labels of the world
    assert report.certified in report.rows
    assert report.certified.wrong_share < report.bound <= 0.1
    assert report.more_labels == 0
    assert f"* {report.threshold:9.3f}" in str(report)
    assert "is certified: at most 10% wrong hits, with 95% confidence." in str(report)


def test_a_higher_confidence_takes_a_higher_threshold():
    pairs = sample(random.Random(3), 2000, MODELS["falls_evenly"][1])
    thresholds = [tune(pairs, max_wrong=0.2, confidence=each).threshold for each in (0.5, 0.95, 0.9999)]
    assert thresholds == sorted(thresholds)
    assert thresholds[0] < thresholds[-1]


def test_too_few_pairs_certify_nothing_and_say_about_how_many_more_it_takes():
    wrong_at = MODELS["falls_late"][1]
    random_ = random.Random(5)
    pairs = sample(random_, 100, wrong_at)
    report = tune(pairs, max_wrong=0.1)
    assert report.threshold is report.certified is report.bound is None
    assert "No threshold is certified for at most 10% wrong hits, with 95% confidence." in str(report)
    assert re.search(r"\nAbout [\d,]+ more labelled pairs do, if they come out like these\.\n", str(report))
    assert "Fewer than 51 hits can never show it" in str(report)
    assert 100 < report.more_labels < 10_000


@pytest.mark.parametrize(("same", "different"), [(30, 0), (45, 1), (90, 6), (900, 85)])
def test_as_many_more_pairs_as_it_says_do_if_they_come_out_alike(same, different):
    lower = [Pair("a", "b", False, 0.3)] * 50
    pairs = [*lower, *[Pair("a", "b", True, 0.9)] * same, *[Pair("a", "b", False, 0.9)] * different]
    missing = tune(pairs, max_wrong=0.1).more_labels

    def certified(labels):
        kept, wrong = (round(count * labels / len(pairs)) for count in (same, different))
        more = [*lower, *[Pair("a", "b", True, 0.9)] * kept, *[Pair("a", "b", False, 0.9)] * wrong]
        return tune(more, max_wrong=0.1).certified is not None

    assert missing > 0
    assert certified((len(pairs) + missing) * 1.1)
    assert not certified((len(pairs) + missing) * 0.9)


def test_hits_that_are_all_right_take_the_least_number_of_labels():
    pairs = [Pair("a", "b", True, 0.9)] * 10 + [Pair("a", "b", False, 0.3)] * 10
    report = tune(pairs, max_wrong=0.1)
    assert report.more_labels == 2 * 51 - 20
    assert at_most(0, 51, 0.1) <= 0.05 / 10 < at_most(0, 50, 0.1)  # by ten tests at most


def test_pairs_of_which_too_many_are_wrong_everywhere_are_not_asked_for_again():
    pairs = [*sample(random.Random(5), 500, lambda similarity: 0.4), Pair("a", "b", False, 1.0)]
    report = tune(pairs, max_wrong=0.01)
    assert report.threshold is report.more_labels is None
    assert "More pairs like these would not help" in str(report)


PAIRS = [
    Pair("a", "b", True, 0.9),
    Pair("a", "b", True, 0.8),
    Pair("a", "b", False, 0.9),
    Pair("a", "b", False, 0.3),
]


def test_a_row_counts_hits_at_its_threshold_and_above():
    report = tune(PAIRS, thresholds=[0.95, 0.9, 0.5])
    assert [(row.threshold, row.hits, row.kept, row.wrong) for row in report.rows] == [
        (0.5, 3, 2, 1),
        (0.9, 2, 1, 1),
        (0.95, 0, 0, 0),
    ]
    middle, none = report.rows[1:]
    assert (middle.kept_share, middle.wrong_share) == (0.5, 0.5)
    assert (middle.wrong_low, middle.wrong_high) == interval(1, 2, 0.95)
    assert (none.kept_share, none.wrong_share, none.wrong_low, none.wrong_high) == (0, 0, 0, 1)
    assert report.at(0.9) == middle
    assert isinstance(middle, Row)
    assert report.max_wrong is report.threshold is report.more_labels is report.bound is None
    assert "With --max-wrong a threshold is certified" in str(report)
    assert repr(report) == "<Report of 4 pairs: threshold None, max_wrong None>"


SCORED = st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=30)


@given(SCORED, st.floats(0.001, 0.999))
def test_any_similarities_make_a_table_and_a_picture(scored, max_wrong):
    pairs = [Pair("a", "b", True, 0.5), Pair("a", "b", False, 0.5)]
    pairs += [Pair("a", "b", same, similarity) for similarity, same in scored]
    report = tune(pairs, max_wrong=max_wrong)
    assert 1 < len(report.rows) <= 22
    for row in report.rows:
        assert row.kept == sum(pair.same and pair.similarity >= row.threshold for pair in pairs)
        assert row.wrong == sum(not pair.same and pair.similarity >= row.threshold for pair in pairs)
        assert row.wrong_low <= row.wrong_share <= row.wrong_high
    assert len(str(report).splitlines()) >= len(report.rows) + 3
    assert ElementTree.fromstring(report.svg()).tag == "{http://www.w3.org/2000/svg}svg"


@pytest.mark.parametrize("low", [0.0, 0.3, 0.8, 0.97, 0.995])
def test_the_table_follows_the_range_of_the_similarities(low):
    random_ = random.Random(2)
    pairs = [Pair("a", "b", random_.random() < 0.5, low + (1 - low) * random_.random()) for _ in range(300)]
    thresholds = [row.threshold for row in tune(pairs).rows]
    assert thresholds == sorted(set(thresholds))
    assert 0.85 in thresholds
    assert thresholds[-1] <= 1
    assert 5 <= sum(low <= threshold for threshold in thresholds) <= len(thresholds) <= 21


NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def test_a_picture_shows_the_certified_threshold_and_draws_within_its_frame():
    report = tune(sample(random.Random(7), 2000, MODELS["falls_late"][1]), max_wrong=0.1)
    picture = ElementTree.fromstring(report.svg())
    name = "{http://www.w3.org/2000/svg}"
    texts = [text.text for text in picture.iter(f"{name}text")]
    assert f"certified: {report.threshold:.3f}" in texts
    assert "at most 10% wrong" in texts
    assert "2,000 pairs, similarity as given" in texts
    width, height = float(picture.get("width")), float(picture.get("height"))
    paths = [path.get("d") for path in picture.iter(f"{name}path") if path.get("class") in ("curve", "band")]
    assert len(paths) == 2
    for path in paths:
        numbers = [float(number) for number in NUMBER.findall(path)]
        assert all(0 <= x <= width for x in numbers[::2])
        assert all(0 <= y <= height for y in numbers[1::2])
    style = picture.find(f"{name}style").text
    assert "prefers-color-scheme: dark" in style
    # Each colour is chosen for both.
    light, _, dark = style.partition("@media")
    for chosen in (
        "svg { background",
        "text {",
        ".grid {",
        ".axis {",
        ".curve {",
        ".limit {",
        ".certified {",
    ):
        assert chosen in light
        assert chosen in dark


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"max_wrong": 0},
            ValueError,
            "max_wrong: must be more than 0 and less than 1, such as 0.05, but is 0",
        ),
        ({"max_wrong": 1}, ValueError, "max_wrong: must be more than 0 and less than 1"),
        ({"max_wrong": 5}, ValueError, "max_wrong: must be from 0 to 1, but is 5"),
        ({"max_wrong": "5%"}, TypeError, "max_wrong: must be a number, but is str"),
        ({"confidence": 95}, ValueError, "confidence: must be from 0.5 to 0.9999, but is 95"),
        ({"confidence": 1}, ValueError, "confidence: must be from 0.5 to 0.9999"),
        ({"thresholds": 0.5}, TypeError, "thresholds: must be an iterable of numbers, but is float"),
        ({"thresholds": "0.5"}, TypeError, "thresholds: must be an iterable of numbers, but is str"),
        ({"thresholds": [0.5, 2]}, ValueError, "thresholds: must be from 0 to 1, but is 2"),
        ({"client": "http://x"}, TypeError, "client: must be a LangCache, but is str"),
        ({"attribute": "run"}, ValueError, "attribute: is for a client, which there is none of"),
        ({"concurrency": 0}, ValueError, "concurrency: must be from 1 to 256, but is 0"),
        (
            {"accept": "any"},
            TypeError,
            "accept: must be a function of the question and the entry, but is str",
        ),
    ],
)
def test_a_wrong_argument_is_named_before_anything_is_scored(options, error, message):
    with pytest.raises(error, match=message):
        tune([("a", "b", True), ("c", "d", False)], **options)


def test_what_is_not_accepted_is_a_miss():
    seen = []

    def accept(question, entry):
        seen.append((question, entry.prompt, entry.similarity))
        return entry.prompt != "b"

    pairs = [Pair("a", "b", False, 0.99), Pair("c", "d", True, 0.9), Pair("e", "f", True, 0.4)]
    (row,) = tune(pairs, accept=accept, thresholds=[0]).rows
    assert (row.kept, row.wrong) == (2, 0)
    assert seen == [("a", "b", 0.99), ("c", "d", 0.9), ("e", "f", 0.4)]
