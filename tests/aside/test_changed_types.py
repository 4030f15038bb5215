"""Answers that were stored when their type was another one: a miss, and never an object that is wrong."""

from __future__ import annotations

import dataclasses

import msgspec
import pydantic
import pytest
from typing_extensions import NotRequired, TypedDict

from langcache.aside import JsonCodec
from langcache.aside.codecs import codec_for
from langcache.aside.round_trip import encode_exactly


def _dataclass(**fields):
    return _made_dataclass({}, fields)


def _made_dataclass(options, fields):
    described = [
        (name, each[0], dataclasses.field(default=each[1])) if isinstance(each, tuple) else (name, each)
        for name, each in fields.items()
    ]
    return dataclasses.make_dataclass("Invoice", described, kw_only=True, **options)


def _model(**fields):
    given = {name: each if isinstance(each, tuple) else (each, ...) for name, each in fields.items()}
    return pydantic.create_model("Invoice", **given)


def _struct(**fields):
    described = [(name, *each) if isinstance(each, tuple) else (name, each) for name, each in fields.items()]
    return msgspec.defstruct("Invoice", described, kw_only=True)


def _typed_dict(**fields):
    given = {name: NotRequired[each[0]] if isinstance(each, tuple) else each for name, each in fields.items()}
    return TypedDict("Invoice", given)


KINDS_OF_TYPES = {
    "dataclass": _dataclass,
    "dataclass with slots": lambda **fields: _made_dataclass({"slots": True}, fields),
    "frozen dataclass": lambda **fields: _made_dataclass({"frozen": True}, fields),
    "model": _model,
    "struct": _struct,
}

CHANGED = {
    "a field less": {"total": int},
    "a field more": {"total": int, "currency": str, "vat": (int, 0)},
    "an empty field more": {"total": int, "currency": str, "note": (str | None, None)},
    "another name": {"amount": (int, 0), "currency": str},
    "another name, the same value": {"amount": (int, 7), "currency": str},
    "other names": {"amount": (int, 0), "unit": (str, "")},
    "another type": {"total": str, "currency": str},
}


@pytest.mark.parametrize("kind", KINDS_OF_TYPES)
@pytest.mark.parametrize("change", CHANGED)
@pytest.mark.parametrize("within", ["itself", "a list", "a dict"])
def test_what_was_stored_when_the_type_was_another_does_not_decode(kind, change, within):
    def whole(type_):
        return {"itself": type_, "a list": list[type_], "a dict": dict[str, type_]}[within]

    made, new = KINDS_OF_TYPES[kind], KINDS_OF_TYPES[kind](**CHANGED[change])
    old = made(total=int, currency=str)
    value = old(total=7, currency="EUR")
    stored = {"itself": value, "a list": [value], "a dict": {"a": value}}[within]
    text = codec_for(whole(old)).encode(stored)
    assert codec_for(whole(old)).decode(text) == stored
    assert codec_for(whole(made(total=int, currency=str | None))).decode(text)
    with pytest.raises(
        ValueError, match=r"does not say the same|Expected `str`|should be a valid string"
    ) as raised:
        codec_for(whole(new)).decode(text)
    assert raised.type.__name__ in ("StoredByAnotherType", "ValidationError")


def test_what_was_stored_of_another_typed_dict_does_not_decode():
    text = codec_for(_typed_dict(total=int, currency=str)).encode({"total": 7, "currency": "EUR"})
    with pytest.raises(ValueError, match="Invoice does not say the same as the JSON"):
        codec_for(_typed_dict(total=int, vat=(int, 0))).decode(text)


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        (set[str], '["b", "a", "c"]'),
        (dict[str, list[float]], '{"b": [1, 2.50],\n "a": []}'),
        (list[bool | int], "[true, 1, 0, false]"),
        (msgspec.defstruct("Point", [("x", float), ("y", float)]), '{"y": 2, "x": 1}'),
    ],
    ids=["a set", "a dict", "booleans", "a struct"],
)
def test_json_of_another_program_that_says_the_same_decodes(type_, text):
    assert codec_for(type_).decode(text) == msgspec.json.decode(text, type=type_)


def test_a_default_that_msgspec_leaves_to_the_class_comes_back_from_a_hit():
    type_ = _dataclass(total=int, vat=(int, 0))
    answer = msgspec.json.decode('{"total": 7}', type=type_)
    text = encode_exactly(codec_for(type_), answer)
    assert codec_for(type_).decode(text) == answer == type_(total=7)


def test_a_field_is_not_missed_of_a_type_that_leaves_defaults_out():
    type_ = msgspec.defstruct("Invoice", [("total", int), ("vat", int, 0)], omit_defaults=True)
    assert codec_for(type_).decode('{"total": 7}') == type_(7, 0)


async def test_an_old_answer_of_another_type_is_computed_anew(cache, caplog):
    old, new = _dataclass(total=int), _dataclass(amount=(int, 0))
    await cache.get_or_set("An invoice, please", old(total=7), codec=JsonCodec(old), function="invoice")
    answer = await cache.get_or_set(
        "An invoice, please", new(amount=9), codec=JsonCodec(new), function="invoice"
    )
    assert (answer.status, answer.value, cache.stats().rejected) == ("miss", new(amount=9), 1)
    assert [record.getMessage().rpartition(" ")[2] for record in caplog.records] == ["StoredByAnotherType"]
