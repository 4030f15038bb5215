"""Messages in one form, and which text in them is the question."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias, cast

from ..aside.differences import state_of
from .canonical import fields_of

__all__ = [
    "LEFT_OUT",
    "Conversation",
    "NotAskedError",
    "Text",
    "Turns",
    "content_parts",
    "read_messages",
    "without",
]

Turns: TypeAlias = Literal["single", "hashed"]
"""``"single"``: bypass the cache as soon as an assistant or a tool has answered the user. ``"hashed"``: the
earlier turns are part of the fingerprint."""

Text: TypeAlias = Callable[[str], "str | None"]
"""Called with the text of the question; returns the part of it that is looked up, or None to bypass the
cache."""

LEFT_OUT = frozenset({"cache_control"})
"""What is no part of a message, a part of one, or a tool."""

_ROLES = {"developer": "system", "human": "user", "model": "assistant", "ai": "assistant"}
_TYPES = frozenset({"human", "user", "ai", "assistant", "system", "developer", "tool", "function"})
"""What message objects without a role have as ``type``."""

_TEXT_TYPES = frozenset({"text", "input_text", "output_text"})
_AUDIO_TYPES = frozenset({"input_audio", "audio"})
_OF_OBJECT = LEFT_OUT | {"response_metadata", "usage_metadata"}


class NotAskedError(Exception):
    """The cache must not be asked, for this reason."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Conversation(NamedTuple):
    """Messages in one form, and the question that is no longer in them."""

    text: str
    """The question."""

    place: list[Any]
    """Where the question was: index of the message, index of the part, the text before and after it."""

    messages: list[dict[str, Any]]


def read_messages(messages: Sequence[Any], turns: Turns, text: Text | None) -> Conversation:
    """Bring messages into one form and take the question out of them: the last text of the last one.

    Roles have one name for each kind, a text is a list of one part, and ids are dropped, as are marks for the
    provider's own cache. All else is kept as it is.

    Args:
        messages: dicts, or objects with a role and a content, as several APIs and frameworks have them.
        turns: see `Turns`.
        text: see `Text`; None for the whole text.

    Raises:
        NotAskedError: the cache must not be asked.
        NotJsonError: as `canonical` says.
        TypeError, ValueError: ``text`` returned something else, or no part of what it was called with.
    """
    normal = [_message(message) for message in messages]
    if not normal or normal[-1]["role"] != "user" or _has_tool_result(normal[-1]):
        raise NotAskedError("not the user's turn")
    if turns == "single":
        _check_single_turn(normal)
    if any(_has_audio(message) for message in normal):
        raise NotAskedError("audio")
    parts: Any = normal[-1].get("content")
    for index in reversed(range(len(as_list(parts)))):
        part = as_mapping(parts[index])
        if part.get("type") == "text" and isinstance(part.get("text"), str):
            before, question, after = _split(part["text"], text)
            parts[index] = without(part, frozenset({"text"}))
            return Conversation(question, [len(normal) - 1, index, before, after], normal)
    raise NotAskedError("no text")


def content_parts(content: object) -> Any:
    """The content of a message as a list of parts; as it is, if it is none that is known."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    given: Any = content
    return [_part(part) for part in given] if isinstance(content, list | tuple) else given


def as_list(value: object) -> Sequence[Any]:
    """A list or a tuple as it is; for anything else an empty one."""
    given: Any = value
    return given if isinstance(value, list | tuple) else ()


def as_mapping(value: object) -> Mapping[str, Any]:
    """A mapping as it is; for anything else an empty one."""
    given: Any = value
    return given if isinstance(value, dict | Mapping) else {}  # dict first, which takes less time


def without(fields: Mapping[str, Any], left_out: frozenset[str]) -> dict[str, Any]:
    """A copy without these fields, and without those that are None."""
    return {name: value for name, value in fields.items() if value is not None and name not in left_out}


def _message(message: Any) -> dict[str, Any]:
    if isinstance(message, dict | Mapping):
        fields = without(cast("Mapping[str, Any]", message), LEFT_OUT)
    else:
        fields = _object_fields(message)
    role, kind = _word(fields.get("role")), _word(fields.get("type"))
    if role is None and kind in _TYPES:
        role = kind
        del fields["type"]
    if role is not None:
        if kind == "message":
            del fields["type"]
    elif kind is not None:
        role = "item"  # of the Responses API, such as a reference, whose id says what it is
    else:
        raise NotAskedError("unknown message")
    fields["role"] = _ROLES.get(role, role)
    content = fields.pop("content", None)
    if content is None:
        content = fields.pop("parts", None)  # as Gemini calls it
    if content is not None:
        fields["content"] = content_parts(content)
        if role != "item":  # of which the id says what it is, as it does without content
            fields.pop("id", None)
    return fields


def _object_fields(message: Any) -> dict[str, Any]:
    """The fields of a message that is an object of an SDK or a framework, without those that are empty."""
    fields = fields_of(message)
    if fields is None:
        fields = state_of(message)
        if not fields.keys() & {"content", "parts"}:
            raise NotAskedError("unknown message")
    for name in ("role", "type"):  # which may be of the class, or a property
        if name not in fields and isinstance(value := getattr(message, name, None), str):
            fields[name] = value
    return {
        name: value
        for name, value in without(fields, _OF_OBJECT).items()
        if value or not isinstance(value, list | dict)
    }


def _part(part: Any) -> Any:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if isinstance(part, dict | Mapping):
        fields = without(cast("Mapping[str, Any]", part), LEFT_OUT)
    elif (of_object := fields_of(part)) is not None:
        fields = without(of_object, LEFT_OUT)
        if not isinstance(fields.get("type"), str):  # so that the class says what it is: an image, a file
            fields["<class>"] = f"{type(part).__module__}.{type(part).__qualname__}"
    else:
        return part
    kind = _word(fields.get("type"))
    if (kind is None or kind in _TEXT_TYPES) and isinstance(fields.get("text"), str):
        fields["type"] = "text"
        fields.pop("id", None)
    return fields


def _word(value: object) -> str | None:
    """A role or a type: of an enum of texts the text, which is hashed otherwise; "" for what is none."""
    if value is None:
        return None
    return str.__str__(value) if isinstance(value, str) else ""


def _check_single_turn(messages: list[dict[str, Any]]) -> None:
    """Raise `NotAskedError` if an assistant or a tool has its turn after the first one of the user."""
    has_begun = False
    for message in messages:
        is_user = message["role"] == "user"
        follows = has_begun and not is_user and message["role"] != "system"
        if follows or _has_tool_result(message):
            raise NotAskedError("conversation")
        has_begun = has_begun or is_user


def _parts_beside_text(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    parts = [as_mapping(part) for part in as_list(message.get("content"))]
    return [part for part in parts if part.get("type") != "text"]


def _has_tool_result(message: Mapping[str, Any]) -> bool:
    return any(
        str(part.get("type")).endswith("tool_result")
        or "functionResponse" in part
        or "function_response" in part
        for part in _parts_beside_text(message)
    )


def _has_audio(message: Mapping[str, Any]) -> bool:
    if message.get("audio") is not None:
        return True
    for part in _parts_beside_text(message):
        if str(part.get("type")) in _AUDIO_TYPES:
            return True
        for name in ("inlineData", "inline_data", "fileData", "file_data"):
            data = as_mapping(part.get(name)) or fields_of(part.get(name)) or {}
            if str(data.get("mimeType", data.get("mime_type"))).startswith("audio/"):
                return True
    return False


def _split(whole: str, text: Text | None) -> tuple[str, str, str]:
    """The text before what is looked up, what is looked up, and the text after it."""
    if text is None:
        before, question, after = "", whole, ""
    else:
        chosen: Any = text(whole)
        if chosen is None:
            raise NotAskedError("no text")
        if not isinstance(chosen, str):
            raise TypeError(
                f"text: must return str, or None to bypass the cache, but returned {type(chosen).__name__}"
            )
        before, question, after = whole.rpartition(chosen) if chosen else ("", "", "")
        if chosen and not question:
            raise ValueError(
                "text: must return a part of the text that it is called with, as it stands there; to look up "
                "something else, write a key= function that returns a langcache.aside.Key"
            )
    if not question.strip():
        raise NotAskedError("no text")
    if not question.isascii():
        try:
            question.encode()
        except UnicodeEncodeError:  # a lone surrogate, which can't be sent
            raise NotAskedError("not JSON") from None
    return before, question, after
