"""What programs written for the established client do with names, models and errors."""

from __future__ import annotations

import importlib
import operator
import pickle
from datetime import timedelta
from decimal import Decimal
from types import MappingProxyType
from unittest import mock

import msgspec
import pytest

import langcache
from langcache import errors, httpclient, models, types, utils
from langcache._wire.exchange import Reply
from langcache.limits import LimitError, Limits
from langcache.models import CacheEntry, SearchResponse, SearchStrategy, SetResponse

ENTRY = CacheEntry(
    id="e",
    prompt="p",
    response="r",
    attributes={"my_topic": "x"},
    similarity=0.9,
    search_strategy=SearchStrategy.SEMANTIC,
)
ON_THE_WIRE = {
    "id": "e",
    "prompt": "p",
    "response": "r",
    "attributes": {"my_topic": "x"},
    "similarity": 0.9,
    "searchStrategy": "semantic",
}


@pytest.mark.parametrize(
    ("path", "name", "thing"),
    [
        ("langcache.sdk", "LangCache", langcache.LangCache),
        ("langcache.models.cacheentry", "CacheEntry", CacheEntry),
        ("langcache.models.searchstrategy", "SearchStrategy", SearchStrategy),
        ("langcache.models.notfounderroruri", "NotFoundErrorURI", models.NotFoundErrorURI),
        ("langcache.errors.langcacheerror", "LangCacheError", errors.LangCacheError),
        ("langcache.errors.no_response_error", "NoResponseError", errors.NoResponseError),
        (
            "langcache.errors.badrequesterrorresponsecontent",
            "BadRequestErrorResponseContentData",
            errors.BadRequestErrorResponseContentData,
        ),
        ("langcache.utils.retries", "RetryConfig", langcache.RetryConfig),
        ("langcache.utils.logger", "get_default_logger", utils.get_default_logger),
    ],
)
def test_a_class_is_found_in_a_module_of_its_own(path, name, thing):
    assert getattr(importlib.import_module(path), name) is thing
    assert operator.attrgetter(f"{path}.{name}".removeprefix("langcache."))(langcache) is thing


def test_an_unknown_module_is_still_unknown():
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("langcache.models.nonsense")


def test_a_plain_string_becomes_a_strategy():
    entry = CacheEntry(id="e", prompt="p", response="r", similarity=1, search_strategy="exact")
    assert entry.search_strategy is SearchStrategy.EXACT
    assert entry.search_strategy.value == "exact"


@pytest.mark.parametrize(
    "described",
    [ON_THE_WIRE, ENTRY.model_dump(), ENTRY.model_dump(by_alias=True), ENTRY.model_dump(mode="json"), ENTRY],
)
def test_a_model_from_a_dict(described):
    assert CacheEntry.model_validate(described) == ENTRY
    assert SearchResponse.model_validate({"data": [described]}) == SearchResponse(data=[ENTRY])


@pytest.mark.parametrize("described", [ON_THE_WIRE, ENTRY.model_dump(), ENTRY.model_dump(mode="json")])
def test_a_reply_of_a_program_s_own_tests_is_made_of_dicts(described):
    given = [described, ENTRY]
    result = SearchResponse(data=given)
    assert (result.data, result.response) == ([ENTRY, ENTRY], "r")
    assert given == [described, ENTRY]
    talk = models.ConversationalSearchResponseContent(data=[described], actual_prompt="p")
    assert talk.entry == ENTRY
    with pytest.raises(msgspec.ValidationError, match="missing required field `id`"):
        SearchResponse(data=[{"prompt": "p"}])


def test_a_reply_of_a_program_s_own_tests_is_made_of_mocks():
    assert SearchResponse(data=[mock.Mock(response="r")]).response == "r"


def test_a_model_from_json():
    response = SearchResponse(data=[ENTRY])
    assert SearchResponse.model_validate_json(response.model_dump_json()) == response
    assert SearchResponse.model_validate_json(response.model_dump_json(by_alias=True).encode()) == response
    with pytest.raises(msgspec.ValidationError, match="entryId"):
        SetResponse.model_validate_json("{}")


def test_json_can_be_indented():
    assert SetResponse(entry_id="e").model_dump_json(indent=2) == '{\n  "entry_id": "e"\n}'


def test_a_copy_of_a_model():
    other = ENTRY.model_copy(update={"response": "another"})
    assert (other.response, ENTRY.response) == ("another", "r")
    assert ENTRY.model_copy() == ENTRY
    assert ENTRY.model_copy() is not ENTRY
    assert ENTRY.model_copy().attributes is ENTRY.attributes
    assert ENTRY.model_copy(deep=True) == ENTRY
    assert ENTRY.model_copy(deep=True).attributes is not ENTRY.attributes


def test_a_dump_of_some_fields():
    assert ENTRY.model_dump(include={"prompt", "response"}) == {"prompt": "p", "response": "r"}
    assert ENTRY.model_dump(include=["search_strategy"], by_alias=True) == {"searchStrategy": "semantic"}
    assert ENTRY.model_dump(exclude={"id"}) == {k: v for k, v in ENTRY.model_dump().items() if k != "id"}
    assert SearchResponse(data=[ENTRY]).model_dump_json(exclude=["data"]) == "{}"
    for names in ({"data": {"__all__": {"id"}}}, "data"):
        with pytest.raises(TypeError, match="call their model_dump"):
            SearchResponse(data=[ENTRY]).model_dump(exclude=names)


def test_a_dump_is_nobody_else_s():
    ENTRY.model_dump()["attributes"]["my_topic"] = "changed"
    assert ENTRY.attributes == {"my_topic": "x"}


def test_a_model_is_as_good_as_a_dict():
    assert ENTRY["response"] == "r"
    assert dict(ENTRY) == ENTRY.model_dump()
    assert dict(iter(ENTRY)) == dict(ENTRY)
    assert dict(SearchResponse(data=[ENTRY])) == {"data": [ENTRY]}
    assert SearchResponse(data=[ENTRY])["data"] == [ENTRY]
    assert "response" in ENTRY
    assert "answer" not in ENTRY
    assert "data" in SearchResponse(data=[ENTRY])
    assert ENTRY in SearchResponse(data=[ENTRY])
    assert ENTRY not in SearchResponse(data=[])
    with pytest.raises(KeyError, match="answer"):
        ENTRY["answer"]


@pytest.mark.parametrize("newer", ["/errors/brand-new", "/errors/invalid-data"])
def test_the_type_of_a_problem_is_a_member(newer):
    data = errors.BadRequestErrorResponseContentData(title="Bad", type=newer)
    assert isinstance(data.type, models.BadRequestErrorType)
    assert (data.type, data.type.value, data.status) == (newer, newer, 400)
    assert pickle.loads(pickle.dumps(data)) == data


def test_both_generations_name_the_types_of_problem():
    assert models.BadRequestErrorURI is models.BadRequestErrorType
    assert models.NotFoundErrorURI.ROOT_ERRORS_RESOURCE_NOT_FOUND == "/errors/resource/not-found"
    assert models.NotFoundErrorType.ROOT_ERRORS_RESOURCE_NOT_FOUND == "/errors/resource-not-found"
    raised = errors.error_from_reply(Reply(404, {}, b'{"title":"?","type":"/errors/cache/not-found"}'))
    assert raised.data.type == models.NotFoundErrorURI.ROOT_ERRORS_CACHE_NOT_FOUND
    assert errors.ResourceUnavailableErrorResponseContent is errors.FailedDependencyErrorResponseContent


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 424, 429, 500])
def test_the_data_of_an_error_is_of_its_own_class(status):
    error = errors.error_from_reply(Reply(status, {}, b'{"detail": "gone wrong"}'))
    kind = type(error).__name__
    assert type(error.data).__name__ == f"{kind}ResponseContentData"
    assert (error.data.status, error.data.detail) == (status, "gone wrong")


class HttpxLikeResponse:
    """What a program's tests pass for the reply: some name it, some mock it, and some count as false."""

    status_code = 400
    headers = MappingProxyType({"content-type": "application/json"})
    text = '{"detail": "attributes: no attributes are configured for this cache."}'

    def __bool__(self):
        return False


def test_a_program_can_make_an_error():
    data = errors.BadRequestErrorResponseContentData(title="Invalid", type="/errors/invalid-data")
    error = errors.BadRequestErrorResponseContent(
        data=data, raw_response=HttpxLikeResponse(), body=HttpxLikeResponse.text
    )
    assert "no attributes are configured" in str(error)
    assert (error.status_code, error.data, error.body) == (400, data, HttpxLikeResponse.text)
    assert error.headers["content-type"] == "application/json"
    assert isinstance(error, errors.LangCacheError)


def test_a_program_can_make_an_error_of_mocks():
    response = mock.Mock(status_code=400, text="no attributes are configured", headers={})
    error = errors.BadRequestErrorResponseContent(mock.Mock(), response)
    assert "no attributes are configured" in str(error)
    assert error.raw_response is response
    assert isinstance(errors.NotFoundErrorResponseContent(mock.Mock(), mock.Mock()), errors.LangCacheError)


def test_the_name_of_not_given():
    assert langcache.UNSET is types.UNSET
    assert not types.UNSET
    assert isinstance(ENTRY, langcache.BaseModel)
    assert types.OptionalNullable[int]


def test_an_httpx_client_is_refused_with_the_way_out():
    class HttpxLikeClient(httpclient.AsyncHttpClient):
        async def send(self, request): ...

        def build_request(self, method, url): ...

    with pytest.raises(TypeError, match="speaks aiohttp; pass client=lambda: "):
        langcache.LangCache("http://h", "k", "c", client=HttpxLikeClient())
    with pytest.raises(TypeError, match="speaks aiohttp"):
        langcache.LangCache("http://h", "k", "c", async_client=HttpxLikeClient())


@pytest.mark.parametrize(
    ("ttl", "millis"),
    [
        (60, 60_000),
        (0.001, 1),
        (1.5, 1500),
        (Decimal("1.5"), 1500),
        (timedelta(minutes=2), 120_000),
        (None, None),
    ],
)
def test_a_time_to_live_in_seconds(ttl, millis):
    assert Limits().ttl(None, ttl) == millis


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((None, 0), LimitError, "ttl: must be at least a millisecond, but is 0"),
        ((None, -timedelta(1)), LimitError, "ttl: must be at least"),
        ((None, 10**9), LimitError, "ttl: must be at most 31556952000 milliseconds"),
        ((None, 10**400), LimitError, "ttl: must be at most"),
        ((None, float("inf")), LimitError, "ttl: must be finite"),
        ((None, float("nan")), LimitError, "ttl: must be finite"),
        ((None, True), TypeError, "ttl: must be a number of seconds or a timedelta, but is bool"),
        ((None, "60"), TypeError, "ttl: must be a number of seconds or a timedelta, but is str"),
        ((60_000, 60), TypeError, "ttl: can't be given along with ttl_millis"),
    ],
)
def test_a_wrong_time_to_live(arguments, error, words):
    with pytest.raises(error, match=words):
        Limits().ttl(*arguments)
