"""`Usage`: the tokens that an answer took to compute."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from .._checks import check_int, wrong_type

__all__ = ["NOTHING", "Price", "Usage", "UsageOf"]


class Usage(msgspec.Struct, frozen=True):
    """What an answer took to compute. A number that is not known is None, which is never counted as 0.

    Raises `TypeError` or `ValueError` for a number that is negative or not whole.
    """

    input_tokens: int | None = None
    """Tokens of the question, as the program wants them counted; usually without those that the provider's
    own cache gave."""

    output_tokens: int | None = None
    """Tokens of the answer, those of its reasoning included."""

    model: str | None = None
    """The name of the model, for a price function."""

    def __post_init__(self) -> None:
        for name in ("input_tokens", "output_tokens"):
            value = getattr(self, name)
            if value is not None and not (type(value) is int and 0 <= value < 1 << 62):  # the usual case
                msgspec.structs.force_setattr(self, name, check_int(name, value, minimum=0))
        if self.model is not None and not isinstance(self.model, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise wrong_type("model", "str", self.model)


UsageOf: TypeAlias = Callable[[Any], Usage | None]
"""Called with an answer, computed or cached; for a stream, with the list of its chunks. It returns what the
answer took to compute, or None if the answer does not tell."""

Price: TypeAlias = Callable[[Usage], float]
"""Called with the usage of an answer, if both its numbers are known; returns the money that it cost."""

NOTHING = Usage(0, 0)
"""The usage of a call that computed nothing, and what a call saved that computed its answer."""
