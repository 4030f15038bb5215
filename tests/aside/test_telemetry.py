"""OpenTelemetry, seen through the exporters that its SDK keeps for tests."""

from __future__ import annotations

import sys

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from langcache import AsyncLangCache, LangCache
from langcache.aside import AsideConfig, NearCache
from langcache.telemetry import Telemetry

QUESTION = "A question that nobody may see"
ANSWER = "An answer that nobody may see"


class Observed:
    def __init__(self, **options):
        self._spans, self._reader = InMemorySpanExporter(), InMemoryMetricReader()
        tracers = TracerProvider()
        tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        self.tracer = tracers.get_tracer("test")
        self.telemetry = Telemetry(
            tracer_provider=tracers, meter_provider=MeterProvider([self._reader]), **options
        )

    @property
    def spans(self):
        return self._spans.get_finished_spans()

    def span(self, name):
        (span,) = [span for span in self.spans if span.name == name]
        return span

    def points(self, name):
        return [
            point
            for resource in self._reader.get_metrics_data().resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]

    def everything(self):
        return "".join(span.to_json() for span in self.spans) + str(self._reader.get_metrics_data())


@pytest.fixture
def observed():
    return Observed()


async def test_operations_are_client_spans_under_the_answers_span(connection, observed, langcache_server):
    async with AsyncLangCache(**connection, telemetry=observed.telemetry) as cache:
        with observed.tracer.start_as_current_span("the caller's"):
            await cache.get_or_set(QUESTION, ANSWER)
    caller, answer = observed.span("the caller's"), observed.span("get_or_set local")
    search, store = observed.span("search local"), observed.span("set local")
    assert answer.parent.span_id == caller.context.span_id
    assert search.parent.span_id == store.parent.span_id == answer.context.span_id
    assert (search.kind, answer.kind) == (SpanKind.CLIENT, SpanKind.INTERNAL)
    assert dict(search.attributes) == {
        "db.system.name": "langcache",
        "db.operation.name": "search",
        "db.namespace": "local",
        "server.address": "127.0.0.1",
        "server.port": int(langcache_server.url.rpartition(":")[2]),
        "db.response.returned_rows": 0,
    }
    assert answer.attributes["langcache.status"] == "miss"


async def test_a_hit_tells_its_similarity(connection, observed):
    async with AsyncLangCache(**connection, telemetry=observed.telemetry) as cache:
        for _ in range(2):
            await cache.get_or_set(QUESTION, ANSWER)
    assert observed.spans[-1].attributes["langcache.similarity"] == pytest.approx(1)
    (similarity,) = observed.points("langcache.similarity")
    assert (similarity.count, similarity.sum) == (1, pytest.approx(1))
    answers = {
        point.attributes["langcache.status"]: point.value for point in observed.points("langcache.answers")
    }
    assert answers == {"miss": 1, "hit": 1}
    durations = {
        point.attributes["db.operation.name"]: point.count
        for point in observed.points("db.client.operation.duration")
    }
    assert durations == {"search": 2, "set": 1}


async def test_nothing_of_prompt_or_response_is_told(connection, observed):
    async with AsyncLangCache(**connection, telemetry=observed.telemetry) as cache:
        for _ in range(2):
            await cache.get_or_set(QUESTION, ANSWER)
        with pytest.raises(RuntimeError):
            await cache.get_or_set("Another", _fails_with(RuntimeError(ANSWER)))
    assert "nobody may see" not in observed.everything()
    assert connection["api_key"] not in observed.everything()


async def test_content_is_told_if_asked_for(connection):
    observed = Observed(capture_content=True)
    async with AsyncLangCache(**connection, telemetry=observed.telemetry) as cache:
        for _ in range(2):
            await cache.get_or_set(QUESTION, ANSWER)
    assert observed.span("set local").attributes["db.query.text"] == QUESTION
    assert observed.span("set local").attributes["langcache.response"] == ANSWER
    assert observed.spans[-2].attributes["langcache.response"] == ANSWER


@pytest.mark.parametrize(("status", "kind"), [(503, "503"), (401, "401")])
async def test_failures_have_the_status_as_their_type(broken, observed, status, kind):
    broken.status = status
    async with AsyncLangCache(broken.url, "key", "c", telemetry=observed.telemetry) as cache:
        await cache.get_or_set(QUESTION, ANSWER)
    search = observed.span("search c")
    assert search.status.status_code is StatusCode.ERROR
    assert search.attributes["error.type"] == search.attributes["db.response.status_code"] == kind
    assert not search.events
    (duration,) = observed.points("db.client.operation.duration")
    assert duration.attributes["error.type"] == kind
    assert observed.span("get_or_set c").attributes["error.type"] == kind


async def test_a_lost_connection_has_its_class_as_its_type(dead_url, observed):
    async with AsyncLangCache(dead_url, "key", "c", telemetry=observed.telemetry) as cache:
        await cache.get_or_set(QUESTION, ANSWER)
    assert observed.span("search c").attributes["error.type"] == "langcache.errors.ConnectError"


def test_the_blocking_client_is_observed_under_the_callers_span(connection, observed):
    with (
        LangCache(**connection, telemetry=observed.telemetry) as cache,
        observed.tracer.start_as_current_span("the caller's"),
    ):
        cache.get_or_set(QUESTION, ANSWER)
    answer = observed.span("get_or_set local")
    assert answer.parent.span_id == observed.span("the caller's").context.span_id
    LangCache(enabled=False, telemetry=observed.telemetry).get_or_set(QUESTION, ANSWER)
    assert observed.span("get_or_set disabled").attributes["langcache.reason"] == "disabled"


async def test_near_hits_are_counted_apart_and_search_nothing(connection, observed):
    config = AsideConfig(lookup_timeout=60, near=NearCache())
    async with AsyncLangCache(**connection, telemetry=observed.telemetry, aside=config) as cache:
        for _ in range(3):
            await cache.get_or_set(QUESTION, ANSWER)
        await cache.look_up(QUESTION, function="f", accept="any")
    searches = [span for span in observed.spans if span.name == "search local"]
    assert len(searches) == 2
    answers = [span for span in observed.spans if span.name == "get_or_set local"]
    assert [span.attributes.get("langcache.near") for span in answers] == [None, None, True, True]
    counts = {
        (point.attributes["langcache.status"], point.attributes.get("langcache.near")): point.value
        for point in observed.points("langcache.answers")
    }
    assert counts == {("miss", None): 1, ("hit", None): 1, ("hit", True): 2}


def test_without_the_package_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(ImportError, match=r"langcache\[otel\]"):
        Telemetry()


def _fails_with(error):
    async def make(prompt):
        raise error

    return make
