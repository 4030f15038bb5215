"""What counts as the same value, and that only what comes back the same is encoded."""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import fractions
import functools
import io
import ipaddress
import operator
import pathlib
import pickle
import queue
import random
import re
import uuid
import zoneinfo
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

import attrs
import msgspec
import numpy as np
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langcache.aside import JsonCodec, TextCodec
from langcache.aside.codecs import TEXT, TEXT_CHUNKS
from langcache.aside.differences import first_difference
from langcache.aside.round_trip import NotRestored, encode_exactly

T = TypeVar("T")
NAN = float("nan")
NOON = datetime.datetime(2026, 1, 1, 12)
UTC = datetime.timezone.utc
CENTRAL = datetime.timezone(datetime.timedelta(hours=1))


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Text(str):
    """Text with an attribute, as a library may return."""


class Number(int):
    pass


class Lines(list):  # type: ignore[type-arg]
    def __iter__(self):
        return iter(())


@dataclass
class Point:
    x: Any
    note: str = field(default="", compare=False)
    sum: int = field(default=0, init=False)


@dataclass(eq=False)
class WithoutEquality:
    x: Any


@dataclass
class Slotted:
    __slots__ = ("x",)
    x: Any


@dataclass
class Box(Generic[T]):
    item: T


class Pair(NamedTuple):
    left: Any
    right: Any


class Record(msgspec.Struct):
    x: Any
    y: Any = None


class Other(msgspec.Struct):
    x: Any


@attrs.define
class Attrs:
    x: Any
    ignored: Any = attrs.field(default=None, eq=False)


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    x: Any = None
    _kept: Any = pydantic.PrivateAttr(default=None)

    @functools.cached_property
    def computed(self):
        return object()


class Plain:
    def __init__(self, **state):
        self.__dict__.update(state)


class Careless(Plain):
    """Equal to all of its kind."""

    __hash__ = None

    def __eq__(self, other):
        return True


class Raising(Plain):
    __hash__ = None

    def __eq__(self, other):
        raise RuntimeError("secret")


class Undecided(Plain):
    __hash__ = None

    def __eq__(self, other):
        return np.array([True])


class Private:
    __slots__ = ("__hidden",)

    def __init__(self, hidden):
        self.__hidden = hidden


class BadAttribute:
    @property
    def __dict__(self):
        raise RuntimeError("secret")

    __eq__ = object.__eq__
    __hash__ = object.__hash__


def model(**values):
    kept = values.pop("kept", None)
    made = Model(**values)
    made._kept = kept
    return made


def with_attribute(value, **attributes):
    vars(value).update(attributes)
    return value


def nested(depth, leaf=0):
    value = leaf
    for _ in range(depth):
        value = [value]
    return value


def in_itself():
    value: list[Any] = []
    value.append(value)
    return value


MADE_TWICE = {
    "nothing": lambda: None,
    "true": lambda: True,
    "int": lambda: 10**30,
    "float": lambda: 1.5e300,
    "zero": lambda: -0.0,
    "nan": lambda: float("nan"),
    "complex": lambda: complex(1, -0.0),
    "text": lambda: "".join(["a", "b"]),
    "bytes": lambda: bytes([1, 2]),
    "bytearray": lambda: bytearray(b"ab"),
    "memoryview": lambda: memoryview(b"ab"),
    "list": lambda: [1, "a", None],
    "vector": lambda: [0.5, float("nan"), -0.0, 0],
    "tuple": lambda: (1, [2]),
    "named tuple": lambda: Pair(1, [2]),
    "deque": lambda: collections.deque([1], maxlen=3),
    "dict": lambda: {1: [2], "a": {}},
    "default dict": lambda: collections.defaultdict(list, a=[1]),
    "ordered dict": lambda: collections.OrderedDict(a=1),
    "counter": lambda: collections.Counter("aab"),
    "set": lambda: {1, "a", (2,)},
    "frozenset": lambda: frozenset({frozenset({1})}),
    "enum": lambda: Colour("red"),
    "date": lambda: datetime.date(2026, 1, 1),
    "datetime": lambda: datetime.datetime(2026, 1, 1, fold=1, tzinfo=UTC),
    "offset": lambda: datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=1))),
    "zone": lambda: datetime.datetime(2026, 1, 1, tzinfo=zoneinfo.ZoneInfo("UTC")),
    "time": lambda: datetime.time(1, 2, 3, 4),
    "timedelta": lambda: datetime.timedelta(1, 2, 3),
    "decimal": lambda: decimal.Decimal("1.00"),
    "decimal nan": lambda: decimal.Decimal("sNaN"),
    "fraction": lambda: fractions.Fraction(1, 3),
    "uuid": lambda: uuid.UUID(int=5),
    "path": lambda: pathlib.PurePosixPath("a/b"),
    "pattern": lambda: re.compile("a"),
    "address": lambda: ipaddress.ip_address("::1"),
    "network": lambda: ipaddress.ip_network("10.0.0.0/8"),
    "dataclass": lambda: Point([1], "n"),
    "dataclass without eq": lambda: WithoutEquality([1]),
    "slots": lambda: Slotted([1]),
    "generic": lambda: Box[int](1),
    "struct": lambda: Record([1]),
    "attrs": lambda: Attrs([1], 2),
    "model": lambda: model(x=[1], more=2, kept=3),
    "plain": lambda: Plain(a=[1]),
    "private slot": lambda: Private([1]),
    "careless": lambda: Careless(a=1),
    "secret": lambda: pydantic.SecretStr("s"),
    "url": lambda: pydantic.HttpUrl("https://example.com/a"),
    "array": lambda: np.array([[1.5, NAN]]),
    "array of objects": lambda: np.array([{"a": 1}, None]),
    "numpy scalar": lambda: np.float32(0.1),
    "numpy time": lambda: np.datetime64("2026-01-01"),
    "text of a class": lambda: with_attribute(Text("a"), tokens=3),
    "int of a class": lambda: Number(3),
    "list of a class": lambda: Lines([1]),
}


@pytest.mark.parametrize("make", MADE_TWICE.values(), ids=MADE_TWICE)
def test_a_value_is_the_same_as_its_copy(make):
    assert first_difference(make(), make()) is None
    assert first_difference({"a": [make()]}, {"a": [make()]}) is None


def test_a_value_is_the_same_as_what_pickle_makes_of_it():
    for value in (Point(1), Record([1]), model(x=1, kept=2), Pair(1, {2}), np.arange(3), uuid.uuid1()):
        assert first_difference(value, pickle.loads(pickle.dumps(value))) is None


DIFFERENT = [
    (1, True, "it is int and would come back as bool"),
    (1, 1.0, "it is int and would come back as float"),
    (0.0, -0.0, "another value"),
    (NAN, None, "it is float and would come back as NoneType"),
    (1, 2, "it would come back with another value"),
    ("a", "b", "another value"),
    ("a", b"a", "bytes"),
    (b"a", bytearray(b"a"), "bytearray"),
    (memoryview(b"a"), memoryview(b"b"), "another value"),
    (complex(0, 0.0), complex(0, -0.0), "another value"),
    (Text("a"), "a", "it is Text and would come back as str"),
    (Text("a"), Text("b"), "another value"),
    (with_attribute(Text("a"), tokens=1), Text("a"), r"^\.tokens is int and would not come back"),
    (Text("a"), with_attribute(Text("a"), tokens=1), r"^\.tokens is not set and would come back as int"),
    (Number(1), 1, "Number"),
    (Number(1), Number(2), "another value"),
    ([1], (1,), "tuple"),
    ([1], [1, 2], "has 1 items and would come back with 2"),
    ([1, 0.0], [1, -0.0], r"^\[1\] would come back with another value"),
    ([NAN], [None], r"^\[0\] is float"),
    ([0, 1], [False, 1], r"^\[0\] is int"),
    ([1, [2]], [1, [2.0]], r"^\[1\]\[0\] is int"),
    (Lines([1]), Lines([2]), r"^\[0\] would come back with another value"),
    ((1,), Pair(1, 2), "Pair"),
    (Pair(1, 2), Pair(1, "2"), r"^\.right is int and would come back as str"),
    (collections.deque([1], 2), collections.deque([1]), r"^\.maxlen is int"),
    ({1: 2}, {"1": 2}, r"^\[key 0\] is int and would come back as str"),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}, "in another order"),
    ({"a": 1}, {"b": 1}, r"^\[key 0\] would come back with another value"),
    ({"a": 1}, {"a": True}, r"^\[value 0\] is int"),
    ({1: 0}, {True: 0}, r"^\[key 0\] is int and would come back as bool"),
    ({}, collections.OrderedDict(), "OrderedDict"),
    (collections.defaultdict(int), collections.defaultdict(str), r"^\.default_factory"),
    ({1}, frozenset({1}), "frozenset"),
    ({1}, {True}, "bool"),
    ({1}, {2}, "another value"),
    ({1}, {1, 2}, "items"),
    (Colour.RED, Colour.BLUE, "another value"),
    (Colour.RED, "red", "it is Colour and would come back as str"),
    (NOON.date(), NOON, "datetime"),
    (NOON, NOON.replace(fold=1), "another value"),
    (NOON, NOON.replace(tzinfo=UTC), r"^\.tzinfo is NoneType and would come back as timezone"),
    (NOON.replace(tzinfo=UTC), NOON.replace(hour=13, tzinfo=CENTRAL), "another value"),
    (NOON.replace(tzinfo=UTC), NOON.replace(tzinfo=CENTRAL), r"^\.tzinfo would"),
    (NOON.replace(tzinfo=zoneinfo.ZoneInfo("UTC")), NOON.replace(tzinfo=UTC), "is ZoneInfo .* as timezone"),
    (NOON.time(), NOON.time().replace(fold=1), "another value"),
    (datetime.timedelta(1), datetime.timedelta(2), "another value"),
    (decimal.Decimal("1.0"), decimal.Decimal("1.00"), "another value"),
    (decimal.Decimal(1), 1, "Decimal"),
    (uuid.UUID(int=1), uuid.UUID(int=2), "another value"),
    (uuid.UUID(int=1), str(uuid.UUID(int=1)), "str"),
    (pathlib.PurePosixPath("a"), pathlib.PurePosixPath("b"), "another value"),
    (pathlib.PurePosixPath("a"), pathlib.PureWindowsPath("a"), "PureWindowsPath"),
    (re.compile("a"), re.compile("a", re.IGNORECASE), "flags"),
    (Point(1, "a"), Point(1, "b"), r"^\.note would come back with another value"),
    (with_attribute(Point(1), sum=1), Point(1), r"^\.sum"),
    (with_attribute(Point(1), more=1), Point(1), r"^\.more is int and would not come back"),
    (Point([Point(1)]), Point([Point(1.0)]), r"^\.x\[0\]\.x is int"),
    (WithoutEquality(1), WithoutEquality(2), r"^\.x"),
    (Slotted(1), Slotted(2), r"^\.x"),
    (Slotted(1), Slotted.__new__(Slotted), r"^\.x is int and would not come back"),
    (Record(1), Record(2), r"^\.x"),
    (Record(1), Other(1), "it is Record and would come back as Other"),
    (Attrs(1, 1), Attrs(1, 2), r"^\.ignored"),
    (model(x=1), model(x=2), r"^\.x"),
    (model(more=1), model(more=2), r"^\.__pydantic_extra__\[value 0\]"),
    (model(more=1), model(), r"^\.__pydantic_extra__ has 1 items"),
    (model(kept=1), model(kept=2), r"^\._kept"),
    (Plain(a=1), Plain(a=2), r"^\.a"),
    (Plain(), Plain(), "does not say what is equal to it"),
    (object(), object(), "does not say what is equal to it"),
    (ValueError("a"), ValueError("a"), "does not say what is equal to it"),
    (int, str, "another value"),
    (len, print, "is not equal to what"),
    (Private(1), Private(2), r"hidden would"),
    (Careless(a=1), Careless(a=2), r"^\.a"),
    (Raising(a=1), Raising(a=1), r"^it can't be compared \(RuntimeError\)"),
    (Undecided(a=1), Undecided(a=1), "is not equal"),
    ([BadAttribute()], [BadAttribute()], r"^\[0\] can't be compared \(RuntimeError\)"),
    (pydantic.SecretStr("a"), pydantic.SecretStr("**********"), r"^\._secret_value would"),
    (
        pydantic.HttpUrl("https://a.example"),
        pydantic.HttpUrl("https://b.example"),
        "is not equal|another value",
    ),
    (np.float64(1), 1.0, "it is numpy.float64 and would come back as float"),
    (np.float64(1), np.float64(2), "another value"),
    (np.float64(0.0), np.float64(-0.0), "another value"),
    (np.array([1]), [1], "numpy.ndarray"),
    (np.array([1]), np.array([2]), "another value"),
    (np.array([1]), np.array([1.0]), "dtype or shape"),
    (np.array([[1]]), np.array([1]), "dtype or shape"),
    (np.array([{"a": 1}]), np.array([{"a": True}]), "is int and would come back as bool"),
    (in_itself(), in_itself(), "nested more than 1,000 deep"),
    (nested(10_000), nested(10_000), "nested more than 1,000 deep"),
    (Record(nested(10_000, "a")), Record(nested(10_000, "b")), "nested more than 1,000 deep"),
]


@pytest.mark.parametrize(("one", "other", "message"), DIFFERENT, ids=range(len(DIFFERENT)))
def test_a_difference_is_found_and_named(one, other, message):
    found = first_difference(one, other)
    assert found is not None
    assert re.search(message, found), found
    assert first_difference(other, one) is not None
    assert first_difference({"k": (one,)}, {"k": (other,)}) is not None


def test_nothing_of_a_value_is_quoted():
    found = first_difference(
        {"secret-key": {"secret-key": "secret-a"}}, {"secret-key": {"secret-key": "secret-b"}}
    )
    assert found == "[value 0][value 0] would come back with another value"
    assert "secret" not in str(first_difference({"secret-a": 1}, {"secret-b": 1}))
    assert "secret" not in str(first_difference([Raising(a=1)], [Raising(a=1)]))


def test_classes_of_one_name_are_told_apart_by_their_module():
    one = type("Twin", (), {"__module__": "first"})
    other = type("Twin", (), {"__module__": "second"})
    assert first_difference(one(), other()) == "it is first.Twin and would come back as second.Twin"


def test_what_a_model_computed_once_is_not_part_of_it():
    one, other = model(x=1), model(x=1)
    assert one.computed
    assert first_difference(one, other) is None
    assert first_difference(other, one) is None


def test_which_fields_were_given_is_not_part_of_a_model():
    assert first_difference(Model(x=None), Model()) is None


def test_a_deep_place_is_shortened():
    found = first_difference(nested(500, 1), nested(500, 2))
    assert found == f"{'[0]' * 10}...{'[0]' * 10} would come back with another value"


def test_what_fits_the_depth_is_compared():
    assert first_difference(nested(900), nested(900)) is None
    assert "another value" in str(first_difference(nested(900, 1), nested(900, 2)))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text() | st.integers() | st.booleans(), inner, max_size=4)
        | st.tuples(inner)
    ),
    max_leaves=12,
)


@given(json_values)
def test_every_value_is_the_same_as_its_own_copy(value):
    assert first_difference(value, pickle.loads(pickle.dumps(value))) is None


@given(json_values, json_values)
def test_what_is_the_same_is_equal(one, other):
    # But for a NaN, which is the same as itself here and not equal to itself.
    if first_difference(one, other) is None and "nan" not in repr(one):
        assert one == other


@pytest.mark.parametrize(
    ("type_", "kind"), [(Any, object), (dict, dict), (list, list), (dict[int, Any], dict)]
)
@given(value=json_values)
def test_json_values_come_back_or_are_refused(type_, kind, value):
    codec = JsonCodec(type_)
    if not isinstance(value, kind):
        value = [value] if kind is list else {"value": value}
    try:
        text = encode_exactly(codec, value)
    except (TypeError, ValueError):
        return
    assert first_difference(value, codec.decode(text)) is None


@given(st.text())
def test_text_comes_back(text):
    assert TEXT.decode(encode_exactly(TEXT, text)) == text


@pytest.mark.parametrize("value", [Text("a"), np.str_("a"), 1, b"a", None])
def test_only_plain_text_is_text(value):
    with pytest.raises(TypeError, match=rf"{type(value).__name__.rstrip('_')}.*codec="):
        encode_exactly(TEXT, value)
    with pytest.raises(TypeError, match=rf"{type(value).__name__.rstrip('_')}.*codec="):
        encode_exactly(TEXT_CHUNKS, ["a", value])


def test_text_that_no_request_holds_is_refused():
    class Escaped:
        def encode(self, value):
            return value

        def decode(self, text):
            return text

    for codec, value in ((TEXT, "a\ud800"), (TEXT_CHUNKS, ["a", "\ud800"]), (Escaped(), "\ud800")):
        with pytest.raises(NotRestored, match="surrogate"):
            encode_exactly(codec, value)
    assert encode_exactly(TEXT, "\N{GRINNING FACE}") == "\N{GRINNING FACE}"


def test_chunks_of_text_are_stored_together():
    assert encode_exactly(TEXT_CHUNKS, ["a", "", "b"]) == "ab"
    assert encode_exactly(TEXT_CHUNKS, []) == ""


def test_a_codec_of_the_users_is_held_to_what_it_reads():
    class Upper(TextCodec):
        def decode(self, text):
            return text.upper()

    assert encode_exactly(Upper(), "A") == "A"
    with pytest.raises(NotRestored, match="it would come back with another value"):
        encode_exactly(Upper(), "a")


def test_a_codec_that_gives_no_text_is_refused():
    class Bytes:
        def encode(self, value):
            return value.encode()

        def decode(self, text):
            return text.decode()

    with pytest.raises(NotRestored, match=r"Bytes\.encode gave bytes"):
        encode_exactly(Bytes(), "a")


def test_what_a_codec_raises_to_encode_is_raised():
    class Failing:
        def encode(self, value):
            raise LookupError("no")

        def decode(self, text):
            return text

    with pytest.raises(LookupError, match="no"):
        encode_exactly(Failing(), "a")


def test_an_object_whose_state_comes_back_needs_no_eq():
    class Hex:
        def encode(self, value):
            return pickle.dumps(value).hex()

        def decode(self, text):
            return pickle.loads(bytes.fromhex(text))

    assert encode_exactly(Hex(), Plain(a=[1]))
    with pytest.raises(NotRestored, match="does not say what is equal to it"):
        encode_exactly(Hex(), Plain())


def test_a_refusal_says_where_and_of_which_types_and_the_way_out():
    class Message(pydantic.BaseModel):
        content: str

    class AIMessage(Message):
        tool_calls: list[str] = pydantic.Field(default_factory=list)

    answer = [Message(content="secret"), AIMessage(content="secret", tool_calls=["secret"])]
    with pytest.raises(NotRestored) as caught:
        encode_exactly(JsonCodec(list[Message]), answer)
    assert str(caught.value) == (
        "the answer would not come back as it is: [1] is AIMessage and would come back as Message; name its"
        " exact type in the annotation or the codec, or return the type they name, or pass another codec="
    )
    with pytest.raises(
        NotRestored, match=r"_secret_value would come back with another value; .*codec="
    ) as caught:
        encode_exactly(JsonCodec(pydantic.SecretStr), pydantic.SecretStr("hush"))
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("depth", [10_000, 100_000])
@pytest.mark.parametrize("type_", [Any, list])
def test_a_deep_value_is_refused(type_, depth):
    with pytest.raises((RecursionError, NotRestored)):
        encode_exactly(JsonCodec(type_), nested(depth))


def test_a_value_in_itself_is_refused():
    with pytest.raises((RecursionError, NotRestored)):
        encode_exactly(JsonCodec(Any), in_itself())


def test_the_hidden_state_of_a_class_of_c_is_not_taken_to_be_equal():
    for one, other in [
        (operator.itemgetter("a"), operator.itemgetter("b")),
        (random.Random(1), random.Random(2)),
        (type("Derived", (io.StringIO,), {})("a"), type("Derived", (io.StringIO,), {})("b")),
        (queue.SimpleQueue(), queue.SimpleQueue()),
    ]:
        assert first_difference(one, other) is not None
        assert first_difference(one, one) is None


def test_a_codec_that_is_exact_is_not_asked_to_read_back_what_it_wrote():
    class Exact:
        is_exact = True

        def encode(self, value):
            return repr(value)

        def decode(self, text):
            raise AssertionError

    assert encode_exactly(Exact(), 5) == "5"
    Exact.is_exact = 1  # anything but True says nothing
    with pytest.raises(NotRestored):
        encode_exactly(Exact(), 5)
