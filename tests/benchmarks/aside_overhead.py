"""The CPU that get_or_set on a hit costs over a bare search, in both clients.

``python tests/benchmarks/aside_overhead.py`` prints it in a minute or two, measured in the way of
``nox -s bench``, with the package that is installed where it runs.
"""

from __future__ import annotations

import sys

from measuring import Lane, canned_server, race
from targets import ASYNC, SYNC

ROUNDS = 4
LAPS = 20


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


if __name__ == "__main__":
    main()
