"""What ``@cache.cached(...)`` makes of a function: the same function, with a cache in front of it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping
from types import MethodType
from typing import (
    Any,
    Concatenate,
    Generic,
    ParamSpec,
    Protocol,
    TypeAlias,
    TypeVar,
    cast,
    get_args,
    get_type_hints,
    overload,
)

import msgspec

from .answers import Answer, Options
from .codecs import TEXT, TEXT_CHUNKS, Codec, JsonCodec, codec_for
from .scope import AttributeValue

__all__ = ["AttributeSource", "CachedFunction", "CachedStream"]

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)
S = TypeVar("S")
Q = ParamSpec("Q")
CachedT = TypeVar("CachedT", bound="_Cached")

AttributeSource: TypeAlias = (
    Mapping[str, AttributeValue] | Iterable[str] | Callable[..., Mapping[str, AttributeValue]]
)
"""Attributes for a call: the same ones for all, or the names of the parameters that they are taken from, or a
function of the arguments."""


class Binding:
    """Which of a function's arguments are the prompt and the attributes.

    Raises `TypeError` for parameters that do not exist, and for those that neither the prompt nor an
    attribute comes from, unless they are ignored by name: a forgotten ``language`` would answer in the wrong
    one.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        prompt: str | None,
        key: Callable[..., str] | None,
        attributes: AttributeSource | None,
        ignore: Iterable[str],
    ) -> None:
        self._signature = inspect.signature(function)
        self._key = key
        self._names: tuple[str, ...] = ()
        self._attributes: Mapping[str, AttributeValue] | Callable[..., Mapping[str, AttributeValue]] | None
        if attributes is None or isinstance(attributes, Mapping) or callable(attributes):
            self._attributes = attributes
        else:
            self._attributes, self._names = None, tuple(attributes)
        names = list(self._signature.parameters)
        others = [name for name in names if name not in ("self", "cls")]
        if prompt is not None and key is not None:
            raise TypeError("prompt, key: give one of the two; key is called with the arguments instead")
        if prompt is None and key is None:
            if not others:
                raise TypeError("prompt: the function takes no argument; give key= to say what is asked")
            prompt = others[0]
        self._prompt = prompt
        used = () if prompt is None else (prompt,)
        taken = self._names
        ignored = (ignore,) if isinstance(ignore, str) else tuple(ignore)
        for argument, given in (("prompt", used), ("attributes", taken), ("ignore", ignored)):
            for name in given:
                if name not in names:
                    raise TypeError(f"{argument}: {function.__qualname__} has no parameter {name!r}")
        forgotten = [name for name in others if name not in {*used, *taken, *ignored}]
        if forgotten and key is None and not callable(self._attributes):
            raise TypeError(
                f"{function.__qualname__}: the answer may depend on {', '.join(forgotten)}, which is no part "
                "of the question; take it into attributes= or key=, or, if it changes nothing, into ignore="
            )

    def read(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[str, Mapping[str, AttributeValue] | None]:
        """The prompt and the attributes of a call. Raises `TypeError` for arguments that don't fit."""
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        prompt = self._key(*args, **kwargs) if self._key is not None else bound.arguments[self._prompt or ""]
        if self._names:
            return prompt, {name: bound.arguments[name] for name in self._names}
        if callable(self._attributes):
            return prompt, self._attributes(*args, **kwargs)
        return prompt, self._attributes


class Ask(Protocol):
    """How a client answers a call of a cached function: with an `Answer`, or a coroutine of one."""

    def __call__(
        self,
        text: str,
        attributes: Mapping[str, AttributeValue] | None,
        compute: Callable[[], Any],
        options: Options,
    ) -> Any: ...


class _Cached:
    """What cached functions and cached streams have in common."""

    def __init__(self, function: Callable[..., Any], binding: Binding, ask: Ask, options: Options) -> None:
        functools.update_wrapper(cast("Callable[..., Any]", self), function)
        self._function = function
        self._binding = binding
        self._ask = ask
        self._options = options
        self._bound: tuple[Any, ...] = ()
        self.__wrapped__ = function

    def _bind(self: CachedT, instance: object) -> CachedT:
        bound = object.__new__(type(self))
        bound.__dict__.update(self.__dict__)
        bound.__dict__.update(_bound=(instance,), __wrapped__=MethodType(self.__wrapped__, instance))
        return bound

    def _answer(self, args: tuple[Any, ...], kwargs: dict[str, Any], **changes: bool) -> Any:
        args = self._bound + args
        text, attributes = self._binding.read(args, kwargs)
        options = msgspec.structs.replace(self._options, **changes) if changes else self._options
        return self._ask(text, attributes, functools.partial(self._function, *args, **kwargs), options)


class CachedFunction(_Cached, Generic[P, R_co]):
    """A coroutine function behind an `AsyncLangCache`."""

    def __init__(self, function: Callable[..., Any], binding: Binding, ask: Ask, options: Options) -> None:
        super().__init__(function, binding, ask, options)
        mark = getattr(inspect, "markcoroutinefunction", None)  # since Python 3.12
        if mark is not None:
            mark(self)

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        return (await self.answer(*args, **kwargs)).value

    async def answer(self, *args: P.args, **kwargs: P.kwargs) -> Answer[R_co]:
        """Call it, and say how the answer was come by."""
        answer: Answer[R_co] = await self._answer(args, kwargs)
        return answer

    async def refresh(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call the function itself, and store what it returns in place of what is stored."""
        answer: Answer[R_co] = await self._answer(args, kwargs, refresh=True)
        return answer.value

    async def bypass(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call the function itself, and store nothing."""
        answer: Answer[R_co] = await self._answer(args, kwargs, bypass=True)
        return answer.value

    @overload
    def __get__(self, instance: None, owner: object) -> CachedFunction[P, R_co]: ...
    @overload
    def __get__(
        self: CachedFunction[Concatenate[S, Q], R_co], instance: S, owner: object
    ) -> CachedFunction[Q, R_co]: ...
    def __get__(self, instance: Any, owner: object) -> Any:
        return self if instance is None else self._bind(instance)


class CachedBlockingFunction(_Cached, Generic[P, R_co]):
    """A function behind a `LangCache`."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        return self.answer(*args, **kwargs).value

    def answer(self, *args: P.args, **kwargs: P.kwargs) -> Answer[R_co]:
        """Call it, and say how the answer was come by."""
        answer: Answer[R_co] = self._answer(args, kwargs)
        return answer

    def refresh(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call the function itself, and store what it returns in place of what is stored."""
        answer: Answer[R_co] = self._answer(args, kwargs, refresh=True)
        return answer.value

    def bypass(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call the function itself, and store nothing."""
        answer: Answer[R_co] = self._answer(args, kwargs, bypass=True)
        return answer.value

    @overload
    def __get__(self, instance: None, owner: object) -> CachedBlockingFunction[P, R_co]: ...
    @overload
    def __get__(
        self: CachedBlockingFunction[Concatenate[S, Q], R_co], instance: S, owner: object
    ) -> CachedBlockingFunction[Q, R_co]: ...
    def __get__(self, instance: Any, owner: object) -> Any:
        return self if instance is None else self._bind(instance)


class CachedStream(_Cached, Generic[P, R_co]):
    """A function that gives a stream of chunks, async or not. Called, it gives a stream in the same way."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        stream: R_co = self._answer(args, kwargs)
        return stream

    def refresh(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """The function's own stream, stored in place of what is stored."""
        stream: R_co = self._answer(args, kwargs, refresh=True)
        return stream

    def bypass(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """The function's own stream; nothing is stored."""
        stream: R_co = self._answer(args, kwargs, bypass=True)
        return stream

    @overload
    def __get__(self, instance: None, owner: object) -> CachedStream[P, R_co]: ...
    @overload
    def __get__(
        self: CachedStream[Concatenate[S, Q], R_co], instance: S, owner: object
    ) -> CachedStream[Q, R_co]: ...
    def __get__(self, instance: Any, owner: object) -> Any:
        return self if instance is None else self._bind(instance)


class AsyncDecorator(Protocol):
    """What `AsyncLangCache.cached` returns."""

    @overload
    def __call__(self, function: Callable[Q, AsyncIterator[S]], /) -> CachedStream[Q, AsyncIterator[S]]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]  # pyright: ignore[reportOverlappingOverload]
        self, function: Callable[Q, Coroutine[Any, Any, AsyncIterator[S]]], /
    ) -> CachedStream[Q, Coroutine[Any, Any, AsyncIterator[S]]]: ...
    @overload
    def __call__(self, function: Callable[Q, Coroutine[Any, Any, S]], /) -> CachedFunction[Q, S]: ...


class BlockingDecorator(Protocol):
    """What `LangCache.cached` returns."""

    @overload
    def __call__(  # type: ignore[overload-overlap]  # pyright: ignore[reportOverlappingOverload]
        self, function: Callable[Q, Iterator[S]], /
    ) -> CachedStream[Q, Iterator[S]]: ...
    @overload
    def __call__(self, function: Callable[Q, S], /) -> CachedBlockingFunction[Q, S]: ...


class Returned(msgspec.Struct, frozen=True):
    """What a function's annotation says that it returns."""

    stream: bool
    codec: Codec[Any]


def returned(function: Callable[..., Any], iterators: tuple[type, ...], codec: Codec[Any] | None) -> Returned:
    """Whether a function gives a stream, and the codec for what it gives; text if it does not say.

    Raises `TypeError` for an annotation that JSON can't be read as, or that can't be understood.
    """
    generates = inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function)
    try:
        annotation = get_type_hints(function).get("return", str)
    except Exception as error:
        if codec is not None:
            return Returned(generates, codec)
        raise TypeError(
            f"{function.__qualname__}: its return annotation can't be read ({error}); pass codec="
        ) from error
    origin = getattr(annotation, "__origin__", annotation)
    stream = generates or (isinstance(origin, type) and issubclass(origin, iterators))
    if codec is not None:
        return Returned(stream, codec)
    if not stream:
        return Returned(False, TEXT if annotation is Any else codec_for(annotation))
    chunk = next(iter(get_args(annotation)), str)
    return Returned(True, TEXT_CHUNKS if chunk in (str, Any) else JsonCodec(list[chunk]))  # type: ignore[valid-type]
