"""The near cache: hits that are kept in the process, and what makes it forget them."""

from __future__ import annotations

import asyncio
import itertools
import random
import threading
from datetime import timedelta
from types import SimpleNamespace

import pytest
from aiohttp import web
from aiohttp.test_utils import RawTestServer
from either_client import Either

from langcache import AsyncLangCache, LangCache
from langcache.aside import AsideConfig, JsonCodec, Judge, NearCache, Shadow, Usage
from langcache.aside.near import Near

QUESTION = "How do I reset my password?"
OTHER = "Where do I find my parcel?"


class Service:
    """A service in this event loop that finds entries by their very text, the newest first.

    It counts what it is asked, and can be told to hold a reply that it has made.
    """

    def __init__(self):
        self.entries = []
        self.asked = []
        self.means = {}
        """The prompt of the entries that are found for a question, if it is not the question."""
        self.most = 1
        """How many entries it gives for a search that does not say."""
        self.status = 200
        self.held = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()
        self._ids = itertools.count()

    @property
    def searches(self):
        return self.asked.count("search")

    def found(self, prompt, attributes=()):
        wanted = dict(attributes).items()
        prompt = self.means.get(prompt, prompt)
        return [
            each for each in self.entries if each["prompt"] == prompt and wanted <= each["attributes"].items()
        ][::-1]

    async def handle(self, request):
        *_, cache, last = request.path.split("/")
        body = await request.json() if request.can_read_body else {}
        attributes = body.get("attributes") or {}
        if self.status != 200:
            return web.json_response({"title": "told to"}, status=self.status)
        if last == "search":
            self.asked.append("search")
            reply = self.found(body["prompt"], attributes)[: body.get("maxResults", self.most)]
            self.held.set()
            await self.go_on.wait()
            return web.json_response({"data": reply})
        self.asked.append(f"{request.method} {last if cache != 'entries' else 'id'}")
        if last == "flush":
            self.entries.clear()
        elif cache == "entries":
            self.entries = [each for each in self.entries if each["id"] != last]
        elif request.method == "DELETE":
            gone = [each for each in self.entries if attributes.items() <= each["attributes"].items()]
            self.entries = [each for each in self.entries if each not in gone]
            return web.json_response({"deletedEntriesCount": len(gone)})
        else:
            entry_id = self.add(body["prompt"], body["response"], attributes)
            return web.json_response({"entryId": entry_id}, status=201)
        return web.Response(status=204)

    def add(self, prompt, response, attributes=()):
        entry_id = f"e{next(self._ids)}"
        entry = {"id": entry_id, "prompt": prompt, "response": response, "attributes": dict(attributes)}
        self.entries.append({**entry, "similarity": 1.0, "searchStrategy": "semantic"})
        return entry_id


@pytest.fixture
async def service():
    service = Service()
    server = RawTestServer(service.handle)
    await server.start_server()
    service.url = str(server.make_url("/"))
    yield service
    service.go_on.set()
    await server.close()


@pytest.fixture(params=[AsyncLangCache, LangCache], ids=["async", "blocking"])
async def near(request, service):
    """Makes clients with a near cache, by settings of `AsideConfig`, and a clock that stands still."""
    made = []

    def client(settings=None, api_key="key", **others):
        given = {"lookup_timeout": 60, "near": settings or NearCache(), **others}
        client = request.param(service.url, api_key, "c", aside=AsideConfig(**given))
        made.append(client)
        either = Either(client)
        either.clock = SimpleNamespace(seconds=0.0)
        if client._aside.state.near is not None:
            client._aside.state.near._clock = lambda: either.clock.seconds
        return either

    yield client
    service.go_on.set()
    for each in made:
        await each.aclose()


def computed(prompt):
    return f"computed: {prompt}"


def chunks(prompt):
    yield "a "
    yield "stream"


async def test_only_hits_are_kept_and_then_nothing_is_asked(near, service):
    cache = near()
    answers = [await cache.get(QUESTION, computed) for _ in range(5)]
    assert [answer.status.value for answer in answers] == ["miss", "hit", "hit", "hit", "hit"]
    assert [answer.near for answer in answers] == [False, False, True, True, True]
    assert {answer.value for answer in answers} == {computed(QUESTION)}
    assert answers[-1].entry == answers[1].entry
    assert service.searches == 2
    stats = cache.stats()
    assert (stats.hits, stats.misses, stats.near_hits) == (4, 1, 3)
    assert "near      3 lookups" in str(stats)


async def by_get(cache):
    answer = await cache.get(QUESTION, computed)
    return answer, answer.value


async def by_stream(cache):
    got, stream = await cache.stream(QUESTION, chunks)
    return stream.lookup, "".join(got)


async def by_look_up(cache):
    asked = await cache.look_up(QUESTION)
    if not asked.hit:
        assert await cache.store(asked, "stored") is None
    return asked, asked.value


async def by_cached(cache):
    def plain(question: str) -> str:
        return computed(question)

    async def coroutine(question: str) -> str:
        return computed(question)

    if isinstance(cache.client, LangCache):
        answer = await asyncio.to_thread(cache.client.cached(plain).answer, QUESTION)
    else:
        answer = await cache.client.cached(coroutine).answer(QUESTION)
    return answer, answer.value


@pytest.mark.parametrize("way", [by_get, by_stream, by_look_up, by_cached])
async def test_every_way_to_ask_is_answered_from_it(near, service, way):
    cache = near()
    seen = [await way(cache) for _ in range(4)]
    assert [(answer.hit, answer.near) for answer, _ in seen] == [
        (False, False),
        (True, False),
        (True, True),
        (True, True),
    ]
    assert len({value for answer, value in seen if answer.hit}) == 1
    assert service.searches == 2


async def test_the_order_of_attributes_does_not_count(near, service):
    names = ("tenant", "model", "user", "language", "plan")
    cache = near()
    for value in map(str, range(30)):  # of which some have hashes that fall on one another
        attributes = dict.fromkeys(names, value)
        service.add(QUESTION, "stored", attributes)
        await cache.get(QUESTION, computed, attributes=attributes)
        await cache.get(QUESTION, computed, attributes=dict.fromkeys(names[::-1], value))
    assert service.searches == cache.stats().near_hits == 30


async def delete_by_id(cache, service):
    await cache._run(cache.client.delete_by_id, service.entries[-1]["id"])


async def set_(cache, service):
    await cache._run(cache.client.set, QUESTION, "set", attributes={"tenant": "a"})


async def set_many(cache, service):
    (result,) = await cache._run(cache.client.set_many, [(QUESTION, "set")])
    assert result.ok


async def delete_query(cache, service):
    await cache._run(cache.client.delete_query, {"tenant": "a"})


async def flush(cache, service):
    await cache.flush()


async def flush_scope(cache, service):
    await cache.scoped(tenant="a").flush()


async def refresh(cache, service):
    await cache.get(QUESTION, lambda prompt: "anew", function="f", refresh=True, attributes={"tenant": "a"})


async def wrong(cache, service):
    answer = await cache.get(QUESTION, computed, function="f", attributes={"tenant": "a"})
    assert answer.hit
    await cache._run(answer.wrong)


async def invalidate(cache, service):
    await cache.invalidate("doc:1")


async def through_twin(cache, service):
    if isinstance(cache.client, LangCache):
        await cache.client.flush_async()
    else:
        await cache.flush()


CHANGES = [
    delete_by_id,
    set_,
    set_many,
    delete_query,
    flush,
    flush_scope,
    refresh,
    wrong,
    invalidate,
    through_twin,
]


@pytest.fixture(params=CHANGES, ids=lambda change: change.__name__.strip("_"))
def change(request):
    return request.param


ASK = {"function": "f", "attributes": {"tenant": "a"}}


async def asked(near, service, **options):
    """A client whose question was stored with a source, and the answer."""
    cache = near(source_attribute="sources", **options)
    answer = await cache.get(QUESTION, computed, **ASK, sources=["doc:1"])
    assert answer.status.value == "miss"
    return cache


async def test_its_own_changes_take_effect_at_once(near, service, change):
    cache = await asked(near, service)
    assert not (await cache.get(QUESTION, computed, **ASK)).near
    assert (await cache.get(QUESTION, computed, **ASK)).near
    await change(cache, service)
    found = service.found(QUESTION, {"tenant": "a"})
    before = service.searches
    answer = await cache.get(QUESTION, lambda prompt: "computed again", **ASK)
    assert not answer.near
    assert service.searches > before
    assert answer.value == (found[0]["response"] if found else "computed again")


async def test_a_lookup_in_flight_does_not_restore_what_was_dropped(near, service, change):
    cache = await asked(near, service)
    answer = await cache.get(QUESTION, computed, **ASK, similarity_threshold=0.5)
    service.held.clear()
    go_on = service.go_on = asyncio.Event()
    in_flight = asyncio.create_task(cache.get(QUESTION, computed, **ASK))
    await service.held.wait()  # the reply is made, and on its way
    service.go_on = asyncio.Event()
    service.go_on.set()  # what comes after it is not held
    await (cache._run(answer.wrong) if change is wrong else change(cache, service))
    go_on.set()
    assert (await in_flight).hit
    found = service.found(QUESTION, {"tenant": "a"})
    answer = await cache.get(QUESTION, lambda prompt: "computed again", **ASK)
    assert not answer.near
    assert answer.value == (found[0]["response"] if found else "computed again")


async def test_a_hit_that_is_dropped_while_accept_is_asked_is_not_given(near, service):
    service.add(QUESTION, "stored")
    asking, go_on = threading.Event(), threading.Event()
    go_on.set()

    async def accept(question, entry):
        asking.set()
        await asyncio.to_thread(go_on.wait, 60)
        return True

    cache = near(accept=accept)
    await cache.get(QUESTION, computed)
    asking.clear()
    go_on.clear()
    pending = asyncio.create_task(cache.get(QUESTION, computed))
    await asyncio.to_thread(asking.wait, 60)
    await cache.flush()
    go_on.set()
    answer = await pending
    assert (answer.status.value, answer.near) == ("miss", False)


@pytest.mark.parametrize("seed", range(2))
async def test_random_operations_of_two_callers(near, service, seed):
    """What two callers of one client see is what the service has; what others did, after the time to live."""
    # Neither sees the answers of the other, but the changes of each empty one near cache.
    chance = random.Random(seed)
    client = near(NearCache(max_entries=4, ttl=10), source_attribute="sources")
    callers = [client.scoped(tenant="a"), client.scoped(tenant="b")]
    questions = [f"question {number}?" for number in range(5)]
    versions = itertools.count()

    def answer(prompt):
        return f"{prompt} {next(versions)}"

    async def get(caller, question):
        return await caller.get(question, answer, function="f", sources=[f"doc:{question}"])

    async def own_set(caller, question):
        await caller._run(caller.client.set, question, answer(question))

    async def own_refresh(caller, question):
        await caller.get(question, answer, function="f", refresh=True)

    async def own_delete(caller, question):
        if found := service.found(question, caller.client._scope.attributes):
            await client._run(client.client.delete_by_id, found[0]["id"])

    async def own_flush(caller, question):
        await caller.flush()

    async def own_verdict(caller, question):
        await caller._run((await get(caller, question)).wrong)

    async def own_invalidate(caller, question):
        await caller.invalidate(f"doc:{question}")

    async def others_set(caller, question):
        service.add(question, answer(question), caller.client._scope.attributes)
        client.clock.seconds += 10

    async def others_flush(caller, question):
        service.entries.clear()
        client.clock.seconds += 10

    changes = [own_set, own_refresh, own_delete, own_verdict, own_invalidate, others_set]
    for _ in range(30):
        rarely = [own_flush, others_flush] if chance.random() < 0.2 else changes
        await chance.choice(rarely)(chance.choice(callers), chance.choice(questions))
        for _ in range(10):
            caller, question = chance.choice(callers), chance.choice(questions)
            found = service.found(question, caller.client._scope.attributes)
            got = await get(caller, question)
            assert got.hit == bool(found)
            if found:
                assert got.value == found[0]["response"]
    assert client.stats().near_hits > 20


async def test_a_hit_is_kept_for_its_time_to_live(near, service):
    service.add(QUESTION, "first")
    cache = near(NearCache(ttl=timedelta(minutes=2)))
    assert (await cache.get(QUESTION, computed)).value == "first"
    service.add(QUESTION, "second")  # by another client
    cache.clock.seconds = 119.9
    assert (await cache.get(QUESTION, computed)).value == "first"
    cache.clock.seconds = 120.0
    assert (await cache.get(QUESTION, computed)).value == "second"
    cache.clock.seconds = 239.9
    assert (await cache.get(QUESTION, computed)).near


@pytest.mark.parametrize("stored_ago", [None, 0, 45, 70])
async def test_a_hit_is_kept_no_longer_than_the_call_stores_it(near, service, monkeypatch, stored_ago):
    from langcache.aside import age

    monkeypatch.setattr(age, "time", SimpleNamespace(time=lambda: 1_800_000_000))
    cache = near(NearCache(ttl=100), time_attribute="stored_at")
    attributes = {} if stored_ago is None else {"stored_at": f"int~{1_800_000_000 - stored_ago}"}
    service.add(QUESTION, "stored", attributes)
    await cache.get(QUESTION, computed, ttl=60)
    left = 60 - (stored_ago or 0)
    if left > 0:
        cache.clock.seconds = left - 0.1
        assert (await cache.get(QUESTION, computed, ttl=60)).near
    cache.clock.seconds = max(left, 0)
    assert not (await cache.get(QUESTION, computed, ttl=60)).near


async def test_the_one_not_asked_for_longest_makes_room(near, service):
    for number in range(4):
        service.add(f"{number}?", str(number))
    cache = near(NearCache(max_entries=3))
    for number in (0, 1, 2, 0, 3):  # 1 has to go
        await cache.get(f"{number}?", computed)
    assert len(cache.client._aside.state.near._replies) == 3
    assert [(await cache.get(f"{number}?", computed)).near for number in (0, 2, 3)] == [True] * 3
    assert not (await cache.get("1?", computed)).near


async def test_accept_is_asked_each_time(near, service):
    service.add(QUESTION, "stored")
    verdicts = []

    def accept(question, entry):
        verdicts.append(entry.response)
        entry.response = "changed by accept="
        entry.attributes["changed"] = "yes"
        return len(verdicts) < 4

    cache = near(accept=accept)
    answers = [await cache.get(QUESTION, computed) for _ in range(3)]
    assert [answer.near for answer in answers] == [False, True, True]
    assert verdicts == ["stored"] * 3
    last = await cache.get(QUESTION, computed, no_store=True)
    assert (last.status.value, last.near) == ("miss", False)
    assert verdicts == ["stored"] * 4


def judging(accept):
    return Judge(accept)


def awaiting(accept):
    async def coroutine(question, entry):
        await asyncio.sleep(0)
        return accept(question, entry)

    return coroutine


@pytest.mark.parametrize("way", [by_get, by_stream, by_look_up, by_cached])
@pytest.mark.parametrize("kind", [lambda accept: accept, awaiting, judging], ids=["plain", "async", "judge"])
async def test_nobody_is_asked_twice_about_what_was_kept(near, service, kind, way):
    service.most = 2
    service.means[QUESTION] = OTHER
    service.add(OTHER, "first")
    wanted = {"first"}
    asked_about = []

    def accept(question, entry):
        asked_about.append(entry.response)
        return entry.response in wanted

    cache = near(accept=kind(accept))
    for _ in range(2):
        answer, _ = await way(cache)
    assert answer.near
    asked_about.clear()
    service.entries.insert(0, service.entries[0] | {"id": "new", "response": "second"})  # the farther one
    wanted = {"second"}
    answer, value = await way(cache)
    assert (answer.hit, answer.near, value) == (True, False, "second")
    assert asked_about == ["first", "second"]
    stats = cache.stats()
    assert (stats.rejected, stats.near_hits) == (1, 1)


async def test_calls_of_one_moment_share_what_accept_says(service):
    service.add(QUESTION, "stored")
    asked_about = []

    async def accept(question, entry):
        asked_about.append(entry.id)
        await asyncio.sleep(0)
        return True

    config = AsideConfig(lookup_timeout=60, near=NearCache(), accept=accept)
    async with AsyncLangCache(service.url, "key", "c", aside=config) as cache:
        await cache.get_or_set(QUESTION, computed)
        answers = await asyncio.gather(*(cache.get_or_set(QUESTION, computed) for _ in range(5)))
    assert [answer.near for answer in answers] == [True] * 5
    assert len(asked_about) == 2


async def test_the_verifier_compares_the_texts_once(near, service, monkeypatch):
    from langcache.matching import verifier

    compared = []

    def compare(question, entry):
        compared.append(entry.prompt)
        return True

    monkeypatch.setattr(verifier, "verifier", compare)
    service.means["In other words?"] = QUESTION
    service.add(QUESTION, "stored")
    cache = near()
    answers = [await cache.get("In other words?", computed) for _ in range(3)]
    assert [answer.near for answer in answers] == [False, True, True]
    assert compared == [QUESTION]


async def test_a_refresh_that_replaces_nothing_takes_effect_too(near, service):
    service.means["In other words?"] = QUESTION
    service.add(QUESTION, "stored")
    cache = near(accept="any")
    for _ in range(2):
        assert (await cache.get("In other words?", computed)).value == "stored"
    service.means.clear()  # the service prefers the very text, once it has it
    await cache.get("In other words?", computed, refresh=True)
    answer = await cache.get("In other words?", computed)
    assert (answer.value, answer.near) == (computed("In other words?"), False)


async def test_what_another_accept_let_through_is_compared(near, service):
    question = "How do I reset my router?"
    service.means[question] = QUESTION
    service.add(QUESTION, "stored")
    cache = near()
    for _ in range(2):
        answer = await cache.get(question, computed, accept="any")
    assert answer.near
    assert (await cache.get(question, computed)).status.value == "miss"


async def test_a_verdict_blocks_what_is_kept(near, service):
    service.means["In other words?"] = QUESTION
    service.add(QUESTION, "stored")
    cache = near(accept="any")
    await cache.get("In other words?", computed)
    answer = await cache.get("In other words?", computed)
    assert answer.near
    await cache._run(answer.wrong)
    answer_after = await cache.get("In other words?", computed, no_store=True)
    assert (answer_after.status.value, answer_after.value) == ("miss", computed("In other words?"))
    await cache._run(answer.right)
    assert (await cache.get("In other words?", computed)).value == "stored"
    assert cache.stats().verdicts_wrong == cache.stats().verdicts_right == 1


async def test_what_the_program_does_to_an_answer_changes_no_other(near, service):
    service.add(QUESTION, "[1, 2]", {"tenant": "a"})
    cache, codec = near(), JsonCodec(list[int])
    for _ in range(4):
        answer = await cache.get(QUESTION, lambda prompt: [], codec=codec)
        assert (answer.value, answer.entry.attributes, answer.entry.response) == (
            [1, 2],
            {"tenant": "a"},
            "[1, 2]",
        )
        answer.value.append(3)
        answer.entry.attributes["tenant"] = "b"
        answer.entry.response = "[]"
    assert answer.near


async def test_another_function_gets_nothing_from_it(near, service):
    service.add(QUESTION, "7")
    cache = near()
    for _ in range(2):
        assert (await cache.get(QUESTION, computed, function="f")).value == "7"
    answer = await cache.get(QUESTION, lambda prompt: 0, codec=JsonCodec(int), function="g")
    assert (answer.value, answer.reason) == (0, "another function")


async def test_callers_with_other_keys_share_nothing(near, service):
    keys = itertools.cycle(["one", "two"])
    service.add(QUESTION, "stored")
    cache = near(api_key=lambda: next(keys))
    assert [(await cache.get(QUESTION, computed)).near for _ in range(4)] == [False, False, True, True]


async def test_scopes_share_nothing_that_is_not_of_both(near, service):
    cache = near()
    one, two = cache.scoped(tenant="a"), cache.scoped(tenant="b")
    service.add(QUESTION, "of a", {"tenant": "a"})
    service.add(QUESTION, "of b", {"tenant": "b"})
    for _ in range(2):
        assert (await one.get(QUESTION, computed)).value == "of a"
        assert (await two.get(QUESTION, computed)).value == "of b"
    assert cache.stats().near_hits == 2


async def test_nothing_is_kept_in_a_dry_run(near, service):
    service.add(QUESTION, "stored")
    cache = near(shadow=Shadow(dry_run=True, when="before"))
    for _ in range(3):
        assert (await cache.get(QUESTION, computed)).reason == "dry run"
    assert service.searches == 3


async def test_near_hits_are_measured_as_others_are(near, service):
    service.add(QUESTION, "stored")
    cache = near(shadow=Shadow(share=1, when="before"))
    for _ in range(3):
        assert (await cache.get(QUESTION, computed)).value == "stored"
    assert cache.stats().shadow_wrong == 3
    assert service.searches == 1


async def test_refresh_and_bypass_look_at_nothing(near, service):
    service.add(QUESTION, "stored")
    cache = near()
    for _ in range(2):
        await cache.get(QUESTION, computed)
    assert (await cache.get(QUESTION, computed, bypass=True)).status.value == "bypass"
    assert (await cache.get(QUESTION, computed, refresh=True)).value == computed(QUESTION)


@pytest.mark.parametrize("api_key", ["key", lambda: "key"], ids=["key", "function"])
async def test_it_answers_while_the_service_is_down(near, service, api_key):
    service.add(QUESTION, "stored")
    cache = near(breaker_failures=1, api_key=api_key)
    await cache.get(QUESTION, computed)
    service.status = 503
    assert (await cache.get(OTHER, computed)).status.value == "error"
    assert (await cache.get(OTHER, computed)).reason == "circuit open"
    assert (await cache.get(QUESTION, computed)).near


async def test_a_closed_client_gives_nothing_from_it(near, service):
    service.add(QUESTION, "stored")
    cache = near()
    for _ in range(2):
        await cache.get(QUESTION, computed)
    await cache.client.aclose()
    answer = await cache.get(QUESTION, computed)
    assert (answer.status.value, answer.value) == ("error", computed(QUESTION))


async def test_stale_answers_are_renewed(near, service, until):
    service.add(QUESTION, "old", {"stored_at": "int~1"})
    cache = near(time_attribute="stored_at")
    for attempt in range(2):
        answer = await cache.get(QUESTION, lambda prompt: "new", stale_after=60)
        if attempt == 0:
            assert answer.stale
            await until(lambda: cache.stats().renewals == 1)
    assert (answer.value, answer.near) == ("new", False)


async def test_a_near_hit_saves_what_its_answer_took(near, service):
    service.add(QUESTION, "stored")
    cache = near()
    for _ in range(3):
        answer = await cache.get(QUESTION, computed, usage=lambda answer: Usage(1, 2))
    assert (answer.near, answer.usage, answer.saved) == (True, Usage(0, 0), Usage(1, 2))
    assert cache.stats().saved.input_tokens == 3


def test_a_blocking_client_answers_without_its_event_loop(connection, monkeypatch):
    with LangCache(**connection, aside=AsideConfig(lookup_timeout=60, near=NearCache())) as cache:
        for _ in range(2):
            cache.get_or_set(QUESTION, computed)
        with monkeypatch.context() as patched:
            patched.setattr(cache._portal, "_running_thread", None)
            assert cache.get_or_set(QUESTION, computed).near


def test_threads_share_it(connection):
    config = AsideConfig(lookup_timeout=60, near=NearCache(max_entries=3))
    with LangCache(**connection, aside=config) as cache:
        questions = [QUESTION, OTHER, "Who are you?", "What is the time?"]
        for question in questions:
            cache.set(question, question.upper())
        wrong = []
        begin = threading.Barrier(8)

        def ask(seed):
            chance = random.Random(seed)
            begin.wait(60)
            for _ in range(60):
                question = chance.choice(questions)
                answer = cache.get_or_set(question, computed)
                if answer.value != question.upper():
                    wrong.append(answer)
                if chance.random() < 0.05:
                    cache.set("Something else?", "dropped all")

        threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
        assert 0 < cache.stats().near_hits < 480
        assert len(cache._aside.state.near._replies) <= 3


def test_what_was_dropped_is_there_no_more_and_can_not_be_put():
    near = Near(NearCache())
    before = near.epoch
    near.put("kept", [], None, before, 60)
    assert near.get("kept") is not None
    near.drop()
    near.put("late", [], None, before, 60)
    assert near.get("kept") is near.get("late") is None
    near.put("kept", [], None, near.epoch, 60)
    assert near.get("kept") is not None


@pytest.mark.parametrize("seconds", [0, 60])
def test_a_signal_handler_may_drop_all_at_any_moment(seconds):
    near = Near(NearCache(max_entries=1))
    near.put("kept", [], None, near.epoch, seconds)

    def clock():
        near.drop()
        return 1.0

    near._clock = clock
    assert near.get("kept") is None
    near.put("kept", [], None, near.epoch, seconds)
    assert near.get("kept") is None


def test_a_forked_child_begins_with_an_empty_one_that_works():
    cache = LangCache("http://127.0.0.1:9", "key", "c", aside=AsideConfig(near=NearCache()))
    near = cache._aside.state.near
    near.put("key", [], None, near.epoch, 60)
    cache._aside.state.start_anew_in_child()
    assert near.get("key") is None
    near.put("key", [], None, near.epoch, 60)
    assert near.get("key") is not None
    cache.close()


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"max_entries": 0}, "max_entries: must be at least 1, but is 0"),
        ({"max_entries": 1.5}, "max_entries: must be int, but is float"),
        ({"max_entries": True}, "max_entries: must be int, but is bool"),
        ({"ttl": 0}, "ttl: must be more than 0 seconds and finite, but is 0"),
        ({"ttl": float("inf")}, "ttl: must be more than 0 seconds and finite, but is inf"),
        ({"ttl": timedelta(0)}, "ttl: must be more than 0 seconds and finite, but is 0.0"),
        ({"ttl": "1 h"}, "ttl: must be a number of seconds or a timedelta, but is str"),
    ],
    ids=lambda value: str(value),
)
def test_settings_are_checked(settings, error):
    with pytest.raises((TypeError, ValueError)) as raised:
        NearCache(**settings)
    assert str(raised.value) == error


def test_the_setting_must_be_a_near_cache():
    with pytest.raises(TypeError, match=r"near: must be a langcache\.aside\.NearCache, but is dict"):
        AsideConfig(near={"ttl": 1})
