"""Verdicts on answers: what they delete, block, count and write to the file of labelled pairs."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import os
import pickle
import stat
import sys
import threading
from datetime import datetime, timedelta, timezone

import msgspec
import pytest

from langcache import AsyncLangCache, LangCache
from langcache.aside import Answer, AsideConfig, JsonCodec
from langcache.aside.blocked import BlockedPairs
from langcache.aside.labels import LabelFile
from langcache.errors import ClosedError, LangCacheError
from langcache.models import CacheEntry

STORED = "How do I reset my password?"
ASKED = "What should I do to get a new password?"
ANY = {"similarity_threshold": 0.0, "accept": "any"}
SAME = "how do  I RESET my password?"


async def prompts(cache):
    found = await cache.search(STORED, similarity_threshold=0, max_results=50)
    return [entry.prompt for entry in found]


@pytest.mark.parametrize("asked", [STORED, SAME])
async def test_an_entry_wrong_for_its_own_question_is_deleted_with_its_duplicates(cache, make, asked):
    await cache.get_or_set(STORED, make)
    await cache.set(STORED, "the answer")
    await cache.set(STORED, "another answer")
    hit = await cache.get_or_set(
        asked, make, accept=lambda question, entry: entry.response == "the answer", max_results=9
    )
    assert hit.hit
    await hit.wrong()
    left = (await cache.search(STORED, max_results=9)).data
    assert [entry.response for entry in left] == ["another answer"]


async def test_an_entry_of_another_prompt_is_kept_and_blocked_for_this_question_alone(cache, make):
    await cache.get_or_set(STORED, make)
    await (await cache.get_or_set(ASKED, make, no_store=True, **ANY)).wrong()
    assert await prompts(cache) == [STORED]
    for asked, status in [(ASKED, "miss"), (f" {ASKED.upper()} ", "miss"), (STORED, "hit"), ("More?", "hit")]:
        assert (await cache.get_or_set(asked, make, no_store=True, **ANY)).status == status
    assert cache.stats().rejected == 2


async def test_the_next_entry_answers_in_place_of_a_blocked_one(cache, make):
    await cache.set(STORED, "the nearest")
    await cache.set("How tall is the Eiffel Tower?", "the next")
    first = await cache.get_or_set(ASKED, make, max_results=2, **ANY)
    await first.wrong()
    second = await cache.get_or_set(ASKED, make, max_results=2, **ANY)
    assert {first.value, second.value} == {"the nearest", "the next"}


async def test_a_pair_is_blocked_in_the_scope_of_its_question_alone(cache, make):
    scopes = [cache.scoped(tenant=name) for name in ("one", "other")]
    for scope in scopes:
        await scope.get_or_set(STORED, make)
    await (await scopes[0].get_or_set(ASKED, make, no_store=True, **ANY)).wrong()
    answers = [await scope.get_or_set(ASKED, make, no_store=True, **ANY) for scope in scopes]
    assert [answer.status for answer in answers] == ["miss", "hit"]


async def test_right_unblocks_and_delete_deletes_what_is_of_another_prompt(cache, make):
    await cache.get_or_set(STORED, make)
    hit = await cache.get_or_set(ASKED, make, no_store=True, **ANY)
    await hit.wrong()
    await hit.right()
    assert (await cache.get_or_set(ASKED, make, no_store=True, **ANY)).hit
    await hit.wrong(delete=True)
    assert await prompts(cache) == []
    with pytest.raises(TypeError, match=r"^delete: "):
        await hit.wrong(delete="yes")


@pytest.mark.parametrize("store", ["wait", "background"])
async def test_what_was_computed_and_stored_is_deleted(cache, make, store):
    await cache.set(STORED, "of another attribute", attributes={"tenant": "other"})
    await cache.set(ASKED, "of another prompt")
    miss = await cache.get_or_set(STORED, make, store=store, accept=lambda question, entry: False)
    await miss.wrong()
    left = await cache.search(STORED, similarity_threshold=0, max_results=9)
    assert sorted(entry.response for entry in left) == ["of another attribute", "of another prompt"]


@pytest.mark.parametrize(
    "options", [{"bypass": True}, {"no_store": True, "accept": lambda question, entry: False}]
)
async def test_what_the_call_did_not_store_is_not_deleted(cache, make, options):
    await cache.set(STORED, "kept")
    await (await cache.get_or_set(STORED, make, **options)).wrong()
    assert await prompts(cache) == [STORED]
    assert cache.stats().verdicts_wrong == 1


async def test_a_verdict_counts_once_however_often_and_by_whom_of_those_who_share_it_is_given(
    cache, make, until
):
    make.go_on.clear()
    calls = [asyncio.ensure_future(cache.get_or_set(STORED, make)) for _ in range(3)]
    await until(lambda: cache._aside.state.execution.flights.participants == 3)
    make.go_on.set()
    answers = await asyncio.gather(*calls)
    assert sorted(answer.shared for answer in answers) == [False, True, True]
    await asyncio.gather(*(answer.wrong() for answer in answers * 2))
    assert await prompts(cache) == []
    await answers[0].right()
    await answers[1].right()
    assert (cache.stats().verdicts_right, cache.stats().verdicts_wrong) == (1, 1)


async def test_the_client_that_answered_is_no_part_of_the_answer(cache, make):
    answer = await cache.get_or_set(STORED, make)
    twin = pickle.loads(pickle.dumps(answer))
    for other in (twin, copy.copy(answer), msgspec.structs.replace(answer)):
        assert other == answer
        assert hash(other) == hash(answer)
        assert repr(other) == repr(answer)
        with pytest.raises(RuntimeError, match="copy"):
            await other.wrong()
    assert "origin" not in repr(answer)
    assert isinstance(answer, Answer)
    assert b"origin" not in msgspec.json.encode(answer)


async def test_after_the_client_is_closed_nothing_is_recorded(connection, make, tmp_path):
    labels = tmp_path / "pairs.jsonl"
    cache = AsyncLangCache(**connection, aside=AsideConfig(labels=labels))
    await cache.set(STORED, "stored")
    answers = [await cache.get_or_set(asked, make, no_store=True, **ANY) for asked in (STORED, ASKED)]
    await cache.aclose()
    for answer in answers:
        for verdict in (answer.wrong, answer.right):
            with pytest.raises(ClosedError):
                await verdict()
    assert not labels.exists()
    assert cache.stats().verdicts_wrong == 0


async def test_an_error_of_the_service_is_raised_and_a_second_call_tries_again(broken, make):
    broken.status = 200
    async with AsyncLangCache(broken.url, "key", "cache") as cache:
        miss = await cache.get_or_set(STORED, make)
        broken.status = 500
        for _ in range(2):
            broken.asked.clear()
            with pytest.raises(LangCacheError):
                await miss.wrong()
            assert broken.asked == ["search"]
        broken.status = 200
        await miss.wrong()
        await miss.wrong()
        assert broken.asked == ["search", "search"]
        assert cache.stats().verdicts_wrong == 1


def test_the_blocking_client_takes_verdicts_too(connection, tmp_path):
    def make(prompt):
        return "the answer"

    labels = tmp_path / "pairs.jsonl"
    with LangCache(**connection, aside=AsideConfig(labels=str(labels), lookup_timeout=60)) as cache:
        ask = cache.cached(**ANY)(make)
        miss = ask.answer(STORED)
        hit = ask.answer(ASKED)
        assert hit.hit
        hit.wrong()
        hit.wrong()
        assert not ask.answer(ASKED).hit
        miss.right()
        ask.answer(STORED).wrong()
        assert ASKED in {
            entry.prompt for entry in cache.search(STORED, similarity_threshold=0, max_results=9)
        }
        stats = cache.stats()
    assert (stats.verdicts_right, stats.verdicts_wrong) == (1, 2)
    assert "1 right, 2 wrong" in str(stats)
    (line,) = lines_of(labels)
    assert (line["question"], line["prompt"], line["same"]) == (ASKED, STORED, False)
    with pytest.raises(ClosedError):
        hit.right()


def test_threads_may_give_verdicts_at_once(blocking_cache):
    def make(prompt):
        return "the answer"

    blocking_cache.get_or_set(STORED, make)
    hits = [blocking_cache.get_or_set(f"{ASKED} {n}", make, no_store=True, **ANY) for n in range(8)]
    threads = [threading.Thread(target=hit.wrong) for hit in hits]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    again = [blocking_cache.get_or_set(f"{ASKED} {n}", make, no_store=True, **ANY) for n in range(8)]
    assert not any(answer.hit for answer in again)


async def test_a_stream_takes_verdicts_once_its_lookup_is_done(cache):
    async def tell(question):
        yield "Once "
        yield "upon a time"

    stream = cache.get_or_stream(STORED, tell)
    with pytest.raises(RuntimeError, match="look_up"):
        await stream.wrong()
    assert [chunk async for chunk in stream] == ["Once ", "upon a time"]
    hit = cache.get_or_stream(ASKED, tell, no_store=True, **ANY)
    assert (await hit.look_up()).hit
    await hit.wrong()
    await hit.aclose()
    assert not (await cache.get_or_stream(ASKED, tell, no_store=True, **ANY).look_up()).hit
    await stream.wrong()
    assert await prompts(cache) == []
    assert cache.stats().verdicts_wrong == 2


async def test_a_stream_that_is_called_wrong_before_its_end_is_not_stored(cache):
    async def tell(question):
        yield "Once "
        yield "upon a time"

    async with cache.get_or_stream(STORED, tell) as stream:
        assert await anext(stream) == "Once "
        await stream.wrong()
        assert [chunk async for chunk in stream] == ["upon a time"]
    assert await prompts(cache) == []


def test_a_blocking_stream_takes_verdicts(blocking_cache):
    def tell(question):
        yield "Once "
        yield "upon a time"

    list(blocking_cache.get_or_stream(STORED, tell))
    hit = blocking_cache.get_or_stream(STORED, tell)
    list(hit)
    hit.wrong()
    assert not blocking_cache.search(STORED)
    hit.right()
    assert (blocking_cache.stats().verdicts_right, blocking_cache.stats().verdicts_wrong) == (1, 1)


def test_the_latest_pairs_are_kept():
    pairs = BlockedPairs()
    entry = CacheEntry(id="1", prompt=STORED, response="", similarity=1, search_strategy="exact")
    for n in range(5000):
        pairs.set(str(n), None, entry, blocked=True)
    assert not pairs.has("0", None, entry)
    assert pairs.has("4999", None, entry)
    assert sum(pairs.has(str(n), None, entry) for n in range(5000)) == 4096
    pairs.set("4999", None, entry, blocked=False)
    assert not pairs.has("4999", None, entry)


def lines_of(path):
    return [json.loads(line) for line in path.read_bytes().split(b"\n") if line]


async def test_pairs_are_written_as_they_are_judged(connection, make, tmp_path):
    labels = tmp_path / "pairs.jsonl"
    asked = f'{ASKED}\n"é\u2028🙂'
    async with AsyncLangCache(**connection, aside=AsideConfig(labels=labels, lookup_timeout=60)) as cache:
        await cache.get_or_set(STORED, make)
        hit = await cache.get_or_set(asked, make, **ANY)
        await hit.right()
        await hit.wrong()
        await (await cache.get_or_set(SAME, make, **ANY)).right()  # which says nothing of two questions
    lines = lines_of(labels)
    for line in lines:
        age = datetime.now(timezone.utc) - datetime.fromisoformat(line.pop("at"))
        assert timedelta() - timedelta(seconds=1) <= age < timedelta(minutes=5)
        assert line.pop("similarity") == hit.similarity
    rest = {"question": asked, "prompt": STORED, "source": "verdict"}
    assert lines == [{**rest, "same": True}, {**rest, "same": False}]
    if sys.platform != "win32":
        assert stat.S_IMODE(labels.stat().st_mode) == 0o600


async def test_a_file_that_cannot_be_written_breaks_nothing_and_is_logged(connection, make, tmp_path, caplog):
    folder = tmp_path / "gone"
    folder.mkdir()
    async with AsyncLangCache(
        **connection, aside=AsideConfig(labels=folder / "pairs.jsonl", lookup_timeout=60)
    ) as cache:
        folder.rmdir()
        await cache.get_or_set(STORED, make)
        for n in range(2):
            await (await cache.get_or_set(f"{ASKED} {n}", make, **ANY)).right()
        assert cache.stats().verdicts_right == 2
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert record.getMessage().startswith("labels: a line could not be written: ")
    assert "password" not in record.getMessage()


@pytest.mark.parametrize("before", [b"", b'{"a": 1}\n', b'{"a": 1}', b'{"cut sho'])
def test_a_line_is_a_line_of_its_own_whatever_stands_before_it(tmp_path, before):
    path = tmp_path / "pairs.jsonl"
    path.write_bytes(before)
    file = LabelFile(str(path))
    file.append("a", "b", True, None, "shadow")
    file.append("c", "d", False, float("nan"), "shadow")
    written = path.read_bytes()
    assert written.startswith(before)
    *_, one, other, rest = written.split(b"\n")
    assert rest == b""
    assert [json.loads(line)["similarity"] for line in (one, other)] == [None, None]


def test_lines_of_several_threads_do_not_mix(tmp_path):
    path = tmp_path / "pairs.jsonl"

    def write(letter):
        file = LabelFile(str(path))
        for _ in range(50):
            file.append(letter * 20_000, "b", True, 0.5, "verdict")

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(line["question"][0] for line in lines_of(path)) == sorted("abcd" * 50)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
async def test_a_named_pipe_without_a_reader_hangs_nothing(connection, make, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    async with AsyncLangCache(**connection, aside=AsideConfig(labels=pipe, lookup_timeout=60)) as cache:
        await cache.get_or_set(STORED, make)
        hit = await cache.get_or_set(ASKED, make, **ANY)
        await asyncio.wait_for(hit.right(), 60)


@pytest.mark.parametrize(
    ("labels", "error"),
    [
        ("", ValueError),
        (".", ValueError),
        ("no/such/folder/pairs.jsonl", ValueError),
        (5, TypeError),
        (b"x", TypeError),
    ],
)
def test_a_path_that_cannot_be_one_is_refused(labels, error):
    with pytest.raises(error, match=r"^labels: "):
        AsideConfig(labels=labels)


async def test_verdicts_are_given_on_answers_of_any_type(cache):
    async def make(prompt):
        return [1, 2]

    await cache.get_or_set(STORED, make, codec=JsonCodec(list[int]))
    hit = await cache.get_or_set(STORED, make, codec=JsonCodec(list[int]))
    await hit.wrong()
    assert await prompts(cache) == []
