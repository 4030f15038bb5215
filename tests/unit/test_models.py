"""What comes back: tolerant of newer services, false on a miss, and dumped as existing programs dump it."""

from __future__ import annotations

import copy
import json
import pickle

import msgspec
import pytest

from langcache._wire.base import camel_case
from langcache.models import (
    CacheEntry,
    ConversationalSearchResponseContent,
    DeleteQueryResponse,
    HealthResponse,
    ProblemDetails,
    SearchRequest,
    SearchResponse,
    SearchStrategy,
    SetRequest,
    SetResponse,
)

ENTRY = {
    "id": "e1",
    "prompt": "How do I log in?",
    "response": "With your password.",
    "attributes": {"topic": "login"},
    "similarity": 0.95,
    "searchStrategy": "semantic",
}


def decode(entries, kind=SearchResponse, **more):
    return msgspec.json.decode(json.dumps({"data": entries, **more}), type=kind)


def test_a_result_is_read_from_camel_case():
    result = decode([ENTRY])
    assert result.data == [
        CacheEntry(
            id="e1",
            prompt="How do I log in?",
            response="With your password.",
            attributes={"topic": "login"},
            similarity=0.95,
            search_strategy=SearchStrategy.SEMANTIC,
        )
    ]


def test_a_hit_is_true_and_acts_as_a_list_of_entries():
    result = decode([ENTRY, {**ENTRY, "id": "e2"}])
    assert result
    assert result.hit
    assert len(result) == 2
    assert [entry.id for entry in result] == ["e1", "e2"]
    assert result[0] is result.entry
    assert result[-1].id == "e2"
    assert result[1:] == [result.data[1]]
    assert result.response == "With your password."
    assert result.similarity == 0.95


def test_a_miss_is_false_and_has_nothing():
    result = decode([])
    assert not result
    assert not result.hit
    assert len(result) == 0
    assert list(result) == []
    assert result.entry is None
    assert result.response is None
    assert result.similarity is None
    with pytest.raises(IndexError):
        result[0]


def test_fields_of_a_newer_service_are_ignored():
    assert (
        decode([{**ENTRY, "embedding": [1, 2], "searchStrategy": "exact"}], page=7)[0].search_strategy
        == "exact"
    )


def test_a_strategy_of_a_newer_service_stays_readable():
    strategy = decode([{**ENTRY, "searchStrategy": "hybrid"}])[0].search_strategy
    assert isinstance(strategy, SearchStrategy)
    assert strategy == "hybrid"
    assert (strategy.name, strategy.value) == ("HYBRID", "hybrid")
    assert hash(strategy) == hash("hybrid")
    assert msgspec.json.encode(strategy) == b'"hybrid"'
    for again in (copy.copy(strategy), copy.deepcopy(strategy), pickle.loads(pickle.dumps(strategy))):
        assert again == strategy
    assert strategy.__reduce_ex__(2) == (SearchStrategy, ("hybrid",))  # by value: no class has that name
    assert list(SearchStrategy) == [SearchStrategy.EXACT, SearchStrategy.SEMANTIC]


@pytest.mark.parametrize("value", [7, None, b"exact"])
def test_a_strategy_is_text(value):
    with pytest.raises(ValueError, match="not a valid SearchStrategy"):
        SearchStrategy(value)


def test_an_entry_without_attributes_has_none():
    entry = {name: value for name, value in ENTRY.items() if name != "attributes"}
    assert decode([entry])[0].attributes == {}


@pytest.mark.parametrize("body", ["{}", '{"data": null}', '{"data": [{}]}', "[]", "null", '{"data": 1}'])
def test_a_result_without_its_data_is_no_result(body):
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(body, type=SearchResponse)


def test_a_dump_has_python_names_and_nested_dicts():
    dumped = decode([ENTRY]).model_dump()
    assert dumped["data"][0]["search_strategy"] is SearchStrategy.SEMANTIC
    assert dumped["data"][0]["attributes"] == {"topic": "login"}


def test_a_dump_by_alias_in_json_mode_is_what_was_on_the_wire():
    assert decode([ENTRY]).model_dump(mode="json", by_alias=True) == {"data": [ENTRY]}
    assert json.loads(decode([ENTRY]).model_dump_json(by_alias=True)) == {"data": [ENTRY]}


def test_a_dump_leaves_none_out_on_request():
    request = SearchRequest(prompt="x", max_results=3)
    assert request.model_dump(exclude_none=True) == {"prompt": "x", "max_results": 3}
    assert request.model_dump()["attributes"] is None


def test_tries_are_beside_the_fields():
    result = SetResponse(entry_id="e1")
    assert result.tries == 1
    result.tries = 3
    assert result.tries == 3
    assert result == SetResponse(entry_id="e1")
    assert "tries" not in result.model_dump()


COPIES = {
    "copy.copy": copy.copy,
    "copy.deepcopy": copy.deepcopy,
    "pickle": lambda result: pickle.loads(pickle.dumps(result)),
    "an old pickle protocol": lambda result: pickle.loads(pickle.dumps(result, 0)),
    "model_copy": lambda result: result.model_copy(),
    "model_copy(deep=True)": lambda result: result.model_copy(deep=True),
    "model_copy(update={})": lambda result: result.model_copy(update={}),
    "copy.replace": lambda result: result.__replace__(),  # that is what it calls, since Python 3.13
}


@pytest.mark.parametrize("duplicate", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize(
    "result",
    [
        decode([ENTRY]),
        decode([ENTRY], ConversationalSearchResponseContent, actualPrompt="p"),
        SetResponse(entry_id="e1"),
        DeleteQueryResponse(deleted_entries_count=2),
        HealthResponse(),
    ],
    ids=lambda result: type(result).__name__,
)
def test_a_copy_of_a_reply_keeps_its_tries(result, duplicate):
    result.tries = 3
    again = duplicate(result)
    assert (again, again.tries) == (result, 3)
    assert again is not result
    again.tries = 4
    assert result.tries == 3


def test_a_copy_with_other_fields_keeps_the_tries():
    result = decode([ENTRY])
    result.tries = 3
    other = result.model_copy(update={"data": [ENTRY | {"response": "other"}]})
    assert (other.response, other.tries) == ("other", 3)
    assert result.model_copy().data is result.data
    assert result.model_copy(deep=True).data is not result.data
    with pytest.raises(TypeError):
        result.model_copy(update={"nothing": 1})


def test_a_conversational_result_names_the_question_that_was_searched_for():
    result = decode([ENTRY], ConversationalSearchResponseContent, actualPrompt="How do I log in to the shop?")
    assert result.actual_prompt == "How do I log in to the shop?"
    assert result.response == "With your password."


def test_a_count_is_a_whole_number():
    assert (
        msgspec.json.decode('{"deletedEntriesCount": 3}', type=DeleteQueryResponse).deleted_entries_count == 3
    )
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode('{"deletedEntriesCount": "3"}', type=DeleteQueryResponse)


@pytest.mark.parametrize("kind", [SearchRequest, SetRequest, CacheEntry, ProblemDetails, DeleteQueryResponse])
def test_one_function_makes_the_names_on_the_wire(kind):
    assert kind.__struct_encode_fields__ == tuple(map(camel_case, kind.__struct_fields__))
    assert camel_case("deleted_entries_count") == "deletedEntriesCount"
