"""Streams of the blocking client, and threads that ask for the same one at once."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

import pytest

from langcache import LangCache

QUESTION = "Tell me a story"
variable: ContextVar[str] = ContextVar("variable", default="unset")


class Source:
    """A generator function whose every step is counted, and which notes that it was closed."""

    def __init__(self, *chunks):
        self.chunks = chunks or ("Once ", "upon ", "a time")
        self.calls = 0
        self.given = 0
        self.closed = 0

    def __call__(self, prompt):
        self.calls += 1
        try:
            for chunk in self.chunks:
                self.given += 1
                yield chunk
        finally:
            self.closed += 1


class Searches:
    """A debug logger that counts the searches that go out."""

    def __init__(self):
        self.count = 0

    def debug(self, message, *args):
        line = message % args
        self.count += line.startswith("->") and "/entries/search" in line


def until_listening(cache, number):
    streams = cache._aside.state.streams
    while sum(stream.participants for stream in list(streams.values())) < number:
        threading.Event().wait(0.001)


def test_a_generator_passes_through_and_is_replayed(blocking_cache):
    threads = []

    @blocking_cache.cached()
    def tell(question: str) -> Iterator[str]:
        threads.append(threading.current_thread())
        yield "Once "
        yield "upon"

    assert [list(tell(QUESTION)), list(tell(QUESTION))] == [["Once ", "upon"], ["Once upon"]]
    assert threads == [threading.current_thread()]


def test_a_generator_cut_midway_stores_nothing_and_is_closed(blocking_cache):
    source = Source()
    stream = blocking_cache.get_or_stream(QUESTION, source)
    assert next(stream) == "Once "
    stream.close()
    assert source.closed == 1
    assert not blocking_cache.search(QUESTION)


def test_threads_share_one_lookup_and_one_source(connection):
    threads = 16
    everybody_is_here = threading.Barrier(threads)
    searches, source = Searches(), Source()

    def make(prompt):
        until_listening(cache, threads)
        yield from source(prompt)

    def ask(_):
        everybody_is_here.wait()
        return list(cache.get_or_stream(QUESTION, make))

    with LangCache(**connection, debug_logger=searches) as cache:
        with ThreadPoolExecutor(threads) as pool:
            answers = list(pool.map(ask, range(threads)))
        assert answers == [["Once ", "upon ", "a time"]] * threads
        assert (source.calls, source.given, source.closed) == (1, 3, 1)
        stats = cache.stats()
        assert (stats.misses, stats.shared, stats.stores) == (threads, threads - 1, 1)
        assert searches.count == 1
        assert cache._aside.state.streams == {}
        assert list(cache.get_or_stream(QUESTION, make)) == ["Once upon a time"]


def test_who_is_slow_to_read_holds_up_nobody_and_gets_every_chunk(blocking_cache):
    source = Source()
    slow = blocking_cache.get_or_stream(QUESTION, source)
    assert next(slow) == "Once "
    assert source.given == 1, "the source is never read ahead"
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(list, blocking_cache.get_or_stream(QUESTION, source)).result(5) == [*source.chunks]
    assert list(slow) == ["upon ", "a time"]
    assert (source.calls, source.closed) == (1, 1)


def test_a_reader_who_leaves_leaves_the_others_theirs(blocking_cache):
    source = Source()
    leaving, staying = (blocking_cache.get_or_stream(QUESTION, source) for _ in "ab")
    assert [next(leaving), next(staying)] == ["Once ", "Once "]
    leaving.close()
    assert source.closed == 0
    assert list(staying) == ["upon ", "a time"]
    assert blocking_cache.search(QUESTION).response == "Once upon a time"


def test_when_all_readers_have_left_the_source_is_closed_and_nothing_is_stored(blocking_cache):
    source = Source()
    readers = [blocking_cache.get_or_stream(QUESTION, source) for _ in "ab"]
    for reader in readers:
        next(reader)
    del reader
    readers.clear()  # dropped, not closed
    assert source.closed == 1
    assert not blocking_cache.search(QUESTION)
    assert list(blocking_cache.get_or_stream(QUESTION, source)) == [*source.chunks]
    assert source.calls == 2


def test_an_error_of_the_source_is_that_of_all_readers(blocking_cache):
    error = ValueError("mine")

    def fails(prompt):
        yield "Once "
        raise error

    readers = [blocking_cache.get_or_stream(QUESTION, fails) for _ in "ab"]
    for reader in readers:
        assert next(reader) == "Once "
    for reader in readers:
        with pytest.raises(ValueError, match="mine") as raised:
            next(reader)
        assert raised.value is error
    assert not blocking_cache.search(QUESTION)


def test_questions_that_differ_are_not_shared(blocking_cache):
    ours = blocking_cache.scoped(tenant="a").get_or_stream(QUESTION, Source("a's"))
    theirs = blocking_cache.scoped(tenant="b").get_or_stream(QUESTION, Source("b's", "b's"))
    assert [next(ours), next(theirs)] == ["a's", "b's"]


def test_every_step_sees_the_context_of_who_began(blocking_cache):
    seen = []

    def source(prompt):
        for _ in "abc":
            seen.append(variable.get())
            yield "x"

    variable.set("the first's")
    first = blocking_cache.get_or_stream(QUESTION, source)
    next(first)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(list, blocking_cache.get_or_stream(QUESTION, source)).result(5) == ["x"] * 3
    assert seen == ["the first's"] * 3


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_if_the_thread_at_work_is_interrupted_before_the_first_chunk_another_begins_anew(
    blocking_cache, interrupt
):
    begun, go_on = threading.Event(), threading.Event()

    calls = []

    def source(prompt):
        calls.append(prompt)
        if len(calls) == 1:
            begun.set()
            go_on.wait(60)
            raise interrupt
        yield "Once upon a time"

    def leads():
        with pytest.raises(interrupt):
            next(blocking_cache.get_or_stream(QUESTION, source))

    with ThreadPoolExecutor(3) as pool:
        leader = pool.submit(leads)
        begun.wait(60)
        others = [pool.submit(lambda: list(blocking_cache.get_or_stream(QUESTION, source))) for _ in "ab"]
        until_listening(blocking_cache, 3)
        go_on.set()
        leader.result(60)
        for other in others:
            assert other.result(60) == ["Once upon a time"]
    assert len(calls) == 2


def test_if_the_thread_at_work_is_interrupted_midway_the_others_are_told(blocking_cache):
    def interrupted(prompt):
        yield "Once "
        raise KeyboardInterrupt

    at_work, other = (blocking_cache.get_or_stream(QUESTION, interrupted) for _ in "ab")
    assert [next(at_work), next(other)] == ["Once ", "Once "]
    with pytest.raises(KeyboardInterrupt):
        next(at_work)
    with pytest.raises(RuntimeError, match="interrupted"):
        next(other)
    assert not blocking_cache.search(QUESTION)
    assert list(blocking_cache.get_or_stream(QUESTION, Source("anew"))) == ["anew"]


def test_a_source_that_reads_its_own_question_does_not_wait_for_itself(blocking_cache):
    def outer(prompt):
        yield "outer "
        yield from blocking_cache.get_or_stream(QUESTION, Source("inner"))

    with ThreadPoolExecutor(1) as pool:
        chunks = pool.submit(lambda: list(blocking_cache.get_or_stream(QUESTION, outer))).result(5)
    assert chunks == ["outer ", "inner"]


def test_two_sources_that_read_each_others_question_do_not_wait_for_each_other(blocking_cache):
    both = threading.Barrier(2)

    def asks(other):
        def source(prompt):
            both.wait(5)
            yield from blocking_cache.get_or_stream(other, lambda prompt: iter(["the end"]))

        return source

    questions = ("How tall is Mont Blanc?", "Who wrote Faust?")
    with ThreadPoolExecutor(2) as pool:
        asked = [
            pool.submit(list, blocking_cache.get_or_stream(own, asks(other)))
            for own, other in (questions, reversed(questions))
        ]
        assert [stream.result(5) for stream in asked] == [["the end"]] * 2


def test_a_source_may_ask_the_cache_and_accept_has_its_say(blocking_cache):
    threads = []

    def source(prompt):
        yield blocking_cache.get_or_set("Another question?", "another answer").value

    def accept(question, entry):
        threads.append(threading.current_thread())
        return True

    for _ in "ab":
        stream = blocking_cache.get_or_stream(QUESTION, source, accept=accept)
        assert list(stream) == ["another answer"]
    assert threads == [threading.current_thread()]


FORKS = """
import os, threading
from langcache import LangCache

cache = LangCache("http://127.0.0.1:1", "key", "cache")
at_work, go_on = threading.Event(), threading.Event()

def held(prompt):
    at_work.set()
    go_on.wait(20)
    yield "the parent's"

def parent():
    assert list(cache.get_or_stream("Tell me", held)) == ["the parent's"]

thread = threading.Thread(target=parent)
thread.start()
at_work.wait(20)
if not (child := os.fork()):
    print(*cache.get_or_stream("Tell me", iter(["the child's"])), flush=True)
    os._exit(0)
os.waitpid(child, 0)
go_on.set()
thread.join()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_does_not_wait_for_a_stream_of_its_parent():
    ended = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKS],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "the child's\n", "")
