"""The time at which an answer was stored, as an attribute, and whether the answer is stale by now."""

from __future__ import annotations

import time
from collections.abc import Mapping

from .scope import encode_attributes, restore_attributes

__all__ = ["age", "is_stale", "now_attribute"]


def now_attribute() -> str:
    """The attribute of an answer that is stored now: whole seconds since 1970 (UTC)."""
    return encode_attributes({"time": int(time.time())})["time"]


def age(attributes: Mapping[str, str], time_attribute: str) -> float | None:
    """How many seconds ago an entry with these attributes was stored; None if they don't tell.

    It is negative for a time in the future, by a clock that is ahead.
    """
    at = restore_attributes({"time": attributes.get(time_attribute, "")})["time"]
    return time.time() - at if isinstance(at, int) and not isinstance(at, bool) else None


def is_stale(attributes: Mapping[str, str], time_attribute: str, stale_after: float) -> bool:
    """Whether an entry with these attributes was stored more than ``stale_after`` seconds ago.

    Without the time it is stale. With a time in the future, by a clock that is ahead, it is not.
    """
    seconds = age(attributes, time_attribute)
    return seconds is None or seconds > stale_after
