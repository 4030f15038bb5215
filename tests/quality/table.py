"""Prints the tables of docs/right-and-wrong-hits.md: ``python tests/quality/table.py``.

Each set is judged by weights that were fitted to the other sets; of the two sets of intents, each half by
weights that know the other half, and each domain of "everyday" by weights that know the other domains.
``--write`` updates the page.
"""

from __future__ import annotations

import re
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent))  # for `import`, where this is not run as a program
from fit import Fit, Table, fit, tables, without_held_out
from measure import measured
from sets import (
    HELD_OUT,
    RELATED,
    TRAP,
    UNRELATED,
    Pair,
    domains_of,
    kinds_of,
    labelled_sets,
)

import langcache.matching.score as score
from langcache.matching.features import LEXICAL, compared

__all__ = ["judged", "shares", "trivial_repeats", "write"]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "right-and-wrong-hits.md"
_IN_HALVES = ("banking", "assistant")
_COSINE = len(LEXICAL)

Similarities = NDArray[np.float64]


def judged(
    kind: str, pairs: Mapping[str, Sequence[Pair]], sets: Mapping[str, Table]
) -> dict[str, Similarities]:
    """The similarity of each pair by weights that were fitted without it."""
    found: dict[str, Similarities] = {}
    for name, table in sets.items():
        others = {other: rows for other, rows in without_held_out(sets).items() if other != name}
        found[name] = np.zeros(len(table.same))
        for judged_now, known in _parts(name, pairs[name]):
            halves = {name: Table(*(column[known] for column in table))} if known.any() else {}
            likely = _likelihoods(fit(kind, {**others, **halves}), kind, table)
            similarities = np.array([score.similarity_of(float(each)) for each in likely])
            similarities[table.repeated] = score.REPEATED
            similarities[table.told_apart] = 0
            found[name][judged_now] = similarities[judged_now]
    return found


def _parts(name: str, pairs: Sequence[Pair]) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """Which pairs are judged together, and which of the same set the weights may know then."""
    if name == "everyday":
        part_of = np.array(domains_of("fit"))
    elif name in _IN_HALVES:
        part_of = np.array([zlib.crc32(pair.stored.lower().encode()) % 2 for pair in pairs])
    else:
        yield np.ones(len(pairs), bool), np.zeros(len(pairs), bool)
        return
    for part in dict.fromkeys(part_of.tolist()):
        yield part_of == part, part_of != part


def _likelihoods(found: Fit, kind: str, table: Table) -> Similarities:
    names = score.FEATURES[kind]
    return found.likelihoods(table.rows[:, : len(names)], names)


def shares(similarities: Similarities, pairs: Sequence[Pair], threshold: float) -> tuple[float, float | None]:
    """The shares of paraphrases that hit, and of the other pairs, apart from unrelated ones."""
    hit = similarities >= threshold
    same = np.array([pair.same for pair in pairs])
    wrong = np.array([pair.kind in (TRAP, RELATED) for pair in pairs])
    return float(hit[same].mean()), float(hit[wrong].mean()) if wrong.any() else None


def trivial_repeats(pairs: Sequence[Pair]) -> dict[str, float]:
    """The share of prompts that are found, whatever the model says, if asked again with a trivial change."""
    changes = {
        "greeting": lambda text: f"Hi there, {text[0].lower()}{text[1:]}",
        "politeness": lambda text: f"{text.rstrip('?.! ')} please?",
        "thanks": lambda text: f"{text} Thanks in advance!",
        "punctuation": lambda text: f"{text.rstrip('?.! ')}??",
        "swapped letters": lambda text: _changed(text, lambda word: word[:2] + word[3] + word[2] + word[4:]),
        "missing letter": lambda text: _changed(text, lambda word: word[:3] + word[4:]),
        "double letter": lambda text: _changed(text, lambda word: word[:3] + word[2:]),
    }
    found: dict[str, float] = {}
    texts = sorted({pair.stored for pair in pairs if len(pair.stored.split()) <= 18})
    for name, change in changes.items():
        asked = [(text, change(text)) for text in texts]
        asked = [(text, changed) for text, changed in asked if changed != text]
        found[name] = float(np.mean([_repeats(text, changed) for text, changed in asked]))
    return found


def _changed(text: str, change: object) -> str:
    words = text.split(" ")
    longest = max(words, key=lambda word: (word.isalpha() and word.isascii(), len(word)))
    if not (longest.isalpha() and len(longest) >= 5):
        return text
    return " ".join(change(word) if word is longest else word for word in words)  # type: ignore[operator]


def _repeats(stored: str, asked: str) -> bool:
    one, other = compared(asked, stored)
    return score.is_repeated(one, other)


def write(printed: str) -> None:
    """Put each table that was printed in the place of the one with the same head."""
    page = PAGE.read_text("utf-8")
    for table in re.findall(r"(?:^\|.*\n)+", printed, re.MULTILINE):
        head = table.partition("\n")[0]
        page = re.sub(rf"^{re.escape(head)}\n(?:\|.*\n)+", lambda _, new=table: new, page, flags=re.MULTILINE)
    PAGE.write_text(page, "utf-8")


def _main() -> None:
    pairs = labelled_sets()
    sets, models = tables(pairs), measured()
    by_words, by_cosine, by_texts = (judged(kind, pairs, sets) for kind in ("words", "cosine", "texts"))
    minilm = {name: np.array([(1 + each.minilm) / 2 for each in models[name]]) for name in sets}
    wordllama = {name: np.array([(1 + each.wordllama) / 2 for each in models[name]]) for name in sets}
    swapped: dict[str, Table] = {}
    for name, table in sets.items():
        rows = table.rows.copy()
        rows[:, _COSINE] = 2 * wordllama[name] - 1
        rows[:, _COSINE + 1] = rows[:, _COSINE] ** 2
        swapped[name] = table._replace(rows=rows)
    wordllama_scored = {}
    for name, table in swapped.items():
        likely = _likelihoods(
            fit("cosine", {n: t for n, t in without_held_out(sets).items() if n != name}), "cosine", table
        )
        wordllama_scored[name] = np.array([score.similarity_of(float(each)) for each in likely])
        wordllama_scored[name][table.repeated] = score.REPEATED
        wordllama_scored[name][table.told_apart] = 0
    passed = {name: by_texts[name] >= score.similarity_of(0.5) for name in sets}
    columns = {
        "default": (by_words, 0.85),
        "strict, 0.9": (by_words, score.STRICT),
        "default and client": ({n: np.where(passed[n], by_words[n], 0) for n in sets}, 0.85),
        "MiniLM without words": (by_cosine, 0.85),
        "WordLlama": (wordllama_scored, 0.85),
        "MiniLM's cosine": (minilm, 0.85),
        "and client": ({n: np.where(passed[n], minilm[n], 0) for n in sets}, 0.85),
        "WordLlama's cosine": (wordllama, 0.85),
        "and client ": ({n: np.where(passed[n], wordllama[n], 0) for n in sets}, 0.85),
    }
    print(f"| set | {' | '.join(name.strip() for name in columns)} |")
    print(f"|---|{'---|' * len(columns)}")
    kept: dict[str, list[tuple[float, float]]] = {name: [] for name in columns}
    for name in sets:
        cells = []
        for column, (similarities, threshold) in columns.items():
            same, wrong = shares(similarities[name], pairs[name], threshold)
            kept[column].append((same, wrong or 0.0))
            cells.append(f"{same:.0%} / {wrong:.0%}".replace("%", ""))
        print(f"| {name} | {' | '.join(cells)} |")
    means = [np.mean(each, axis=0) for each in kept.values()]
    print(f"| mean | {' | '.join(f'{100 * same:.0f} / {100 * wrong:.0f}' for same, wrong in means)} |\n")
    print("| held out, by what is changed | default |\n|---|---|")
    kinds = np.array(kinds_of("judge"))
    for kind in dict.fromkeys(kinds):
        chosen = [pair for pair, each in zip(pairs[HELD_OUT], kinds, strict=True) if each == kind]
        same, wrong = shares(by_words[HELD_OUT][kinds == kind], chosen, 0.85)
        print(f"| {kind} | {100 * same:.0f} / {100 * (wrong or 0):.0f} |")
    print()
    right = {name: table.same[by_words[name] >= 0.85].mean() for name, table in sets.items()}
    print(f"Right of 100 hits at the default: {', '.join(f'{n} {100 * r:.0f}' for n, r in right.items())}\n")
    unrelated = np.array([pair.kind == UNRELATED for pair in pairs["quality"]])
    hits = int((by_words["quality"][unrelated] >= 0.85).sum())
    print(f"Unrelated pairs that hit at the default: {hits} of {unrelated.sum()}\n")
    print("| asked again with | found |\n|---|---|")
    every = [pair for some in pairs.values() for pair in some]
    for name, share in trivial_repeats(every).items():
        print(f"| {name} | {100 * share:.0f} |")


if __name__ == "__main__":
    with redirect_stdout(StringIO()) as output:
        _main()
    print(output.getvalue(), end="")
    if "--write" in sys.argv[1:]:
        write(output.getvalue())
