"""A master that fails: in a cluster with replicas, and where sentinels watch."""

from __future__ import annotations

import asyncio
import time
import uuid

import numpy as np
import pytest
from redis_servers import Cluster, Sentinel, Server

from langcache.service import CacheConfig, StoreError
from langcache.service.stores.redis_url import redis_url
from langcache.service.stores.store import Entry

X = np.array([1, 0], np.float32)
PATIENCE = 120


def entry(number):
    return Entry(f"{number:032x}", str(number), "r", {}, None)


async def until_it_works(call):
    """The result of a call, once it raises no `StoreError`; and how many it raised."""
    overdue = time.monotonic() + PATIENCE
    failures = 0
    while True:
        try:
            return await asyncio.wait_for(call(), 30), failures
        except StoreError:
            assert time.monotonic() < overdue
            failures += 1
            await asyncio.sleep(0.1)


async def survives(url, embedder, fail):
    from langcache.service.stores.redis_storage import RedisStorage

    storage = RedisStorage(redis_url(f"{url}?prefix={uuid.uuid4().hex}&timeout=2"), embedder)
    await storage.open()
    try:
        store = await storage.store(CacheConfig(cache_id="c"))
        await asyncio.gather(*(store.add(entry(number), X) for number in range(300)))
        await asyncio.to_thread(fail, store._keys.meta)
        for number in range(0, 300, 10):  # never a miss
            found, _ = await until_it_works(lambda number=number: store.same(str(number), {}, 1))
            assert [each.id for _, each in found] == [entry(number).id]
        _, _ = await until_it_works(lambda: store.add(entry(1000), X))
        found, _ = await until_it_works(lambda: store.nearest(X, {}, 1000))
        assert len(found) == 301
    finally:
        await storage.close()


# One that hangs closes no connection, and says nothing of another that has taken over.
ENDS = pytest.mark.parametrize("end", [Server.kill, Server.freeze], ids=["killed", "frozen"])


@ENDS
async def test_a_replica_takes_over_in_a_cluster(embedder, end):
    with Cluster(replicas=True) as cluster:
        await survives(cluster.url, embedder, lambda key: end(cluster.master_of(key)))


@ENDS
async def test_sentinels_name_the_new_master(embedder, end):
    with Server() as master, Server("--replicaof", f"127.0.0.1 {master.port}") as replica:
        replica.has_all_of_master()
        with Sentinel(master) as sentinel:

            def fail(key):
                sentinel.knows_replica()
                master.do("WAIT", 1, 10_000)
                end(master)

            await survives(sentinel.url, embedder, fail)
