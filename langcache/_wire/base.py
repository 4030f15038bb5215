"""The base classes of models and enumerations."""

from __future__ import annotations

import copy
import enum
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import msgspec

from .._established.mistakes import missing_attribute

__all__ = ["Model", "OpenEnum", "SearchStrategy", "camel_case"]

ModelT = TypeVar("ModelT", bound="Model")
EnumT = TypeVar("EnumT", bound="OpenEnum")


class OpenEnum(str, enum.Enum):
    """An enumeration of strings that accepts unknown ones as well, which a newer service may send."""

    @classmethod
    def _missing_(cls: type[EnumT], value: object) -> EnumT | None:
        if not isinstance(value, str):
            return None
        member = str.__new__(cls, value)
        member._name_ = value.upper()
        member._value_ = value
        return member

    def __reduce_ex__(self, protocol: object) -> tuple[type[OpenEnum], tuple[str]]:
        return type(self), (self._value_,)  # the first releases of Python 3.11 go by the name


class SearchStrategy(OpenEnum):
    """How the service compares a prompt with those of stored entries."""

    EXACT = "exact"
    """The prompts are equal, ignoring case."""

    SEMANTIC = "semantic"
    """The embeddings of the prompts are at least as similar as ``similarity_threshold`` asks for."""


def camel_case(name: str) -> str:
    """The name on the wire of a name in Python: ``ttlMillis`` for ``ttl_millis``."""
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)


class Model(msgspec.Struct, rename=camel_case):
    """A struct with camelCase names on the wire and the usual methods of a pydantic model.

    ``dict(model)`` and ``model["field"]`` work too.
    """

    def model_dump(
        self,
        *,
        mode: Literal["python", "json"] | str = "python",
        include: Collection[str] | None = None,
        exclude: Collection[str] | None = None,
        by_alias: bool = False,
        exclude_none: bool = False,
    ) -> dict[str, Any]:
        """The fields as a dict, nested models included.

        ``include`` and ``exclude`` are names of fields of this model. ``by_alias=True`` gives the names on
        the wire, ``exclude_none=True`` leaves out fields that are None, and ``mode="json"`` converts enum
        members to their values.
        """
        for names in (include, exclude):
            # A mapping is pydantic's nested form, whose keys would be taken for all of it.
            if names is not None and (
                isinstance(names, str | bytes | Mapping) or not isinstance(names, Collection)  # pyright: ignore[reportUnnecessaryIsInstance]
            ):
                raise TypeError(
                    "model_dump: include and exclude must be sets of names of this model's own fields; "
                    "for those of nested models call their model_dump()"
                )
        return {
            (wire if by_alias else name): _dump(value, mode, by_alias, exclude_none)
            for name, wire in zip(self.__struct_fields__, self.__struct_encode_fields__, strict=True)
            if include is None or name in include
            if exclude is None or name not in exclude
            if not ((value := getattr(self, name)) is None and exclude_none)
        }

    def model_dump_json(
        self,
        *,
        indent: int | None = None,
        include: Collection[str] | None = None,
        exclude: Collection[str] | None = None,
        by_alias: bool = False,
        exclude_none: bool = False,
    ) -> str:
        """The same as JSON text: on one line, or indented by ``indent`` spaces."""
        dumped = self.model_dump(
            mode="json", include=include, exclude=exclude, by_alias=by_alias, exclude_none=exclude_none
        )
        encoded = msgspec.json.encode(dumped)
        return (encoded if indent is None else msgspec.json.format(encoded, indent=indent)).decode()

    def model_copy(self: ModelT, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> ModelT:
        """A copy, with the fields in ``update`` replaced; shallow unless ``deep``."""
        return (copy.deepcopy(self) if deep else self)._with(update or {})

    def _with(self: ModelT, changes: Mapping[str, Any]) -> ModelT:
        """A shallow copy with these fields changed."""
        return msgspec.structs.replace(self, **changes)

    @classmethod
    def model_validate(cls: type[ModelT], obj: object) -> ModelT:
        """A model made from a dict, with names as in Python or as on the wire.

        Raises `msgspec.ValidationError` if the dict does not fit the model.
        """
        return obj if isinstance(obj, cls) else msgspec.convert(_by_alias(obj), cls)

    @classmethod
    def model_validate_json(cls: type[ModelT], json_data: str | bytes) -> ModelT:
        """A model made from JSON text. Raises `msgspec.DecodeError` if it is not JSON or does not fit."""
        return cls.model_validate(msgspec.json.decode(json_data))

    def keys(self) -> tuple[str, ...]:
        """The names of the fields."""
        return self.__struct_fields__

    def __getitem__(self, name: Any) -> Any:
        if name not in self.__struct_fields__:
            raise KeyError(name)
        return getattr(self, name)

    def __contains__(self, item: object) -> bool:
        return item in self.__struct_fields__

    def __iter__(self) -> Iterator[Any]:
        return ((name, getattr(self, name)) for name in self.__struct_fields__)

    if not TYPE_CHECKING:  # type checkers would otherwise accept every name

        def __replace__(self, /, **changes: Any) -> Any:  # what copy.replace calls, since Python 3.13
            return self._with(changes)

        def __getattr__(self, name: str) -> Any:
            raise missing_attribute(self, name)


def _dump(value: Any, mode: str, by_alias: bool, exclude_none: bool) -> Any:
    if isinstance(value, Model):
        return value.model_dump(mode=mode, by_alias=by_alias, exclude_none=exclude_none)
    if isinstance(value, list):
        return [_dump(item, mode, by_alias, exclude_none) for item in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, dict):
        return dict(value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, enum.Enum) and mode == "json":
        return value.value
    return value


def _by_alias(value: object) -> object:
    if isinstance(value, list):
        return [_by_alias(item) for item in cast("list[object]", value)]
    if isinstance(value, dict):
        return {
            # The names of attributes are the user's, and stay as they are.
            camel_case(name): item if name == "attributes" else _by_alias(item)
            for name, item in cast("dict[str, object]", value).items()
        }
    return value
