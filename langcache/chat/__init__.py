"""What makes two LLM requests one question: keys for lists of messages and for requests to providers.

Each name is loaded when it is first used, so that programs that don't use it don't load it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_names

if TYPE_CHECKING:
    from .keys import ChatKey, chat_key, request_key
    from .messages import Text, Turns
    from .requests import Api

__all__ = ["Api", "ChatKey", "Text", "Turns", "chat_key", "request_key"]

_MODULE_OF = {
    "Api": "requests",
    "ChatKey": "keys",
    "Text": "messages",
    "Turns": "messages",
    "chat_key": "keys",
    "request_key": "keys",
}

if not TYPE_CHECKING:  # so that type checkers still report wrong names
    __getattr__ = lazy_names(__name__, _MODULE_OF)
