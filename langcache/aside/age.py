"""The time at which an answer was stored, as an attribute, and whether the answer is stale by now."""

from __future__ import annotations

import time
from collections.abc import Mapping

from .scope import encode_attributes, restore_attributes

__all__ = ["is_stale", "now_attribute"]


def now_attribute() -> str:
    """The attribute of an answer that is stored now: whole seconds since 1970 (UTC)."""
    return encode_attributes({"time": int(time.time())})["time"]


def is_stale(attributes: Mapping[str, str], time_attribute: str, stale_after: float) -> bool:
    """Whether an entry with these attributes was stored more than ``stale_after`` seconds ago.

    Without the time it is stale. With a time in the future, by a clock that is ahead, it is not.
    """
    text = attributes.get(time_attribute, "")
    at = restore_attributes({"time": text})["time"]
    return not isinstance(at, int) or isinstance(at, bool) or time.time() - at > stale_after
