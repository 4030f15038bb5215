"""What the catalogue asks the records of the storage for, and how often."""

from __future__ import annotations

import asyncio

import pytest
from angle_embedder import AngleEmbedder

from langcache.service import CacheConfig, StoreError
from langcache.service.catalogue import Catalogue
from langcache.service.made import encoded, read_records
from langcache.service.stores.memory import Memory
from langcache.service.stores.records import MemoryRecords


class Shared(MemoryRecords):
    """Records that others may change, and that count how often they are read."""

    shared = True

    def __init__(self):
        super().__init__()
        self.reads = 0
        self.fails = False

    async def read(self, known):
        self.reads += 1
        await asyncio.sleep(0)
        if self.fails:
            raise StoreError("no answer")
        return await super().read(known)


@pytest.fixture
async def shared():
    """A catalogue whose records others may change, and these records."""
    embedder = AngleEmbedder()
    storage = Memory(embedder)
    storage.records = Shared()
    await storage.open()
    catalogue = Catalogue([CacheConfig()], storage, embedder)
    await catalogue.open()
    yield catalogue, storage.records
    await catalogue.close()
    await storage.close()


async def test_who_tries_keys_does_not_keep_the_store_busy(shared):
    catalogue, records = shared
    before = records.reads
    tried = [catalogue.access(b"%d" % number) for number in range(500)]
    assert set(await asyncio.gather(*tried)) == {None}
    assert records.reads - before <= 2


async def test_who_waits_for_a_reading_that_fails_is_told_so(shared):
    catalogue, records = shared
    records.fails = True
    tried = await asyncio.gather(*(catalogue.access(b"new") for _ in range(5)), return_exceptions=True)
    assert [type(each) for each in tried] == [StoreError] * 5
    records.fails = False
    assert await catalogue.access(b"new") is None


async def test_a_cache_that_others_have_deleted_is_forgotten_by_the_storage_too(shared, monkeypatch):
    catalogue, records = shared
    dropped = []

    async def drop(cache, flush):
        dropped.append((cache.cache_id, flush))

    monkeypatch.setattr(catalogue.storage, "drop", drop)
    await records.replace("cache/x", None, encoded(CACHE))
    assert await catalogue.has("x")
    await catalogue.cache("x")
    await records.replace("cache/x", encoded(CACHE), None)
    await catalogue.refresh()
    await asyncio.sleep(0)
    assert dropped == [("x", False)]


CACHE = {
    "cache_id": "x",
    "name": "n",
    "database_id": "d",
    "attributes": [],
    "threshold": 0.85,
    "ttl_millis": None,
    "strategies": ["semantic"],
    "created_at": 1,
    "max_entries": None,
}
KEY = {"key_id": "y", "name": "n", "digest": "00" * 32, "grants": [], "created_at": 1}


@pytest.mark.parametrize(
    "wrong",
    [
        *({each: -1} for each in ("threshold", "max_entries", "ttl_millis", "created_at")),
        *({each: "1"} for each in ("threshold", "max_entries", "ttl_millis", "created_at")),
        {"threshold": 1e18},
        {"threshold": None},
        {"created_at": 10**18},
        {"max_entries": 0},
        {"cache_id": "z"},
        {"key_id": "z"},
        {"digest": "no"},
        {"attributes": "topic"},
    ],
    ids=lambda wrong: "-".join(f"{each}" for pair in wrong.items() for each in pair),
)
def test_a_record_that_can_t_be_right_is_left_out(wrong, caplog):
    """So that no request fails for it, nor the look for changes after which a revoked key opens nothing."""
    whole = {"cache/x": CACHE, "key/y": KEY}
    assert [len(found) for found in read_records({name: encoded(of) for name, of in whole.items()})] == [1, 1]
    spoilt = {name: encoded({**of, **wrong}) for name, of in whole.items() if wrong.keys() <= of.keys()}
    spoilt |= {"cache/1": b"{", "key/2": b"{}", "cache/3": b'{"later":' + b"[" * 100_000, "later/z": b"?"}
    assert read_records(spoilt) == ({}, {})
    assert len(caplog.records) == len(spoilt) - 1
