"""Counts tokens and money: what answers took to compute, and what hits saved."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal, cast

from .._checks import check_instance, check_number
from ..telemetry import Telemetry
from .computing import close_coroutine
from .question import Question
from .state import State
from .stats import Spending
from .usage import NOTHING, Usage

__all__ = ["Accounts", "Figures"]

_UNKNOWN = Usage()


class Accounts:
    """Counts what answers took and saved, for one client and its scopes.

    What the user's functions raise breaks no call: it is logged, and the number stays unknown.

    Args:
        state: the client's state.
        telemetry: counts too; None for none.
        cache_id: the client's, for telemetry.
    """

    def __init__(self, state: State, telemetry: Telemetry | None, cache_id: str) -> None:
        self._state = state
        self._telemetry = telemetry
        self._cache_id = cache_id

    def usage_of(self, question: Question[Any], value: object) -> Usage | None:
        """What an answer took to compute, as the option ``usage`` says; None if it is unknown."""
        usage_of = question.options.usage
        if usage_of is None:
            return None
        try:
            usage = cast("object", usage_of(value))
            close_coroutine(usage)
            return check_instance("usage", usage, Usage, "langcache.aside.Usage or None")
        except Exception as error:
            self._warn("usage", question, error)
            return None

    def count(
        self, kind: Literal["spent", "saved", "background"], question: Question[Any], usage: Usage | None
    ) -> None:
        """Count the usage of an answer; None is counted as unknown. Called only with the option ``usage``."""
        total: Spending = getattr(self._state.stats, kind)
        usage = usage or _UNKNOWN
        input_tokens, output_tokens = usage.input_tokens, usage.output_tokens
        is_known = input_tokens is not None and output_tokens is not None
        # No call on a line that counts, or threads could lose updates.
        total.input_tokens += input_tokens or 0
        total.output_tokens += output_tokens or 0
        total.unknown += not is_known
        money = self._price_of(question, usage) if is_known else None
        if money is not None:
            total.money += money
        elif self._state.config.price is not None:
            total.unpriced += 1
        if self._telemetry is not None:
            self._telemetry.usage(self._cache_id, kind, input_tokens, output_tokens, usage.model, money)

    def spent(self, question: Question[Any], value: object) -> Usage | None:
        """Count what an answer took to compute, and return it."""
        if question.options.usage is None:
            return None
        usage = self.usage_of(question, value)
        self.count("spent", question, usage)
        return usage

    def background(
        self, question: Question[Any], compute: Callable[[], Awaitable[Any]]
    ) -> Callable[[], Awaitable[Any]]:
        """The same function, that counts what it takes as spent in the background."""
        if question.options.usage is None:
            return compute

        async def counted() -> Any:
            value = await compute()
            self.count("background", question, self.usage_of(question, value))
            return value

        return counted

    def _price_of(self, question: Question[Any], usage: Usage) -> float | None:
        price = self._state.config.price
        if price is None:
            return None
        try:
            money = cast("object", price(usage))
            close_coroutine(money)
            return float(check_number("price", money, minimum=0))
        except Exception as error:
            self._warn("price", question, error)
            return None

    def _warn(self, name: str, question: Question[Any], error: Exception) -> None:
        # Without the error's message, which may quote the answer.
        asker, kind = str(question), type(error).__name__
        self._state.log.warn(
            (name, asker, kind), "%s: %s= raised %s; what is unknown is not counted", asker, name, kind
        )


class Figures:
    """What one reader of a stream took and saved."""

    __slots__ = ("saved", "usage")

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.saved: Usage | None = None

    def count(
        self, accounts: Accounts, question: Question[Any], usage: Usage | None, *, computed: bool
    ) -> None:
        """Set both; the stream itself has counted what it took.

        Args:
            accounts: the client's.
            question: that of the reader.
            usage: what the whole answer took to compute.
            computed: whether the reader began the stream, and it was computed.
        """
        if question.options.usage is None:
            return
        if computed:
            self.usage, self.saved = usage, NOTHING
        else:
            self.usage, self.saved = NOTHING, usage
            accounts.count("saved", question, usage)
