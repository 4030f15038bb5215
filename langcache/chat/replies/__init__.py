"""Replies of the APIs: may one be stored, what it cost, and how it is given again, whole or as a stream."""

from __future__ import annotations

from .anthropic_messages import AnthropicMessages
from .format import Collector, Json, ReplyFormat
from .gemini import Gemini
from .openai_chat import OpenAIChat
from .openai_responses import OpenAIResponses

__all__ = ["FORMATS", "Collector", "Json", "ReplyFormat"]

FORMATS: dict[str, ReplyFormat] = {
    "openai.chat": OpenAIChat(),
    "openai.responses": OpenAIResponses(),
    "anthropic.messages": AnthropicMessages(),
    "gemini": Gemini(),
}
"""How the replies of each API are read and given again."""
