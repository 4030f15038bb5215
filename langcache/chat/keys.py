"""Keys for lists of messages and for requests to providers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .._checks import check_text
from ..aside.key import Key
from .canonical import NotJsonError, fingerprint
from .messages import Conversation, NotAskedError, Text, Turns, content_parts, read_messages
from .requests import Api, read_request, tools_without_marks

__all__ = ["RULE", "ChatKey", "chat_key", "check_rules", "request_key"]

RULE = 1
"""The version of the rule by which fingerprints are made. It is part of each, so that a later rule finds none
of an earlier one's entries."""

_TURNS = ("single", "hashed")
_APIS = ("openai.chat", "openai.responses", "anthropic.messages", "gemini")


class ChatKey:
    """What `chat_key` returns: a function of messages that returns their `langcache.aside.Key`."""

    def __init__(self, settings: Mapping[str, Any], turns: Turns, text: Text | None, attribute: str) -> None:
        check_rules(turns, text, attribute)
        self.attribute: str = attribute
        """The name of the attribute that holds the fingerprint."""
        self._turns: Turns = turns
        self._text = text
        try:  # once, since tools may be large
            self._settings = _fingerprint_of(settings, "give chat_key what it stands for, as JSON")
        except NotJsonError as error:
            raise ValueError(f"chat_key: an argument {error}") from None

    def __call__(self, messages: object) -> Key:
        """The key of these messages. Raises `TypeError` if they are no list of messages and no text."""
        return self.with_parameters(messages, {})

    def with_parameters(self, messages: object, parameters: Mapping[str, Any]) -> Key:
        """The key of these messages to a function that has other parameters, all of which count.

        Raises `TypeError` for a parameter of a type that has no fingerprint.
        """
        given: Any = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
        if not isinstance(messages, Sequence) or isinstance(messages, bytes | bytearray | memoryview):
            kind = type(given).__name__
            raise TypeError(f"messages: must be a list of messages, or the text of one, but is {kind}")
        others = None
        try:
            if parameters:
                others = _fingerprint_of(parameters, "name the parameter in ignore= or attributes=")
            conversation = read_messages(given, self._turns, self._text)
            return _key(conversation, self.attribute, ["messages", self._settings, others])
        except NotAskedError as reason:
            return Key(None, reason=reason.reason)
        except NotJsonError:
            return Key(None, reason="not JSON")


def chat_key(
    *,
    model: Any = None,
    system: Any = None,
    tools: Any = None,
    turns: Turns = "single",
    text: Text | None = None,
    attribute: str = "fingerprint",
    **others: Any,
) -> ChatKey:
    """A ``key=`` function for messages: ``cache.get_or_set(messages, llm, key=chat_key(model="small"))``.

    What is looked up is the last text of the last message, which must be the user's. All else, the earlier
    messages, images and the arguments here, is hashed into one attribute, which must be declared with the
    cache: only an answer to the same of it is found. Where a question has no meaning by itself, the cache is
    not asked, and `Answer.reason` says why (see the page on chat requests).

    Messages are dicts or objects, as OpenAI, Anthropic, Gemini and LangChain have them, or the text of one.

    Args:
        model, system, tools, others: whatever else the answer depends on, as JSON values. They are hashed
            when this function is called, not later. Default: none.
        turns: ``"single"``: the cache is not asked as soon as an assistant or a tool has answered the user,
            since "And on Sundays?" has another meaning in each conversation. ``"hashed"``: the earlier turns
            are part of the fingerprint, so that only the same conversation finds an answer.
        text: a function of the text of the question that returns the part of it to look up, such as what is
            asked at the end of a template; or None not to ask the cache. What stands around that part is
            hashed. Default: the whole text.
        attribute: the name of the attribute. Default: ``"fingerprint"``.

    Raises:
        TypeError, ValueError: an argument breaks a rule, or is no JSON value. Of the returned function: the
            messages are no list; ``text`` returned what is no part of the text.
    """
    settings = {
        "model": model,
        "system": content_parts(system),
        "tools": tools_without_marks(tools),
        **others,
    }
    return ChatKey(settings, turns, text, attribute)


def request_key(
    body: Mapping[str, Any],
    *,
    api: Api,
    place: str = "",
    turns: Turns = "single",
    text: Text | None = None,
    attribute: str = "fingerprint",
) -> Key:
    """The key of a request to a provider, as `chat_key` makes one of messages.

    Fields that don't change the answer are left out (``stream``, ``user``, ``metadata`` and such, which the
    page on chat requests lists), so that a stream and a plain call share an entry. All others count, also
    those that are not known. What can't be answered from a cache is not looked up: several answers, log
    probabilities, audio, containers, MCP, and what the provider keeps.

    Args:
        body: the JSON of the request.
        api: which API it is for.
        place: where it goes: host, port and path, alike for the streaming variant of a path. Default: none,
            which Gemini's requests, whose model is in the path, may not have.
        turns, text, attribute: as for `chat_key`.

    Raises:
        TypeError, ValueError: an argument breaks a rule, or ``text`` returned what is no part of the text.
            A body that is not understood raises nothing, and is not looked up.
    """
    check_rules(turns, text, attribute)
    if api not in _APIS:
        raise ValueError(f"api: must be one of {', '.join(_APIS)}, but is {api!r}")
    if not isinstance(body, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"body: must be the JSON of a request, as a mapping, but is {type(body).__name__}")
    if not check_text("place", place) and api == "gemini" and body.get("model") is None:
        raise ValueError("place: must be given for Gemini, whose requests have their model in the path")
    try:
        request = read_request(api, body)
        conversation = read_messages(request.messages, turns, text)
        return _key(conversation, attribute, [api, place, request.settings])
    except NotAskedError as reason:
        return Key(None, reason=reason.reason)
    except NotJsonError:
        return Key(None, reason="not JSON")


def _key(conversation: Conversation, attribute: str, settings: list[Any]) -> Key:
    text, place, messages = conversation
    return Key(text, {attribute: fingerprint([RULE, settings, place, messages])})


def check_rules(turns: object, text: object, attribute: str) -> None:
    """Raise `TypeError` or `ValueError`, which name the argument, if one breaks its rule."""
    if turns not in _TURNS:
        raise ValueError(f"turns: must be 'single' or 'hashed', but is {turns!r}")
    if text is not None and not callable(text):
        raise TypeError(f"text: must be a function of the question, but is {type(text).__name__}")
    if not check_text("attribute", attribute):
        raise ValueError("attribute: must be the name of an attribute, but is empty")


def _fingerprint_of(parameters: Mapping[str, Any], way_out: str) -> str:
    """The fingerprint of parameters. Raises `TypeError` if one is of a type that has none."""
    given = {name: value for name, value in parameters.items() if value is not None}
    try:
        return fingerprint(given)
    except NotJsonError as error:
        if error.of_value:
            raise
        names = [name for name, value in given.items() if not _has_fingerprint(value)]
        raise TypeError(f"{', '.join(names)}: {error}; {way_out}") from None


def _has_fingerprint(value: object) -> bool:
    try:
        fingerprint(value)
    except NotJsonError:
        return False
    return True
