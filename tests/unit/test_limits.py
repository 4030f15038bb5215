"""What the client accepts before it sends anything, and how it says no."""

from __future__ import annotations

import enum
import pickle
from decimal import Decimal
from fractions import Fraction

import pytest

from langcache import LimitError, Limits, SearchStrategy, errors
from langcache._checks import check_path_segment, check_text

LIMITS = Limits()
YEAR = 31_556_952_000


class Topic(str, enum.Enum):
    BILLING = "billing"


@pytest.mark.parametrize("prompt", ["x", "x" * 1024, "é" * 1024, " "])
def test_a_prompt_has_1_to_1024_characters(prompt):
    assert LIMITS.prompt(prompt) == prompt


@pytest.mark.parametrize("threshold", [0, 0.0, 0.75, 1, 1.0, Decimal("0.5"), Fraction(1, 4)])
def test_a_threshold_is_a_number_from_0_to_1(threshold):
    assert LIMITS.similarity_threshold(threshold) == threshold
    assert type(LIMITS.similarity_threshold(threshold)) is float


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("exact", ["exact"]),
        (["semantic", "exact"], ["semantic", "exact"]),
        ((SearchStrategy.EXACT,), ["exact"]),
        (SearchStrategy.SEMANTIC, ["semantic"]),
        (iter(["exact"]), ["exact"]),
    ],
)
def test_strategies_are_one_or_an_iterable_in_order_of_priority(given, sent):
    assert LIMITS.search_strategies(given) == sent


def test_attributes_are_up_to_five_pairs_and_none_of_them_is_the_same_as_none_given():
    five = {f"Name_{number}-": "v" * 500 for number in range(5)}
    assert LIMITS.attribute_map(five) == five
    assert LIMITS.attribute_map({}) is None
    assert LIMITS.attribute_map({"n" * 32: "é"}) == {"n" * 32: "é"}


class IntOfAnotherKind:
    """What NumPy's integers are to Python."""

    def __index__(self):
        return 5


def test_a_whole_number_of_another_kind_is_an_int():
    assert LIMITS.ttl(0.5 * 3600 * 1000) == 1_800_000
    assert LIMITS.ttl(IntOfAnotherKind()) == 5
    assert type(LIMITS.max_results(2.0)) is int


@pytest.mark.parametrize("millis", [1, YEAR])
def test_a_time_to_live_is_a_millisecond_to_a_year(millis):
    assert LIMITS.ttl(millis) == millis


@pytest.mark.parametrize("seconds", [1e308, 10**400])
def test_seconds_without_measure_are_beyond_the_limit(seconds):
    with pytest.raises(LimitError, match=r"^ttl: must be at most"):
        LIMITS.ttl(None, seconds)


def test_a_context_is_an_iterable_of_texts():
    assert LIMITS.context(question for question in ("one", "two")) == ["one", "two"]
    assert LIMITS.context([]) == []


def test_none_leaves_an_optional_argument_out():
    assert LIMITS.similarity_threshold(None) is None
    assert LIMITS.search_strategies(None) is None
    assert LIMITS.attribute_map(None) is None
    assert LIMITS.max_results(None) is None
    assert LIMITS.ttl(None) is None
    assert LIMITS.context(None) is None


@pytest.mark.parametrize(
    ("check", "value", "argument", "rule", "words"),
    [
        ("prompt", "", "prompt", "min", "at least 1 character"),
        ("prompt", "x" * 1025, "prompt", "max", "at most 1024 characters, but has 1025"),
        ("prompt", "\ud800", "prompt", "unicode", "lone surrogate at index 0"),
        ("similarity_threshold", 1.01, "similarity_threshold", "range", "from 0 to 1, but is 1.01"),
        ("similarity_threshold", -0.1, "similarity_threshold", "range", "-0.1"),
        ("similarity_threshold", float("nan"), "similarity_threshold", "range", "nan"),
        ("search_strategies", [], "search_strategies", "min", "is empty"),
        (
            "search_strategies",
            ["fuzzy"],
            "search_strategies",
            "oneof",
            "'exact', 'semantic', but has 'fuzzy'",
        ),
        (
            "attribute_map",
            {str(n): "v" for n in range(6)},
            "attributes",
            "max",
            "at most 5 attributes, but has 6",
        ),
        ("attribute_map", {"": "v"}, "attributes", "pattern", "names must be 1 to 32"),
        ("attribute_map", {"a b": "v"}, "attributes", "pattern", "'a b'"),
        ("attribute_map", {"a\n": "v"}, "attributes", "pattern", r"'a\n'"),
        ("attribute_map", {"n" * 33: "v"}, "attributes", "pattern", "names must be 1 to 32"),
        ("attribute_map", {"a": ""}, "attributes", "min", "1 to 500 characters, but 'a' has 0"),
        ("attribute_map", {"a": "v" * 501}, "attributes", "max", "'a' has 501"),
        ("attribute_map", {"a": "b,c"}, "attributes", "pattern", "comma, but 'a' is 'b,c'"),
        ("required_attributes", {}, "attributes", "required", "flush() is what empties a cache"),
        ("required_attributes", None, "attributes", "required", "cannot be blank"),
        ("max_results", 0, "max_results", "min", "at least 1, but is 0"),
        (
            "search_strategies",
            [SearchStrategy("fuzzy")],
            "search_strategies",
            "oneof",
            "'exact', 'semantic', but has 'fuzzy'",
        ),
        ("ttl", 0, "ttl_millis", "min", "at least 1, but is 0"),
        ("ttl", YEAR + 1, "ttl_millis", "max", f"at most {YEAR} (a year), but is {YEAR + 1}"),
    ],
)
def test_a_broken_rule_names_argument_rule_and_value(check, value, argument, rule, words):
    with pytest.raises(LimitError) as raised:
        getattr(LIMITS, check)(value)
    assert (raised.value.argument, raised.value.rule) == (argument, rule)
    assert str(raised.value).startswith(f"{argument}: ")
    assert words in str(raised.value)
    assert isinstance(raised.value, ValueError)


@pytest.mark.parametrize(
    ("check", "value", "words"),
    [
        ("prompt", 7, "prompt: must be str, but is int"),
        ("prompt", b"x", "prompt: must be str, but is bytes"),
        ("similarity_threshold", "0.9", "similarity_threshold: must be a number, but is str"),
        ("similarity_threshold", True, "similarity_threshold: must be a number, but is bool"),
        ("search_strategies", 7, "search_strategies: must be an iterable"),
        (
            "search_strategies",
            [7],
            "search_strategies: must be an iterable of SearchStrategy or str, but is int",
        ),
        (
            "search_strategies",
            b"exact",
            "search_strategies: must be an iterable of SearchStrategy or str, but is bytes",
        ),
        ("attribute_map", ["a"], "attributes: must be a mapping of str to str, but is list"),
        ("attribute_map", {1: "v"}, "attributes: names must be str, but one is int"),
        ("attribute_map", {"a": 1}, "attributes['a']: must be str, but is int"),
        ("max_results", 1.5, "max_results: must be int, but is float"),
        ("ttl", float("inf"), "ttl_millis: must be int, but is float"),
        ("ttl", Decimal("1.5"), "ttl_millis: must be int, but is Decimal"),
        ("ttl", "60000", "ttl_millis: must be int, but is str"),
        ("ttl", True, "ttl_millis: must be int, but is bool"),
        ("context", "one", "context: must be an iterable of str"),
        ("context", b"one", "context: must be an iterable of str"),
        ("context", 7, "context: must be an iterable of str"),
        ("context", [7], "context: must be str, but is int"),
    ],
)
def test_a_wrong_type_names_argument_and_type(check, value, words):
    with pytest.raises(TypeError) as raised:
        getattr(LIMITS, check)(value)
    assert words in str(raised.value)


def test_a_service_that_allows_more_stays_usable():
    roomy = Limits(prompt_chars=8192)
    assert roomy.prompt("x" * 8192)
    with pytest.raises(LimitError, match="at most 8192"):
        roomy.prompt("x" * 8193)
    with pytest.raises(LimitError, match=r"langcache\.Limits"):
        LIMITS.prompt("x" * 1025)


def test_without_limits_only_sense_is_left():
    none = Limits.none()
    assert none.prompt("x" * 100_000)
    assert none.attribute_map({"any name, really": "a, b", **{str(n): "" for n in range(9)}})
    assert none.ttl(YEAR * 9) == YEAR * 9
    assert none.search_strategies(["fuzzy"]) == ["fuzzy"]
    for check, value in (("prompt", ""), ("ttl", 0), ("max_results", 0), ("required_attributes", {})):
        with pytest.raises(LimitError):
            getattr(none, check)(value)
    with pytest.raises(TypeError):
        none.attribute_map({"a": 1})


def test_a_str_enum_member_counts_as_its_value():
    assert LIMITS.attribute_map({"topic": Topic.BILLING}) == {"topic": "billing"}
    assert type(check_text("prompt", Topic.BILLING)) is str


def test_long_values_are_cut_short_in_messages():
    with pytest.raises(LimitError) as raised:
        LIMITS.attribute_map({"a": "," * 400})
    assert len(str(raised.value)) < 200


@pytest.mark.parametrize(
    ("entry_id", "segment"),
    [
        ("0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdef"),
        ("%2e%2e", "%252e%252e"),
        ("%2F", "%252F"),
        ("...", "..."),
        ("a?b#c", "a%3Fb%23c"),
        ("a b;c=d", "a%20b%3Bc%3Dd"),
        ("\u00fc\uff0e\uff0e", "%C3%BC%EF%BC%8E%EF%BC%8E"),
        ("\x00\n", "%00%0A"),
    ],
)
def test_an_id_is_one_segment_of_a_path(entry_id, segment):
    assert check_path_segment("entry_id", entry_id) == segment


@pytest.mark.parametrize("entry_id", ["", ".", "..", "/", "../flush", "a/b", "..\\flush", "a\\"])
def test_an_id_that_could_be_another_path_is_refused(entry_id):
    with pytest.raises(LimitError, match="entry_id: must be an id without slashes"):
        check_path_segment("entry_id", entry_id)


def test_a_limit_error_can_be_pickled():
    error = LimitError("prompt", "max", "must be shorter")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.argument, again.rule) == (str(error), "prompt", "max")


def test_what_breaks_a_limit_passes_for_the_400_that_the_service_would_answer():
    with pytest.raises(errors.BadRequestErrorResponseContent) as raised:
        Limits().prompt("w" * 2000)
    error = pickle.loads(pickle.dumps(raised.value))
    assert isinstance(error, LimitError)
    assert isinstance(error, ValueError)
    assert (error.status_code, error.tries, error.raw_response, error.body) == (400, 0, None, "")
    assert str(error).startswith(
        "prompt: must have at most 1024 characters, but has 2000 (if the service allows"
    )
    assert error.data.detail == "prompt: must have at most 1024 characters, but has 2000"
    assert error.data.type == "/errors/invalid-data"
    assert error.data.fields[0].rule == error.rule == "max"
