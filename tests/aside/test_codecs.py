"""What is stored of a value, and that it comes back with its type."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TypedDict

import msgspec
import pydantic
import pytest

from langcache.aside import JsonCodec, TextCodec
from langcache.aside.codecs import codec_for


class Record(msgspec.Struct):
    name: str
    tags: list[str]


@dataclass
class Point:
    x: int
    y: float


class Invoice(pydantic.BaseModel):
    total: float
    lines: list[str] = []


class Movie(TypedDict):
    title: str


class Colour(enum.Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (str, "text"),
        (Record, Record("n", ["t"])),
        (Point, Point(1, 0.5)),
        (Invoice, Invoice(total=9.5, lines=["a"])),
        (list[Invoice], [Invoice(total=1)]),
        (Invoice | None, None),
        (Movie, Movie(title="M")),
        (Colour, Colour.RED),
        (dict[str, int], {"a": 1}),
        (int | str, 5),
    ],
)
def test_a_typed_value_comes_back_as_its_type(type_, value):
    codec = codec_for(type_)
    text = codec.encode(value)
    assert isinstance(text, str)
    restored = codec.decode(text)
    assert restored == value
    assert type(restored) is type(value)


@pytest.mark.parametrize("type_", [Record, Point, Invoice])
def test_json_of_another_shape_does_not_decode(type_):
    with pytest.raises(ValueError, match=r"total|missing"):
        JsonCodec(type_).decode('{"something": "else"}')


def test_text_is_text_only():
    with pytest.raises(TypeError, match="int"):
        TextCodec().encode(1)


def test_equal_codecs_are_equal():
    assert JsonCodec(Record) == JsonCodec(Record)
    assert hash(JsonCodec(list[int])) == hash(JsonCodec(list[int]))
    assert JsonCodec(Record) != JsonCodec(Point)
    assert "Record" in repr(JsonCodec(Record))


async def test_a_typed_answer_comes_back_from_a_hit(cache):
    for _ in range(2):
        answer = await cache.get_or_set("An invoice, please", Invoice(total=9.5), codec=JsonCodec(Invoice))
        assert answer.value == Invoice(total=9.5)
    assert answer.hit
