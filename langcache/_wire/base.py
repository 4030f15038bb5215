"""What models and enumerations have in common: how they read, and how they get on with newer services."""

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
    """Strings with names. One that has no name yet becomes a member all the same, so that what a newer
    service sends stays readable."""

    @classmethod
    def _missing_(cls: type[EnumT], value: object) -> EnumT | None:
        if not isinstance(value, str):
            return None
        member = str.__new__(cls, value)
        member._name_ = value.upper()
        member._value_ = value
        return member


class SearchStrategy(OpenEnum):
    """How the service looks for an entry."""

    EXACT = "exact"
    """The prompts are the same but for case."""

    SEMANTIC = "semantic"
    """The prompts mean the same: their embeddings are similar enough."""


def camel_case(name: str) -> str:
    """The name on the wire of a name in Python: ``ttlMillis`` for ``ttl_millis``."""
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)


class Model(msgspec.Struct, rename=camel_case):
    """A struct with camelCase names on the wire that answers to what programs ask of a pydantic model.

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
        the wire, ``exclude_none=True`` leaves out what is None, and ``mode="json"`` turns enum members into
        their values.
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
        """The same as JSON text, on one line unless ``indent`` says by how many spaces to indent."""
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
        """The model that a dict describes, by the names in Python or those on the wire.

        Raises `msgspec.ValidationError` if it describes none.
        """
        return obj if isinstance(obj, cls) else msgspec.convert(_by_alias(obj), cls)

    @classmethod
    def model_validate_json(cls: type[ModelT], json_data: str | bytes) -> ModelT:
        """The same from JSON text. Raises `msgspec.DecodeError` if it is none."""
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

    if not TYPE_CHECKING:  # so that type checkers go on reporting every wrong name

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
            # The names of attributes are the user's own.
            camel_case(name): item if name == "attributes" else _by_alias(item)
            for name, item in cast("dict[str, object]", value).items()
        }
    return value
