"""Cache-aside: the types and options of `get_or_set`, `get_or_stream` and `cached`.

Each name is loaded when it is first used, so that programs that don't use it don't load it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_names

if TYPE_CHECKING:
    from ..matching.guard import difference, lexical_guard
    from .answers import Answer, AsyncAnswer, BlockingAnswer, CacheStatus, Lookup
    from .blocking_streams import BlockingAnswerStream
    from .codecs import Codec, JsonCodec, TextCodec
    from .judge import Ask, Judge, Score
    from .key import Key
    from .near import NearCache
    from .options import Accept, AsideConfig, CallOptions, Options, StoreIf
    from .scope import AttributeValue, encode_attributes, restore_attributes
    from .shadow import Compare, Shadow
    from .sources import Sources
    from .stats import Spending, Stats
    from .steps import AsyncLookup, BlockingLookup
    from .streams import AnswerStream
    from .typed import CachedBlockingFunction, CachedFunction, CachedStream
    from .usage import Price, Usage, UsageOf

__all__ = [
    "Accept",
    "Answer",
    "AnswerStream",
    "AsideConfig",
    "Ask",
    "AsyncAnswer",
    "AsyncLookup",
    "AttributeValue",
    "BlockingAnswer",
    "BlockingAnswerStream",
    "BlockingLookup",
    "CacheStatus",
    "CachedBlockingFunction",
    "CachedFunction",
    "CachedStream",
    "CallOptions",
    "Codec",
    "Compare",
    "JsonCodec",
    "Judge",
    "Key",
    "Lookup",
    "NearCache",
    "Options",
    "Price",
    "Score",
    "Shadow",
    "Sources",
    "Spending",
    "Stats",
    "StoreIf",
    "TextCodec",
    "Usage",
    "UsageOf",
    "difference",
    "encode_attributes",
    "lexical_guard",
    "restore_attributes",
]

_MODULE_OF = {
    "Accept": "options",
    "Answer": "answers",
    "AnswerStream": "streams",
    "AsideConfig": "options",
    "Ask": "judge",
    "AsyncAnswer": "answers",
    "AsyncLookup": "steps",
    "AttributeValue": "scope",
    "BlockingAnswer": "answers",
    "BlockingAnswerStream": "blocking_streams",
    "BlockingLookup": "steps",
    "CacheStatus": "answers",
    "CachedBlockingFunction": "typed",
    "CachedFunction": "typed",
    "CachedStream": "typed",
    "CallOptions": "options",
    "Codec": "codecs",
    "Compare": "shadow",
    "JsonCodec": "codecs",
    "Judge": "judge",
    "Key": "key",
    "NearCache": "near",
    "Lookup": "answers",
    "Options": "options",
    "Price": "usage",
    "Score": "judge",
    "Shadow": "shadow",
    "Sources": "sources",
    "Spending": "stats",
    "Stats": "stats",
    "StoreIf": "options",
    "TextCodec": "codecs",
    "Usage": "usage",
    "UsageOf": "usage",
    "difference": ".matching.guard",
    "encode_attributes": "scope",
    "lexical_guard": ".matching.guard",
    "restore_attributes": "scope",
}

if not TYPE_CHECKING:  # so that type checkers still report wrong names
    __getattr__ = lazy_names(__name__, _MODULE_OF)
