"""Takes the question and the attributes from the arguments of a decorated function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from .computing import close_coroutine
from .functions import describe
from .key import Key, MessagesKey, is_messages_key
from .scope import AttributeSource, AttributeValue

__all__ = ["Binding", "Bound"]

RECEIVERS = ("self", "cls")
"""The names that the first parameter of a method has by convention."""


class Bound(NamedTuple):
    """The question and the attributes of one call."""

    asked: str | Key | None
    """The question, or what ``key`` returned."""

    attributes: Mapping[str, AttributeValue] | None

    others: tuple[object, ...] | None
    """The arguments that are neither the question, nor attributes, nor ignored; None if there are none."""


class Binding:
    """Takes the question and the attributes from the arguments of each call of one function.

    Args:
        function: the decorated function.
        prompt: the name of the parameter that is the question. Default: the first except ``self``, ``cls``.
        key: called with all arguments instead; returns the question.
        attributes: see `AttributeSource`.
        ignore: the names of parameters that don't change the answer.
        messages: the name of the parameter that holds the messages of a chat. All parameters that are neither
            attributes nor ignored are then part of the key.
        messages_key: makes that key, if ``key`` does not.

    Raises:
        TypeError: a parameter does not exist; or one is neither the question, nor an attribute, nor ignored,
            so that a call might get an answer for another value of it: in another ``language``, for example,
            or for another ``self``.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        prompt: str | None,
        key: Callable[..., str | Key | None] | None,
        attributes: AttributeSource | None,
        ignore: Iterable[str],
        messages: str | None,
        messages_key: Callable[[], MessagesKey],
    ) -> None:
        self._signature = inspect.signature(function)
        self.attribute_names: tuple[str, ...] = ()
        """The names of the parameters that are attributes."""
        self.fixed_attributes: Mapping[str, AttributeValue] | None = None
        """The attributes that are the same for all calls."""
        self._compute_attributes: Callable[..., Mapping[str, AttributeValue]] | None = None
        if key is not None and not callable(key):
            raise TypeError(f"key: must be a function of the arguments, but is {type(key).__name__}")
        for argument, given in (("key", key), ("attributes", attributes)):
            if inspect.iscoroutinefunction(given):
                raise TypeError(f"{argument}: may not be an async function")
        if isinstance(attributes, Mapping):
            self.fixed_attributes = attributes
        elif callable(attributes):
            self._compute_attributes = attributes
        elif attributes is not None:
            self.attribute_names = _names("attributes", attributes)
        ignored = _names("ignore", ignore)
        parameters = list(self._signature.parameters)
        self.receiver: str | None = parameters[0] if parameters and parameters[0] in RECEIVERS else None
        """``self`` or ``cls`` if the function is a method, else None."""
        if is_messages_key(key):
            self._messages_key: MessagesKey | None = key
            key = None
        else:
            self._messages_key = None if messages is None else messages_key()
        if key is not None and prompt is not None:
            raise TypeError("prompt, key: give one of the two; key is called with the arguments instead")
        if key is not None and messages is not None:
            raise TypeError("key: together with messages= it must be what langcache.chat.chat_key returns")
        if prompt is not None and self._messages_key is not None:
            raise TypeError("prompt, messages: give one of the two; the question is in the last message")
        self._key = key
        question = messages or prompt
        if question is None and key is None:
            candidates = [name for name in parameters if name != self.receiver]
            if not candidates:
                raise TypeError("prompt: the function takes no argument; give key= to say what is asked")
            question = candidates[0]
        self._question = question
        used = () if question is None else (question,)
        name = self._name = describe(function)
        for argument, taken in (
            ("prompt" if messages is None else "messages", used),
            ("attributes", self.attribute_names),
            ("ignore", ignored),
        ):
            for parameter in taken:
                if parameter not in parameters:
                    raise TypeError(f"{argument}: {name} has no parameter {parameter!r}")
        self._others = [each for each in parameters if each not in {*used, *self.attribute_names, *ignored}]
        if self._messages_key is not None:
            if self.receiver in self._others:
                raise TypeError(
                    f"{name}: the answer may depend on {self.receiver}, which can't be hashed; name it in "
                    "ignore=, and take what matters of it into attributes=, as a function"
                )
        elif self._others and key is None and self._compute_attributes is None:
            raise TypeError(
                f"{name}: the answer may depend on {', '.join(self._others)}, which is no part of the "
                "question; take it into attributes= or key=, or, if it changes nothing, into ignore="
            )

    @property
    def by_key(self) -> bool:
        """Whether a key says what is asked, or that nothing is."""
        return self._key is not None or self._messages_key is not None

    @property
    def varying_attributes(self) -> tuple[str, ...]:
        """The names of the attributes that are known to differ from call to call."""
        key = self._messages_key
        return self.attribute_names if key is None else (*self.attribute_names, key.attribute)

    @property
    def computes_attributes(self) -> bool:
        """Whether a function computes the attributes of each call."""
        return self._compute_attributes is not None

    def read(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Bound:
        """The question and the attributes of a call. Raises `TypeError` for arguments that don't fit."""
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self._name}(): {error}") from None
        bound.apply_defaults()
        arguments = bound.arguments
        others = {name: arguments[name] for name in self._others}
        asked: Any
        if self._key is not None:
            asked = self._key(*args, **kwargs)
        else:
            asked = arguments[self._question or ""]
            if self._messages_key is not None:
                asked = self._messages_key.with_parameters(asked, others)
        attributes = self.fixed_attributes
        if self._compute_attributes is not None:
            attributes = self._compute_attributes(*args, **kwargs)
            if not isinstance(attributes, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
                close_coroutine(attributes)
                kind = type(attributes).__name__
                raise TypeError(
                    f"attributes: the function must return a mapping ({{}} for none), but returned {kind}"
                )
        elif self.attribute_names:
            attributes = {name: arguments[name] for name in self.attribute_names}
        return Bound(asked, attributes, tuple(others.values()) or None)


def _names(argument: str, given: object) -> tuple[str, ...]:
    if isinstance(given, str):
        return (given,)
    if not isinstance(given, Iterable):
        raise TypeError(f"{argument}: must be names of parameters, but is {type(given).__name__}")
    names: tuple[Any, ...] = tuple(given)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"{argument}: must be names of parameters, but has {type(name).__name__}")
    return names
