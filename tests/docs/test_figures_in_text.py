"""What pages say in passing of what was measured agrees with what the benchmark kept.

If this fails after a measurement: correct the sentence, and what the page concludes from it.
"""

from __future__ import annotations

import re

import pytest
from test_figures import DOCS, KEPT, RESULTS

STORES = KEPT["service"]["figures"]
SMALL, LARGE = STORES["Redis, HNSW, 10,000"], STORES["Redis, HNSW, 100,000"]
OF_SERVICE, OF_REDIS, _ = (us / 1000 for us in STORES["Redis, HNSW, 10,000, with WordLlama"]["search_cpu_us"])
PER_PROCESSOR = STORES["Redis, HNSW, 10,000, with WordLlama"]["searches_per_second_2"] / 2
LOCAL = KEPT["local"]["figures"]
RIVALS = KEPT["rivals"]["results"]
IMPORT = "import and construction: CPU, x import aiohttp, msgspec"
NEAR = "with a near cache: get_or_set, a near hit: CPU, x a hit in the service"


def of_redis(figure, what):
    """Milliseconds of Redis's thread."""
    return figure[what][1] / 1000


def of_both(what):
    return [RESULTS[f"{client}{what}"]["figure"] for client in ("AsyncLangCache", "LangCache")]


ABOUT = 1.25
"""What is said without bounds may be so many times more or less than what was measured."""

SAID = [
    ("scale.md", "Redis takes # ms for each among 10,000", [of_redis(SMALL, "store_cpu_us")]),
    ("scale.md", "ms for each among 10,000 and # ms among 100,000", [of_redis(LARGE, "store_cpu_us")]),
    ("scale.md", "takes its one thread # ms among 10,000", [of_redis(SMALL, "search_cpu_us_1")]),
    ("scale.md", "among 10,000 entries and # ms among 100,000", [of_redis(LARGE, "search_cpu_us_1")]),
    ("scale.md", "A search takes # ms of a core with WordLlama", [OF_SERVICE]),
    ("scale.md", "so 10,000 a second are # cores", [10 * OF_SERVICE]),
    ("scale.md", "**Memory.** # KB an entry in the table", [LARGE["bytes"]["memory"] / 1000]),
    ("scale.md", "The default one takes # to # ms of a core", [LOCAL["memory"]["store_cpu_ms"]]),
    ("redis.md", "Some # KB for each entry of 1 KB", [LARGE["bytes"]["memory"] / 1000]),
    (
        "redis.md",
        "finds more than # % of the nearest",
        [100 * STORES[f"Redis, HNSW, {size}"]["recall"] for size in ("1,000", "10,000", "100,000")],
    ),
    (
        "production.md",
        "takes # to # ms of one processor with the default model",
        [LOCAL[where]["search_cpu_ms"] for where in ("memory", "db")],
    ),
    ("production.md", "and less than # ms with `wordllama`", [OF_SERVICE]),
    (
        "production.md",
        "Redis takes less than # ms more",
        [
            OF_REDIS,
            *(of_redis(STORES[f"Redis, {kind}, 10,000"], "search_cpu_us_1") for kind in ("FLAT", "HNSW")),
        ],
    ),
    ("production.md", "searches per second for each processor, or with #.", [PER_PROCESSOR]),
    ("production.md", "some # KB for each entry of 1 KB", [LARGE["bytes"]["memory"] / 1000]),
    ("local-service.md", "# to # ms of one core for ten words", [LOCAL["memory"]["store_cpu_ms"]]),
    ("local-service.md", "A short prompt takes # to # ms", [LOCAL["memory"]["store_cpu_ms"]]),
    ("local-service.md", "says so on stderr: # to # ms for each", [LOCAL["memory"]["store_cpu_ms"]]),
    (
        "local-service.md",
        "a search by meaning takes # to # ms at 1,000 entries",
        [
            figures["1000"]["at_once_1"]["median_ms"][1]
            for name, figures in KEPT["rivals"]["figures"].items()
            if ".embedded" in name
        ],
    ),
    ("cache-aside.md", "A near hit costs less than # % of the CPU", [100 * x for x in of_both(f" {NEAR}")]),
    ("install.md", "| `.[local]` | # |", [LOCAL["installed"]["packages"]]),
    (
        "install.md",
        f"| `.[local]` | {LOCAL['installed']['packages']} | # MB",
        [LOCAL["installed"]["bytes"] / 1e6],
    ),
    ("performance.md", "this package adds # to # % to that", [100 * x - 100 for x in of_both(f": {IMPORT}")]),
    (
        "performance.md",
        "5 ms away, 16 threads make # times",
        [RESULTS["LangCache: 16 threads, a service 5 ms away: calls per second, x one thread"]["figure"]],
    ),
    ("performance.md", "is behind**, in # of", [sum(each["verdict"] == "missed" for each in RIVALS)]),
    ("performance.md", "is behind**, in ~ of # comparisons", [len(RIVALS)]),
]
"""Pages, what they say with ``#`` for a number, and the figures that were kept for it. ``~`` is another one.

Two numbers are bounds, and so is one after "less than" or "more than".
"""


def numbers_in(page, said):
    """The numbers that a page has where the ``#`` are."""
    words = re.escape(said).replace(r"\ ", r"\s+").replace(r"\#", "#").replace(r"\~", "~")
    number = r"\d[\d,]*(?:\.\d+)?"
    found = re.findall(words.replace("#", f"({number})").replace("~", number), page)
    assert len(found) == 1, "the page does not say so, or more than once"
    numbers = [found[0]] if isinstance(found[0], str) else found[0]
    return [float(each.replace(",", "")) for each in numbers]


def agree(said, numbers, figures):
    if len(numbers) == 1 and "more than #" in said:
        return min(figures) >= numbers[0]
    if len(numbers) == 1 and "less than #" in said:
        return max(figures) <= numbers[0]
    return numbers[0] / ABOUT <= min(figures) and max(figures) <= numbers[-1] * ABOUT


@pytest.mark.parametrize(("page", "said", "figures"), SAID, ids=[f"{page}: {said}" for page, said, _ in SAID])
def test_what_a_page_says_in_passing_was_measured(page, said, figures):
    numbers = numbers_in((DOCS / page).read_text("utf-8"), said)
    assert agree(said, numbers, figures), (numbers, figures)


@pytest.mark.parametrize(
    ("page", "said", "figures", "so"),
    [
        ("It takes 1,000.", "takes #.", [900, 1200], True),
        ("It takes 1,000.", "takes #.", [1300], False),
        ("It takes 4 to\n5 ms.", "takes # to # ms", [4.5, 6], True),
        ("It takes 4 to 5 ms.", "takes # to # ms", [3], False),
        ("It takes less than 0.5 ms.", "less than # ms", [0.4], True),
        ("It takes less than 0.5 ms.", "less than # ms", [0.4, 0.6], False),
        ("It finds more than 99.5 %.", "more than # %", [99.6], True),
        ("It finds more than 99.5 %.", "more than # %", [99.4], False),
        ("In 3 of 40 cases", "In ~ of # cases", [40], True),
    ],
)
def test_what_disagrees_is_found(page, said, figures, so):
    assert agree(said, numbers_in(page, said), figures) is so
