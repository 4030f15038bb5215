"""No reply, whatever it says, holds up the event loop for long, or takes much more memory than its size."""

from __future__ import annotations

import asyncio
import gzip
import importlib
import socket
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import aiohttp
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langcache import AsyncLangCache, LangCache, Limits
from langcache._call import protocol
from langcache._call.received import MOST_STRINGS, Received
from langcache._wire.exchange import ERROR_BODY_BYTES, Reply
from langcache.errors import LangCacheError, ResponseValidationError, StatusError

from .conftest import OPERATIONS, settle
from .junk import ENTRY, MEGABYTE, filled, members, problems, successes, values
from .table import bomb, head

pytestmark = pytest.mark.filterwarnings("ignore:LangCache.* blocks the running event loop:RuntimeWarning")

LARGEST = Limits().reply_bytes
SOME = 4 * MEGABYTE
"""What reading any reply may take beside its size: buffers, and the names and texts of what is made of it."""


@cache
def most_seconds() -> float:
    """100 ms of CPU; more on a machine on which msgspec takes long to pass over the largest reply."""
    body = filled(LARGEST, b"[", b"[],", b"0]")
    started = time.thread_time()
    msgspec.json.decode(body, type=msgspec.Raw)
    return max(0.1, 4 * (time.thread_time() - started))


class Server:
    """Answers every request with ``reply``, from a thread that allocates next to nothing for it."""

    def __init__(self) -> None:
        self.reply = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        host, port = self._listener.getsockname()
        self.url = f"http://{host}:{port}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def answers(self, body: bytes, status: str = "200 OK", *lines: str) -> None:
        self.reply = head(f"Content-Length: {len(body)}", *lines, status=status) + body

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            try:
                while b"\r\n\r\n" in connection.recv(65536):  # the client sends its requests in one piece
                    connection.sendall(self.reply)
            except OSError:
                pass


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


class Stall:
    """The longest time, in seconds of its thread's CPU, for which an event loop did nothing else."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._is_over = False
        self._ticker: asyncio.Task[None] | None = None

    async def key(self) -> str:
        """The API key: a client asks for it in the loop that will read the reply."""
        self._is_over, self.longest = False, 0.0
        self._ticker = asyncio.create_task(self._tick())
        await asyncio.sleep(0)
        return "a-key-of-some-length"

    def over(self) -> float:
        self._is_over = True
        return self.longest

    async def _tick(self) -> None:
        last = time.thread_time()
        while not self._is_over:
            await asyncio.sleep(0)
            now = time.thread_time()
            self.longest, last = max(self.longest, now - last), now


class Canned:
    """A client of the user's own that reads whatever comes."""

    def __init__(self, url: str) -> None:
        self._session = aiohttp.ClientSession()

    async def request(self, method, url, *, headers, content, timeout) -> Reply:
        async with self._session.request(method, url, headers=headers, data=content) as response:
            return Reply(response.status, response.headers, await response.read())

    async def aclose(self) -> None:
        await self._session.close()


CLIENTS: dict[str, Callable[[str, Any], Any]] = {
    "async": lambda url, key: AsyncLangCache(url, key, "c", timeout_ms=60_000),
    "blocking": lambda url, key: LangCache(url, key, "c", timeout_ms=60_000),
    "session": lambda url, key: AsyncLangCache(url, key, "c", aiohttp.ClientSession, timeout_ms=60_000),
    "own": lambda url, key: AsyncLangCache(url, key, "c", lambda: Canned(url), timeout_ms=60_000),
}


async def outcome(call: Callable[[Any], Any], client: Any) -> Any:
    try:
        return await settle(call(client))
    except LangCacheError as error:
        return error


async def longest_stall(client: Any, stall: Stall, operation: str) -> float:
    await outcome(OPERATIONS[operation], client)
    seconds = stall.over()
    if seconds > most_seconds():  # once more, for the collector or the machine may have come in between
        await outcome(OPERATIONS[operation], client)
        seconds = stall.over()
    return seconds


@pytest.mark.parametrize("kind", CLIENTS)
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_no_success_holds_up_the_loop(server: Server, kind: str, operation: str) -> None:
    stall = Stall()
    every = kind == "async" and operation in ("search", "flush")
    async with CLIENTS[kind](server.url, stall.key) as client:
        for what, body in successes(MEGABYTE // 8) if every else values(ERROR_BODY_BYTES).items():
            server.answers(body)
            assert await longest_stall(client, stall, operation) < most_seconds(), what


@pytest.mark.parametrize("operation", ["search", "flush"])
async def test_not_even_the_largest_success_does(server: Server, operation: str) -> None:
    stall = Stall()
    async with CLIENTS["async"](server.url, stall.key) as client:
        for what, value in values(LARGEST - 100).items():
            server.answers(b'{"junk":%b,"data":null}' % value if operation == "search" else value)
            assert await longest_stall(client, stall, operation) < most_seconds(), what


@pytest.mark.parametrize("kind", CLIENTS)
async def test_no_error_holds_up_the_loop(server: Server, kind: str) -> None:
    stall = Stall()
    size = ERROR_BODY_BYTES - 100
    async with CLIENTS[kind](server.url, stall.key) as client:
        for what, body in problems(size) if kind == "async" else values(4 * size).items():
            server.answers(body, "400 Bad Request", "Content-Type: text/html; charset=punycode")
            assert await longest_stall(client, stall, "search") < most_seconds(), what


HEADERS = {
    "a Retry-After of many digits": ["Retry-After: " + "9" * 8000],
    "a Retry-After like a date": ["Retry-After: Fri, " + "31 Dec " * 1000],
    "a long Location": ["Location: /" + "%41" * 2500],
    "a Content-Type of many parameters": ["Content-Type: text/html" + ';a="' * 2000],
    "a Content-Type of one": ["Content-Type: text/html; charset=" + "a" * 8000],
    "many headers": [f"X-{number}: " + "&#65;" * 1500 for number in range(90)],
    "many cookies": [f"Set-Cookie: a{number}=" + "b; " * 2500 for number in range(90)],
}


@pytest.mark.parametrize("what", HEADERS)
@pytest.mark.parametrize("status", ["307 Temporary Redirect", "429 Too Many Requests"])
async def test_no_header_holds_up_the_loop(server: Server, what: str, status: str) -> None:
    stall = Stall()
    server.answers(b"{}", status, *HEADERS[what])
    async with CLIENTS["async"](server.url, stall.key) as client:
        assert await longest_stall(client, stall, "search") < most_seconds()


async def peak_beside_result(client: Any, operation: str) -> int:
    """The most bytes that a call had at once, without those of a model that it returned."""
    await outcome(OPERATIONS[operation], client)  # what is made once
    tracemalloc.start()
    try:
        result = await outcome(OPERATIONS[operation], client)
        kept, peak = tracemalloc.get_traced_memory()
        return peak if isinstance(result, Exception) else peak - kept
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("operation", ["search", "flush"])
async def test_no_success_takes_much_more_memory_than_its_size(server: Server, operation: str) -> None:
    async with CLIENTS["async"](server.url, "a-key-of-some-length") as client:
        for what, value in values(MEGABYTE).items():
            body = b'{"junk":%b,"data":%b}' % (value, value) if operation == "search" else value
            server.answers(body)
            assert await peak_beside_result(client, operation) < 4 * len(body) + SOME, what


async def test_no_error_takes_much_more_memory_than_its_size(server: Server) -> None:
    async with CLIENTS["async"](server.url, "a-key-of-some-length") as client:
        for what, value in values(2 * MEGABYTE).items():
            server.answers(
                b'{"detail":"gone","junk":%b,"fields":%b}' % (value[:60_000], value), "404 Not Found"
            )
            assert await peak_beside_result(client, "search") < SOME, what


CUT = range(ERROR_BODY_BYTES - 1024, ERROR_BODY_BYTES + 1)
"""How long the body of a cut reply may be: its end is left out, as far as the key may begin there."""


async def test_of_an_error_the_beginning_is_kept_and_its_connection_is_not_used_again(server: Server) -> None:
    async with CLIENTS["async"](server.url, "a-key-of-some-length") as client:
        for length in (ERROR_BODY_BYTES - 1, ERROR_BODY_BYTES, ERROR_BODY_BYTES + 1, 9 * MEGABYTE):
            server.answers(b"x" * length, "503 Service Unavailable")
            error = await outcome(OPERATIONS["search"], client)
            assert isinstance(error, StatusError)
            assert error.body == "x" * len(error.body)
            assert len(error.body) in (range(length, length + 1) if length <= ERROR_BODY_BYTES else CUT)
            server.answers(b'{"data":[]}')
            assert not await outcome(OPERATIONS["search"], client)


def compressed(encoding: str, size: int) -> bytes:
    zeros = b" " * MEGABYTE
    if encoding == "gzip":
        return bomb(size)
    if encoding in ("deflate", "deflate without a header"):
        packer = zlib.compressobj(9, wbits=15 if encoding == "deflate" else -15)
        return b"".join(packer.compress(zeros) for _ in range(size // MEGABYTE)) + packer.flush()
    if encoding == "gzip in many parts":
        return gzip.compress(zeros) * (size // MEGABYTE)
    if encoding == "br":
        return pytest.importorskip("brotli").compress(zeros * (size // MEGABYTE), quality=1)
    for module in ("compression.zstd", "backports.zstd"):
        try:
            return importlib.import_module(module).compress(zeros * (size // MEGABYTE))
        except ImportError:
            continue
    pytest.skip("no zstd")


@pytest.mark.parametrize("status", ["200 OK", "500 Oops"])
@pytest.mark.parametrize(
    "encoding", ["gzip", "gzip in many parts", "deflate", "deflate without a header", "br", "zstd"]
)
async def test_a_bomb_of_any_encoding_is_unpacked_no_further_than_it_is_read(
    server: Server, encoding: str, status: str
) -> None:
    stall = Stall()
    body = compressed(encoding, 100 * MEGABYTE)
    assert len(body) < MEGABYTE
    server.answers(body, status, f"Content-Encoding: {encoding.split()[0]}")
    async with CLIENTS["async"](server.url, stall.key) as client:
        assert await longest_stall(client, stall, "search") < most_seconds()
        error = await outcome(OPERATIONS["search"], client)
        stall.over()
        assert isinstance(error, ResponseValidationError if status == "200 OK" else StatusError)
        assert len(error.body) in CUT
    async with CLIENTS["async"](server.url, "a-key-of-some-length") as client:
        assert await peak_beside_result(client, "search") < 4 * LARGEST


@pytest.mark.parametrize("encoding", ["gzip, gzip", "gzip, br", "br, gzip", "deflate, identity"])
async def test_several_encodings_are_not_undone(server: Server, encoding: str) -> None:
    body = gzip.compress(gzip.compress(b'{"data":[]}'))
    server.answers(body, "200 OK", f"Content-Encoding: {encoding}")
    async with CLIENTS["async"](server.url, "a-key-of-some-length") as client:
        assert isinstance(await outcome(OPERATIONS["search"], client), LangCacheError)


@pytest.mark.parametrize("kind", ["async", "own"])
async def test_a_reply_with_more_texts_than_any_cache_gives_is_refused(server: Server, kind: str) -> None:
    async with CLIENTS[kind](server.url, "a-key-of-some-length") as client:
        server.answers(b'{"data":[%b]}' % (ENTRY % (b"exact", members(MOST_STRINGS))))
        error = await outcome(OPERATIONS["search"], client)
        assert isinstance(error, ResponseValidationError)
        assert "the reply is too large: it has more than 100000 texts" in str(error)
        server.answers(b'{"data":[%b]}' % b",".join([ENTRY % (b"exact", b'"a":"b"')] * 7000))
        assert len(await outcome(OPERATIONS["search"], client)) == 7000
        text = b'{\\"a\\": \\"b\\"} ' * 400_000
        server.answers(
            b'{"data":[%b]}' % (ENTRY % (b"exact", b"")).replace(b'"response":""', b'"response":"%b"' % text)
        )
        assert len((await outcome(OPERATIONS["search"], client)).response) == 11 * 400_000


LIMITS = Limits()
REQUESTS = [protocol.search(LIMITS, "hi", None, None, None, None), protocol.flush(), protocol.health()]
json_texts = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["data", "attributes", "fields", "detail", "id", "x"]), inner, max_size=3
        )
    ),
    max_leaves=10,
).map(msgspec.json.encode)


@settings(max_examples=60)
@given(
    piece=json_texts | st.binary(min_size=1, max_size=8),
    first=st.sampled_from([b"[", b'{"data":[', b'{"fields":[', b'{"detail":"', b""]),
    between=st.sampled_from([b"", b",", b'","x":"', b"\\", b"\\u", b"%", b"&#"]),
    last=st.sampled_from([b"]", b"]}", b'"}', b""]),
    status=st.sampled_from([200, 404]),
    content_type=st.sampled_from(
        ["", "application/json", "text/html; charset=utf-16", "x; charset=" + "a;" * 4000]
    ),
)
def test_no_repetition_of_anything_takes_long(piece, first, between, last, status, content_type) -> None:
    size = ERROR_BODY_BYTES
    body = first + (piece + between) * (size // len(piece + between)) + last
    received = Received(
        status, {"Content-Type": content_type}, body, {"Authorization": "Bearer " + "ab" * 20}
    )
    for request in REQUESTS:
        started = time.thread_time()
        error = None
        try:
            received.check_size(LARGEST)
            protocol.read_reply(request, received, 1)
        except LangCacheError as raised:
            error = raised
        assert time.thread_time() - started < most_seconds()
        assert error is None or (len(error.body) <= ERROR_BODY_BYTES and len(str(error)) < 1500)
