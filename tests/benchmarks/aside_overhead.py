"""The CPU that get_or_set on a hit costs over a bare search, in both clients.

``python tests/benchmarks/aside_overhead.py`` prints it in a minute or two, measured in the way of
``nox -s bench``, with the package that is installed where it runs. The question of those hits is that of the
entry but for case. The last lines are what it takes to compare the texts of a hit, which is part of those
figures where the question is the entry's, and comes on top of them in other words.
"""

from __future__ import annotations

import sys
from functools import partial
from time import process_time
from timeit import repeat

import texts
from measuring import Lane, canned_server, race
from targets import ASYNC, SYNC

from langcache import CacheEntry, verifier

ROUNDS = 4
LAPS = 20
CALLS = 500
STORED = {"the same but for case": texts.PROMPT.upper(), "in other words": "What is a semantic cache?"}


def main() -> None:
    """Measure both clients, one call at a time, and print the figures."""
    here = {"langcache": sys.executable}
    pairs = [(Lane(client, "search"), Lane(client, "get_or_set")) for client in (ASYNC, SYNC)]
    with canned_server(here) as url:
        results = race(here, url, [lane for pair in pairs for lane in pair], rounds=ROUNDS, laps=LAPS)
    for bare, aside in pairs:
        ratio = results.ratio(aside, bare)
        print(
            f"{bare.contender.name}: {results.micros(bare):.0f} us a search, "
            f"{results.micros(aside):.0f} us a hit, x {ratio.value:.2f} +- {ratio.noise:.2f}"
        )
    for name, prompt in STORED.items():
        entry = CacheEntry(id="1", prompt=prompt, response="", similarity=0.95, search_strategy="semantic")
        seconds = min(repeat(partial(verifier, texts.PROMPT, entry), timer=process_time, number=CALLS))
        print(f"to compare texts {name}: {seconds / CALLS * 1_000_000:.1f} us")


if __name__ == "__main__":
    main()
