"""Whatever the network does to an exchange: the documented error, and a client that goes on working."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from langcache import AsyncLangCache, BackoffStrategy, LangCache, RetryConfig
from langcache.errors import (
    APIError,
    ConnectError,
    GatewayError,
    LangCacheError,
    NoResponseError,
    TimeoutException,
    TooManyRequestsError,
)
from langcache.service import LocalServer

from .conftest import OPERATIONS, settle
from .proxy import FaultProxy, Wire
from .table import ROWS, Row, markdown, reply, sends

Kind = type[AsyncLangCache] | type[LangCache]

pytestmark = pytest.mark.filterwarnings("ignore:LangCache.* blocks the running event loop:RuntimeWarning")


@pytest.fixture(autouse=True)
def leaves_nothing(proxy: FaultProxy):
    yield
    assert proxy.wait_until_idle(), "a connection was left open"


@pytest.mark.parametrize("row", ROWS, ids=[row.what for row in ROWS])
async def test_fault(kind: Kind, proxy: FaultProxy, local: LocalServer, row: Row) -> None:
    async with kind(
        proxy.url, local.api_key, local.cache_id, timeout_ms=100 if row.slow else 60_000
    ) as client:
        tasks = asyncio.all_tasks()
        for operation, call in OPERATIONS.items():
            expected = row.error_of(operation)
            with proxy.faulty(row.fault):
                try:
                    await settle(call(client))
                    outcome = None
                except Exception as error:
                    outcome = type(error)
                    said = str(error)
                    assert local.api_key not in said
                    assert len(said) < 1500
            assert outcome is expected, operation
            assert asyncio.all_tasks() == tasks
            await settle(client.search("hi", timeout_ms=60_000))


async def test_the_documentation_has_this_table() -> None:
    page = Path(__file__).parents[2] / "docs" / "reliability.md"
    assert markdown() in page.read_text(encoding="utf-8")


async def test_refused(kind: Kind, local: LocalServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with kind(f"http://127.0.0.1:{port}", local.api_key, local.cache_id) as client:
        for call in OPERATIONS.values():
            with pytest.raises(ConnectError):
                await settle(call(client))
        await settle(client.health(server_url=local.url))


@pytest.mark.parametrize("host", ["same", "another"])
async def test_a_redirect_is_an_error_that_names_its_target_and_is_not_followed(
    kind: Kind, proxy: FaultProxy, local: LocalServer, host: str
) -> None:
    with FaultProxy(local.url) as elsewhere:
        target = f"{(proxy if host == 'same' else elsewhere).url}/new"
        moved = sends(reply(b"", f"Location: {target}", status="308 Permanent Redirect"))
        async with kind(proxy.url, local.api_key, local.cache_id) as client:
            for call in OPERATIONS.values():
                before = proxy.requests
                with proxy.faulty(moved), pytest.raises(APIError, match=re.escape(target)):
                    await settle(call(client))
                assert proxy.requests == before + 1
        assert elsewhere.requests == 0


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_an_idle_connection_that_is_closed_as_it_is_used_again_is_replaced(
    kind: Kind, proxy: FaultProxy, local: LocalServer, operation: str
) -> None:
    async def close(wire: Wire) -> None:
        wire.close()

    async def reset(wire: Wire) -> None:
        wire.reset()

    async with kind(proxy.url, local.api_key, local.cache_id) as client:
        call = OPERATIONS[operation]
        for end in (close, reset):
            entry_id = (await settle(client.set("hi", "hello", attributes={"topic": "any"}))).entry_id
            proxy.pick = lambda wire, end=end: end if wire.nth_request > 1 else None
            if operation == "set":  # the service may have stored it: sending again is up to the caller
                with pytest.raises(NoResponseError):
                    await settle(call(client))
            elif operation == "delete_by_id":
                await settle(client.delete_by_id(entry_id))
            else:
                await settle(call(client))
            proxy.pick = lambda wire: None
            await settle(client.health())


ABSURD = [
    "0", "-1", "0.001", "1", "86400", "1e400", "nan", "inf", "9" * 400, "soon", "",
    "Wed, 21 Oct 2015 07:28:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "Fri, 99 Dec 99999 23:59:59 GMT",
    "\xff\xfe", "1, 2", "0x10",
]  # fmt: skip


@pytest.mark.parametrize("asked", ABSURD)
@pytest.mark.parametrize(
    ("status", "error"), [("429 Too Many Requests", TooManyRequestsError), ("503 Unavailable", GatewayError)]
)
async def test_no_retry_after_outlasts_the_deadline(
    kind: Kind,
    proxy: FaultProxy,
    local: LocalServer,
    asked: str,
    status: str,
    error: type[LangCacheError],
) -> None:
    retries = RetryConfig("backoff", BackoffStrategy(1, 20, 1.5, 100, 1))
    busy = reply(b"", status=status).replace(
        b"\r\n\r\n", b"\r\nRetry-After: " + asked.encode("latin-1") + b"\r\n\r\n"
    )
    async with kind(proxy.url, local.api_key, local.cache_id, retry_config=retries) as client:
        with proxy.faulty(sends(busy)), pytest.raises((error, TimeoutException)):
            await asyncio.wait_for(asyncio.to_thread(run_here, client), 60)


def run_here(client: AsyncLangCache | LangCache) -> object:
    """One call, on a thread where it may block."""
    return asyncio.run(client.health()) if isinstance(client, AsyncLangCache) else client.health()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read under /proc")
@pytest.mark.parametrize("what", ["a gzip bomb: 300 MB in 300 kB", "100 MB of body", "a body without end"])
def test_the_memory_that_an_endless_body_costs_is_bounded(
    proxy: FaultProxy, local: LocalServer, what: str
) -> None:
    row = next(row for row in ROWS if row.what == what)
    proxy.pick = lambda wire: row.fault if wire.path.endswith("/search") else None
    done = subprocess.run(
        [sys.executable, "-c", MEMORY_PROGRAM, proxy.url, local.api_key, local.cache_id],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stderr == ""
    assert float(done.stdout) < PEAK_MB


PEAK_MB = 100
"""What three replies without end in a row may add to a process: the limit of 64 MiB, and its copies."""

MEMORY_PROGRAM = """
import pathlib, re, sys
from langcache import LangCache
from langcache.errors import ResponseValidationError

def peak_mb():
    # The highest there was. What getrusage says of that includes the parent's, up to the exec.
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text())[1]) / 1000

with LangCache(*sys.argv[1:], timeout_ms=60_000) as client:
    client.health()
    before = peak_mb()
    for _ in range(3):
        try:
            client.search("hi")
        except ResponseValidationError:
            continue
        raise AssertionError("it was read")
    print(peak_mb() - before)
"""
