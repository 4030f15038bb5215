"""Replies of OpenAI's Responses API, as the adapter for OpenAI Agents stores them and gives them again."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import Any

from agents import ModelResponse, Usage
from openai.types import responses as openai

from .asking import Reply

__all__ = ["events_of", "message_of", "reply_of", "response_of"]

FAKE_ID = "__fake_id__"
"""That of the SDK for what has none. It is not sent to a provider."""


def response_of(made: openai.Response) -> ModelResponse:
    """The response that a stream ended with, in the form of one that is no stream."""
    used = made.usage
    usage = Usage()
    if used is not None:
        usage = Usage(
            requests=1,
            input_tokens=used.input_tokens,
            input_tokens_details=used.input_tokens_details,
            output_tokens=used.output_tokens,
            output_tokens_details=used.output_tokens_details,
            total_tokens=used.total_tokens,
        )
    return ModelResponse(output=made.output, usage=usage, response_id=made.id)


def reply_of(response: ModelResponse, model: str) -> Reply | None:
    """What to store of a response; None if it may not be stored."""
    items = [item for item in response.output if item.type != "reasoning"]
    if not items or not all(item.type == "message" and item.status == "completed" for item in items):
        return None
    parts = [part for item in items for part in item.content]
    if not all(part.type == "output_text" for part in parts) or not any(part.text for part in parts):
        return None
    usage = response.usage
    known = bool(usage.total_tokens or usage.input_tokens or usage.output_tokens)
    cached = usage.input_tokens_details.cached_tokens or 0
    return Reply(
        [part.model_dump(mode="json", include={"text", "annotations"}) for part in parts],
        model or None,
        {},
        max(usage.input_tokens - cached, 0) if known else None,
        usage.output_tokens if known else None,
    )


def message_of(outcome: Any) -> openai.ResponseOutputMessage:
    """The message of a hit, without an id of the provider."""
    parts = [
        openai.ResponseOutputText(type="output_text", logprobs=[], **part) for part in outcome.value.content
    ]
    return openai.ResponseOutputMessage(
        id=FAKE_ID, content=parts, role="assistant", status="completed", type="message"
    )


def events_of(outcome: Any) -> Iterator[Any]:
    """The events of a stream of the answer of a hit. It has no usage, since no request was made."""
    message = message_of(outcome)
    numbers = itertools.count()

    def event(kind: Any, name: str, **fields: Any) -> Any:
        return kind(type=f"response.{name}", sequence_number=next(numbers), **fields)

    made = openai.Response(
        id=FAKE_ID,
        created_at=time.time(),
        model=outcome.value.model or "",
        object="response",
        output=[],
        tools=[],
        tool_choice="auto",
        parallel_tool_calls=False,
        status="in_progress",
    )
    begun = message.model_copy(update={"content": [], "status": "in_progress"})
    place: dict[str, Any] = {"item_id": FAKE_ID, "output_index": 0}
    yield event(openai.ResponseCreatedEvent, "created", response=made)
    yield event(openai.ResponseOutputItemAddedEvent, "output_item.added", item=begun, output_index=0)
    for index, part in enumerate(message.content):
        at = {**place, "content_index": index}
        empty = part.model_copy(update={"text": "", "annotations": []})
        text = {"logprobs": [], **at}
        yield event(openai.ResponseContentPartAddedEvent, "content_part.added", part=empty, **at)
        yield event(openai.ResponseTextDeltaEvent, "output_text.delta", delta=part.text, **text)
        yield event(openai.ResponseTextDoneEvent, "output_text.done", text=part.text, **text)
        yield event(openai.ResponseContentPartDoneEvent, "content_part.done", part=part, **at)
    yield event(openai.ResponseOutputItemDoneEvent, "output_item.done", item=message, output_index=0)
    done = made.model_copy(update={"output": [message], "status": "completed"})
    yield event(openai.ResponseCompletedEvent, "completed", response=done)
