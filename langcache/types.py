"""The import path that programs use for `UNSET` and the types in signatures."""

from __future__ import annotations

from typing import TypeAlias, TypeVar

from msgspec import UNSET, UnsetType

from ._wire.base import Model as BaseModel

__all__ = ["UNSET", "BaseModel", "Nullable", "OptionalNullable"]

T = TypeVar("T")

Nullable: TypeAlias = T | None
OptionalNullable: TypeAlias = T | UnsetType | None
"""A value; or None, for no value; or `UNSET`, for the default."""
