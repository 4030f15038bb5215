"""What a debug logger sees of real calls: all but the key, and texts only on demand."""

from __future__ import annotations

import logging

import pytest

from langcache import BackoffStrategy, RetryConfig
from langcache._call.debug import ExchangeLog
from langcache.errors import TimeoutException

TWICE = RetryConfig("backoff", BackoffStrategy(1, 1, 1, 60_000, 0))


async def test_each_try_is_two_lines(connect, service, lines):
    service.replies(503, b"sorry")
    await connect(debug_logger=lines, retry_config=TWICE).search("a private question")
    url = f"{service.url}v1/caches/c/entries/search"
    starts = [
        f"-> POST {url} (try 1): {len(service.seen[0].content)} bytes",
        f"<- POST {url} (try 1): status 503, 5 bytes, ",
        f"-> POST {url} (try 2): {len(service.seen[0].content)} bytes",
        f"<- POST {url} (try 2): status 200, ",
    ]
    assert len(lines) == 4
    for line, start in zip(lines, starts, strict=True):
        assert line.startswith(start)


async def test_a_failure_is_logged(connect, service, lines):
    service.stalls()
    with pytest.raises(TimeoutException):
        await connect(debug_logger=lines, timeout_ms=50).flush()
    assert ": TimeoutException, " in lines[1]


@pytest.mark.parametrize("bodies", [False, True])
async def test_texts_are_logged_only_on_demand_and_the_key_never(connect, service, lines, key, bodies):
    service.replies(201, {"entryId": "e1"})
    service.replies(401, {"detail": "wrong key"})
    client = connect(debug_logger=lines, debug_bodies=bodies, api_key=lambda: key)
    await client.set("a private question", "a private answer", http_headers={"X-Also": "private header"})
    with pytest.raises(Exception, match="wrong key"):
        await client.flush()
    text = "\n".join(lines)
    assert key not in text
    assert "private header" not in text
    assert ("a private question" in text and "wrong key" in text) is bodies
    assert service.seen[0].headers["Authorization"] == f"Bearer {key}"


TRICKY = "100 % of {braces} {0} {name!r} %s %(name)s <red>tags</red> {{"


def a_loguru_logger(told):
    loguru = pytest.importorskip("loguru")
    loguru.logger.remove()
    loguru.logger.add(lambda line: told.append(str(line)), format="{message}", level="DEBUG", catch=False)
    return loguru.logger


def a_structlog_logger(told):
    structlog = pytest.importorskip("structlog")

    class Sink:
        def msg(self, message):
            told.append(message)

        debug = msg

    return structlog.wrap_logger(Sink(), processors=[lambda logger, name, event: event["event"]])


def a_structlog_logger_that_filters(told):
    structlog = pytest.importorskip("structlog")
    return structlog.wrap_logger(
        structlog.ReturnLogger(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        processors=[lambda logger, name, event: told.append(event["event"]) or event["event"]],
    )


def a_stdlib_logger(told):
    class Handler(logging.Handler):
        def emit(self, record):
            told.append(record.getMessage())

    logger = logging.Logger("told", logging.DEBUG)
    logger.addHandler(Handler())
    return logger


def an_adapter(told):
    return logging.LoggerAdapter(a_stdlib_logger(told), {})


def a_class_with_debug_alone(told):
    class Logger:
        def debug(self, message):
            told.append(message)

    return Logger()


EVERY_LOGGER = [
    a_loguru_logger,
    a_structlog_logger,
    a_structlog_logger_that_filters,
    a_stdlib_logger,
    an_adapter,
    a_class_with_debug_alone,
]


@pytest.mark.parametrize("make", EVERY_LOGGER)
async def test_every_kind_of_logger_gets_whole_lines(connect, service, make):
    service.replies(201, {"entryId": TRICKY})
    told = []
    await connect(debug_logger=make(told), debug_bodies=True).set(TRICKY, "100 %d", timeout_ms=60_000)
    assert len(told) == 2
    body = service.seen[0].content.decode()
    assert told[0].rstrip("\n").endswith(f"(try 1): {len(body)} bytes: {body}")
    assert "status 201, " in told[1]
    assert TRICKY in told[1]


async def test_a_logger_that_logs_no_debug_lines_costs_nothing(connect, service, monkeypatch):
    monkeypatch.setattr(ExchangeLog, "__init__", None)  # it would have to be made
    told = []
    for logger in (a_stdlib_logger(told), an_adapter(told)):
        getattr(logger, "logger", logger).setLevel(logging.INFO)
        await connect(debug_logger=logger).flush()
    assert told == []
