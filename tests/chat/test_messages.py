"""Messages in the forms of several APIs and frameworks, conversations, and the text that is looked up."""

from __future__ import annotations

import dataclasses
import enum
import itertools
import types
from collections import deque
from typing import ClassVar

import msgspec
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langcache.aside import Key
from langcache.chat import chat_key

QUESTION = "And on Sundays?"


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


OPENING = user("When is the museum open?")
HASHED = chat_key(turns="hashed")


class Plain:
    def __init__(self, role, content, **more):
        self.role, self.content = role, content
        self.__dict__.update(more)


class Slotted:
    __slots__ = ("content", "role")

    def __init__(self, role, content):
        self.role, self.content = role, content


@dataclasses.dataclass
class Data:
    role: str
    content: object
    name: str | None = None


class Struct(msgspec.Struct):
    role: str
    content: object


class TextBlock(pydantic.BaseModel):
    text: str
    type: str = "text"
    citations: list[str] | None = None


class Role(str, enum.Enum):
    HUMAN = "human"


class Kind(str, enum.Enum):
    TEXT = "text"


@dataclasses.dataclass
class ImageUrl:
    """A part that only its class tells from another."""

    url: str


@dataclasses.dataclass
class FileUrl:
    url: str


@dataclasses.dataclass
class Blob:
    mime_type: str


@dataclasses.dataclass
class Turn:
    """A dataclass whose role is of the class."""

    role: ClassVar[str] = "user"
    content: str


class SdkMessage(pydantic.BaseModel):
    """As the SDKs of providers have them: what was not given is None."""

    role: str
    content: str | list[TextBlock | dict] | None = None
    refusal: str | None = None
    tool_calls: list[dict] | None = None


class HumanMessage(pydantic.BaseModel):
    """As LangChain has them: the role is the type, and there are ids and empty containers."""

    content: str | list[str | dict]
    type: str = "human"
    id: str | None = "run-1"
    name: str | None = None
    additional_kwargs: dict = {}
    response_metadata: dict = {"token_usage": 5}


class ByClass:
    """An object that has its role from its class."""

    role = "user"

    def __init__(self, content):
        self.content = content


ONE_FORM = {
    "dict": user(QUESTION),
    "dict with an id": {**user(QUESTION), "id": "msg_1"},
    "dict with None": {**user(QUESTION), "name": None},
    "human": {"role": "human", "content": QUESTION},
    "human by type": {"type": "human", "content": QUESTION},
    "role of an enum": {"role": Role.HUMAN, "content": QUESTION},
    "type of an enum": {"type": Role.HUMAN, "content": [{"type": Kind.TEXT, "text": QUESTION}]},
    "mapping": types.MappingProxyType(user(QUESTION)),
    "a part": user([{"type": "text", "text": QUESTION}]),
    "a part in a tuple": user(({"type": "input_text", "text": QUESTION},)),
    "a part with an id": user([{"type": "text", "text": QUESTION, "id": "lc_1", "cache_control": {}}]),
    "a part of Gemini": {"role": "user", "parts": [{"text": QUESTION}]},
    "a text in a list": user([QUESTION]),
    "responses": {"type": "message", **user([{"type": "input_text", "text": QUESTION}])},
    "plain object": Plain("user", QUESTION),
    "namespace": types.SimpleNamespace(role="user", content=QUESTION),
    "slots": Slotted("user", QUESTION),
    "role of the class": ByClass(QUESTION),
    "dataclass": Data("user", QUESTION),
    "role of the dataclass": Turn(QUESTION),
    "struct": Struct("user", [TextBlock(text=QUESTION)]),
    "pydantic": SdkMessage(role="user", content=QUESTION),
    "pydantic parts": SdkMessage(role="user", content=[TextBlock(text=QUESTION)]),
    "LangChain": HumanMessage(content=QUESTION),
    "LangChain parts": HumanMessage(content=[QUESTION], id="run-2", response_metadata={}),
}


@pytest.mark.parametrize("message", ONE_FORM.values(), ids=ONE_FORM)
def test_all_forms_of_one_message_are_one_question(message):
    key = chat_key(model="small")
    expected = key([user(QUESTION)])
    assert expected.text == QUESTION
    for messages in ([message], (message,), deque([message])):
        assert key(messages) == expected
    hashed = HASHED([message, assistant("Yes."), user("Why?")])
    assert hashed == HASHED([user(QUESTION), assistant("Yes."), user("Why?")])


IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
OTHERS = [
    user(QUESTION),
    {**user(QUESTION), "name": "ann"},
    Plain("user", QUESTION, secret="x"),
    Plain("user", QUESTION, secret="y"),
    Data("user", QUESTION, "bob"),
    user([{"type": "text", "text": QUESTION, "citations": []}]),
    user([{"type": "text", "text": "Before."}, {"type": "text", "text": QUESTION}]),
    user(["Before", ".", QUESTION]),
    user([IMAGE, {"type": "text", "text": QUESTION}]),
    user([{"type": "text", "text": QUESTION}, IMAGE]),
    user([IMAGE, IMAGE, QUESTION]),
    user([{**IMAGE, "image_url": {"url": "https://example.com/b.png"}}, QUESTION]),
    user([{"type": "image", "source": {"data": "AA"}}, QUESTION]),
    user([{"type": "image", "source": {"data": "AB"}}, QUESTION]),
    user([None, QUESTION]),
    user([{}, QUESTION]),
    user([["Before."], QUESTION]),
    user([ImageUrl("https://example.com/a.png"), QUESTION]),
    user([FileUrl("https://example.com/a.png"), QUESTION]),
    user([{"url": "https://example.com/a.png"}, QUESTION]),
    user([QUESTION, {"type": "text", "text": ["", ""]}]),
    user([{"type": "text", "text": ["", ""]}, QUESTION]),
]


def test_whatever_else_a_message_holds_counts():
    keys = [HASHED([message]) for message in OTHERS]
    assert {key.text for key in keys} == {QUESTION}
    prints = [key.attributes["fingerprint"] for key in keys]
    assert len(set(prints)) == len(OTHERS)


@pytest.mark.parametrize("fields", [{}, {"content": []}, {"content": "b"}])
@pytest.mark.parametrize(
    "kind", ["item_reference", "reasoning", "function_call", "remove", "image_generation_call"]
)
def test_the_id_of_what_is_no_message_counts(kind, fields):
    lists = [[user("a"), {"type": kind, "id": each, **fields}, user(QUESTION)] for each in ("1", "2")]
    keys = [HASHED(messages) for messages in lists]
    assert keys[0].text == keys[1].text == QUESTION
    assert keys[0] != keys[1]


@pytest.mark.parametrize("fields", [{"role": "system"}, {"role": "assistant", "type": "message"}])
def test_the_id_of_a_message_without_content_counts(fields):
    keys = [HASHED([user("a"), {**fields, "id": each}, user(QUESTION)]) for each in ("1", "2")]
    assert keys[0].text == keys[1].text == QUESTION
    assert keys[0] != keys[1]


def test_the_order_and_the_number_of_messages_count():
    turns = [user("a"), user("b"), {"role": "system", "content": "a"}, {"role": "developer", "content": "c"}]
    lists = [[*order, user(QUESTION)] for n in range(4) for order in itertools.permutations(turns, n)]
    prints = [HASHED(messages).attributes["fingerprint"] for messages in lists]
    assert len(set(prints)) == len(lists)


SINGLE = {
    "first question": ([OPENING], None),
    "instructions": ([{"role": "system", "content": "Be brief."}, OPENING], None),
    "a greeting": ([assistant("Hello!"), OPENING], None),
    "two of the user's": ([user("I am here."), OPENING], None),
    "instructions in between": ([user("Hi!"), {"role": "developer", "content": "Be kind."}, OPENING], None),
    "follow-up": ([OPENING, assistant("From nine to five."), user(QUESTION)], "conversation"),
    "follow-up after a greeting": (
        [assistant("Hello!"), OPENING, {"role": "model", "content": "Nine."}, user(QUESTION)],
        "conversation",
    ),
    "a tool's turn": ([OPENING, {"role": "tool", "content": "9"}, user(QUESTION)], "conversation"),
    "a function's turn": ([OPENING, {"role": "function", "content": "9"}, user(QUESTION)], "conversation"),
    "a role that is not known": (
        [OPENING, {"role": "critic", "content": "No."}, user(QUESTION)],
        "conversation",
    ),
    "an item": ([OPENING, {"type": "function_call", "call_id": "c"}, user(QUESTION)], "conversation"),
    "a tool's result": (
        [user([{"type": "tool_result", "content": "9"}]), user(QUESTION)],
        "conversation",
    ),
    "an object's turn": ([OPENING, Plain("ai", "Nine."), user(QUESTION)], "conversation"),
    "the assistant's turn": ([OPENING, assistant("Nine.")], "not the user's turn"),
    "the system's turn": ([OPENING, {"role": "system", "content": "Go."}], "not the user's turn"),
    "nobody's turn": ([], "not the user's turn"),
    "a result at the end": (
        [user([{"type": "tool_result", "content": "9"}, QUESTION])],
        "not the user's turn",
    ),
    "an image": ([user([IMAGE])], "no text"),
    "an empty text": ([user("")], "no text"),
    "spaces": ([user(" \n\u00a0")], "no text"),
    "no content": ([{"role": "user"}], "no text"),
    "a number": ([user(5)], "no text"),
    "a text that can't be sent": ([user("a \ud800")], "not JSON"),
    "audio": ([user([{"type": "input_audio", "input_audio": {"data": "AA"}}, QUESTION])], "audio"),
    "audio of the assistant": ([{**assistant("a"), "audio": {"id": "a1"}}, user(QUESTION)], "audio"),
    "audio of Gemini": (
        [{"role": "user", "parts": [{"file_data": Blob("audio/mp3")}, {"text": QUESTION}]}],
        "audio",
    ),
    "bytes": ([user([{"type": "image", "source": b"AA"}, QUESTION])], "not JSON"),
    "an object in it": ([{**user(QUESTION), "extra": object()}], "not JSON"),
    "not a number": ([{**user(QUESTION), "extra": float("nan")}], "not JSON"),
    "a list for a role": ([{"role": ["user"], "content": QUESTION}], "not the user's turn"),
    "a list for a type": ([{"type": ["human"], "content": QUESTION}], "not the user's turn"),
    "a list for the type of a part": ([user([{"type": ["text"], "text": QUESTION}])], "no text"),
    "no message": ([7], "unknown message"),
    "None": ([None, user(QUESTION)], "unknown message"),
    "an object without role": ([Plain(None, QUESTION)], "unknown message"),
    "a dict without role": ([{"content": QUESTION}], "unknown message"),
    "any other object": ([object()], "unknown message"),
    "a pair": ([("user", QUESTION)], "unknown message"),
}


@pytest.mark.parametrize(("messages", "reason"), SINGLE.values(), ids=SINGLE)
def test_what_is_looked_up_and_why_not(messages, reason):
    key = chat_key()(messages)
    if reason is None:
        assert key.text == OPENING["content"]
        assert len(key.attributes["fingerprint"]) == 64
    else:
        assert key == Key(None, reason=reason)
    if reason == "conversation":
        assert HASHED(messages).text == QUESTION


def test_a_greeting_before_the_first_question_counts():
    prints = {
        chat_key()([*before, OPENING]).attributes["fingerprint"]
        for before in ([], [assistant("Hello!")], [assistant("Hi!")], [user("Hello!")])
    }
    assert len(prints) == 4


TEXTS = st.text(min_size=1, max_size=12).filter(str.strip)
TURN = st.builds(
    lambda role, text: {"role": role, "content": text}, st.sampled_from(["user", "assistant"]), TEXTS
)


@settings(max_examples=40)
@given(st.lists(TURN, max_size=4), st.lists(TURN, max_size=4), TEXTS)
def test_no_two_conversations_share_in_either_mode(one, other, question):
    ours, theirs = ([*turns, user(question)] for turns in (one, other))
    assert (HASHED(ours) == HASHED(theirs)) is (ours == theirs)
    for key in (chat_key()(ours), chat_key()(theirs)):
        assert key.reason in (None, "conversation")
        if key.text is not None:
            assert key.text == question
    if ours != theirs and chat_key()(ours).text:
        assert chat_key()(ours) != chat_key()(theirs)


@pytest.mark.parametrize(
    "messages",
    [None, 5, b"text", {"role": "user"}, {user}, iter([]), object()],
    ids=lambda given: type(given).__name__,
)
def test_what_is_no_list_of_messages_is_refused(messages):
    with pytest.raises(TypeError, match="messages: must be a list of messages, or the text of one, but is"):
        chat_key()(messages)


# `text=`: the part that is looked up


TEMPLATE = "Answer from the context.\n\nContext: {context}\n\nQuestion: {question}"


def after_question(text):
    return text.rpartition("Question: ")[2] or None


def rag(context, question):
    return [user(TEMPLATE.format(context=context, question=question))]


def test_in_a_template_the_question_is_looked_up_and_the_rest_is_hashed():
    key = chat_key(text=after_question)
    one = key(rag("Open from nine to five.", "When do you open?"))
    assert one.text == "When do you open?"
    assert key(rag("Open from nine to five.", "What are your hours?")).attributes == one.attributes
    assert key(rag("Open from ten to five.", "When do you open?")).attributes != one.attributes
    assert chat_key()(rag("Open.", "When?")).text == rag("Open.", "When?")[0]["content"]


@settings(max_examples=40)
@given(TEXTS, TEXTS, TEXTS, TEXTS)
def test_what_stands_around_the_part_counts(before, after, more, question):
    def asked(text):
        return chat_key(text=lambda whole: question)([user(text)])

    whole = f"{before}{question}{after}"
    ours = asked(whole)
    for other in (f"{before}{more}{question}{after}", f"{before}{question}{more}{after}", f"{whole}{more}"):
        assert asked(other) != ours
    plain = chat_key()([user(question)])
    assert asked(whole) != plain
    assert asked(question) == plain


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        (None, "no text"),
        ("", "no text"),
        ("  ", "no text"),
        ("another", ValueError),
        (b"Sundays", TypeError),
        (7, TypeError),
    ],
    ids=repr,
)
def test_what_the_function_returns_must_be_a_part_of_the_text(returned, expected):
    key = chat_key(text=lambda text: returned)
    messages = [user("On  Sundays?")]
    if isinstance(expected, str):
        assert key(messages) == Key(None, reason=expected)
    else:
        with pytest.raises(expected, match="text: must return") as raised:
            key(messages)
        assert "Sundays" not in str(raised.value)


def test_an_error_of_the_function_is_the_programs():
    with pytest.raises(ZeroDivisionError):
        chat_key(text=lambda text: 1 / 0)([OPENING])


def test_the_attribute_may_have_another_name():
    assert [*chat_key(attribute="context")([OPENING]).attributes] == ["context"]


def test_messages_are_left_as_they_are():
    messages = [
        {"role": "human", "id": "m1", "content": [{"text": QUESTION, "cache_control": {}}], "name": None},
    ]
    before = repr(messages)
    assert HASHED(messages).text == QUESTION
    assert repr(messages) == before
