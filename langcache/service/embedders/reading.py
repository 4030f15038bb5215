"""The rule by which a model that splits words into pieces can read a text."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

__all__ = ["READABLE_SHARE", "can_read", "is_letter"]

READABLE_SHARE = 0.6
"""Measured with the questions in quality_languages.tsv: below it, unrelated questions begin to hit."""

_SIGNS_FOR_WORDS = (("\u3040", "\u30ff"), ("\u3400", "\u9fff"), ("\uac00", "\ud7a3"))
"""Kana, Chinese characters and Hangul: one of them can be a word, or a part of one that has a meaning."""


def can_read(words: Iterable[tuple[str, Sequence[str]]], least_letters: int, *, signs: bool) -> bool:
    """Whether pieces with a meaning make up at least 60 % of the letters of a text.

    ``words`` has each word with its pieces; an unknown word has none. A piece has a meaning if it is a whole
    word or has ``least_letters``, since words that are spelled in shorter pieces all look alike to a model.
    With ``signs``, so has a single kana, Chinese character or Hangul syllable. An emoji counts as a letter.
    A text can't be read if it has no letters, or an unknown word with letters: to the model, all texts that
    differ in that word alone are the same text.
    """
    letters = read = 0
    for word, pieces in words:
        in_word = sum(map(is_letter, word))
        letters += in_word
        if not pieces:
            if any(unicodedata.category(character)[0] in "LN" for character in word):
                return False
        elif len(pieces) == 1 and not (len(word) == 1 and _stands_for_a_word(word)):
            read += in_word
        else:
            for piece in pieces:
                in_piece = sum(map(is_letter, piece))
                if in_piece >= least_letters or (signs and len(piece) == 1 and _stands_for_a_word(piece)):
                    read += in_piece
    return read > 0 and read >= READABLE_SHARE * letters


def is_letter(character: str) -> bool:
    """Whether a character is a letter, a mark on one, or a picture such as an emoji, which is like a word."""
    category = unicodedata.category(character)
    return category[0] in ("L", "M") or category == "So"


def _stands_for_a_word(character: str) -> bool:
    return any(first <= character <= last for first, last in _SIGNS_FOR_WORDS)
