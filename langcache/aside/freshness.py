"""When an answer was stored, whether it is stale by now, and how a stale one is computed anew."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Hashable
from functools import partial
from typing import Any

from .accounts import Accounts
from .answers import Lookup
from .background import with_copied_arguments
from .question import Question
from .state import State
from .stores import Stores
from .thread_flight import flights_lock

__all__ = ["Renewals"]


class Renewals:
    """Computes stale answers anew in the background, for one client and its scopes.

    Args:
        state: the client's state.
        stores: stores what was computed.
        accounts: counts what computing takes.
    """

    def __init__(self, state: State, stores: Stores, accounts: Accounts) -> None:
        self._state = state
        self._stores = stores
        self._accounts = accounts

    def begin(
        self,
        question: Question[Any],
        lookup: Lookup,
        compute: Callable[[], Awaitable[Any]],
        authorization: str | None,
    ) -> None:
        """Begin to renew the stale answer that a lookup found, unless that is going on already.

        Calls that would share a flight share a renewal. A call with ``refresh`` has a flight of its own: it
        may know of a change that this one began before.
        """
        state = self._state
        if question.options.no_store:
            return
        assert lookup.entry is not None
        key = question.flight_key(state.execution.flight_domain(), authorization)
        with flights_lock:
            if key in state.renewed:
                return
            state.renewed[key] = None
        compute = self._accounts.background(question, with_copied_arguments(compute))
        work = partial(self._renew, question.renewing(lookup.entry), compute, key)
        begun = False
        try:
            begun = state.renewing.begin(work)
        finally:
            if not begun:
                state.renewed.pop(key, None)
                state.stats.renewals_dropped += 1

    async def store(self, question: Question[Any], lookup: Lookup, value: object) -> Exception | None:
        """Store an answer in place of the stale one that a lookup found. Returns as `Stores.store` does."""
        if question.options.no_store:
            return None
        assert lookup.entry is not None
        return await self._stores.store(question.renewing(lookup.entry), value)

    async def _renew(
        self, question: Question[Any], compute: Callable[[], Awaitable[Any]], key: Hashable
    ) -> None:
        state, started, done = self._state, time.monotonic(), False
        try:
            try:
                value = await compute()
            finally:
                elapsed = time.monotonic() - started
                state.stats.make_seconds += elapsed
            done = await self._stores.store(question, value) is None and question.stores
        except Exception as error:
            # Without the error's message, which may quote the answer.
            name, kind = str(question), type(error).__name__
            state.log.warn(
                ("renewal", name, kind), "%s: computing a stale answer anew raised %s; it stays", name, kind
            )
        finally:
            state.renewed.pop(key, None)
            state.stats.renewals += done
            state.stats.renewal_failures += not done
