"""Cache-aside on top of the operations: what `get_or_set`, `cached`, `scoped` and the like work with.

What is imported from here is loaded when it is asked for: programs that don't use it don't pay for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_names

if TYPE_CHECKING:
    from .answers import Accept, Answer, AsideConfig, CacheStatus, CallOptions, Options
    from .codecs import Codec, JsonCodec, TextCodec
    from .decorator import CachedBlockingFunction, CachedFunction, CachedStream
    from .guard import difference, lexical_guard
    from .many import Batch, Result
    from .scope import AttributeValue, encode_attributes, restore_attributes
    from .stats import Stats
    from .streams import AnswerStream

__all__ = [
    "Accept",
    "Answer",
    "AnswerStream",
    "AsideConfig",
    "AttributeValue",
    "Batch",
    "CacheStatus",
    "CachedBlockingFunction",
    "CachedFunction",
    "CachedStream",
    "CallOptions",
    "Codec",
    "JsonCodec",
    "Options",
    "Result",
    "Stats",
    "TextCodec",
    "difference",
    "encode_attributes",
    "lexical_guard",
    "restore_attributes",
]

_HOME = {
    "Accept": "answers",
    "Answer": "answers",
    "AnswerStream": "streams",
    "AsideConfig": "answers",
    "AttributeValue": "scope",
    "Batch": "many",
    "CacheStatus": "answers",
    "CachedBlockingFunction": "decorator",
    "CachedFunction": "decorator",
    "CachedStream": "decorator",
    "CallOptions": "answers",
    "Codec": "codecs",
    "JsonCodec": "codecs",
    "Options": "answers",
    "Result": "many",
    "Stats": "stats",
    "TextCodec": "codecs",
    "difference": "guard",
    "encode_attributes": "scope",
    "lexical_guard": "guard",
    "restore_attributes": "scope",
}

if not TYPE_CHECKING:  # so that type checkers go on reporting every wrong name
    __getattr__ = lazy_names(__name__, _HOME)
