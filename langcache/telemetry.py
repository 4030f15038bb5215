"""OpenTelemetry spans and metrics, if turned on. Needs the extra ``langcache[otel]``."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from ._copies import Uncopied
from ._version import __version__
from ._wire.exchange import Request
from .errors import StatusError
from .models import SearchResponse

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, TracerProvider
else:  # so that the type hints can be evaluated at run time
    MeterProvider = Span = TracerProvider = Any

__all__ = ["Telemetry"]

_SYSTEM = "langcache"


class Telemetry(Uncopied):
    """Spans and metrics of a client: ``AsyncLangCache(..., telemetry=Telemetry())``.

    Each operation has a CLIENT span, such as ``search my-cache``, with the attributes of OpenTelemetry's
    semantic conventions for database clients, and is recorded in the histogram
    ``db.client.operation.duration``, in seconds. Each answer of `get_or_set` or of a cached function has an
    INTERNAL span around its operations, and is counted in ``langcache.answers`` by ``langcache.status``, and
    for a hit without a request (`langcache.aside.NearCache`) by ``langcache.near``; the similarities of hits,
    0 to 1, are recorded in the histogram ``langcache.similarity``. Verdicts are counted
    in ``langcache.verdicts`` by ``langcache.verdict``, "right" or "wrong", and ``langcache.source``,
    "verdict" for those of the program and "shadow".

    With the option ``usage``, tokens are counted in ``langcache.tokens`` and money, if there is
    `AsideConfig.price`, in ``langcache.money``, by ``langcache.spending``: "spent", "saved" or "background"
    (see `langcache.aside.Stats`). Tokens are also counted by ``gen_ai.token.type``, "input" or "output", and
    both by ``gen_ai.response.model`` if it is known. What is unknown is not counted. The span of a stale hit
    has ``langcache.stale``.

    Args:
        tracer_provider, meter_provider: where spans and metrics go. Default: the global ones.
        capture_content: whether spans contain prompts, as ``db.query.text``, and responses, as
            ``langcache.response``, with the API key masked. Metrics never do. Default: False.

    Raises:
        ImportError: ``opentelemetry-api`` is not installed.
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        capture_content: bool = False,
    ) -> None:
        try:
            from opentelemetry import metrics, trace
        except ImportError as error:
            raise ImportError(
                "Telemetry needs the package 'opentelemetry-api', which the extra langcache[otel] brings; "
                "install it with: pip install '.[otel]' in a checkout of langcache",
                name="opentelemetry",
            ) from error
        self._trace = trace
        self._tracer = trace.get_tracer("langcache", __version__, tracer_provider)
        meter = metrics.get_meter("langcache", __version__, meter_provider)
        self._duration = meter.create_histogram(
            "db.client.operation.duration", "s", "Duration of the operations of a LangCache client"
        )
        self._answers = meter.create_counter(
            "langcache.answers", "{answer}", "Answers by how they were obtained"
        )
        self._verdicts = meter.create_counter("langcache.verdicts", "{verdict}", "Verdicts on answers")
        self._tokens = meter.create_counter("langcache.tokens", "{token}", "Tokens spent and saved")
        self._money = meter.create_counter("langcache.money", "1", "Money spent and saved")
        self._similarity = meter.create_histogram("langcache.similarity", "1", "Similarity of hits, 0 to 1")
        self._capture_content = capture_content

    @contextmanager
    def operation(
        self, request: Request[Any], url: str, cache_id: str, mask: Callable[[str], str]
    ) -> Generator[OperationSpan, None, None]:
        """Record the span and the duration of one operation, its retries included.

        ``mask`` masks the secrets of the operation in a text; it is called at the end of the operation.
        """
        parts = urlsplit(url)
        attributes: dict[str, Any] = {
            "db.system.name": _SYSTEM,
            "db.operation.name": request.operation.name,
            "db.namespace": cache_id,
            "server.address": parts.hostname,
            "server.port": parts.port or (443 if parts.scheme == "https" else 80),
        }
        started = time.monotonic()
        with self._tracer.start_as_current_span(
            f"{request.operation.name} {cache_id}",
            kind=self._trace.SpanKind.CLIENT,
            attributes=attributes,
            record_exception=False,  # the service's error message may quote a prompt
            set_status_on_exception=False,
        ) as span:
            try:
                yield OperationSpan(span, self._capture_content, mask)
            except Exception as error:
                failure = _error_attributes(error)
                attributes |= failure
                span.set_attributes(failure)
                span.set_status(self._trace.StatusCode.ERROR)
                raise
            finally:
                self._duration.record(time.monotonic() - started, attributes)
                if self._capture_content:  # last, since a callable may have given the key only meanwhile
                    _add_content(span, request, mask)

    def verdict(self, cache_id: str, source: str, *, right: bool) -> None:
        """Count a verdict on an answer."""
        verdict = "right" if right else "wrong"
        common = {"db.system.name": _SYSTEM, "db.namespace": cache_id}
        self._verdicts.add(1, {**common, "langcache.verdict": verdict, "langcache.source": source})

    def usage(
        self,
        cache_id: str,
        kind: str,
        input_tokens: int | None,
        output_tokens: int | None,
        model: str | None,
        money: float | None,
    ) -> None:
        """Count what an answer took or saved, as far as it is known."""
        common = {"db.system.name": _SYSTEM, "db.namespace": cache_id, "langcache.spending": kind}
        if model is not None:
            common["gen_ai.response.model"] = model
        for token_type, count in (("input", input_tokens), ("output", output_tokens)):
            if count is not None:
                self._tokens.add(count, {**common, "gen_ai.token.type": token_type})
        if money is not None:
            self._money.add(money, common)

    @contextmanager
    def question(self, cache_id: str) -> Generator[QuestionSpan, None, None]:
        """Record the span of one answer, from the cache or computed."""
        with self._tracer.start_as_current_span(
            f"get_or_set {cache_id}", record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield QuestionSpan(span, self._answers.add, self._similarity.record, cache_id)
            except Exception as error:
                span.set_attributes(_error_attributes(error))
                span.set_status(self._trace.StatusCode.ERROR)
                raise


class OperationSpan:
    """The span of an operation; `returned` records its result."""

    def __init__(self, span: Span, capture_content: bool, mask: Callable[[str], str]) -> None:
        self._span = span
        self._capture_content = capture_content
        self._mask = mask

    def returned(self, result: object) -> None:
        """Record the result of the operation."""
        if isinstance(result, SearchResponse):
            self._span.set_attribute("db.response.returned_rows", len(result))
            if self._capture_content and result.response is not None:
                self._span.set_attribute("langcache.response", self._mask(result.response))


class QuestionSpan:
    """The span of an answer; `answered` records how it was obtained."""

    def __init__(self, span: Span, count: Any, record_similarity: Any, cache_id: str) -> None:
        self._span = span
        self._count = count
        self._record_similarity = record_similarity
        self._common = {"db.system.name": _SYSTEM, "db.namespace": cache_id}

    def answered(
        self,
        status: str,
        shared: bool,
        reason: str | None,
        similarity: float | None,
        error: Exception | None,
        *,
        stale: bool,
        near: bool,
    ) -> None:
        """Record how the answer was obtained. The arguments are fields of a `langcache.aside.Answer`."""
        known: dict[str, Any] = {"langcache.status": status, "langcache.shared": shared}
        if reason is not None:
            known["langcache.reason"] = reason
        if near:
            known["langcache.near"] = True
        self._count(1, {**self._common, **known})
        if similarity is not None:
            self._record_similarity(similarity, self._common)
            known["langcache.similarity"] = similarity
        if stale:
            known["langcache.stale"] = True
        if error is not None:
            known |= _error_attributes(error)
        self._span.set_attributes({**self._common, **known})


def _error_attributes(error: Exception) -> dict[str, str]:
    if isinstance(error, StatusError):
        status = str(error.status_code)
        return {"error.type": status, "db.response.status_code": status}
    return {"error.type": f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")}


class _Content(msgspec.Struct):
    prompt: str | None = None
    response: str | None = None


def _add_content(span: Span, request: Request[Any], mask: Callable[[str], str]) -> None:
    if request.body is not None:
        content = msgspec.json.decode(request.body, type=_Content)
        if content.prompt is not None:
            span.set_attribute("db.query.text", mask(content.prompt))
        if content.response is not None:
            span.set_attribute("langcache.response", mask(content.response))
