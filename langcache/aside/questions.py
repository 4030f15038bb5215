"""Makes the question of a call: checks its arguments, and says whether the cache may be asked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping
from typing import Any, TypeVar

from .._call import protocol
from ..limits import LimitError
from .answers import CacheStatus, Lookup
from .codecs import TEXT, TEXT_CHUNKS, Codec, check_codec
from .computing import check_make
from .functions import ByExactValue, computation_key, plain_key
from .key import Asked, Key, is_messages_key, read_key
from .lookups import BYPASS
from .options import CallOptions, Options, check_room
from .question import Question
from .scope import AttributeValue, Scope, encode_attributes
from .state import State

__all__ = ["Questions"]

T = TypeVar("T")

_PLAIN = frozenset({str, int, float, bool, type(None)})
_MOST_OPTIONS = 64


class Questions:
    """Makes the questions of one client and its scopes.

    Args:
        state: what the calls of the client share.
        added: the names of attributes that are added to each entry.
        enabled: False to never ask the cache.
    """

    def __init__(self, state: State, added: Collection[str], *, enabled: bool) -> None:
        self._state = state
        self._added = added
        self._enabled = enabled
        self._options: dict[Hashable, Options] = {}
        """The latest options of calls, by their names, values and types."""

    def of_call(
        self,
        method: str,
        scope: Scope | None,
        prompt: Any,
        make: object,
        key: Callable[[Any], str | Key | None] | None,
        codec: Codec[Any] | None,
        attributes: Mapping[str, AttributeValue] | None,
        options: CallOptions,
    ) -> Question[Any]:
        """Make the question of a call of `get_or_set`, `get_or_stream` or `look_up`.

        ``codec`` is None for text; of `get_or_stream`, for chunks of text. Raises as `question` does.
        """
        check_make(method, make, blocking=self._state.execution.is_blocking)
        if key is not None and not callable(key):
            raise TypeError(f"key: must be a function of the prompt, but is {type(key).__name__}")
        return self.question(
            method,
            scope,
            read_key(prompt if key is None else key(prompt), attributes, by_key=key is not None),
            make,
            codec or (TEXT_CHUNKS if method == "get_or_stream" else TEXT),
            self._checked(method, options) if options else Options.DEFAULT,
            None if key is None or is_messages_key(key) else ByExactValue(prompt),
        )

    def question(
        self,
        method: str,
        scope: Scope | None,
        asked: Asked,
        make: object,
        codec: Codec[T],
        options: Options,
        arguments: Hashable = None,
        refusal: TypeError | None = None,
    ) -> Question[T]:
        """Check the arguments of a `get_or_set`, `get_or_stream` or `cached` call and make its question.

        Args:
            method: the name of the method.
            scope: the client's scope, or None.
            asked: the text to look up and the attributes, or why the cache is not asked.
            make: the function that computes the answer, or the answer itself.
            codec, options: those of the call.
            arguments: the arguments of ``make``, if they may differ for the same text.
            refusal: why the function must not use the cache, if that is already known: it would get another
                function's answers.

        Raises:
            TypeError, ValueError: an argument breaks a rule. A text that is too long raises only with
                ``on_long_prompt="raise"``, one that is otherwise invalid only with ``on_error="raise"``.
        """
        config = self._state.config
        given: object = codec
        if given is not TEXT:
            check_codec(codec)
        plain = plain_key(make)
        computation = options.function or plain or computation_key(make)
        question = Question(
            method,
            asked.text or "",
            self.encoded_attributes(scope, asked.attributes, make, options),
            codec,
            options,
            make,
            computation if arguments is None else (computation, arguments),
            (options.on_error or config.on_error) == "raise",
            options.lookup_timeout or config.lookup_timeout,
        )
        question.outcome = self._outcome_without_lookup(question, asked)
        claims = self._state.claims
        question.claimed = plain is not None and claims.is_checked(
            plain, options.function, codec, question.attributes
        )
        if question.outcome is None and not (question.claimed and refusal is None):
            refusal = refusal or claims.check(make, options.function, codec, question.attributes)
            if refusal is not None:
                question.outcome = self._refused_outcome(question, refusal)
        return question

    def _checked(self, method: str, options: CallOptions) -> Options:
        """The options of a call, checked. Of plain values it is done once, since most calls have the same."""
        values = options.values()
        kinds = tuple(map(type, values))
        if not _PLAIN.issuperset(kinds):  # functions are not kept, nor what they hold
            return Options.of(method, options, self._state.limits, self._state.config)
        key = (*options, *values, *kinds)
        checked = self._options.get(key)
        if checked is None:
            checked = Options.of(method, options, self._state.limits, self._state.config)
            if len(self._options) >= _MOST_OPTIONS:
                self._options.clear()
            self._options[key] = checked
        return checked

    def encoded_attributes(
        self,
        scope: Scope | None,
        attributes: Mapping[str, AttributeValue] | None,
        make: object,
        options: Options,
    ) -> frozenset[tuple[str, str]] | None:
        """All attributes of a call, as `question` takes them. Raises as it does."""
        claims, limits = self._state.claims, self._state.limits
        if not attributes and scope is None and claims.attribute is None:
            return None
        encoded = encode_attributes(attributes or {})
        claims.add_name(encoded, make, options.function)
        if scope is not None:
            encoded = scope.merge(encoded)
        checked = limits.attribute_map(encoded)
        if self._added:
            check_room(limits, encoded, self._state.config, options)
        return None if checked is None else frozenset(checked.items())

    def _refused_outcome(self, question: Question[Any], refusal: TypeError) -> Lookup:
        """The outcome for a function that would get another function's answers."""
        if question.raises_errors:
            raise refusal
        self._state.log.warn(("refused", str(question)), "the cache is not asked: %s", refusal)
        return Lookup(status=CacheStatus.BYPASS, reason="another function", error=refusal)

    def _outcome_without_lookup(self, question: Question[Any], asked: Asked) -> Lookup | None:
        """The outcome, if the cache must not be asked; else None, and ``question.request`` is set."""
        options = question.options
        if options.bypass:
            return BYPASS["asked"]
        if not self._enabled:
            return BYPASS["disabled"]
        if asked.text is None:
            if asked.reason is not None:
                return Lookup(status=CacheStatus.BYPASS, reason=asked.reason)
            return BYPASS["no question"]
        try:
            question.request = protocol.search(
                self._state.limits,
                asked.text,
                options.similarity_threshold,
                options.search_strategies,
                None if question.attributes is None else dict(sorted(question.attributes)),
                options.max_results,
            )
        except (TypeError, ValueError) as error:
            too_long = isinstance(error, LimitError) and (error.argument, error.rule) == ("prompt", "max")
            if too_long and options.on_long_prompt == "bypass":
                return BYPASS["long prompt"]
            if too_long or question.raises_errors:
                raise
            self._state.record_failure(question, error)
            return Lookup(status=CacheStatus.ERROR, error=error)
        return None
