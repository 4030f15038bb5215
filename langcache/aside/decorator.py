"""``@cache.cached(...)``: wraps a function in one of the same kind that asks the cache first."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from types import FunctionType, MethodType
from typing import Any, Protocol

import msgspec

from .binding import Binding
from .blocking_streams import BlockingAnswerStream
from .codecs import Codec
from .computing import NOT_ASYNC, compute_blocking, is_async, is_async_generator, run_to_end
from .core import Aside
from .functions import ByExactValue, describe
from .key import Key, read_key
from .options import CallOptions, Options
from .returned import return_spec
from .scope import AttributeSource, Scope
from .streams import AnswerStream

__all__ = ["cached"]


class _Ask(Protocol):
    """Answers one call of the decorated function, from the cache or by calling it.

    Returns an `Answer`, a coroutine of one, or a stream, depending on the kind of the function.
    """

    def __call__(self, args: tuple[Any, ...], kwargs: dict[str, Any], **changes: bool) -> Any: ...


def cached(
    aside: Aside,
    scope: Scope | None,
    function: Any,
    prompt: str | None,
    key: Callable[..., str | Key | None] | None,
    attributes: AttributeSource | None,
    ignore: Iterable[str],
    messages: str | None,
    codec: Codec[Any] | None,
    options: CallOptions,
) -> Any:
    """The ``cached`` method of both clients: the decorated function, or a decorator if none is given."""
    defaults = Options.of("cached", options, aside.state.limits, aside.state.config)
    blocking = aside.state.execution.is_blocking

    def wrap(function: Any) -> Any:
        _check_kind(function, blocking=blocking)
        binding = Binding(function, prompt, key, attributes, ignore, messages, aside.messages_key)
        spec = return_spec(function, (Iterator,) if blocking else (AsyncIterable,), codec)
        declare = functools.partial(
            aside.state.claims.declare,
            function,
            defaults.function,
            spec.codec,
            scope.attributes if scope is not None else {},
            binding.fixed_attributes,
        )
        declared: set[frozenset[str]] = set()  # the sets of attribute names that calls have had so far
        refusal = declare(binding.varying_attributes, open_ended=binding.computes_attributes)
        if refusal is not None:
            raise refusal

        def ask(args: tuple[Any, ...], kwargs: dict[str, Any], **changes: bool) -> Any:
            bound = binding.read(args, kwargs)
            asked = read_key(bound.asked, bound.attributes, by_key=binding.by_key)
            conflict = None
            if binding.computes_attributes and (names := frozenset(asked.attributes or ())) not in declared:
                conflict = declare(names)
                if conflict is None:
                    declared.add(names)
            question = aside.questions.question(
                "cached",
                scope,
                asked,
                function,
                spec.codec,
                msgspec.structs.replace(defaults, **changes) if changes else defaults,
                None if bound.others is None else ByExactValue(bound.others),
                conflict,
            )
            compute = functools.partial(function, *args, **kwargs)
            if spec.stream:
                return (BlockingAnswerStream if blocking else AnswerStream)(aside, question, compute)
            if blocking:
                return run_to_end(aside.answer(question, functools.partial(compute_blocking, compute)))
            return aside.answer(question, compute)

        return _with_variants(function, ask, stream=spec.stream)

    def decorate(function: Any) -> Any:
        if isinstance(function, staticmethod):
            return staticmethod(wrap(function.__func__))  # pyright: ignore[reportUnknownMemberType]
        if isinstance(function, classmethod):
            return _CachedMethod(wrap(function.__func__), of_class=True)  # pyright: ignore[reportUnknownMemberType]
        cached_function = wrap(function)
        # Of a class body: a function of a module may as well have a parameter of that name.
        outer = getattr(function, "__qualname__", "").rpartition(".")[0]
        in_class = bool(outer) and not outer.endswith("<locals>")
        is_method = in_class and [*inspect.signature(function).parameters][:1] == ["self"]
        return _CachedMethod(cached_function, of_class=False) if is_method else cached_function

    return decorate if function is None else decorate(function)


def _check_kind(function: Any, *, blocking: bool) -> None:
    if not callable(function):
        raise TypeError(
            f"cached: must be given a function, but is given {type(function).__name__}; settings are given "
            "by name, as in @cache.cached(prompt='question')"
        )
    runs_in_loop = is_async(function) or is_async_generator(function)
    if blocking and runs_in_loop:
        raise TypeError(f"cached: {NOT_ASYNC}")
    if not blocking and not runs_in_loop:
        raise TypeError(
            f"{describe(function)}: AsyncLangCache.cached is for async functions; for others use LangCache"
        )


def _with_variants(function: Any, ask: _Ask, *, stream: bool) -> Any:
    """The cached function, which has the functions ``answer``, ``refresh`` and ``bypass`` as attributes."""
    cached_function = _variant(function, ask, "", stream)
    cached_function.answer = _variant(function, ask, "answer", stream)
    cached_function.refresh = _variant(function, ask, "refresh", stream, refresh=True)
    cached_function.bypass = _variant(function, ask, "bypass", stream, bypass=True)
    return cached_function


def _variant(function: Any, ask: _Ask, name: str, stream: bool, **changes: bool) -> Any:
    whole = stream or name == "answer"  # else it returns the value alone

    async def call_async(*args: Any, **kwargs: Any) -> Any:
        asked = ask(args, kwargs, **changes)
        answer = asked if stream else await asked
        return answer if whole else answer.value

    def call(*args: Any, **kwargs: Any) -> Any:
        answer = ask(args, kwargs, **changes)
        return answer if whole else answer.value

    cached_function: Any = call_async if is_async(function) else call
    if getattr(function, "__name__", None) is None:  # a functools.partial, or a callable object
        functools.update_wrapper(cached_function, getattr(function, "func", function.__class__))
    functools.update_wrapper(cached_function, function)
    if name:
        cached_function.__qualname__ = f"{cached_function.__qualname__}.{name}"  # where pickle finds it
    return cached_function


class _CachedMethod:
    """A cached function in the body of a class.

    Accessed on an object, it returns a bound method whose ``answer``, ``refresh`` and ``bypass`` are bound
    too; those of a plain function would not be. In every other way it behaves like the function.
    """

    def __init__(self, function: Any, *, of_class: bool) -> None:
        self.__dict__.update(function.__dict__)
        self.__wrapped__ = function
        self._of_class = of_class

    @property  # type: ignore[misc]
    def __class__(self) -> type:  # pyright: ignore[reportIncompatibleMethodOverride]  # for pydantic
        return FunctionType

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        function = self.__wrapped__
        receiver = owner if self._of_class else instance
        if receiver is None:
            return function
        bound = FunctionType(function.__code__, function.__globals__, closure=function.__closure__)
        functools.update_wrapper(bound, function)
        bound.__kwdefaults__ = function.__kwdefaults__
        bound.__wrapped__ = function.__wrapped__  # type: ignore[attr-defined]
        for name in ("answer", "refresh", "bypass"):
            variant = functools.partial(getattr(function, name), receiver)  # which is pickled by its parts
            functools.update_wrapper(variant, function, updated=())
            variant.__signature__ = inspect.signature(variant.func.__wrapped__.__get__(receiver))  # type: ignore[attr-defined]
            setattr(bound, name, variant)
        return MethodType(bound, receiver)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.__wrapped__(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name == "__wrapped__":  # not there yet, in a copy that is being made
            raise AttributeError(name)
        return getattr(self.__wrapped__, name)
