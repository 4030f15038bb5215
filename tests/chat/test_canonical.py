"""Fingerprints of JSON values: equal for equal values alone, and never an error of another kind."""

from __future__ import annotations

import collections
import dataclasses
import enum
import itertools
import json
import time
import types
import uuid
from decimal import Decimal
from typing import NamedTuple

import msgspec
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langcache.chat.canonical import NotJsonError, canonical, fingerprint

ANY_TEXT = st.text(st.characters(exclude_categories=()))  # lone surrogates too
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=20,
)


def same(one, other):
    """Whether two JSON values are the same, without regard to the order of keys."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return repr(one) == repr(other)  # which tells -0.0 from 0.0


@settings(max_examples=40)
@given(JSON)
def test_the_value_can_be_read_back_so_no_other_value_has_the_same_text(value):
    text = canonical(value).decode("utf-8", "surrogatepass")
    assert same(json.loads(text), value)


@settings(max_examples=40)
@given(st.dictionaries(ANY_TEXT, JSON, max_size=5), st.randoms())
def test_the_order_of_keys_does_not_count(value, random):
    items = [*value.items()]
    random.shuffle(items)
    assert canonical(dict(items)) == canonical(value)


LOOK_ALIKES = [
    *(None, "null", "None", "", [], {}, [None], {"": None}, [[]], [{}], {"a": None}, {"a": []}, {"a": {}}),
    *(0, 0.0, -0.0, False, "0", "0.0", "false", [0], {"0": 0}),
    *(1, 1.0, True, "1", "true", "True", [1], [1.0], [True], ["1"], {"1": 1}, {"1": True}),
    *(2**53, 2**53 + 1, float(2**53), 10**400, 10**400 + 1, 1e300, int(1e300), 5e-324),
    *("e\u0301", "\u00e9", "\u212b", "\u00c5", "A\u030a", "\ufb01", "fi", "İ", "i̇", "\u200b", " ", "\u00a0"),
    *("\ud83d\ude00", "\U0001f600", "\ud83d", "\ude00", "\ufffd", "\\ud83d", "\x00", "\\u0000", "\n", "\\n"),
    *('a","b', ["a", "b"], ['a","b'], ["a", ["b"]], [["a"], "b"], '["a","b"]', {"a": "b"}, '{"a":"b"}'),
    *({"a": 1, "b": 2}, {"a": {"b": 2}}, {"a,b": 12}, {"a": 2, "b": 1}, [["a", 1], ["b", 2]], [1, 2], [2, 1]),
]


def test_values_that_look_alike_have_fingerprints_of_their_own():
    prints = [fingerprint(value) for value in LOOK_ALIKES]
    alike = [
        (one, other)
        for (one, a), (other, b) in itertools.combinations(zip(LOOK_ALIKES, prints, strict=True), 2)
        if a == b
    ]
    assert alike == []
    assert all(len(each) == 64 and set(each) <= set("0123456789abcdef") for each in prints)


class Mode(enum.Enum):
    FAST = 1
    GOOD = 2


class Text(str, enum.Enum):
    A = "a"


@dataclasses.dataclass
class Celsius:
    degrees: float
    where: str | None = None


@dataclasses.dataclass
class Fahrenheit:
    degrees: float


class Slotted:
    __slots__ = ("x",)

    def __init__(self, x):
        self.x = x


class Struct(msgspec.Struct):
    degrees: float


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    text: str = ""
    hidden: str = pydantic.Field("", exclude=True)
    parts: list[pydantic.BaseModel] = []
    _private: int = pydantic.PrivateAttr(0)


class Part(pydantic.BaseModel):
    text: str = ""


def secretive(private):
    model = Model(text="a")
    model._private = private
    return model


class Pair(NamedTuple):
    degrees: float


class OtherPair(NamedTuple):
    degrees: float


@dataclasses.dataclass
class Fields(dict):
    degrees: float = 0.0


class Tagged:
    """Keeps more than its items."""

    def __new__(cls, *args, tag):
        made = super().__new__(cls, *args)
        made.tag = tag
        return made

    def __init__(self, *args, tag):
        super().__init__(*args[: isinstance(self, list | dict)])


class TaggedList(Tagged, list): ...


class TaggedTuple(Tagged, tuple): ...


class TaggedDict(Tagged, dict): ...


class TaggedText(Tagged, str): ...


class TaggedNumber(Tagged, int): ...


class Named(str): ...


class Perm(enum.Flag):
    READ = 1
    WRITE = 2
    RUN = 4


DERIVED = [
    (TaggedList, [1]),
    (TaggedTuple, (2,)),
    (TaggedDict, {"a": 3}),
    (TaggedText, "b"),
    (TaggedNumber, 4),
]

OBJECTS = [
    *(Mode.FAST, Mode.GOOD, "FAST", 1, {"FAST": 1}),
    *(Celsius(1.0), Celsius(2.0), Celsius(1.0, "here"), Fahrenheit(1.0), Struct(1.0), {"degrees": 1.0}),
    *(Model(text="a"), Model(text="b"), Model(text="a", hidden="x"), Model(text="a", more=1), secretive(1)),
    *(Model(parts=[Part(text="a")]), Model(parts=[Part(text="b")]), Part(text="a"), {"text": "a"}),
    *([Mode.FAST], {"a": Celsius(1.0)}, {"a": Fahrenheit(1.0)}),
    *(Pair(1.0), OtherPair(1.0), Pair(2.0), [1.0], {"a": [Pair(1.0)]}, {"a": [OtherPair(1.0)]}),
    *(Fields(degrees=1.0), Fields(degrees=2.0), {}),
    *(Perm.READ | Perm.WRITE, Perm.READ | Perm.RUN, Perm.READ),
    *(value for _, value in DERIVED[1:]),
    *(kind(value, tag=tag) for kind, value in DERIVED for tag in ("one", "other")),
    *([kind(value, tag=tag)] for kind, value in DERIVED for tag in ("one", "other")),
]


def test_objects_count_by_their_class_and_all_that_they_keep():
    prints = [fingerprint(value) for value in OBJECTS]
    assert len(set(prints)) == len(OBJECTS)


def test_equal_objects_have_equal_fingerprints():
    assert fingerprint(Celsius(1.0)) == fingerprint(Celsius(1.0, None))
    assert fingerprint([Model(text="a", more=1)]) == fingerprint((Model(text="a", more=1),))
    assert fingerprint(types.MappingProxyType({"a": 1})) == fingerprint({"a": 1})
    assert fingerprint({Text.A: Text.A}) == fingerprint({"a": "a"})
    assert fingerprint([collections.OrderedDict(a=1), Named("b")]) == fingerprint([{"a": 1}, "b"])
    assert fingerprint(collections.defaultdict(list, a=(1,))) == fingerprint({"a": [1]})
    assert fingerprint([TaggedList([1], tag="one")]) == fingerprint([TaggedList([1], tag="one")])


def nested(depth, wrap):
    value = "x"
    for _ in range(depth):
        value = wrap(value)
    return value


def in_itself():
    value = []
    value.append(value)
    return value


def in_itself_twice():
    value = {}
    value["a"] = value["b"] = [value, value]
    return value


def model_in_itself():
    model = Model()
    model.parts.append(model)
    return model


def bomb():
    value = ["x"]
    for _ in range(60):
        value = [value, value]
    return value


class Evil:
    """Seems to be a pydantic model, and can't be read."""

    __pydantic_validator__ = None

    @property
    def __dict__(self):
        raise OSError("the secret")


WEIRD = {
    "nan": float("nan"),
    "inf": float("-inf"),
    "long int": 10**5000,
    "bytes": b"the secret",
    "set": {"the secret"},
    "decimal": Decimal("1.0"),
    "uuid": uuid.UUID(int=1),
    "object": object(),
    "function": len,
    "lambda": lambda: None,
    "class": Celsius,
    "model class": Model,
    "slots": Slotted(1),
    "unreadable": Evil(),
    "generator": (each for each in ()),
    "int key": {1: "the secret"},
    "none key": {None: 1},
    "tuple key": {("a", "b"): 1},
    "mixed keys": {"a": 1, 2: 1},
    "int key in a mapping": types.MappingProxyType({1: "a"}),
    "int key in a model": Model(text="a", more={1: "a"}),
    "bytes in a model": Model(text="a", more=b"the secret"),
    "deep list": nested(100_000, lambda value: [value]),
    "deep dict": nested(100_000, lambda value: {"a": value}),
    "deep mapping": nested(3_000, lambda value: types.MappingProxyType({"a": value})),
    "deep models": nested(3_000, lambda value: Celsius(value)),
    "list in itself": in_itself(),
    "dict in itself": in_itself_twice(),
    "model in itself": model_in_itself(),
    "bomb": bomb(),
}


@pytest.mark.parametrize("value", WEIRD.values(), ids=WEIRD)
def test_what_no_json_has_is_refused_without_quoting_it(value):
    for whole in (value, {"a": [value]}):
        with pytest.raises(NotJsonError) as raised:
            fingerprint(whole)
        assert "secret" not in str(raised.value)
        assert len(str(raised.value)) < 200


def test_it_is_decided_in_a_bounded_time():
    started = time.process_time()
    for value in WEIRD.values():
        with pytest.raises(NotJsonError):
            fingerprint(value)
    assert time.process_time() - started < 10
