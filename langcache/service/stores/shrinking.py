"""Containers that give memory back when most of what they held is gone; Python's and NumPy's keep it."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["ShrinkingDict", "resized"]

_SMALL = 64
"""A dict of so many keys is left as it is."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
Column = TypeVar("Column", bound=NDArray[Any])


class ShrinkingDict(dict[K, V]):
    """A dict whose `remove` makes it smaller when it leaves a quarter of the keys that there were."""

    __slots__ = ("_most",)

    def __init__(self) -> None:
        super().__init__()
        self._most = _SMALL

    def remove(self, key: K) -> None:
        """Remove a key that is there."""
        self._most = max(self._most, len(self))
        del self[key]
        if 4 * len(self) < self._most > _SMALL:
            items = list(self.items())
            self.clear()
            self.update(items)
            self._most = max(len(self), _SMALL)


def resized(column: Column, capacity: int, used: int) -> Column:
    """A copy of an array that has room for ``capacity`` rows, with its first ``used`` rows."""
    # Without zeroing: the system provides memory only when it is first written.
    copy = np.empty((capacity, *column.shape[1:]), column.dtype)
    copy[:used] = column[:used]
    return copy  # type: ignore[return-value]
