"""The WordPiece tokenizer of BERT models, for which no package is needed."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

__all__ = ["WordPiece", "read_vocabulary"]

_LONGEST_WORD = 100
"""A longer word is unknown to every BERT model."""

_MOST_REMEMBERED = 10_000
"""For how many characters a table keeps what it has looked up."""


def read_vocabulary(path: Path) -> dict[str, int]:
    """The number of each piece in a ``vocab.txt``, which has one piece in each line."""
    # Not splitlines(): it would end a line at pieces that are separators to Unicode.
    pieces = path.read_text("utf-8").removesuffix("\n").split("\n")
    return {piece: number for number, piece in enumerate(pieces)}


class WordPiece:
    """Splits a text into words, and each word into the longest pieces that the vocabulary has.

    Gives what the package ``tokenizers`` gives for the same model, apart from one thing: ``[SEP]`` and the
    like in a text are text, not signs to the model. Raises `ValueError` for a vocabulary that lacks
    ``[UNK]``, ``[CLS]`` or ``[SEP]``.
    """

    def __init__(
        self,
        vocabulary: Mapping[str, int],
        *,
        lowercase: bool = True,
        strip_accents: bool | None = None,
        split_chinese: bool = True,
    ) -> None:
        missing = [piece for piece in ("[UNK]", "[CLS]", "[SEP]") if piece not in vocabulary]
        if missing:
            raise ValueError(f"the vocabulary has no {', '.join(missing)}, so it is not one of a BERT model")
        self._vocabulary = vocabulary
        self._longest = max(map(len, vocabulary))
        self._cleaned = _Cleaned(split_chinese)
        self._strips_accents = lowercase if strip_accents is None else strip_accents
        self._split = _Split(lowercase, self._strips_accents)
        self._unknown = vocabulary["[UNK]"]
        self.before: list[int] = [vocabulary["[CLS]"]]
        """The numbers of the pieces that stand before each text."""
        self.after: list[int] = [vocabulary["[SEP]"]]
        """The numbers of the pieces that stand after each text."""

    def encode(self, text: str) -> list[int]:
        """The numbers of the pieces of a text."""
        numbers: list[int] = []
        for word, pieces in self.words(text):
            if not pieces:
                numbers.append(self._unknown)
            elif len(pieces) == 1:
                numbers.append(self._vocabulary[word])
            else:
                numbers.append(self._vocabulary[pieces[0]])
                numbers.extend(self._vocabulary[f"##{piece}"] for piece in pieces[1:])
        return numbers

    def words(self, text: str) -> Iterator[tuple[str, Sequence[str]]]:
        """Each word of a text, as the model gets it, with its pieces. An unknown word has none."""
        text = text.translate(self._cleaned)
        if self._strips_accents and not text.isascii():
            text = unicodedata.normalize("NFD", text)
        for word in text.translate(self._split).split():
            yield word, self._pieces(word)

    def _pieces(self, word: str) -> Sequence[str]:
        if len(word) > _LONGEST_WORD:
            return ()
        if word in self._vocabulary:
            return (word,)
        pieces: list[str] = []
        start = 0
        while start < len(word):
            mark = "##" if start else ""
            for end in range(min(len(word), start + self._longest), start, -1):
                if mark + word[start:end] in self._vocabulary:
                    break
            else:
                return ()
            pieces.append(word[start:end])
            start = end
        return pieces


class _Table(dict[int, str]):
    """What `str.translate` puts in place of each character; looked up once for each."""

    def __missing__(self, number: int) -> str:
        text = self.look_up(chr(number))
        if len(self) < _MOST_REMEMBERED:
            self[number] = text
        return text

    def look_up(self, character: str) -> str:
        raise NotImplementedError


class _Cleaned(_Table):
    """Drops control characters, makes each space a plain one, and sets spaces around Chinese characters."""

    def __init__(self, split_chinese: bool) -> None:
        super().__init__()
        self._split_chinese = split_chinese

    def look_up(self, character: str) -> str:
        if character in "\t\n\r":
            return " "
        if character == "\N{REPLACEMENT CHARACTER}" or unicodedata.category(character) in ("Cc", "Cf", "Co"):
            return ""
        if character.isspace():
            return " "
        return f" {character} " if self._split_chinese and _is_chinese(character) else character


class _Split(_Table):
    """Makes a character lower-case, drops accents, and sets spaces around punctuation."""

    def __init__(self, lowercase: bool, strip_accents: bool) -> None:
        super().__init__()
        self._lowercase = lowercase
        self._strip_accents = strip_accents

    def look_up(self, character: str) -> str:
        category = unicodedata.category(character)
        if self._strip_accents and category == "Mn":
            return ""
        if category[0] == "P" or character in "$+<=>^`|~":
            return f" {character} "
        return character.lower() if self._lowercase else character


_CHINESE = (
    *((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x2A6DF)),
    *((0x2A700, 0x2B73F), (0x2B740, 0x2B81F), (0x2B920, 0x2CEAF), (0x2F800, 0x2FA1F)),
)
"""What BERT's tokenizer takes for Chinese characters."""


def _is_chinese(character: str) -> bool:
    return any(first <= ord(character) <= last for first, last in _CHINESE)
