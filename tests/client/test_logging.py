"""What a debug logger sees of real calls: all but the key, and texts only on demand."""

from __future__ import annotations

import pytest

from langcache import BackoffStrategy, RetryConfig
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
