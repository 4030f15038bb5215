"""What users say of all their requests: which are looked up, by what text, with which attributes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias, cast

from ..aside.key import Key
from ..aside.options import Options
from ..aside.scope import AttributeValue, encode_attributes
from ..models import SearchStrategy
from .canonical import fingerprint
from .keys import check_rules
from .messages import Text, Turns

__all__ = ["Attributes", "Rules", "When"]

When: TypeAlias = Callable[[Any], object]
"""Called with a request; if it returns False, the cache is not asked."""

Attributes: TypeAlias = Mapping[str, AttributeValue] | Callable[[Any], Mapping[str, AttributeValue]]
"""Attributes of all questions, or a function of the request that returns them."""

_LONGEST_QUESTION = 200
_EXACT = (SearchStrategy.EXACT,)


class Rules(NamedTuple):
    """What `langcache.http.cached_http` and the adapters are given alike."""

    when: When | None = None
    text: Text | None = None
    attributes: Attributes | None = None
    turns: Turns = "single"
    attribute: str = "fingerprint"

    @classmethod
    def checked(cls, **given: Any) -> Rules:
        """The rules. Raises `TypeError` or `ValueError`, which name the argument, if one breaks its own."""
        rules = cls(**given)
        if rules.when is not None and not callable(rules.when):
            raise TypeError(f"when: must be a function of a request, but is {type(rules.when).__name__}")
        attributes: object = rules.attributes
        if isinstance(attributes, Mapping):
            encode_attributes(cast("Mapping[str, AttributeValue]", attributes))
        elif attributes is not None and not callable(attributes):
            kind = type(attributes).__name__
            raise TypeError(f"attributes: must be a mapping, or a function that returns one, but is {kind}")
        check_rules(rules.turns, rules.text, rules.attribute)
        return rules

    def check_with(self, cache: Any, options: Options) -> None:
        """Raise `ValueError`, as each request would, if the cache and the attributes don't go together.

        Args:
            cache: the client, or a scope of one.
            options: those of its calls, ``function`` among them.
        """
        attributes: object = self.attributes
        fixed: Mapping[str, AttributeValue] = {}  # what a function returns is known with a request alone
        if isinstance(attributes, Mapping):
            fixed = cast("Mapping[str, AttributeValue]", attributes)
        in_scope: Mapping[str, AttributeValue] = {} if cache._scope is None else cache._scope.attributes
        for where, given in (("attributes=", fixed), ("the scope of the cache", in_scope)):
            if self.attribute in given:
                raise ValueError(
                    f"attribute: {self.attribute!r} is to hold the fingerprint of each request, but has a "
                    f"value in {where} already; name another attribute that is declared with the cache"
                )
        every = {**fixed, self.attribute: "0" * 64}
        cache._aside.questions.encoded_attributes(cache._scope, every, None, options)

    def key(self, request: Any, key_of: Callable[[], Key], options: dict[str, Any]) -> Key:
        """The key of a request, with whose attributes and strategies the options are completed.

        Args:
            request: what the functions of the user are called with.
            key_of: makes the key, if it is needed.
            options: those of the call to cache-aside.
        """
        if self.when is not None and not self.when(request):
            return Key(None, reason="when")
        key = key_of()
        if key.text is None:
            return key
        options["attributes"] = self.attributes(request) if callable(self.attributes) else self.attributes
        if self.text is not None or "search_strategies" in options or not _may_be_template(key.text):
            return key
        # Two questions in one template are nearly the same text, which no comparison of meanings tells apart.
        # Only the very same one is found: an exact search is without case, so that the text is hashed too.
        options["search_strategies"] = _EXACT
        attributes = dict(key.attributes or {})
        attributes[self.attribute] = fingerprint([attributes.get(self.attribute), key.text])
        return Key(key.text, attributes)


def _may_be_template(text: str) -> bool:
    """Whether a text may be more than a question, such as what was found about it, with the question."""
    return len(text) > _LONGEST_QUESTION or len(text.splitlines()) > 1
