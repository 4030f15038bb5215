"""Arguments that are an iterable of texts: one text alone is never taken for its characters."""

from __future__ import annotations

import pytest

from langcache import BackoffStrategy, Limits, RetryConfig
from langcache.models import SetResponse
from langcache.service import CacheConfig, LocalServer

LIMITS = Limits()
MODEL = SetResponse(entry_id="e1")


def retry_config(codes):
    return RetryConfig("backoff", BackoffStrategy(1, 1, 1, 1), False, codes).status_codes_override


TAKEN_AS_ONE = [
    ("search_strategies", LIMITS.search_strategies, "exact", ["exact"]),
    ("status_codes_override", retry_config, "503", ("503",)),
]
REFUSED = [
    ("context", LIMITS.context, "a question"),
    ("model_dump: include", lambda names: MODEL.model_dump(include=names), "entry_id"),
    ("model_dump: include", lambda names: MODEL.model_dump(exclude=names), "entry_id"),
    ("model_dump: include", lambda names: MODEL.model_dump_json(include=names), "entry_id"),
    ("model_dump: include", lambda names: MODEL.model_dump_json(exclude=names), "entry_id"),
    ("attributes", lambda names: CacheConfig(attributes=names), "topic"),
    ("attributes", LocalServer, "topic"),
]
ALL = [case[:2] for case in TAKEN_AS_ONE + REFUSED]


@pytest.mark.parametrize(("argument", "give", "text", "kept"), TAKEN_AS_ONE)
def test_one_text_is_one_item(argument, give, text, kept):
    assert give(text) == give([text]) == give(iter([text])) == kept


@pytest.mark.parametrize(("argument", "give", "text"), REFUSED)
def test_one_text_is_refused_where_several_are_the_rule(argument, give, text):
    with pytest.raises(TypeError, match=f"^{argument}"):
        give(text)


@pytest.mark.parametrize(("argument", "give"), ALL)
@pytest.mark.parametrize("value", [b"exact", 1.5, True, [True], [b"503"], len], ids=str)
def test_what_holds_no_texts_is_a_type_error(argument, give, value):
    if argument == "model_dump: include" and isinstance(value, list):
        assert give(value) in ({}, "{}", MODEL.model_dump(), MODEL.model_dump_json())
        return
    with pytest.raises(TypeError, match=f"^{argument}"):
        give(value)
