"""Tasks that return a SystemExit or KeyboardInterrupt instead of stopping their event loop.

asyncio stops the loop when a task ends in one of the two, and the portal's loop works for many callers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine
from typing import Any, Generic, ParamSpec, TypeVar

__all__ = ["Outcome", "outcome_of"]

P = ParamSpec("P")
T = TypeVar("T")


class Outcome(Generic[T]):
    """The result of a task: a value, or SystemExit or KeyboardInterrupt."""

    __slots__ = ("_exit", "_value")

    def __init__(self, value: T | None = None, exit_: BaseException | None = None) -> None:
        self._value: Any = value
        self._exit = exit_

    @property
    def exits(self) -> bool:
        """Whether it is SystemExit or KeyboardInterrupt."""
        return self._exit is not None

    def get(self) -> T:
        """The value. Raises SystemExit or KeyboardInterrupt if that is what the task ended in."""
        if self._exit is not None:
            raise self._exit
        value: T = self._value
        return value


async def outcome_of(
    work: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
) -> Outcome[T]:
    """Do the work, for a task whose loop is not to be stopped. Other errors are raised as they are."""
    try:
        return Outcome(await work(*args, **kwargs))
    except (SystemExit, KeyboardInterrupt) as error:
        if threading.current_thread() is threading.main_thread():
            raise  # a loop of the program's own, which is to end: by Ctrl-C, perhaps
        return Outcome(exit_=error)
