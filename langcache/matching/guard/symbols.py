"""What a text says in symbols: numbers with their signs, operators, flags, paths and words such as ``C++``.

A text is read token by token, once from its beginning to its end. What is ordinary punctuation there is no
token: what ends a sentence, quotes, brackets, the hyphens of compound words, dashes and bullets. The other
symbols are of three strengths: one of the first kind sets two texts apart if only one of them has it and the
other has no words for it (``operators``, ``terms``). One of the second kind counts only against another
operator in the other text (``weak``), and one of the third only against another of its own sort (``names``).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Set
from itertools import pairwise

from . import numbers, words

__all__ = ["Symbols", "apart"]

_OPENING = r"(?<![^\s\"'`(\[{,;=|/<>!])"
_TOKEN = re.compile(
    rf"""
    (?!\s)(?:  # nothing begins with a blank, and most of all is plain words: so that the rest is not tried
    (?P<plain>(?!(?i:{numbers.WRITTEN})\ )[^\W\d_]+(?=[.,?!]?(?:\ |$)))
    |(?P<link>https?://\S+)
    |(?P<email>(?<![\w.+-])[\w.+-]+@\w[\w-]*(?:\.\w[\w-]*)+)
    |(?P<escape>\\[A-Za-z](?![A-Za-z])|\\\w+)
    |(?P<charclass>\[\^?[A-Za-z]-[A-Za-z][\w-]*\])
    |(?P<format>(?<![\w%)\]])%[A-Za-z](?![A-Za-z]))
    |(?P<quoted>(?<!\w)(?P<quote>["'`])[^\w\s"'`]{{1,3}}(?P=quote)(?!\w))
    |(?P<tag></?[A-Za-z][\w-]{{0,20}}(?:\ ?/)?>)
    |(?P<face>(?<!\S)[:;]-?[()](?![\w(]))
    |(?P<path>(?<!\w)[A-Za-z]:[\\/](?!/)[\w\\./~-]*
        |{_OPENING}(?:(?:~|\.\.?)/|/(?=[A-Za-z_.]))[\w./~*-]*
        |(?<!\S)\.\.(?![\w.,;:!?]))
    |(?P<flag>(?<![^\s"'`(\[,=|])--?[A-Za-z][\w-]*)
    |(?P<sigil>{_OPENING}(?:\.|@|\#|\$\{{?|!|\*{{1,2}}|&{{1,2}}|\+{{1,2}}|~|\^)(?=[A-Za-z_])\w+
        |(?<!\w)__?(?=[A-Za-z])\w+(?!\w)(?<!_))
    |(?P<dotted>(?<![\w.])[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+)
    |(?P<date>{numbers.DATE})
    |(?P<number>{numbers.NUMBER})
    |(?P<attached>(?<!\w)[A-Za-z]'(?=\()
        |[^\W\d_]+(?:\+\+(?![A-Za-z_(])|--(?=[\s;)]|$)|[#+*](?![\w+*=#&|(\[$-])))
    |(?P<charged>(?<!\w)[A-Z][A-Za-z]?-(?![\w>=-]))
    |(?P<word>[^\W\d_]+(?:'[^\W\d_]+)*)
    |(?P<operator>
        <=>|===|!==|>>>|\*\*|&&|\|\||==|!=|<=|>=|=>|->|<-(?!\d)|<<|>>|:=|::|\+\+|=~|!~|~=|\|>
        |(?<=\w)\?(?:\.|\?=?)(?=[^\W\d])|(?<=\ )\?(?:\.|\?=?)(?=\ [a-z])
        |\+=|-=|\*=|/=|%=|\^=|\|=|&=|\{{\}}|\[\]|\[\[|\]\]|\{{\{{|\}}\}}|(?<!:)//|<>|[+*/=<>&|^~@\#\\]
        |\(\?<?[=!:]|(?<=\d)!(?=\ ?[-+*/=^)])
        |(?<=[\w)\]]\ )-(?=\ [\w(\[$.-])|(?<=[\d)])-(?=[\d(.$-])|(?<=\b\w)-(?=\w\b)
        |(?<=\w)%(?=\ ?[\w(])|(?<!\S)_(?!\S))
    |(?P<lone>(?<=\ )(?:[;:"'`,](?=\ |$)|[?!.](?=\ \w)))
    |(?P<sign>[^\x00-\x7f\w\s])
    )""",
    re.VERBOSE,
)
_NEVER_SAME_TURNED = frozenset(["-", "/", "<", ">", "<=", ">=", "^", "%", "<<", ">>", "->", "<-", "=>"])
_WEAK = frozenset("-=~&/")
_ARROWS = {"\u2192": "->", "\u21d2": "=>", "\u2190": "<-"}
_CODE = re.compile(r"(?<!\w)(?:[A-Za-z]+\d+[A-Za-z]\w*|[A-Za-z]{2,}(?:\+[A-Za-z]\w*)+)")  # H2O, Ctrl+C
_ABBREVIATED = re.compile(r"[kMGTm\u03bcunp]?(?:W|Wh|V|A|Hz|\u03a9|F|J|Pa|mol|bps|eV|N|T|s|L|l|m|g)")
_QUOTE = re.compile(r"(?<!\w)'|'(?!\w)|(?<=\d)'(?=\d)")
_SAME = {"**": "^", "<>": "!="}


class Symbols:
    """What one text, respelled, says in symbols."""

    def __init__(self, text: str) -> None:
        self.numbers: set[str] = set()
        self.units: set[str] = set()
        self.spelt: dict[str, set[str]] = {}
        """How numbers with a dot are written, by value: 1.50 and 1.5 are one number."""
        self.versions: set[str] = set()
        """The values of those that follow the name of something, which may be versions."""
        self.terms: set[str] = set()
        self.operators: set[str] = set()
        self.weak: set[str] = set()
        self.said: set[str] = set()
        """Operators of arithmetic in words, between two operands."""
        self.turned: set[tuple[str, str, str]] = set()
        """Operators whose operands can't change places, with them."""
        self.between: dict[tuple[str, str], set[str]] = {}
        """All operators, by their operands."""
        self.names: set[str] = set()
        """Names of files and hosts, links, addresses and tags."""
        self.pictures: set[str] = set()
        self.lone: set[str] = set()
        """Punctuation that is spoken of."""
        self.measures: dict[str, set[str]] = {}
        """The units of numbers, by value."""
        self._read(text)

    def _read(self, text: str) -> None:
        self.names.update(code.lower() for code in _CODE.findall(text))
        self._primes = {"\u2032": "foot", "\u2033": "inch"}
        if text.count('"') % 2:
            self._primes['"'] = "inch"  # not the end of a quotation
        if len(_QUOTE.findall(text)) % 2:
            self._primes["'"] = "foot"
        found = list(_TOKEN.finditer(text))
        kinds = ["word" if token["plain"] else token.lastgroup or "" for token in found]
        self._halves = {
            words.HALVES_OF_DAY[word]
            for token, kind in zip(found, kinds, strict=True)
            if kind == "word" and (word := token[0].lower()) in words.HALVES_OF_DAY
        }
        skip = -1
        for at, (token, kind) in enumerate(zip(found, kinds, strict=True)):
            if at <= skip:
                continue
            if kind == "number":
                skip = self._number(text, found, kinds, at)
            elif kind == "date":
                parts = re.split("[-/.]", token[0])
                self.numbers.add("-".join(part.lstrip("0") or "0" for part in parts))
            elif kind == "operator":
                self._operator(text, found, kinds, at)
            elif kind == "word":
                self._word(found, kinds, at)
            elif kind == "lone":
                if at and found[at - 1][0].lower() in words.SMALL_WORDS:  # what is ; for
                    self.lone.add(token[0])
            elif kind == "sign":
                self._sign(token[0])
            else:
                self._term(kind, token[0])

    def _number(self, text: str, found: list[re.Match[str]], kinds: list[str], at: int) -> int:
        """Take the number at a position in, and say which token is the last that belongs to it."""
        token = found[at]
        start, end = token.span()
        before = found[at - 1] if at else None
        after = found[at + 1] if at + 1 < len(found) else None
        listed = text[start - 1 : start] in tuple("[({") and text[end : end + 1] in tuple("])}")
        values = numbers.values(token, listed)
        half = (
            self._half_of_day(found, kinds, at) if token["digits"].isdigit() and not token["half"] else None
        )
        if half is not None:
            values = [half]
        if values[0].startswith("-") and before and kinds[at - 1] == "number" and start == before.end() + 1:
            values[0] = values[0][1:]  # 5 -3 takes 3 from 5
            self.operators.add("-")
        elif values[0].startswith("-") and token["minus"] != "-" and before and _is_operand(before):
            values[0] = values[0][1:]  # five minus 3
            self.said.add("-")
        if (
            after is not None
            and kinds[at + 1] == "operator"
            and after[0] == "/"
            and at + 2 < len(found)
            and kinds[at + 2] == "number"
            and after.start() - end <= 1
            and found[at + 2].start() - after.end() <= 1
        ):
            part = numbers.fraction(token["digits"], found[at + 2]["digits"])
            if part is not None:
                self._fraction(before if before and kinds[at - 1] == "number" else None, start, part)
                return at + 2
        self.numbers.update(values)
        word_after = after[0] if after is not None and kinds[at + 1] == "word" and _near(token, after) else ""
        unit = words.AFTER_NUMBERS.get(word_after, words.UNITS.get(word_after.lower()))
        if text[end : end + 1] in self._primes:
            unit = self._primes[text[end]]
        elif token["currency"]:
            unit = words.UNITS[token["currency"]]
        if unit is not None:
            self.units.add(unit)
        elif _ABBREVIATED.fullmatch(word_after):
            unit = word_after
        if unit is not None:
            self.measures.setdefault(values[-1], set()).add(unit)
        digits = token["digits"]
        if "." in digits and not token["half"] and len(values) == 1:
            written = digits
            while written.endswith(".0"):
                written = written.removesuffix(".0")
            self.spelt.setdefault(values[0], set()).add(written)
            is_name = before is not None and kinds[at - 1] == "word" and _near(before, token)
            if before and is_name and not token["currency"] and numbers.is_version(before[0], word_after):
                self.versions.add(values[0])
        return at

    def _half_of_day(self, found: list[re.Match[str]], kinds: list[str], at: int) -> str | None:
        """The time of day of a bare hour, if the text says elsewhere which half of the day it means."""
        before = found[at - 1][0].lower() if at and kinds[at - 1] == "word" else ""
        after = found[at + 1][0].lower() if at + 1 < len(found) and kinds[at + 1] == "word" else ""
        if (before == "at" or after == "o'clock") and len(self._halves) == 1:
            return numbers.time_of_day(found[at]["digits"], *self._halves)
        return None

    def _fraction(self, whole: re.Match[str] | None, start: int, part: str) -> None:
        if whole is not None and whole.end() + 1 == start and whole["digits"].isdigit():
            count = whole["digits"]
            self.numbers.discard(numbers.values(whole, listed=False)[0])
            part = count + part[1:] if part.startswith("0.") else f"{count} {part}"
        self.numbers.add(part)

    def _operator(self, text: str, found: list[re.Match[str]], kinds: list[str], at: int) -> None:
        token = found[at]
        name = _SAME.get(token[0], token[0])
        left = found[at - 1] if at and _near(found[at - 1], token) else None
        right = found[at + 1] if at + 1 < len(found) and _near(token, found[at + 1]) else None
        between_numbers = (
            left is not None and right is not None and kinds[at - 1] == kinds[at + 1] == "number"
        )
        tight = (
            not text[max(0, token.start() - 1)].isspace()
            and not text[token.end() : token.end() + 1].isspace()
        )
        if name == "#" and right is not None and kinds[at + 1] == "number":
            return  # the number of something
        if name == "/" and left and right and {left[0].lower(), right[0].lower()} <= words.UNITS.keys():
            self.turned.add((name, left[0].lower(), right[0].lower()))  # EUR/USD
        if name in ("/", "&") and tight and _is_prose(left) and _is_prose(right):
            return  # and/or, R&D
        if name == "%" and (left is None or right is None or not tight):
            return  # a percent sign, which is a unit
        strong = (
            (name == "/" and between_numbers)
            or (name == "&" and (left is None or right is None))
            or (name == "~" and (right is None or kinds[at + 1] != "number"))
        )
        (self.weak if name in _WEAK and not strong else self.operators).add(name)
        if left is not None and right is not None:
            one, other = left[0].lower(), right[0].lower()
            short = max(len(one), len(other)) == 1 or between_numbers
            self.between.setdefault((one, other), set()).add(name)
            if one != other and name in _NEVER_SAME_TURNED and (name not in "-/" or short):
                self.turned.add((name, one, other))

    def _word(self, found: list[re.Match[str]], kinds: list[str], at: int) -> None:
        token = found[at]
        word = token[0].lower()
        before = found[at - 1][0] if at and kinds[at - 1] in ("word", "number") else ""
        if word in words.NUMBERS:
            first = before.lower() in ("minus", "negative") and not (
                at > 1 and (kinds[at - 2] == "number" or found[at - 2][0].lower() in words.NUMBERS)
            )
            self.numbers.add("-" * first + words.NUMBERS[word])
        elif word in words.TIMES:
            self.numbers.add(words.TIMES[word])
        elif word in words.RAISED and len(before) == 1:
            self.operators.add("^")
            self.numbers.add(words.RAISED[word])
        elif (
            word in words.ARITHMETIC
            and 0 < at < len(found) - 1
            and _is_operand(found[at - 1])
            and (_is_operand(found[at + 1]) or found[at + 1][0] == "by")
        ):
            self.said.add(words.ARITHMETIC[word])
        elif token[0] in ("C", "F") and before in ("in", "to") and self.units & {"celsius", "fahrenheit"}:
            self.units.add(words.AFTER_NUMBERS[token[0]])
        elif word == "x" and 0 < at < len(found) - 1 and kinds[at - 1] == kinds[at + 1] == "number":
            self.operators.add("*")  # 1920 x 1080
        elif (number := numbers.roman(token[0], before)) is not None:
            self.numbers.add(number)

    def _sign(self, sign: str) -> None:
        category = unicodedata.category(sign)
        if sign in _ARROWS:
            self.weak.add(_ARROWS[sign])
        elif category == "So":
            self.pictures.add(sign)
        elif category in ("Sm", "Sc") and sign not in words.UNITS:
            (self.weak if "\u2190" <= sign <= "\u21ff" else self.operators).add(sign)

    def _term(self, kind: str, term: str) -> None:
        if kind == "quoted":
            term = term[1:-1]
            (self.weak if set(term) <= set(".,:;!?()") else self.operators).add(_SAME.get(term, term))
        elif kind == "face":
            self.pictures.add(term.replace("-", ""))
        elif kind in ("link", "email", "tag", "dotted"):
            term = term.lower().rstrip(".,;:!?)\"'/")
            if any(len(part) > 1 for part in term.split(".")):  # not e.g. or U.S.
                self.names.add(term)
        elif kind == "path":
            bare = term.rstrip("/") if len(term.rstrip("/")) > 2 else term
            self.terms.add((bare if bare.endswith("..") else bare.rstrip(".")).lower())
        elif kind in ("escape", "charclass", "format"):
            self.terms.add(term)
        elif kind == "flag" and not term.startswith("--") and len(term) <= 4 and term[1:].isalpha():
            self.terms.update("-" + letter for letter in term[1:])  # -la is -l -a, and case matters
        elif kind == "sigil" and term[0] == "." and term[1:].lower() in words.SAYS_NOTHING:
            return  # a sentence after a full stop that stands apart
        else:
            self.terms.add(term.lower())


def _is_operand(token: re.Match[str]) -> bool:
    return token.lastgroup == "number" or len(token[0]) == 1 or token[0].lower() in words.NUMBERS


def _near(one: re.Match[str], other: re.Match[str]) -> bool:
    return other.start() - one.end() <= 1


def _is_prose(token: re.Match[str] | None) -> bool:
    return token is not None and token[0].isalpha()


def apart(ours: Symbols, theirs: Symbols, our_words: list[str], their_words: list[str]) -> str | None:
    """What sets two texts apart in their symbols, numbers and units aside; None for nothing."""
    for value in ours.spelt.keys() & theirs.spelt.keys():
        here, there = ours.spelt[value], theirs.spelt[value]
        if value in ours.versions | theirs.versions and not here & there:
            return f"versions: {min(here)} against {min(there)}"
    for value in ours.measures.keys() & theirs.measures.keys():
        here, there = ours.measures[value], theirs.measures[value]
        if not here & there:
            return f"units: {value} {min(here)} against {value} {min(there)}"
    our_runs, their_runs = _runs(our_words), _runs(their_words)
    for one, other, runs, own in (
        (ours, theirs, their_runs, our_runs),
        (theirs, ours, our_runs, their_runs),
    ):
        for term in one.terms - other.terms:
            if not _is_said(term, runs):
                return f"symbols: {term} only in one"
        strong = one.operators - other.operators - other.weak
        if unsaid := _unsaid(strong, runs - own):
            return f"symbols: {_shown(unsaid)} only in one"
        there = (other.operators | other.weak) - one.operators - one.weak or other.said
        unsaid = _unsaid(one.weak - other.weak - other.operators, runs - own)
        if unsaid and there:
            return f"symbols: {_shown(unsaid)} against {_shown(there)}"
    for left, right in ours.between.keys() & theirs.between.keys():
        here, there = ours.between[left, right], theirs.between[left, right]
        if not here & there:
            return f"symbols: {left} {min(here)} {right} against {left} {min(there)} {right}"
    for name, left, right in ours.turned - theirs.turned:
        if (name, right, left) in theirs.turned - ours.turned:
            return f"symbols: {left} {name} {right} against {right} {name} {left}"
    for what, here, there in (
        ("names", ours.names, theirs.names),
        ("symbols", ours.pictures, theirs.pictures),
        ("symbols", ours.lone, theirs.lone),
    ):
        if here - there and there - here:
            return f"{what}: {_shown(here - there)} against {_shown(there - here)}"
    return None


def _runs(said: list[str]) -> frozenset[str]:
    """The words of a text, and two and three of them in a row as one."""
    two = map("".join, pairwise(said))
    three = map("".join, zip(said, said[1:], said[2:], strict=False))
    return frozenset((*said, *two, *three))


def _unsaid(operators: Set[str], runs: Set[str]) -> set[str]:
    """Those of the operators that a text has no words for, given the words that it alone has."""
    return {name for name in operators if not runs & frozenset(words.OPERATORS.get(name, "").split())}


def _is_said(term: str, runs: Set[str]) -> bool:
    """Whether a text has words for a term: c sharp for ``C#``, force for ``--force``."""
    if term.startswith("--"):
        return all(part in runs for part in term[2:].split("-"))
    core = term.strip("".join(words.SPOKEN))
    sign = term.replace(core, "", 1) if core else term
    if not core or not core.isalpha() or sign not in words.SPOKEN:
        return False
    before = term.endswith(core)
    return any(
        (word + core if before else core + word) in runs or (sign == "-" and word + core in runs)
        for word in words.SPOKEN[sign].split()
    )


def _shown(found: Set[str]) -> str:
    return ", ".join(sorted(found))
