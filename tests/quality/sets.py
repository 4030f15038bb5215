"""The labelled pairs of questions, by set. What they are and whose is in data/SOURCES.md."""

from __future__ import annotations

import csv
import json
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

__all__ = [
    "DATA",
    "HELD_OUT",
    "PARAPHRASE",
    "RELATED",
    "TRAP",
    "UNRELATED",
    "UNSEEN",
    "Pair",
    "domains_of",
    "kinds_of",
    "labelled_sets",
]

TESTS = Path(__file__).resolve().parent.parent
DATA = Path(__file__).resolve().parent / "data"
HELD_OUT = "held out"
"""A set that nothing is fitted to."""
UNSEEN = "unseen"
"""Another one, whose pairs nobody looked at who wrote rules."""
PARAPHRASE, TRAP, RELATED, UNRELATED = "paraphrase", "trap", "related", "unrelated"


class Pair(NamedTuple):
    """A question that is stored, one that is asked, and what they are to each other.

    ``kind`` is "paraphrase" if the answer to one is the answer to the other; else "trap" (one word, number,
    name or order differs, or the like of it), "related" (the same topic) or "unrelated".
    """

    kind: str
    stored: str
    asked: str

    @property
    def same(self) -> bool:
        """Whether the two have one answer."""
        return self.kind == PARAPHRASE


def labelled_sets() -> dict[str, list[Pair]]:
    """Every set that can be read: that of ``fow-cache`` only where the package is installed."""
    sets = {
        "redis": _redis(),
        "banking": _intents("bank"),
        "assistant": _intents("clinc"),
        "quality": _quality(),
        "guard": _guard(),
        "changed": _changed("fit"),
        HELD_OUT: _changed("judge"),
        "everyday": _everyday("fit"),
        UNSEEN: _everyday("judge"),
    }
    package = find_spec("fow_cache")
    if package is not None and package.origin is not None:
        sets["fow"] = _fow(Path(package.origin).with_name("data") / "pairs.jsonl")
    return sets


def _redis() -> list[Pair]:
    with (DATA / "redis-eval.csv").open(encoding="utf-8", newline="") as file:
        rows = [*csv.DictReader(file, doublequote=False, escapechar="\\")]
    return [
        Pair(PARAPHRASE if "1" in row["label"] else TRAP, _plain(row["sentence1"]), _plain(row["sentence2"]))
        for row in rows
    ]


def _plain(text: str) -> str:
    return text.replace("**", "")  # which marks what differs


def _intents(source: str) -> list[Pair]:
    rows = [line.split("\t") for line in _lines(DATA / "intent-pairs.tsv")]
    kinds = {"same": PARAPHRASE, "different": RELATED}
    return [Pair(kinds[row[0]], row[1], row[2]) for row in rows if row[3] == source]


def _quality() -> list[Pair]:
    kinds = {"paraphrase": PARAPHRASE, "near-miss": TRAP, "unrelated": UNRELATED}
    rows = [line.split("\t") for line in _lines(TESTS.parent / "langcache" / "service" / "quality_pairs.tsv")]
    return [Pair(kinds[label], saved, asked) for label, saved, asked in rows]


def _guard() -> list[Pair]:
    rows = [line.split("\t") for line in _lines(TESTS / "aside" / "data" / "guard_pairs.tsv")]
    return [Pair(PARAPHRASE if label == "same" else TRAP, one, other) for _, label, one, other in rows]


def _changed(part: str) -> list[Pair]:
    kinds = {"same": PARAPHRASE, "different": TRAP}
    rows = _changed_rows(part)
    return [
        Pair(RELATED if row[1:3] == ["related", "different"] else kinds[row[2]], *row[3:]) for row in rows
    ]


def kinds_of(part: str) -> list[str]:
    """What is changed in each pair of the sets "changed" (``part`` is "fit") and "held out" ("judge")."""
    return [row[1] for row in _changed_rows(part)]


def _changed_rows(part: str) -> list[list[str]]:
    rows = [line.split("\t") for line in _lines(DATA / "changed-words.tsv")[1:]]
    return [row for row in rows if row[0] == part]


def _everyday(part: str) -> list[Pair]:
    return [Pair(*row[2:]) for row in _everyday_rows(part)]


def domains_of(part: str) -> list[str]:
    """What each pair of the sets "everyday" (``part`` is "fit") and "unseen" ("judge") is about."""
    return [row[1] for row in _everyday_rows(part)]


def _everyday_rows(part: str) -> list[list[str]]:
    rows = [line.split("\t") for line in _lines(DATA / "everyday.tsv")[1:]]
    return [row for row in rows if row[0] == part]


def _fow(path: Path) -> list[Pair]:
    rows = [json.loads(line) for line in _lines(path)]
    return [Pair(PARAPHRASE if row["same_answer"] else TRAP, row["a"], row["b"]) for row in rows]


def _lines(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines()
