"""`Key`: what a ``key=`` function may return besides the text to look up."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Protocol, TypeGuard

import msgspec

from .._checks import check_text
from .computing import close_coroutine
from .scope import AttributeValue, encode_attributes

__all__ = ["Asked", "Key", "MessagesKey", "is_messages_key", "read_key"]

_LONGEST_REASON = 64


class Key(msgspec.Struct, frozen=True):
    """What a ``key=`` function may return: the text to look up and attributes of the question; or the reason
    not to ask the cache.

    ``Key("How do I pay?", {"model": "small"})`` looks up the text among the entries that have this attribute,
    and stores the answer with it. ``Key(None, reason="tool call")`` bypasses the cache.

    Raises `TypeError` or `ValueError`, which name the field, if a field breaks its rule.
    """

    text: str | None
    """The text to look up. None bypasses the cache."""

    attributes: Mapping[str, AttributeValue] | None = None
    """Looked up and stored together with the attributes of the call and of the scope. An attribute that has
    another value there is a `ValueError`. Values are those that `langcache.aside.encode_attributes` takes.
    Default: none."""

    reason: str | None = None
    """Why the cache is not asked, if ``text`` is None: the `Answer.reason` of the bypass. It is also counted
    by telemetry, so take a few fixed words and no data of users; at most 64 characters. Default:
    ``"no question"``."""

    def __post_init__(self) -> None:
        fields: tuple[Any, Any, Any] = (self.text, self.attributes, self.reason)
        text, attributes, reason = fields
        if text is not None and not isinstance(text, str):
            raise TypeError(
                f"Key.text: must be str, or None to bypass the cache, but is {type(text).__name__}"
            )
        if attributes is not None and not isinstance(attributes, Mapping):
            raise TypeError(f"Key.attributes: must be a mapping, but is {type(attributes).__name__}")
        if reason is None:
            return
        if not isinstance(reason, str):
            raise TypeError(f"Key.reason: must be str, but is {type(reason).__name__}")
        if text is not None:
            raise ValueError("Key.reason: says why the cache is not asked, so give it with text=None alone")
        check_text("Key.reason", reason)
        if not 0 < len(reason) <= _LONGEST_REASON or not reason.isprintable():
            raise ValueError(
                f"Key.reason: must be a line of 1 to {_LONGEST_REASON} printable characters, but has "
                f"{len(reason)}"
            )


class MessagesKey(Protocol):
    """What `langcache.chat.chat_key` returns: makes keys with a fingerprint of all but the text."""

    attribute: str
    """The name of the attribute that holds the fingerprint."""

    def __call__(self, messages: object, /) -> Key:
        """The key of these messages."""
        ...

    def with_parameters(self, messages: object, parameters: Mapping[str, Any], /) -> Key:
        """The key of these messages to a function that has other parameters, all of which count."""
        ...


def is_messages_key(key: object) -> TypeGuard[MessagesKey]:
    """Whether the keys of a ``key`` function differ for messages that may have different answers."""
    return hasattr(key, "with_parameters")


class Asked(msgspec.Struct):
    """What one call asks."""

    text: str | None
    """The text to look up; None bypasses the cache."""

    attributes: Mapping[str, AttributeValue] | None
    """The attributes of the call and those of the key."""

    reason: str | None = None
    """Why the cache is not asked, if the key says so."""


def read_key(given: object, attributes: Mapping[str, AttributeValue] | None, *, by_key: bool) -> Asked:
    """Check what is asked.

    Args:
        given: the prompt, or what ``key`` returned.
        attributes: those of the call.
        by_key: whether ``key`` returned it. Only then it may be None or a `Key`.

    Raises:
        TypeError: it is of another type.
        ValueError: the key and the call give one attribute two values.
    """
    if isinstance(given, str):
        return Asked(given, attributes)
    if not by_key:
        raise TypeError(f"prompt: must be str, but is {type(given).__name__}; key= can make a text of it")
    if given is None:
        return Asked(None, attributes)
    if isinstance(given, Key):
        return Asked(given.text, _merged(attributes, given.attributes), given.reason)
    if inspect.isawaitable(given):
        close_coroutine(given)
        raise TypeError("key: must return the text itself, so it may not be async")
    raise TypeError(
        "key: must return str, a langcache.aside.Key, or None to bypass the cache, but returned "
        f"{type(given).__name__}"
    )


def _merged(
    of_call: Mapping[str, AttributeValue] | None, of_key: Mapping[str, AttributeValue] | None
) -> Mapping[str, AttributeValue] | None:
    if not of_call or not of_key:
        return of_key or of_call
    ours = encode_attributes(of_call)
    for name, value in encode_attributes(of_key).items():
        if ours.get(name, value) != value:
            raise ValueError(
                f"attributes: {name!r} is {ours[name]!r} in attributes= and {value!r} in the Key that key= "
                "returned; give it in one of the two"
            )
    return {**of_call, **of_key}
