"""What is stored of a value: text, or JSON that gives the value back with its type."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from inspect import ismemberdescriptor
from typing import Any, Generic, Protocol, TypeAlias, TypeVar, cast, get_origin

import msgspec
import msgspec.inspect

__all__ = ["Codec", "JsonCodec", "TextCodec", "UnsuitableAnswer", "check_codec", "check_shared", "codec_for"]

T = TypeVar("T")

_OF_YOUR_OWN = "pass a codec of your own, with encode and decode"


class Codec(Protocol[T]):
    """Makes text of a value to store it, and the value of the text again.

    Either may raise any exception. A value that can't be encoded, or that its text does not give back equal
    and of the same type, is returned and not stored; an entry that can't be decoded is not a hit.

    A codec may have three more methods, each with a value as its argument. ``whole`` returns what of it comes
    back equal, in place of the value itself, such as of chunks of which a hit has fewer. ``text`` returns
    what it says, which `Shadow` compares. ``check_shared`` raises an exception for an answer of another call,
    which asked the same at once, if this call must not have it too: it is raised, and the call not counted.

    If it has ``is_exact = True``, each value that it encodes comes back equal, and this is not tried.
    """

    def encode(self, value: T) -> str:
        """The text to store."""
        ...

    def decode(self, text: str) -> T:
        """The value again."""
        ...


class UnsuitableAnswer(TypeError):
    """An answer that its codec can't store. The message quotes nothing of it."""


class StoredByAnotherType(ValueError):
    """JSON that has other fields than the type. Only the name of this class is logged."""


class TextCodec:
    """Text as it is."""

    def encode(self, value: str) -> str:
        """The text itself. Raises `TypeError` for what is no text."""
        if not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UnsuitableAnswer(
                f"the answer is {type(value).__name__}, not str; pass codec=JsonCodec(...) to store it"
            )
        return value

    def decode(self, text: str) -> str:
        return text


class TextChunks:
    """The chunks of a stream of text, stored as the whole text and replayed as one chunk."""

    def encode(self, value: list[str]) -> str:
        for chunk in value:
            TEXT.encode(chunk)
        return "".join(value)

    def decode(self, text: str) -> list[str]:
        return [text] if text else []

    def text(self, value: list[str]) -> str:
        """The whole text."""
        return "".join(value)


class JsonCodec(Generic[T]):
    """JSON of a type: a msgspec Struct, dataclass, pydantic model, TypedDict, list, dict, union, enum, etc.

    ``JsonCodec(Invoice)`` encodes an Invoice and decodes to one. JSON of another shape does not decode, and
    neither does JSON with a field that the type does not have, or without one that it has, though it has a
    default (unless the type leaves defaults out): it was stored when the type was another one.
    NumPy scalars are read where their type is named, as in ``JsonCodec(list[np.float64])``. What msgspec does
    not know is left to pydantic if the program has imported it: models and what holds them, paths, deques.

    Raises `TypeError` for a type that JSON can't be read as.
    """

    def __init__(self, type_: type[T]) -> None:
        self._type = type_
        self._write: Callable[[T], bytes]
        self._read: Callable[[str], T]
        self._write, self._read = _writer_and_reader(type_)

    def encode(self, value: T) -> str:
        """The JSON of a value. Raises `TypeError`, `ValueError` or `RecursionError` if there is none."""
        return self._write(value).decode()

    def decode(self, text: str) -> T:
        """The value again. Raises `ValueError` for what is no JSON of the type, or has other fields."""
        value = self._read(text)
        written = self._write(value).decode()
        if written != text and _says(written) != _says(text):
            raise StoredByAnotherType(f"{_name(self._type)} does not say the same as the JSON")
        return value

    # Equal codecs let callers that each made their own share a flight.
    def __eq__(self, other: object) -> bool:
        return isinstance(other, JsonCodec) and self._type == other._type  # pyright: ignore[reportUnknownMemberType]

    def __hash__(self) -> int:
        return hash(repr(self._type))

    def __repr__(self) -> str:
        return f"JsonCodec({self._type!r})"


TEXT = TextCodec()
TEXT_CHUNKS = TextChunks()


def check_codec(codec: object) -> None:
    """Raise `TypeError` for what can't encode and decode."""
    if isinstance(codec, type) or not (hasattr(codec, "encode") and hasattr(codec, "decode")):
        kind = f"the class {codec.__name__}" if isinstance(codec, type) else type(codec).__name__
        raise TypeError(f"codec: must have encode and decode, but is {kind}; write codec=JsonCodec(Type)")


def check_shared(codec: object, value: object) -> None:
    """Raise what the codec raises for an answer of another call that this one must not have."""
    check = getattr(codec, "check_shared", None)
    if check is not None:
        check(value)


def _says(text: str) -> Counter[object]:
    """The values in a JSON text, each with the name that it has, in any order, which sets don't keep."""
    found: Counter[object] = Counter()
    nodes: list[tuple[str, Any]] = [("", msgspec.json.decode(text))]
    while nodes:
        name, node = nodes.pop()
        if isinstance(node, dict):
            found[name, dict] += 1
            nodes.extend(cast("dict[str, Any]", node).items())
        elif isinstance(node, list):
            found[name, list] += 1
            items: list[Any] = node  # pyright: ignore[reportUnknownVariableType]
            nodes.extend((name, item) for item in items)
        else:
            found[name, type(node) is bool, node] += 1  # 1 and 1.0 are one number, and True is none
    return found


def codec_for(type_: Any) -> Codec[Any]:
    """The codec for a type: text for str, JSON for all else. Raises what `JsonCodec` raises."""
    return TEXT if type_ is str else JsonCodec(type_)


_Writer: TypeAlias = "Callable[[Any], bytes]"
_Reader: TypeAlias = "Callable[[str], Any]"


def _writer_and_reader(type_: Any) -> tuple[_Writer, _Reader]:
    """What writes the JSON of a type and what reads it. Raises `TypeError` if it can't be read."""
    unknown: set[type] = set()
    reason: Exception | None = None
    try:
        unknown = _unknown_to_msgspec(type_)
        if all(map(_is_numpy_scalar, unknown)):
            return _by_msgspec(type_, unknown)
        if strange := sorted(_name(class_) for class_ in unknown if not _is_pydantics(class_)):
            reason = TypeError(f"JSON has nothing for {', '.join(strange)}")
    except Exception as error:  # such as for a union of two models, which pydantic can tell apart
        reason = error
    if "pydantic" in sys.modules:  # else nobody can have made a model
        try:
            return _by_pydantic(type_)
        except Exception as error:
            reason = reason or error
    if unknown:  # such as of a Struct that holds a model, which neither library reads alone
        with suppress(Exception):
            return _by_msgspec(type_, unknown)
    why = next(iter(str(reason).splitlines()), type(reason).__name__)
    raise TypeError(f"{_name(type_)} can't be read from JSON: {why}; {_OF_YOUR_OWN}") from reason


def _unknown_to_msgspec(type_: Any) -> set[type]:
    """The classes anywhere in a type that msgspec does not read, or that pydantic reads better.

    Raises what msgspec raises for a type that it refuses.
    """
    found: set[type] = set()
    for node in _nodes_of(type_):
        if isinstance(node, msgspec.inspect.CustomType):
            if not _is_made_by_json(node.cls):
                found.add(node.cls)
        elif isinstance(node, msgspec.inspect.DataclassType) and _is_pydantics(node.cls):
            found.add(node.cls)
    return found


def _nodes_of(type_: Any) -> Iterator[Any]:
    """The descriptions of a type and of all its parts. Raises as `_unknown_to_msgspec` does."""
    seen: set[int] = set()  # a recursive type is described by a description that holds itself
    nodes: list[Any] = [msgspec.inspect.type_info(type_)]
    while nodes:
        node = nodes.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, tuple):
            nodes.extend(node)  # pyright: ignore[reportUnknownArgumentType]
            continue
        yield node
        if isinstance(node, (msgspec.inspect.Type, msgspec.inspect.Field)):
            inner = (name for name in node.__struct_fields__ if name not in ("default", "values"))
            nodes.extend(getattr(node, name) for name in inner)


def _is_made_by_json(class_: type) -> bool:
    """Whether plain JSON values are instances of a class, as they are of `object` or `Iterable`."""
    try:
        return any(issubclass(plain, class_) for plain in (str, list, dict, float))
    except TypeError:  # a protocol that can't be asked
        return False


def _is_pydantics(class_: type) -> bool:
    return hasattr(class_, "__pydantic_validator__")


def _is_numpy_scalar(class_: type) -> bool:
    numpy: Any = sys.modules.get("numpy")  # else nobody can have made one
    return numpy is not None and issubclass(class_, getattr(numpy, "generic", ()))


def _name(type_: Any) -> str:
    return type_.__qualname__ if isinstance(type_, type) else repr(type_)


def _by_msgspec(type_: Any, unknown: set[type]) -> tuple[_Writer, _Reader]:
    """By msgspec, with help for the classes that it does not know."""
    if not unknown:
        encode, decode = msgspec.json.Encoder(enc_hook=_plain).encode, msgspec.json.Decoder(type_).decode
        return _with_defaults_set(type_, encode, decode)
    helpers = {class_: _helpers(class_) for class_ in unknown}

    def write(value: Any) -> Any:
        for class_ in type(value).__mro__:
            if class_ in helpers:
                return helpers[class_][0](value)
        return _plain(value)

    def read(class_: Any, value: Any) -> Any:
        helper = helpers.get(class_) or helpers.get(get_origin(class_))
        return helper[1](class_, value) if helper else value

    decoder: Any = msgspec.json.Decoder(type_, dec_hook=read)
    return _with_defaults_set(type_, msgspec.json.Encoder(enc_hook=write).encode, decoder.decode)


def _with_defaults_set(type_: Any, write: _Writer, read: _Reader) -> tuple[_Writer, _Reader]:
    """The same, that set the fields of dataclasses of which only the class has the default: msgspec leaves
    them there when it reads, and does not write them."""
    dataclasses = [node for node in _nodes_of(type_) if isinstance(node, msgspec.inspect.DataclassType)]
    if all(field.default is msgspec.NODEFAULT for node in dataclasses for field in node.fields):
        return write, read
    return lambda value: write(_set_defaults(value)), lambda text: _set_defaults(read(text))


def _set_defaults(value: T) -> T:
    """The value itself, in which no field of a dataclass is unset."""
    nodes: list[Any] = [value]
    while nodes:
        node = nodes.pop()
        kind = cast("Any", type(node))
        if kind is str:  # the usual case, decided fast
            continue
        if isinstance(node, list | tuple | set | frozenset):
            nodes.extend(cast("Iterable[Any]", node))
        elif isinstance(node, dict):
            nodes.extend(node.values())  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
        elif isinstance(node, msgspec.Struct):
            nodes.extend(getattr(node, name) for name in node.__struct_fields__)
        elif hasattr(kind, "__dataclass_fields__") and hasattr(node, "__dict__"):
            own = cast("dict[str, Any]", vars(node))
            for name in kind.__dataclass_fields__:
                if name not in own and not ismemberdescriptor(getattr(kind, name, None)):
                    own[name] = getattr(node, name)
            nodes.extend(own.values())
    return value


def _helpers(class_: Any) -> tuple[Callable[[Any], Any], Callable[[Any, Any], Any]]:
    """What msgspec is given in place of an instance of a class it does not know, and the instance again.

    Raises `TypeError` or an error of pydantic's if there is no way.
    """
    if _is_numpy_scalar(class_):
        kind = class_().dtype.kind  # raises if the class is an abstract one
        plain: Any = {"b": bool, "i": int, "u": int, "f": (float, int), "U": str}[kind]

        def scalar(class_: Any, value: Any) -> Any:
            if not isinstance(value, plain) or (isinstance(value, bool) and kind != "b"):
                raise ValueError(f"{type(value).__name__} is not read as {class_.__name__}")
            return class_(value)

        return _plain, scalar

    if "pydantic" not in sys.modules:
        raise TypeError(class_)
    to_json, _ = _by_pydantic(class_)
    readers: dict[Any, _Reader] = {}

    def model(class_: Any, value: Any) -> Any:
        if class_ not in readers:
            _, readers[class_] = _by_pydantic(class_)
        return readers[class_](msgspec.json.encode(value).decode())

    return lambda value: msgspec.Raw(to_json(value)), model


def _plain(value: Any) -> Any:
    """What JSON has for a value that msgspec does not write. Raises `TypeError` if it has nothing.

    It may come back as another type. Then that is why it is not stored, and a better reason to give than
    that it can't be written.
    """
    class_ = value.__class__
    for plain in (str, float, int):
        if isinstance(value, plain):
            return plain(value)
    if _is_numpy_scalar(class_):
        item = value.item()
        if type(item) is not class_:  # a long double is its own item
            return item
    raise TypeError(f"JSON has nothing for {class_.__name__}; {_OF_YOUR_OWN}")


def _by_pydantic(type_: Any) -> tuple[_Writer, _Reader]:
    """By pydantic. Raises an error of pydantic's for a type it does not know, `TypeError` for an iterator."""
    import pydantic

    adapter: Any = pydantic.TypeAdapter(type_)
    version = [int(part) for part in pydantic.VERSION.split(".")[:2]]
    names = {"by_alias": True, "by_name": True} if version >= [2, 11] else {}
    read = partial(adapter.validator.validate_json, **names)
    by_alias = _aliases_are_read(adapter.core_schema)
    # Without warnings: what pydantic warns of does not come back, and is not stored for that reason.
    write = partial(adapter.serializer.to_json, by_alias=by_alias, round_trip=True, warnings=False)
    return write, read


def _aliases_are_read(schema: Any) -> bool:
    """Whether all of what is written by alias is read again. A serialization alias alone is not.

    Raises `TypeError` for a schema of an iterator: to write it would leave nothing for the caller.
    """
    nodes: list[Any] = [schema]
    seen: set[int] = set()
    readable = True
    while nodes:
        node = nodes.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, (list, tuple)):
            nodes.extend(cast("list[Any]", node))
        elif isinstance(node, dict):
            fields = cast("dict[str, Any]", node)
            if fields.get("type") == "generator":
                raise TypeError("an iterator can be read only once")
            if written := fields.get("serialization_alias"):
                reads = fields.get("validation_alias")
                readable = readable and (reads == written or (isinstance(reads, list) and [written] in reads))
            nodes.extend(part for key, part in fields.items() if key not in ("default", "metadata"))
    return readable
