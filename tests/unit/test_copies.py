"""Copies of clients and of settings, and that no pickle has a key."""

from __future__ import annotations

import copy
import dataclasses
import multiprocessing
import pickle
from typing import Any

import pydantic
import pytest

from langcache import AsyncLangCache, BackoffStrategy, LangCache, Limits, RetryConfig
from langcache.aside import AsideConfig
from langcache.telemetry import Telemetry

KEY = "a-key-that-must-stay-secret"
SETTINGS = ("http://127.0.0.1:1", KEY, "a-cache")


def clients() -> list[Any]:
    made: list[Any] = []
    for kind in (AsyncLangCache, LangCache):
        client = kind(*SETTINGS)
        made += [client, client.scoped(tenant="a")]
    return made


@pytest.fixture(params=range(4), ids=["async", "async scoped", "blocking", "blocking scoped"])
def client(request: pytest.FixtureRequest) -> Any:
    client = clients()[request.param]
    if isinstance(client, LangCache):  # used: it has a thread, locks and context variables
        with pytest.raises(ConnectionError):
            client.search("hi", timeout_ms=60_000)
    return client


@dataclasses.dataclass
class Settings:
    cache: Any
    names: list[str]


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    cache: Any
    names: list[str]


def test_copies_of_a_client_are_the_client(client: Any) -> None:
    assert copy.copy(client) is client
    assert copy.deepcopy(client) is client
    assert dataclasses.asdict(Settings(client, ["a"]))["cache"] is client
    assert dataclasses.replace(Settings(client, ["a"])).cache is client
    assert Model(cache=client, names=["a"]).model_copy(deep=True).cache is client
    assert copy.deepcopy({"by name": [client]})["by name"][0] is client


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_no_part_of_a_client_is_pickled(client: Any, protocol: int) -> None:
    # The closure of a cached function has the last one; picklers such as cloudpickle follow it.
    parts = (client, client.search, {"cache": client}, client._aside, client._lazy_aside)
    for part in parts:
        with pytest.raises(TypeError, match=r"can't be pickled.*in each process") as raised:
            pickle.dumps(part, protocol)
        assert KEY not in str(raised.value)
    caller = getattr(client, "_portal_client", client)._caller
    with pytest.raises(TypeError, match="can't be pickled"):
        pickle.dumps({"headers": caller._authorization}, protocol)


def test_a_client_given_to_a_spawned_process_says_so(client: Any) -> None:
    process = multiprocessing.get_context("spawn").Process(target=print, args=(client,))
    with pytest.raises(TypeError, match="make a client in each process"):
        process.start()


def test_telemetry_is_copied_as_itself() -> None:
    pytest.importorskip("opentelemetry")
    telemetry = Telemetry()
    assert copy.deepcopy([telemetry])[0] is telemetry


SETTING_OBJECTS = [
    RetryConfig("backoff", BackoffStrategy(1, 2, 3, 4), True, ("5XX",)),
    Limits(prompt_chars=5),
    AsideConfig(lookup_timeout=3, function_attribute="function"),
]


@pytest.mark.parametrize("settings", SETTING_OBJECTS, ids=lambda settings: type(settings).__name__)
def test_settings_can_be_copied_and_pickled(settings: Any) -> None:
    for copied in (copy.copy(settings), copy.deepcopy(settings), pickle.loads(pickle.dumps(settings))):
        assert copied == settings
        assert type(copied) is type(settings)
