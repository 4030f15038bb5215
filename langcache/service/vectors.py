"""The rule for vectors, which every store and every search applies: finite numbers, length 1 or zeros."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from .embedders import Embedder, EmbedderError, Vectors

__all__ = ["FLOAT32", "EmbedNow", "checked", "checked_row", "embed"]

EmbedNow: TypeAlias = Callable[[Sequence[str]], Vectors]
"""An `Embedder.embed` that is not async."""

FLOAT32 = np.dtype(np.float32)
"""NumPy's own object for this type, by which the usual array is told in the least time."""

_TOLERANCE = 1e-3
"""How far from 1 a length may be. Half precision, which some models compute in, reaches 5e-4."""


async def embed(embedder: Embedder, texts: Sequence[str]) -> Vectors:
    """The vectors of an embedder that follow the rule. Raises `EmbedderError`, also for any that don't."""
    return checked(await embedder.embed(texts), (len(texts), embedder.dimensions))


def checked_row(vector: object, dimensions: int) -> Vectors:
    """A vector as float32. Raises `EmbedderError` unless it follows the rule and has so many dimensions."""
    if (
        type(vector) is np.ndarray
        and vector.dtype is FLOAT32
        and vector.shape == (dimensions,)
        and vector.flags.c_contiguous
    ):
        square = float(np.vdot(vector, vector))  # unlike `dot`, it warns of no overflow
        if abs(square - 1) <= _TOLERANCE:  # of a square, which is half of what is allowed
            return vector  # the usual case, in a tenth of the time
    return checked(vector, (dimensions,))


def checked(vectors: object, shape: tuple[int, ...]) -> Vectors:
    """Vectors as float32. Raises `EmbedderError` unless they have this shape and follow the rule.

    The rule: the numbers are real and finite, and each vector has length 1, or is zeros. A vector that breaks
    it would be found by every search, or would keep searches from finding anything.
    """
    try:
        array = np.asarray(vectors)
    except Exception as error:  # whatever an object raises that can't be made an array
        raise EmbedderError(f"the embedder gave vectors that are no array of numbers: {error}") from error
    if array.dtype.kind not in "fiu":
        raise EmbedderError(f"the embedder gave vectors of type {array.dtype}, where float32 is due")
    if array.shape != shape:
        raise EmbedderError(f"the embedder gave an array of {array.shape}, where {shape} is due")
    with np.errstate(all="ignore"):  # the length of a vector that is too large is infinite
        if array.dtype == np.float32 and array.size == shape[-1]:
            row = array.reshape(-1)
            if abs(float(row.dot(row)) - 1) <= _TOLERANCE:  # one row, as it should be: a tenth of the time
                return np.ascontiguousarray(array)
        lengths = np.sqrt(np.square(array, dtype=np.float64).sum(axis=-1))
    wrong = ~((lengths == 0) | (np.abs(lengths - 1) <= _TOLERANCE))  # so that NaN is wrong
    if wrong.any():
        length = np.atleast_1d(lengths)[np.atleast_1d(wrong)][0]
        raise EmbedderError(
            f"the embedder gave a vector of length {length:.6g}, where 1 is due, or 0 for a text that is "
            "similar to none; divide each vector by its length"
        )
    return np.ascontiguousarray(array, np.float32)
