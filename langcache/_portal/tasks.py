"""Tasks that return a SystemExit or KeyboardInterrupt instead of stopping their event loop.

asyncio stops the loop when a task raises one of the two, and other calls may be running on that loop.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine
from typing import Any, Generic, ParamSpec, TypeVar

__all__ = ["ResultOrExit", "result_or_exit"]

P = ParamSpec("P")
T = TypeVar("T")


class ResultOrExit(Generic[T]):
    """The result of a task, or the SystemExit or KeyboardInterrupt that it raised."""

    __slots__ = ("_exit", "_value")

    def __init__(self, value: T | None = None, exit_: BaseException | None = None) -> None:
        self._value: Any = value
        self._exit = exit_

    @property
    def is_exit(self) -> bool:
        """Whether the task raised SystemExit or KeyboardInterrupt."""
        return self._exit is not None

    def get(self) -> T:
        """Return the result, or raise the SystemExit or KeyboardInterrupt."""
        if self._exit is not None:
            raise self._exit
        value: T = self._value
        return value


async def result_or_exit(
    work: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs
) -> ResultOrExit[T]:
    """Await ``work``, and return its result, or the SystemExit or KeyboardInterrupt that it raised.

    Other errors are raised. In the main thread these two are raised as well.
    """
    try:
        return ResultOrExit(await work(*args, **kwargs))
    except (SystemExit, KeyboardInterrupt) as error:
        if threading.current_thread() is threading.main_thread():
            raise  # the program's own loop, which must stop, on Ctrl-C for example
        return ResultOrExit(exit_=error)
