"""Phrases that say the same: a question is given the words of another one where only its wording differs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from .lists import lines_of

__all__ = ["in_one_wording"]

_I = r"(?:i|you|we|one|(?:some|any)one(?! else))"
_NOT = r"(?:n't| not)"
_SAME = rf"""
how to|how (?:do|can|could|should|would|must) {_I}|
what(?:'s| is| are) the (?:best |right |correct |easiest )?(?:process|procedure|steps|way|method) (?:for|to)|
what do {_I} (?:need|have) to do to|what(?:'s| is) the best way to|steps (?:for|to)|
is there (?:a|any) way (?:to|for me to)|guide to|
(?:what(?:'s| is) the )?(?:command|syntax|statement|instructions) (?:for|to)|what do i type to
(?<!how )(?<!what )(?<!where )(?<!when )(?:can|could|may|might) {_I}|
is it (?:possible|allowed|ok|okay|permitted)(?: for me)? to|
(?:am i|are we|are you) (?:able|allowed|permitted) to
how come|why|what(?:'s| is) the reason|for what reason|what is the cause of|what causes
what time|when|at what time|on (?:what|which) (?:day|date)|in (?:what|which) year|
(?:what|which) (?:day|date)
do i (?:have|need) to|must i|am i required to|is it (?:necessary|mandatory|required)(?: for me)? to|
am i obliged to
(?:is{_NOT}|not|stopped|do{_NOT}|does{_NOT}|wo{_NOT}) work(?:ing)?|
(?:is |are )?(?:broken|out of order|faulty)|isn't functioning
(?:can't|cannot|can not|don't|do not|no longer) (?:remember|recall)|(?:have |'ve )?forgot(?:ten)?
(?:can't|cannot|can not|couldn't) find|(?:have |'ve )?(?:lost|misplaced)
did{_NOT} (?:go through|succeed)|was unsuccessful|failed|has{_NOT} gone through
(?:is{_NOT}|not) (?:correct|right|accurate)|wrong|incorrect|inaccurate
without (?:an? |any )?internet(?: connection| access)?|with no internet(?: connection| access)?|offline
no longer have access to|(?:have |'ve )?lost access to|don't have access to
free (?:of|from)|without|with no|that (?:has|have) no
(?:should|must|can) {_I} not (?:eat|do|take|drink|use)|
should {_I} avoid(?: eating| doing| taking| drinking| using)?|
should(?:n't| not) {_I} (?:eat|do|take|drink|use)
(?:isn't|not|won't) let(?:ting)? me (?:into|in)|locked out of|can't (?:get|log|sign) in(?:to)?|
unable to (?:log|sign) in(?:to)?
(?:at |on )?(?:the )?weekends?|(?:on )?saturdays? (?:and|or|&) sundays?
(?:on )?weekdays|(?:from )?mondays? (?:to|through|till|until) fridays?
u\.?k\.?|united kingdom|great britain
(?-i:US|U\.S\.|U\.S\.A\.)|usa|united states(?: of america)?
e\.?u\.?|european union
atms?|cash ?(?:machine|point)s?
pdfs?|\.pdf
\.docx?|word documents?
every(?= \w)|each|all(?: of)?(?: the| my| our)?
""".strip().replace("|\n", "|")
"""One meaning a line, which goes on in the next after a bar. They are exchanged where both texts have one."""
_GROUPS = re.compile(
    rf"(?<![\w'])(?:{'|'.join(f'(?P<p{at}>{line})' for at, line in enumerate(_SAME.splitlines()))})(?![\w'])",
    re.IGNORECASE,
)
_ANY = re.compile(rf"(?<![\w'])(?:{'|'.join(_SAME.lower().replace('(?-i:', '(?:').splitlines())})(?![\w'])")
"""The same for small letters, without groups, which is twice as fast: most texts have none."""
_START = re.compile(r"(?<![\w'])[\w']+|={2,}")


def _by_first_words() -> dict[str, dict[str, list[tuple[str, str]]]]:
    found: dict[str, dict[str, list[tuple[str, str]]]] = {}
    for at, line in enumerate(lines_of("phrases.txt")):
        for phrase in line.split(", "):
            first, *others = _START.findall(phrase)
            second = others[0] if others else ""
            found.setdefault(first, {}).setdefault(second, []).append((phrase, f"l{at}"))
    for by_second in found.values():
        for phrases in by_second.values():
            phrases.sort(key=lambda each: -len(each[0]))
    return found


_LISTED = _by_first_words()
"""The phrases of phrases.txt, which has one meaning a line, by their first two words, the longest ones first.

The second word is "" for a phrase of one word.
"""
_ACRONYM = re.compile(r"(?<![\w'])([A-Z]{2,5})s?(?![\w'])")
_WORD = re.compile(r"[^\W\d_]+")


def in_one_wording(text: str, other: str) -> tuple[str, int]:
    """A text with the phrases of another one where they say the same, and with the words of its acronyms.

    The number is how many phrases are exchanged.
    """
    theirs = {meaning: other[start:end] for start, end, meaning in _phrases(other)}
    parts: list[str] = []
    done = exchanged = 0
    for start, end, meaning in _phrases(text) if theirs else ():
        said = theirs.get(meaning, "")
        if said and said.lower() != text[start:end].lower():
            parts += (text[done:start], said)
            done = end
            exchanged += 1
    return _spelt_out("".join((*parts, text[done:])), other), exchanged


@lru_cache(maxsize=512)
def _phrases(text: str) -> list[tuple[int, int, str]]:
    """Where a text has phrases, from which to which letter, and the name of what each means."""
    small = text.lower()
    if len(small) != len(text):
        return []
    found = [*_listed(small)]
    for any_of_them in _ANY.finditer(small):
        if (rule := _GROUPS.match(text, any_of_them.start())) and rule.lastgroup:
            found.append((rule.start(), rule.end(), rule.lastgroup))
    found.sort(key=lambda each: (each[0], -each[1]))
    end = 0
    return [each for each in found if each[0] >= end and (end := each[1])]


def _listed(small: str) -> Iterator[tuple[int, int, str]]:
    words = [*_START.finditer(small)]
    for at, word in enumerate(words):
        if (known := _LISTED.get(word[0])) is None:
            continue
        start = word.start()
        longer = known.get(words[at + 1][0], ()) if at + 1 < len(words) else ()
        for phrase, meaning in (*longer, *known.get("", ())):
            end = start + len(phrase)
            if small.startswith(phrase, start) and not small[end : end + 1].isalnum():
                yield start, end, meaning
                break


def _spelt_out(text: str, other: str) -> str:
    """A text in which acronyms are spelt as in the other, and what that has an acronym for is one."""
    if text.isupper() or other.isupper():
        return text
    words, theirs = _WORD.findall(text), _WORD.findall(other)
    for acronym in sorted({*_ACRONYM.findall(text)} - {*theirs}):
        if spelt := _with_initials(acronym, theirs):
            text = re.sub(rf"(?<![\w']){acronym}s?(?![\w'])", " ".join(spelt), text)
    for acronym in sorted({*_ACRONYM.findall(other)} - {*words}):
        if spelt := _with_initials(acronym, words):
            text = re.sub(rf"(?<!\w){'[ -]+'.join(spelt)}(?!\w)", acronym, text)
    return text


def _with_initials(acronym: str, words: list[str]) -> list[str]:
    at = "".join(word[0] for word in words).upper().find(acronym)
    return words[at : at + len(acronym)] if at >= 0 else []
