"""What is stored of a value, that it comes back with its type, and that what would not is refused."""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import functools
import importlib
import pathlib
import subprocess
import sys
import typing
import uuid
import zoneinfo
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar

import attrs
import msgspec
import numpy as np
import pydantic
import pydantic.dataclasses
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import NotRequired, TypeAliasType, TypedDict

from langcache.aside import JsonCodec, TextCodec
from langcache.aside.codecs import codec_for
from langcache.aside.differences import first_difference
from langcache.aside.round_trip import NotRestored, encode_exactly

PYDANTIC = tuple(int(part) for part in pydantic.VERSION.split(".")[:2])
newer = pytest.mark.skipif(PYDANTIC < (2, 11), reason="this pydantic reads less, and it is refused")
reads_names = pytest.mark.skipif(
    PYDANTIC < (2, 11), reason="this pydantic reads by alias or by name, not both"
)
T = TypeVar("T")
NAN = float("nan")
UTC = datetime.timezone.utc
NOON = datetime.datetime(2026, 1, 1, 12, 0, 0, 5)
OFFSET = datetime.timezone(datetime.timedelta(hours=2))


class Record(msgspec.Struct):
    name: str
    tags: list[str]


class Derived(Record):
    more: int = 0


class Renamed(msgspec.Struct, rename="camel", omit_defaults=True, tag=True):
    first_name: str
    size: int | msgspec.UnsetType = msgspec.UNSET


class Circle(msgspec.Struct, tag=True):
    radius: float


class Square(msgspec.Struct, tag=True):
    side: float


class Node(msgspec.Struct):
    value: int
    next: Node | None = None


@dataclass
class Point:
    x: int
    y: float


@dataclass
class Point3(Point):
    z: float = 0.0


@dataclass
class Derives:
    x: int
    twice: int = field(init=False)
    note: str = field(default="", compare=False)

    def __post_init__(self):
        self.twice = 2 * self.x


@dataclass(frozen=True)
class Frozen:
    x: int


@dataclass
class Box(Generic[T]):
    item: T


@attrs.define
class Attrs:
    x: int
    tags: list[str]


class Pair(NamedTuple):
    left: int
    right: str


class Movie(TypedDict):
    title: str
    year: NotRequired[int]


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Access(enum.Flag):
    READ = 1
    WRITE = 2


class Text(str):
    pass


class Plain:
    pass


class Invoice(pydantic.BaseModel):
    total: float
    lines: list[str] = pydantic.Field(default_factory=list)


class PaidInvoice(Invoice):
    paid: bool = True


class Message(pydantic.BaseModel):
    content: str
    type: str = "base"


class HumanMessage(Message):
    type: Literal["human"] = "human"


class AIMessage(Message):
    type: Literal["ai"] = "ai"
    tool_calls: list[dict[str, Any]] = pydantic.Field(default_factory=list)


AnyMessage = Annotated[HumanMessage | AIMessage, pydantic.Field(discriminator="type")]


class Chat(pydantic.BaseModel):
    messages: list[AnyMessage]


class LooseChat(pydantic.BaseModel):
    messages: list[Message]


class Aliased(pydantic.BaseModel):
    total: int = pydantic.Field(alias="Total")


class ReadByAlias(pydantic.BaseModel):
    total: int = pydantic.Field(validation_alias="Total")


class ReadByChoice(pydantic.BaseModel):
    total: int = pydantic.Field(validation_alias=pydantic.AliasChoices("a", pydantic.AliasPath("b", 0)))


class WrittenByAlias(pydantic.BaseModel):
    total: int = pydantic.Field(serialization_alias="Total")


class TwoAliases(pydantic.BaseModel):
    total: int = pydantic.Field(validation_alias="read", serialization_alias="written")


class WrittenByChoice(pydantic.BaseModel):
    total: int = pydantic.Field(validation_alias=pydantic.AliasChoices("a", "b"), serialization_alias="b")


class Camel(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(
        alias_generator=lambda name: name.title().replace("_", ""), populate_by_name=True
    )
    first_name: str


class Swapped(pydantic.BaseModel):
    a: int = pydantic.Field(alias="b")
    b: int = pydantic.Field(alias="a")


class Computed(pydantic.BaseModel):
    width: int

    @pydantic.computed_field
    @property
    def area(self) -> int:
        return self.width**2


class StrictlyComputed(Computed, extra="forbid"):
    pass


class Cached(pydantic.BaseModel):
    width: int

    @pydantic.computed_field
    @functools.cached_property
    def area(self) -> int:
        return self.width**2


class Excluding(pydantic.BaseModel):
    shown: int
    hidden: int = pydantic.Field(default=0, exclude=True)


class ExcludingRequired(pydantic.BaseModel):
    hidden: int = pydantic.Field(exclude=True)


class Open(pydantic.BaseModel, extra="allow"):
    x: int = 0


class KeepsPrivate(pydantic.BaseModel):
    x: int = 0
    _kept: int = pydantic.PrivateAttr(default=0)


class Login(pydantic.BaseModel):
    password: pydantic.SecretStr


class Shouting(pydantic.BaseModel):
    text: str

    @pydantic.field_validator("text")
    @classmethod
    def shout(cls, text):
        return text + "!"


class Serialized(pydantic.BaseModel):
    x: int

    @pydantic.model_serializer
    def serialize(self) -> dict[str, Any]:
        return {"other": self.x}


class SerializedWell(pydantic.BaseModel):
    x: int

    @pydantic.model_serializer
    def serialize(self) -> dict[str, Any]:
        return {"x": self.x}


class FrozenModel(pydantic.BaseModel, frozen=True):
    x: int


class StrictModel(pydantic.BaseModel, strict=True):
    x: int
    when: datetime.date
    pair: tuple[int, str]


class Times(pydantic.BaseModel):
    when: datetime.datetime
    took: datetime.timedelta = datetime.timedelta(0)


class Page(pydantic.BaseModel, Generic[T]):
    items: list[T]


class Names(pydantic.RootModel[list[str]]):
    pass


class Tree(pydantic.BaseModel):
    children: list[Tree] = pydantic.Field(default_factory=list)


class Parsed(pydantic.BaseModel):
    data: pydantic.Json[list[int]]


class Binary(pydantic.BaseModel):
    data: bytes


class Lazy(pydantic.BaseModel):
    numbers: Iterable[int]


class Holder(pydantic.BaseModel):
    value: Any


class ArrayHolder(pydantic.BaseModel, arbitrary_types_allowed=True):
    value: Plain


@pydantic.dataclasses.dataclass
class Checked:
    x: Annotated[int, pydantic.Field(gt=0)]


@dataclass
class HoldsModel:
    invoice: Invoice
    others: list[HoldsModel] = field(default_factory=list)


class DictOfModel(TypedDict):
    invoice: Invoice


class TupleOfModel(NamedTuple):
    invoice: Invoice


class StructOfModel(msgspec.Struct):
    invoice: Invoice
    scores: list[np.float32]
    path: pathlib.Path | None = None
    queue: collections.deque[int] | None = None


@attrs.define
class AttrsOfModel:
    invoice: Invoice


@dataclass
class HoldsModelAndScalar:
    invoice: Invoice
    score: np.float64


@dataclass
class Scores:
    best: np.float64
    counts: dict[str, np.int64]


Alias = TypeAliasType("Alias", list[Invoice])
Recursive = TypeAliasType("Recursive", "list[Recursive] | int")
Identifier = typing.NewType("Identifier", Invoice)


def with_private(value):
    made = KeepsPrivate()
    made._kept = value
    return made


def with_cached():
    made = Cached(width=2)
    assert made.area == 4
    return made


INVOICE = Invoice(total=9.5, lines=["a"])

EXACT = [
    (str, "text"),
    (None, None),
    (bool, True),
    (int, 2**100),
    (float, 1e300),
    (float, -0.0),
    (Any, [1, "a", None, {"b": [1.5, True]}]),
    (object, {"a": [1]}),
    (dict, {"a": 1}),
    (list, [1, [2]]),
    (Iterable[int], [1, 2]),
    (Record, Record("n", ["t"])),
    (Derived, Derived("n", [], 3)),
    (Renamed, Renamed("a")),
    (Renamed, Renamed("a", 3)),
    (Circle | Square, Square(2.0)),
    (Node, Node(1, Node(2))),
    (Point, Point(1, 0.5)),
    (Derives, Derives(2, "n")),
    (Frozen, Frozen(1)),
    (Box[int], Box[int](1)),
    (Box[Point], Box(Point(1, 0.5))),
    (Attrs, Attrs(1, ["a"])),
    (Pair, Pair(1, "a")),
    (Movie, Movie(title="M")),
    (Movie, Movie(title="M", year=1999)),
    (Colour, Colour.RED),
    (Level, Level.LOW),
    (Access, Access.READ | Access.WRITE),
    (Literal["a", 1], 1),
    (bytes, b"\x00\xff"),
    (bytearray, bytearray(b"\xff")),
    (set[int], {1, 2}),
    (frozenset[str], frozenset({"a"})),
    (tuple[int, str], (1, "a")),
    (tuple[int, ...], (1, 2)),
    (dict[str, int], {"b": 1, "a": 2}),
    (dict[int, str], {1: "a"}),
    (dict[uuid.UUID, datetime.date], {uuid.UUID(int=1): NOON.date()}),
    (dict[Colour, int], {Colour.RED: 1}),
    (int | str, 5),
    (Record | None, None),
    (datetime.datetime, NOON),
    (datetime.datetime, NOON.replace(tzinfo=UTC)),
    (datetime.datetime, NOON.replace(tzinfo=OFFSET)),
    (datetime.date, NOON.date()),
    (datetime.time, NOON.time()),
    (datetime.timedelta, datetime.timedelta(days=-1, microseconds=5)),
    (decimal.Decimal, decimal.Decimal("1.00")),
    (uuid.UUID, uuid.UUID(int=5)),
    (uuid.UUID, uuid.uuid1()),
    (np.float64, np.float64(0.1)),
    (np.float32, np.float32(0.1)),
    (np.int8, np.int8(-3)),
    (np.uint64, np.uint64(2**64 - 1)),
    (np.bool_, np.bool_(True)),
    (np.str_, np.str_("a")),
    (list[np.int64], [np.int64(1)]),
    (dict[str, np.float64], {"a": np.float64(1)}),
    (np.float64 | None, None),
    (Scores, Scores(np.float64(1), {"a": np.int64(2)})),
    (Invoice, INVOICE),
    (list[Invoice], [INVOICE]),
    (Invoice | None, None),
    (Invoice | int, INVOICE),
    (Invoice | Movie, Movie(title="a")),
    (dict[str, list[Invoice]], {"a": [INVOICE]}),
    (dict[int, Invoice], {1: INVOICE}),
    (tuple[Invoice, Point], (INVOICE, Point(1, 0.5))),
    (Annotated[Invoice, "note"], INVOICE),
    (Identifier, INVOICE),
    (PaidInvoice, PaidInvoice(total=1)),
    pytest.param(Invoice | PaidInvoice, PaidInvoice(total=1, paid=False), marks=newer),
    (AIMessage, AIMessage(content="a", tool_calls=[{"id": 1}])),
    (list[AnyMessage], [HumanMessage(content="q"), AIMessage(content="a", tool_calls=[{"id": 1}])]),
    (Chat, Chat(messages=[AIMessage(content="a", tool_calls=[{}])])),
    (Aliased, Aliased(Total=1)),
    (list[Aliased], [Aliased(Total=1)]),
    (Camel, Camel(first_name="a")),
    (Swapped, Swapped(a=1, b=2)),
    (WrittenByAlias, WrittenByAlias(total=1)),
    (WrittenByChoice, WrittenByChoice(a=1)),
    pytest.param(ReadByAlias, ReadByAlias(Total=1), marks=reads_names),
    pytest.param(ReadByChoice, ReadByChoice(a=1), marks=reads_names),
    pytest.param(TwoAliases, TwoAliases(read=1), marks=reads_names),
    pytest.param(list[TwoAliases], [TwoAliases(read=1)], marks=reads_names),
    (Computed, Computed(width=2)),
    (StrictlyComputed, StrictlyComputed(width=2)),
    (Cached, Cached(width=2)),
    (Cached, with_cached()),
    (Excluding, Excluding(shown=1)),
    (Open, Open(x=1, more=[1], most="a")),
    (KeepsPrivate, KeepsPrivate(x=1)),
    (SerializedWell, SerializedWell(x=1)),
    (FrozenModel, FrozenModel(x=1)),
    (StrictModel, StrictModel(x=1, when=NOON.date(), pair=(1, "a"))),
    (Times, Times(when=NOON, took=datetime.timedelta(seconds=1.5))),
    (Times, Times(when=NOON.replace(tzinfo=UTC))),
    (Times, Times(when="2026-01-01T12:00:00+02:00")),
    (Page[int], Page[int](items=[1])),
    (Page[Invoice], Page[Invoice](items=[INVOICE])),
    (Names, Names(["a"])),
    (Tree, Tree(children=[Tree()])),
    (Parsed, Parsed(data="[1, 2]")),
    (Binary, Binary(data=b"abc")),
    (Holder, Holder(value=[1, "a"])),
    (Checked, Checked(1)),
    (list[Checked], [Checked(1)]),
    (HoldsModel, HoldsModel(INVOICE, [HoldsModel(INVOICE)])),
    pytest.param(Box[Invoice], Box(INVOICE), marks=newer),
    (DictOfModel, DictOfModel(invoice=INVOICE)),
    (TupleOfModel, TupleOfModel(INVOICE)),
    (StructOfModel, StructOfModel(INVOICE, [np.float32(0.1)], pathlib.Path("a"), collections.deque([1]))),
    (AttrsOfModel, AttrsOfModel(INVOICE)),
    (list[HoldsModelAndScalar], [HoldsModelAndScalar(INVOICE, np.float64(1))]),
    (Alias, [INVOICE]),
    (Recursive, [[1], 2]),
    (pathlib.Path, pathlib.Path("a/b")),
    (collections.deque[int], collections.deque([1])),
    (pydantic.HttpUrl, pydantic.HttpUrl("https://example.com/a")),
    (pydantic.PositiveInt, 1),
    pytest.param(zoneinfo.ZoneInfo, zoneinfo.ZoneInfo("UTC"), marks=newer),
]


def name_of(type_, value=None):
    return getattr(type_, "__name__", str(type_)).replace(f"{__name__}.", "")


def ids(cases):
    return [name_of(getattr(case, "values", case)[0]) for case in cases]


@pytest.mark.parametrize(("type_", "value"), EXACT, ids=ids(EXACT))
def test_a_typed_value_comes_back_as_it_was(type_, value):
    codec = codec_for(type_)
    text = encode_exactly(codec, value)
    assert isinstance(text, str)
    assert text == codec.encode(value)
    restored = codec.decode(text)
    assert first_difference(value, restored) is None
    assert type(restored) is type(value)
    assert restored == value
    assert encode_exactly(codec_for(type_), restored) == text


REFUSED = [
    (str, Text("a"), "Text and would come back as str"),
    (str, 1, "int"),
    (float, 1, "it is int and would come back as float"),
    (float, NAN, r"float, and what would be stored of it can't be read back \(ValidationError\)"),
    (float, np.float64(1), "it is numpy.float64 and would come back as float; name its exact type"),
    (list[float], [1.5, np.float32(1)], r"\[1\] is numpy.float32 and would come back as float"),
    (int, np.int64(1), "it is numpy.int64 and would come back as int"),
    (bool, np.bool_(True), r"it is numpy.bool_? and would come back as bool"),
    (Any, np.str_("a"), "it is numpy.str_ and would come back as str"),
    (np.float32, np.float64(0.1), "it is numpy.float64 and would come back as numpy.float32"),
    (np.float64, 1.0, "it is float and would come back as numpy.float64"),
    (np.float64, np.float64(NAN), "can't be read back"),
    (np.float64, True, "can't be read back"),
    (np.int8, 300, "can't be read back"),
    (np.longdouble, np.longdouble(1), "JSON has nothing for longdouble"),
    (Any, NAN, "it is float and would come back as NoneType"),
    (Any, float("inf"), "it is float and would come back as NoneType"),
    (Any, b"a", "it is bytes and would come back as str"),
    (Any, (1, 2), "it is tuple and would come back as list"),
    (Any, {1}, "it is set and would come back as list"),
    (Any, {1: 2}, r"\[key 0\] is int and would come back as str"),
    (Any, {1: "a", "1": "b"}, "items and would come back with 1"),
    (Any, NOON, "it is datetime and would come back as str"),
    (Any, decimal.Decimal(1), "it is Decimal and would come back as str"),
    (Any, Colour.RED, "it is Colour and would come back as str"),
    (Any, Record("n", []), "it is Record and would come back as dict"),
    (Any, Point(1, 2.0), "it is Point and would come back as dict"),
    (Any, collections.OrderedDict(a=1), "it is OrderedDict and would come back as dict"),
    (Any, Plain(), "JSON has nothing for Plain; pass a codec of your own"),
    (Any, INVOICE, "JSON has nothing for Invoice; pass a codec of your own"),
    (Any, iter([1]), "JSON has nothing for list_iterator"),
    (Any, "\ud800", "surrogates"),
    (dict, {"a": Text("a")}, r"\[value 0\] is Text and would come back as str"),
    (dict[str, float], {"a": 1}, r"\[value 0\] is int and would come back as float"),
    (Record, Derived("n", [], 3), "it is Derived and would come back as Record"),
    (Record, Record("n", ("a",)), r"\.tags is tuple and would come back as list"),
    (Point, Point3(1, 2.0, 3.0), "it is Point3 and would come back as Point"),
    (Point, Point(1, 2), r"\.y is int and would come back as float"),
    (Movie, {"title": "a", "secret": 1}, "has 2 items and would come back with 1"),
    (datetime.datetime, NOON.replace(fold=1), "another value"),
    (
        datetime.datetime,
        NOON.replace(tzinfo=zoneinfo.ZoneInfo("UTC")),
        "ZoneInfo and would come back as timezone",
    ),
    (decimal.Decimal, 1, "it is int and would come back as Decimal"),
    (Invoice, PaidInvoice(total=1), "it is PaidInvoice and would come back as Invoice"),
    (Invoice, {"total": 1.0}, "it is dict and would come back as Invoice"),
    (Invoice, None, "can't be read back"),
    (Invoice, Invoice.model_construct(total="a"), "can't be read back"),
    (Invoice, Invoice.model_construct(total="1"), r"\.total is str and would come back as float"),
    (Message, AIMessage(content="a", tool_calls=[{}]), "AIMessage and would come back as Message"),
    (list[Message], [AIMessage(content="a")], r"\[0\] is AIMessage and would come back as Message"),
    (LooseChat, LooseChat(messages=[AIMessage(content="a")]), r"\.messages\[0\] is AIMessage"),
    (
        HoldsModel,
        HoldsModel(PaidInvoice(total=1)),
        r"\.invoice is PaidInvoice and would come back as Invoice",
    ),
    (StructOfModel, StructOfModel(PaidInvoice(total=1), []), r"\.invoice is PaidInvoice"),
    (Excluding, Excluding(shown=1, hidden=2), r"\.hidden would come back with another value"),
    (ExcludingRequired, ExcludingRequired(hidden=1), "can't be read back"),
    (KeepsPrivate, with_private(1), r"\._kept would come back with another value"),
    (Open, Open(more=(1,)), r"\.__pydantic_extra__\[value 0\] is tuple and would come back as list"),
    (Login, Login(password="hush"), r"\.password\._secret_value would come back with another value"),
    (pydantic.SecretStr, pydantic.SecretStr("hush"), r"\._secret_value would"),
    (pydantic.SecretStr | None, pydantic.SecretStr("hush"), r"\._secret_value would"),
    (Shouting, Shouting(text="a"), r"\.text would come back with another value"),
    (Serialized, Serialized(x=1), "can't be read back"),
    (Times, Times(when=NOON.replace(tzinfo=zoneinfo.ZoneInfo("UTC"))), r"\.when\.tzinfo is ZoneInfo"),
    (Times, Times(when=NOON.replace(tzinfo=OFFSET)), r"\.when\.tzinfo would come back with another value"),
    (Binary, Binary(data=b"\xff"), "utf-8"),
    (Holder, Holder(value=(1,)), r"\.value is tuple and would come back as list"),
    (Holder, Holder(value=INVOICE), r"\.value is Invoice and would come back as dict"),
    (Page[int], Page(items=[1]), r"it is Page and would come back as Page\[int\]"),
    (Page[Any], Page[int](items=[1]), r"it is Page\[int\] and would come back as Page\[Any\]"),
    (collections.deque[int], collections.deque([1], 5), r"\.maxlen"),
    (pydantic.HttpUrl, "https://example.com", "str and would come back as (Http)?Url"),
]


@pytest.mark.parametrize(("type_", "value", "message"), REFUSED, ids=ids(REFUSED))
def test_a_value_that_would_not_come_back_is_refused(type_, value, message):
    with pytest.raises((TypeError, ValueError), match=message) as caught:
        encode_exactly(codec_for(type_), value)
    assert "hush" not in str(caught.value)
    if isinstance(caught.value, NotRestored):
        assert "codec=" in str(caught.value)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="a statement of Python 3.12")
def test_a_type_statement_is_looked_into(tmp_path, monkeypatch):
    (tmp_path / "statements.py").write_text(
        "from dataclasses import dataclass\n"
        "from pydantic import SecretStr, BaseModel\n"
        "class Word(BaseModel): text: str\n"
        "type Words = list[Word] | Words2\n"
        "type Words2 = dict[str, Words]\n"
        "@dataclass\n"
        "class Holder:\n"
        "    words: 'Words'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("statements")
    words = {"a": [module.Word(text="b")]}
    for type_, value in ((module.Words, words), (module.Holder, module.Holder(words))):
        codec = JsonCodec(type_)
        assert first_difference(codec.decode(encode_exactly(codec, value)), value) is None


UNREADABLE = [
    Plain,
    list[Plain],
    Plain | None,
    pytest.param(Box[Plain], marks=newer),
    type("Holds", (msgspec.Struct,), {"__annotations__": {"plain": Plain, "invoice": Invoice}}),
    Lazy,
    Iterator[Invoice],
    np.ndarray,
    np.floating,
    np.complex128,
    list["NotDefined"],  # type: ignore[name-defined]  # noqa: F821
    Text,
    int | np.float64,
]


@pytest.mark.parametrize("type_", UNREADABLE, ids=range(len(UNREADABLE)))
def test_a_type_that_json_is_not_read_as_is_refused_at_once(type_):
    with pytest.raises(
        TypeError, match=r"can't be read from JSON: [^\n]+; pass a codec of your own, with"
    ) as caught:
        codec_for(type_)
    assert "\n" not in str(caught.value)
    assert "codec=" not in str(caught.value)  # it may be made to be passed as that


def test_the_answer_of_a_model_with_an_iterator_is_not_used_up():
    with pytest.raises(TypeError, match="read only once"):
        JsonCodec(Lazy)


@pytest.mark.parametrize("type_", [Record, Point, Invoice, HoldsModel, StructOfModel, Checked])
def test_json_of_another_shape_does_not_decode(type_):
    with pytest.raises(ValueError, match=r"(?i)missing|required|unexpected"):
        JsonCodec(type_).decode('{"something": "else"}')


@pytest.mark.parametrize("text", ['"a"', "1.5", "true", "null", "{}"])
def test_json_of_another_kind_is_no_numpy_scalar(text):
    with pytest.raises(ValueError, match="not read as int64"):
        JsonCodec(np.int64).decode(text)


@reads_names
def test_an_entry_is_read_by_the_name_that_is_written():
    assert JsonCodec(Aliased).decode('{"Total": 1}').total == 1
    assert JsonCodec(TwoAliases).decode('{"total": 1}').total == 1


def test_an_entry_is_written_by_alias():
    assert JsonCodec(Aliased).encode(Aliased(Total=1)) == '{"Total":1}'
    assert JsonCodec(list[Camel]).encode([Camel(first_name="a")]) == '[{"FirstName":"a"}]'
    assert JsonCodec(WrittenByChoice).encode(WrittenByChoice(a=1)) == '{"b":1}'


def test_text_is_text_only():
    with pytest.raises(TypeError, match="int"):
        TextCodec().encode(1)


def test_equal_codecs_are_equal():
    assert JsonCodec(Record) == JsonCodec(Record)
    assert hash(JsonCodec(list[int])) == hash(JsonCodec(list[int]))
    assert JsonCodec(Record) != JsonCodec(Point)
    assert "Record" in repr(JsonCodec(Record))


BARE = """
import sys
from collections import deque
from pathlib import Path
from langcache.aside import JsonCodec
from langcache.aside.round_trip import encode_exactly
assert encode_exactly(JsonCodec(dict[int, object]), {1: [2]}) == '{"1":[2]}'
try:
    JsonCodec(deque[int])
except TypeError as error:
    assert "JSON has nothing for deque; pass a codec of your own" in str(error), error
else:
    raise AssertionError("read without pydantic")
assert not {"pydantic", "numpy", "dataclasses"} & set(sys.modules), "imported"
"""


def test_neither_pydantic_nor_numpy_is_imported_to_use_a_codec():
    done = subprocess.run([sys.executable, "-c", BARE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_a_codec_writes_does_not_warn(recwarn):
    for type_, value, _ in REFUSED:
        try:
            encode_exactly(codec_for(type_), value)
        except (TypeError, ValueError):
            continue
    assert not recwarn.list


@given(st.builds(Invoice, total=st.floats(), lines=st.lists(st.text())))
def test_models_come_back_or_are_refused(value):
    codec = JsonCodec(Invoice)
    try:
        text = encode_exactly(codec, value)
    except (TypeError, ValueError):
        return
    assert first_difference(value, codec.decode(text)) is None


async def test_a_typed_answer_comes_back_from_a_hit(cache):
    for _ in range(2):
        answer = await cache.get_or_set("An invoice, please", Invoice(total=9.5), codec=JsonCodec(Invoice))
        assert answer.value == Invoice(total=9.5)
    assert answer.hit
