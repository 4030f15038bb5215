"""What holds for every argument and every reply, whatever they are."""

from __future__ import annotations

import json
import math
import re
from datetime import datetime, timezone
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langcache import Limits
from langcache._call import head, protocol
from langcache._call.received import Received
from langcache._call.retrying import retry_after
from langcache.errors import LangCacheError
from langcache.models import ReplyModel

LIMITS = Limits()

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.just("a,b")
things = st.recursive(
    scalars,
    lambda inner: st.lists(inner) | st.dictionaries(scalars, inner) | st.sets(st.text()),
    max_leaves=8,
)
prompts = st.text(min_size=1, max_size=1024) | st.text(min_size=1000, max_size=1100)
names = st.text("abcXYZ019_-", min_size=1, max_size=33)
attributes = st.dictionaries(names, st.text(max_size=20), max_size=6)
thresholds = st.floats(0, 1) | st.integers(-1, 2)
strategies = st.lists(st.sampled_from(["exact", "semantic", "fuzzy"]), max_size=3) | st.just("exact")
counts = st.integers(-1, 10**30)


def is_prompt(value: object) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= 1024


def is_attributes(value: object) -> bool:
    return (
        isinstance(value, dict)
        and 1 <= len(value) <= 5
        and all(
            re.fullmatch("[a-zA-Z0-9_-]{1,32}", name)
            and isinstance(item, str)
            and 1 <= len(item) <= 500
            and "," not in item
            for name, item in value.items()
        )
    )


FIELDS = {
    "prompt": is_prompt,
    "response": lambda value: isinstance(value, str),
    "similarityThreshold": lambda value: 0 <= value <= 1,
    "searchStrategies": lambda value: value and set(value) <= {"exact", "semantic"},
    "attributes": is_attributes,
    "maxResults": lambda value: value >= 1,
    "ttlMillis": lambda value: 1 <= value <= 31_556_952_000,
    "context": lambda value: all(isinstance(item, str) for item in value),
}


def outcome(function, *arguments: object):
    """What it returns, or the error of a kind that it may raise."""
    try:
        return function(*arguments)
    except (TypeError, ValueError, LangCacheError) as error:
        return error


def check_body(build, *arguments: object) -> None:
    """The builder refuses with a clear error, or its body is valid JSON within the limits."""
    request = outcome(build, *arguments)
    if isinstance(request, Exception):
        assert re.match(r"[a-z_]+(\[.*\])?: ", str(request), re.DOTALL), "the message names no argument"
        return
    body = json.loads(request.body.decode("utf-8"))
    for field, value in body.items():
        assert FIELDS[field](value), field


@given(
    st.tuples(
        things | prompts, things | thresholds, things | strategies, things | attributes, things | counts
    )
)
def test_search_refuses_or_sends_what_the_service_accepts(arguments):
    check_body(protocol.search, LIMITS, *arguments)


@given(
    st.tuples(
        things | prompts,
        things | thresholds,
        things | strategies,
        things | attributes,
        things | counts,
        things | st.lists(st.text()),
    )
)
def test_conversational_search_refuses_or_sends_what_the_service_accepts(arguments):
    check_body(protocol.conversational_search, LIMITS, *arguments)


@given(st.tuples(things | prompts, things | st.text(), things | attributes, things | counts))
def test_set_refuses_or_sends_what_the_service_accepts(arguments):
    check_body(protocol.set, LIMITS, *arguments)


@given(things | attributes)
def test_delete_query_refuses_or_sends_what_the_service_accepts(value):
    check_body(protocol.delete_query, LIMITS, value)


@given(prompts, thresholds, attributes)
def test_no_limits_still_means_valid_json(prompt, threshold, value):
    try:
        request = protocol.search(Limits.none(), prompt, threshold, None, value, None)
    except ValueError:
        return
    assert json.loads(request.body.decode("utf-8"))["prompt"] == prompt


@given(things | st.text("./\\%?#;:@ab") | st.sampled_from([".", "..", "%2e%2e", "a/../b"]))
def test_an_entry_id_is_refused_or_stays_one_segment_of_the_path(entry_id):
    request = outcome(protocol.delete_by_id, entry_id)
    if isinstance(request, Exception):
        assert str(request).startswith("entry_id: ")
        return
    start, _, segment = request.path.partition("/")
    assert start == "entries"
    assert re.fullmatch(r"([A-Za-z0-9_.~-]|%[0-9A-F]{2})+", segment)
    assert segment not in (".", "..")
    assert unquote(segment) == entry_id


ENTRY = {
    "id": "1",
    "prompt": "hi",
    "response": "hello",
    "attributes": {"topic": "any"},
    "similarity": 0.9,
    "searchStrategy": "semantic",
}
GOOD = {"data": [ENTRY], "actualPrompt": "hi", "entryId": "1", "deletedEntriesCount": 1, "status": "ok"}
PROBLEM = {
    "title": "no",
    "detail": "not so",
    "type": "/errors/any",
    "status": 400,
    "fields": [{"field": "prompt", "rule": "max", "message": "too long"}],
}
REQUESTS = {
    request.operation.name: request
    for request in (
        protocol.search(LIMITS, "hi", None, None, None, None),
        protocol.set(LIMITS, "hi", "hello", None, None),
        protocol.delete_by_id("1"),
        protocol.delete_query(LIMITS, {"topic": "any"}),
        protocol.flush(),
        protocol.conversational_search(LIMITS, "hi", None, None, None, None, None),
        protocol.health(),
    )
}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@st.composite
def nearly_valid(draw):
    """A good body of which one thing is not so, or not even JSON any more."""
    body = json.loads(json.dumps(draw(st.sampled_from([GOOD, PROBLEM]))))
    place = body
    for key in draw(st.sampled_from([(), ("data", 0), ("fields", 0), ("data", 0, "attributes")])):
        place = place[key] if isinstance(place, list) or key in place else place
        if place is body:
            break
    if isinstance(place, dict) and place:
        place[draw(st.sampled_from(sorted(place)))] = draw(json_values)
    content = bytearray(json.dumps(body).encode())
    for _ in range(draw(st.integers(0, 3))):
        content[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
    return bytes(content[: draw(st.integers(0, len(content)))] if draw(st.booleans()) else content)


contents = st.binary() | json_values.map(lambda value: json.dumps(value).encode()) | nearly_valid()
content_types = st.text() | st.sampled_from(
    [
        "application/json",
        "text/html; charset=latin-1",
        "x/y; charset=idna",
        "x/y; charset=utf-16",
        "x; charset*=a''%ff",
    ]
)


@pytest.mark.parametrize("operation", REQUESTS)
@given(contents, st.integers(100, 999) | st.sampled_from([200, 201, 204, 400, 404]), content_types)
def test_every_reply_becomes_a_model_or_an_error_of_ours(operation, content, status, content_type):
    received = Received(status, {"Content-Type": content_type}, content, {"Authorization": "Bearer a-key"})
    result = outcome(protocol.read_reply, REQUESTS[operation], received, 2)
    if isinstance(result, Exception):
        assert isinstance(result, LangCacheError)
        assert result.tries == 2
        assert result.status_code == status
        assert result.raw_response == received.shown()
        assert result.body == result.raw_response.text
        assert str(result).isprintable()
    elif result is not None:
        assert 200 <= status < 300
        assert isinstance(result, ReplyModel)
        assert result.tries == 2
        assert json.loads(result.model_dump_json(by_alias=True)) is not None


@given(
    st.text()
    | st.floats().map(str)
    | st.integers().map(str)
    | st.datetimes().map(lambda date: date.strftime("%a, %d %b %Y %H:%M:%S GMT"))
)
def test_every_retry_after_is_a_positive_finite_wait_or_none(asked):
    now = datetime(2026, 1, 1, tzinfo=timezone.utc)
    for name in ("Retry-After", "retry-after-ms"):
        seconds = retry_after({name: asked}, now)
        assert seconds is None or (seconds > 0 and math.isfinite(seconds))


labels = (
    st.text("abZ09-_", max_size=3) | st.integers(62, 65).map("a".__mul__) | st.sampled_from(["xn--", "XN--9"])
)


@given(st.lists(labels, min_size=1, max_size=4).map(".".join).filter(bool))
def test_a_host_is_one_if_the_resolver_can_encode_it(host):
    """For hosts of other labels than ``xn--`` ones the client counts characters, as the codec does.

    A URL has its host in small letters; older Pythons read ``XN--`` as it is.
    """
    try:
        encoded = bool(host.lower().encode("idna").decode("idna"))
    except UnicodeError:
        encoded = False
    assert (head._parts(f"https://{host}") is not None) is encoded
