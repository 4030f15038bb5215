"""Objects whose copies are the object itself, and which no pickle may hold."""

from __future__ import annotations

from typing import Any, NoReturn, TypeVar

__all__ = ["Uncopied", "shallow_copy"]

T = TypeVar("T")


class Uncopied:
    """An object that stays one: `copy.copy` and `copy.deepcopy` return it; pickling it raises `TypeError`.

    Programs copy their settings deeply, and these may hold a client: pydantic's ``model_copy(deep=True)``,
    `dataclasses.asdict` and scikit-learn's ``clone`` do so. A copy can't have connections of its own that
    nobody closes. A pickle would hold the API key, and would be sent to other processes or kept in files.
    """

    __slots__ = ()

    def __copy__(self: T) -> T:
        return self

    def __deepcopy__(self: T, memo: dict[int, Any]) -> T:
        return self

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(
            "a LangCache client can't be pickled, nor can what belongs to it: it has connections, and its "
            "API key must not get into a pickle; make a client in each process, with the settings from "
            "LANGCACHE_SERVER_URL, LANGCACHE_API_KEY and LANGCACHE_CACHE_ID, for example"
        )


def shallow_copy(original: T) -> T:
    """A new object of the same class with the same attributes, for `Uncopied` ones."""
    kind = type(original)
    new = kind.__new__(kind)
    new.__dict__.update(original.__dict__)
    return new
