"""Faults of Redis: what clients are told meanwhile, and that all is well afterwards without a restart."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import pytest
from redis_servers import Server, needs, tells_nothing

from langcache.service import CacheConfig, LocalServer, StoreError
from langcache.service.stores.redis_url import redis_url

RIGHTS = (
    "-@all +ping +hello +client|setinfo +evalsha +eval +time +hset +hget +hmget +hsetnx +pexpire +unlink "
    "+ft.search +ft.create +ft.info +ft.dropindex"
)
"""All that a service needs, as docs/redis.md says."""

PATIENCE = 60
"""Seconds after which a call counts as hanging, where the deadline is one."""


class Fault(NamedTuple):
    name: str
    begin: Callable[[Server], object]
    end: Callable[[Server], object]
    set_status: int
    search_status: int
    kept: bool = True
    """Whether entries are there afterwards that were there before."""
    options: tuple[str, ...] = ()


def do(*command: object) -> Callable[[Server], object]:
    return lambda server: server.do(*command)


def nothing(server: Server) -> None:
    pass


def rights(change: str) -> Callable[[Server], object]:
    return do("ACL", "SETUSER", "service", *change.split())


def new_password(server: Server) -> None:
    server.do("ACL", "SETUSER", "service", "resetpass", ">another")
    server.do("CLIENT", "KILL", "USER", "service")


def evict_metadata(server: Server) -> None:
    (key,) = server.do("KEYS", "*:meta")
    server.do("UNLINK", key)


def drop_indexes(server: Server) -> None:
    for name in server.do("FT._LIST"):
        server.do("FT.DROPINDEX", name)


def restart(server: Server) -> None:
    server.kill()
    server.start()
    allow(server)


def start_again(server: Server) -> None:
    server.start()
    allow(server)


def allow(server: Server) -> None:
    server.do("ACL", "SETUSER", "service", "on", ">hunter2", "~langcache:*", *RIGHTS.split())


DURABLE = ("--appendonly", "yes", "--appendfsync", "always")

FAULTS = [
    Fault("frozen", Server.freeze, Server.thaw, 424, 424),
    Fault("killed", Server.kill, start_again, 424, 424, kept=False),
    Fault("killed, durable", Server.kill, start_again, 424, 424, options=DURABLE),
    Fault("restarted", restart, nothing, 201, 200, kept=False),
    Fault("restarted, durable", restart, nothing, 201, 200, options=DURABLE),
    Fault("flushed", do("FLUSHALL"), nothing, 201, 200, kept=False),
    Fault("scripts flushed", do("SCRIPT", "FLUSH"), nothing, 201, 200),
    Fault("metadata evicted", evict_metadata, nothing, 201, 200),
    Fault("indexes dropped", drop_indexes, nothing, 201, 200),
    Fault("connections closed", do("CLIENT", "KILL", "USER", "service"), nothing, 201, 200),
    Fault(
        "out of memory",
        do("CONFIG", "SET", "maxmemory", "1"),
        do("CONFIG", "SET", "maxmemory", "0"),
        424,
        200,
    ),
    Fault("a replica", do("REPLICAOF", "127.0.0.1", "1"), do("REPLICAOF", "NO", "ONE"), 424, 200),
    Fault("another password", new_password, rights(">hunter2"), 424, 424),
    Fault("no right to search", rights("-ft.search"), rights("+ft.search"), 201, 424),
    Fault("no right to add", rights("-evalsha -eval"), rights("+evalsha +eval"), 424, 200),
]


@pytest.fixture
def start():
    servers = []

    def start(*options: str) -> Server:
        servers.append(Server(*options))
        allow(servers[-1].start())
        return servers[-1]

    yield start
    for server in servers:
        server.__exit__()


def url(server: Server) -> str:
    return f"redis://service:hunter2@127.0.0.1:{server.port}?timeout=1"


async def soon(call: Callable[[], Any]) -> tuple[int, Any]:
    """The reply to a request, which must come."""
    began = time.monotonic()
    reply = await asyncio.wait_for(call(), PATIENCE)
    assert time.monotonic() - began < PATIENCE
    return reply


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
async def test_a_fault_of_redis_is_a_424_and_leaves_no_trace(fault, start, embedder, api_of, caplog):
    server = start(*fault.options)
    with LocalServer(store=url(server), embedder=embedder) as service:
        api = api_of(service)
        before = await api.set("before")

        def add():
            return api("POST", "entries", {"prompt": "during", "response": "r"})

        def search():
            return api("POST", "entries/search", {"prompt": "before", "searchStrategies": ["exact"]})

        def found(answer):
            return [entry["id"] for entry in answer["data"]] == [before]

        await asyncio.to_thread(fault.begin, server)
        for call, expected in ((search, fault.search_status), (add, fault.set_status)):
            status, answer = await soon(call)
            assert status in (expected, 424), answer
            if status == 424:
                tells_nothing(answer, server.port)
            elif call is search:
                assert found(answer) == fault.kept
        await asyncio.to_thread(fault.end, server)
        overdue = time.monotonic() + PATIENCE
        for call, expected in ((search, 200), (add, 201), (search, 200)):
            status, answer = await soon(call)
            while status == 424 and time.monotonic() < overdue:
                await asyncio.sleep(0.05)
                status, answer = await soon(call)
            assert status == expected, answer
            if call is search:
                assert found(answer) == fault.kept
        assert (await api.search("during", searchStrategies=["exact"])) != []
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
async def test_a_check_fails_while_searches_do(fault, start, embedder):
    server = start(*fault.options)
    from langcache.service.stores.redis_storage import RedisStorage

    storage = RedisStorage(redis_url(url(server)), embedder)
    await storage.open()
    try:
        store = await storage.store(CacheConfig())
        await store.check()
        await asyncio.to_thread(fault.begin, server)
        if fault.search_status == 424:
            with pytest.raises(StoreError):
                await asyncio.wait_for(store.check(), PATIENCE)
        else:  # if only at the second time, once the loss of a connection has been noticed
            await passes(store)
        await asyncio.to_thread(fault.end, server)
        await passes(store)
    finally:
        await storage.close()


async def passes(store: Any) -> None:
    """Wait until a store passes its check."""
    overdue = time.monotonic() + PATIENCE
    while True:
        try:
            return await asyncio.wait_for(store.check(), PATIENCE)
        except StoreError:
            assert time.monotonic() < overdue
        await asyncio.sleep(0.05)


async def test_entries_that_a_service_acknowledged_outlive_kills_of_a_durable_redis(start, embedder, api_of):
    server = start(*DURABLE)
    stored: dict[str, str] = {}
    stop = asyncio.Event()
    outcomes: set[int] = set()

    async def work(api: Any, number: int) -> None:
        while not stop.is_set():
            prompt = f"{number} {len(stored)}"
            new = {"prompt": prompt, "response": prompt}
            status, answer = await soon(partial(api, "POST", "entries", new))
            outcomes.add(status)
            if status == 201:
                stored[answer["entryId"]] = prompt
            body = {"prompt": prompt, "searchStrategies": ["exact"]}
            found, answer = await soon(partial(api, "POST", "entries/search", body))
            if status == 201 and found == 200:
                assert [entry["response"] for entry in answer["data"]] == [prompt]
            await asyncio.sleep(0.01)

    with (
        LocalServer(store=url(server), embedder=embedder) as one,
        LocalServer(store=url(server), embedder=type(embedder)()) as other,
    ):
        apis = [api_of(one), api_of(other)]
        workers = [asyncio.create_task(work(apis[number % 2], number)) for number in range(8)]
        for _ in range(2):
            enough = len(stored) + 100
            while len(stored) < enough:
                await asyncio.sleep(0.01)
                assert not any(worker.done() for worker in workers)
            await asyncio.to_thread(restart, server)
        stop.set()
        await asyncio.gather(*workers)
        for entry_id, prompt in stored.items():
            (entry,) = await apis[0].search(prompt, searchStrategies=["exact"])
            assert entry["id"] == entry_id
    assert outcomes <= {201, 424}


UNDER_LOAD: dict[str, tuple[Callable[[Server], object], bool]] = {
    # and whether entries are there afterwards
    "indexes dropped": (drop_indexes, True),
    "metadata evicted": (evict_metadata, True),
    "scripts flushed": (do("SCRIPT", "FLUSH"), True),
    "connections closed": (do("CLIENT", "KILL", "USER", "service"), True),
    "flushed": (do("FLUSHALL"), False),
    "restarted": (restart, False),
}


@pytest.mark.parametrize("fault", UNDER_LOAD)
async def test_under_load_faults_lead_to_no_wrong_answer_and_to_no_miss(fault, start, embedder, api_of):
    server = start()
    harm, kept = UNDER_LOAD[fault]
    moments = 0  # the beginnings and the ends of the fault so far: an odd number while it happens
    found_since = 0
    over = False

    async def work(api: Any, number: int) -> None:
        nonlocal found_since
        for prompt in (f"{number} {count}" for count in range(10**9)):
            begun = moments
            new = {"prompt": prompt, "response": prompt}
            stored, _ = await soon(partial(api, "POST", "entries", new))
            body = {"prompt": prompt, "searchStrategies": ["exact"]}
            status, answer = await soon(partial(api, "POST", "entries/search", body))
            assert {stored, status} <= {200, 201, 424}
            if status == 200:
                assert [entry["response"] for entry in answer["data"]] in ([], [prompt])
            if (stored, status) == (201, 200) and (kept or (begun == moments and moments % 2 == 0)):
                assert answer["data"]
                found_since += 1
            if over:
                return

    with (
        LocalServer(store=url(server), embedder=embedder) as one,
        LocalServer(store=url(server), embedder=type(embedder)()) as other,
    ):
        workers = [asyncio.create_task(work(api_of((one, other)[n % 2]), n)) for n in range(6)]
        for _ in range(5):
            found_since = 0
            while found_since < 10:  # it is well again
                await asyncio.sleep(0.01)
                for worker in workers:
                    if worker.done():
                        worker.result()
            moments += 1
            await asyncio.to_thread(harm, server)
            moments += 1
        over = True
        await asyncio.wait_for(asyncio.gather(*workers), PATIENCE)


@pytest.mark.parametrize("search", [True, False])
def test_a_redis_that_can_t_be_used_is_an_error_at_the_start(search, embedder, start):
    needs()
    with Server(search=search) as server:
        wrong = f"redis://service:wrong@127.0.0.1:{server.port}" if search else server.url
        reason = "refuses the user or the password" if search else "has no search.*Redis 8"
        with pytest.raises(StoreError, match=reason) as raised, LocalServer(store=wrong, embedder=embedder):
            pass
        assert "wrong" not in str(raised.value)
    with (
        pytest.raises(StoreError, match="can't be reached"),
        LocalServer(store=server.url, embedder=embedder),
    ):
        pass
