"""What the catalogue asks the records of the storage for, and how often."""

from __future__ import annotations

import asyncio

import pytest
from angle_embedder import AngleEmbedder

from langcache.service import CacheConfig, StoreError
from langcache.service.catalogue import Catalogue
from langcache.service.made import read_records
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


def test_what_can_t_be_read_is_left_out(caplog):
    assert read_records({"cache/x": b"{", "key/y": b"{}", "later/z": b"?"}) == ({}, {})
    assert len(caplog.records) == 2
