"""Retries over a real socket: how many tries, which, and until when."""

from __future__ import annotations

import socket

import pytest

from langcache import BackoffStrategy, RetryConfig
from langcache.errors import (
    ConnectError,
    GatewayError,
    NoResponseError,
    NotFoundError,
    RequestError,
    ResponseValidationError,
    TimeoutException,
    TooManyRequestsError,
)

QUICK = BackoffStrategy(1, 1, 1, 60_000, 0)
STATUSES = RetryConfig("backoff", QUICK)
CONNECTIONS_TOO = RetryConfig("backoff", QUICK, True)


@pytest.fixture
def nowhere():
    """A URL where nobody listens."""
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{unheard.getsockname()[1]}"


async def test_nothing_is_tried_again_unless_asked_for(connect, service):
    service.replies(503)
    with pytest.raises(GatewayError) as raised:
        await connect().flush()
    assert (raised.value.tries, len(service.seen)) == (1, 1)


async def test_a_client_may_ask_for_retries(connect, service):
    for status in (429, 500, 502, 503, 504):
        service.replies(status)
    result = await connect(retry_config=STATUSES).search("Hi?")
    assert (result.tries, len(service.seen)) == (6, 6)


async def test_a_call_may_ask_for_retries_or_for_none(connect, service):
    service.replies(503)
    assert (await connect().search("Hi?", retries=STATUSES)).tries == 2
    service.replies(503)
    with pytest.raises(GatewayError):
        await connect(retry_config=STATUSES).search("Hi?", retries=None)


async def test_a_number_says_how_many_tries_may_follow(connect, service, nowhere):
    for _ in range(7):
        service.replies(503)
    client = connect(retry_config=2)
    with pytest.raises(GatewayError) as raised:
        await client.flush()
    assert (raised.value.tries, len(service.seen)) == (3, 3)
    with pytest.raises(GatewayError) as raised:
        await client.search("Hi?", retries=1)
    assert (raised.value.tries, len(service.seen)) == (2, 5)
    with pytest.raises(ConnectError) as raised:
        await client.set("Hi?", "Ho!", server_url=nowhere, retries=1)
    assert raised.value.tries == 2
    with pytest.raises(GatewayError) as raised:
        await client.search("Hi?", retries=0)
    assert (raised.value.tries, len(service.seen)) == (1, 6)
    assert (await client.search("Hi?")).tries == 2


async def test_a_status_that_is_not_worth_it_ends_at_once(connect, service):
    service.replies(503)
    service.replies(404)
    with pytest.raises(NotFoundError) as raised:
        await connect(retry_config=STATUSES).flush()
    assert (raised.value.tries, len(service.seen)) == (2, 2)


async def test_a_body_that_cannot_be_read_is_not_tried_again(connect, service):
    service.replies(200, b"<html>")
    with pytest.raises(ResponseValidationError):
        await connect(retry_config=CONNECTIONS_TOO).search("Hi?")
    assert len(service.seen) == 1


async def test_a_retry_after_within_the_deadline_is_waited_for(connect, service):
    service.replies(429, retry_after_ms="1")
    patient = RetryConfig("backoff", BackoffStrategy(50_000, 50_000, 1, 40_000, 0))
    assert (await connect(retry_config=patient).search("Hi?")).tries == 2


@pytest.mark.parametrize("retry_after", ["3600", "1e300", "Tue, 01 Jan 2199 00:00:00 GMT"])
async def test_a_retry_after_beyond_the_deadline_ends_the_call_at_once(connect, service, retry_after):
    service.replies(429, {"detail": "slow down"}, Retry_After=retry_after)
    with pytest.raises(TooManyRequestsError, match="slow down") as raised:
        await connect(retry_config=STATUSES).flush()
    assert raised.value.headers["Retry-After"] == retry_after
    assert (raised.value.tries, len(service.seen)) == (1, 1)


async def test_the_deadline_ends_a_series_of_failures(connect, service):
    for _ in range(100):
        service.replies(503)
    config = RetryConfig("backoff", BackoffStrategy(20, 20, 1, 400, 0))
    with pytest.raises((GatewayError, TimeoutException)) as raised:  # between two tries, or in one
        await connect(retry_config=config).flush()
    assert raised.value.tries <= 20
    assert len(service.seen) <= 20


async def test_the_deadline_cuts_a_try_short(connect, service):
    service.replies(503)
    service.stalls()
    config = RetryConfig("backoff", BackoffStrategy(1, 1, 1, 3_000, 0), True)
    with pytest.raises(TimeoutException) as raised:
        await connect(retry_config=config, timeout_ms=60_000).flush()
    assert (raised.value.tries, len(service.seen)) == (2, 2)
    await service.is_left()


async def test_the_timeout_is_for_one_try(connect, service):
    service.stalls()
    service.stalls()
    result = await connect(retry_config=CONNECTIONS_TOO, timeout_ms=2_000).search("Hi?")
    assert (result.tries, len(service.seen)) == (3, 3)


async def test_a_refused_connection_is_tried_again_only_if_configured(connect, nowhere):
    with pytest.raises(ConnectError) as raised:
        await connect(server_url=nowhere, retry_config=STATUSES).flush()
    assert raised.value.tries == 1
    assert isinstance(raised.value.__cause__, OSError)

    config = RetryConfig("backoff", BackoffStrategy(20, 20, 1, 2_000, 0), True)
    with pytest.raises(RequestError) as raised:
        await connect(server_url=nowhere, retry_config=config).flush()
    assert 1 < raised.value.tries <= 100


async def test_a_lost_reply_is_tried_again_only_if_configured(connect, service):
    service.hangs_up()
    with pytest.raises(NoResponseError) as raised:
        await connect(retry_config=STATUSES).set("Hi?", "Ho!")
    assert (raised.value.tries, len(service.seen)) == (1, 1)

    service.hangs_up()
    assert (await connect(retry_config=CONNECTIONS_TOO).set("Hi?", "Ho!")).tries == 2


async def test_a_search_over_a_connection_that_the_service_just_closed_is_sent_again(connect, service):
    service.hangs_up()
    assert (await connect().search("Hi?")).tries == 1
    assert len(service.seen) == 2


async def test_a_search_that_is_dropped_twice_fails(connect, service):
    service.hangs_up()
    service.hangs_up()
    with pytest.raises(NoResponseError) as raised:
        await connect().search("Hi?")
    assert isinstance(raised.value, RequestError)
    assert len(service.seen) == 2


async def test_half_a_reply_is_not_asked_for_again(connect, service):
    service.hangs_up(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    with pytest.raises(NoResponseError) as raised:
        await connect().search("Hi?")
    assert raised.value.status_code == 200
    assert len(service.seen) == 1
