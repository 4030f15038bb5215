"""What the first paragraphs and the demo say of hits and misses is what the local service does by default."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import pytest
from demo_output import without_numbers

from langcache import LangCache
from langcache.cli.demo import _SAVED, demo
from langcache.service import LocalServer, MiniLMEmbedder
from langcache.service.calibration import calibrated

ROOT = Path(__file__).parents[2]

RESET = "How do I reset my password?"
SHIPPING = "How long does shipping to Canada take?"
TURN_ON = "How do I turn on two-factor authentication?"
TURN_OFF = "How do I turn off two-factor authentication?"
FORGOT = "I forgot my password, what now?"
GET_BACK = "I am locked out, what now?"
PARCEL = "My parcel goes to Canada. How many days is the shipping?"


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_the_first_paragraph_names_a_true_hit_and_a_true_miss(page):
    first = (ROOT / page).read_text("utf-8").split("\n\n")[1].replace("\n", " ")
    found = re.search(r'"([^"]+)" finds what was saved under "([^"]+)"', first)
    missed = re.search(r'"([^"]+)" misses with the defaults', first)
    assert found is not None
    assert missed is not None
    with LocalServer() as server, LangCache(server.url, server.api_key, server.cache_id) as cache:
        cache.set(found[2], "the answer")
        assert cache.search(found[1]).response == "the answer"
        assert not cache.search(missed[1])
        assert cache.search(missed[1], similarity_threshold=0.6)  # a question that it should have answered


def test_the_start_page_gives_similarities_as_they_are():
    page = (ROOT / "docs/start.md").read_text("utf-8").replace("\n", " ")
    alike = float(re.search(r"differ in one word and are alike by (\d\.\d+)", page)[1])
    far, similarity = re.search(r'"([^"]+)" has (\d\.\d+) and misses', page).groups()
    with LocalServer() as server, LangCache(server.url, server.api_key, server.cache_id) as cache:
        cache.set(RESET, "the answer")
        (near,) = cache.search("How can I reset my password?")
        assert near.similarity == pytest.approx(alike, abs=0.02)  # processors differ in eight bits
        (near,) = cache.search(far, similarity_threshold=0.5)
        assert near.similarity == pytest.approx(float(similarity), abs=0.02)
        assert not cache.search(far)


def steps(output):
    """The questions that the demo asks, each with its settings and the lines that tell what came of it."""
    asked = []
    for line in output[output.index("Ask for them") :].splitlines():
        if line.startswith("    "):
            asked[-1][2].append(line.strip())
        elif question := re.fullmatch(r"  ([^\[]+\?)(?:  \[(.+)\])?", line):
            asked.append((question[1], question[2], []))
    return asked


def cosine_similarity(*prompts):
    async def embed():
        embedder = MiniLMEmbedder()
        await embedder.start()
        return await embedder.embed(prompts)

    one, other = asyncio.run(embed())
    return calibrated((1 + float(one @ other)) / 2, MiniLMEmbedder.unrelated_cosine)


def similarities(pairs):
    """What the service says of pairs of a saved prompt and a question."""
    found = []
    with LocalServer() as server, LangCache(server.url, server.api_key, server.cache_id) as cache:
        for saved, question in pairs:
            cache.flush()
            cache.set(saved, "the answer")
            found.append(cache.search(question, similarity_threshold=0)[0].similarity)
    return found


def test_what_the_demo_prints_is_true(capsys):
    demo()
    asked = steps(capsys.readouterr().out)
    expected = [
        (PARCEL, None, SHIPPING),
        (FORGOT, None, RESET),
        ("Which wine goes with grilled fish?", None, None),
        (FORGOT, "topic account", RESET),
        (FORGOT, "topic shipping", None),
        (FORGOT, "threshold 0.95", None),
        (GET_BACK, None, None),
        (GET_BACK, "threshold 0.6", RESET),
        (PARCEL, None, None),  # deleted by then
        (TURN_ON, None, None),
        ("How can I turn on two-factor authentication?", None, TURN_ON),
        (TURN_OFF, "threshold 0", TURN_ON),
        (TURN_OFF, None, None),
    ]
    assert [(question, settings) for question, settings, _ in asked] == [row[:2] for row in expected]
    answers = {prompt: response for prompt, response, _ in _SAVED}
    hits = [(question, saved) for question, _, saved in expected if saved is not None]
    scores = iter(similarities([(saved, question) for question, saved in hits]))
    for (question, settings, (outcome, *more)), (_, _, saved) in zip(asked, expected, strict=True):
        if saved is None:
            assert outcome.startswith("miss"), question
            continue
        similarity, saved_as = re.match(r"hit  (\S+)  (.+)  \[", outcome).groups()
        (response,) = more
        assert float(similarity) == pytest.approx(next(scores), abs=0.001)
        assert float(similarity) >= float((settings or "").partition("threshold ")[2] or 0.85)
        assert saved_as == saved
        assert response == answers.get(saved, "Under Settings, Security, scan the code.")


def test_the_demo_fits_a_terminal_and_is_in_colours_there_alone(capsys, monkeypatch):
    printed = {}
    for terminal in (False, True):
        with monkeypatch.context() as patched:
            for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
                patched.delenv(name, raising=False)
            patched.setattr(sys.stdout, "isatty", lambda terminal=terminal: terminal, raising=False)
            demo()
        printed[terminal] = capsys.readouterr().out
    plain = re.sub(r"\x1b\[\d+m", "", printed[True])
    assert without_numbers(plain) == without_numbers(printed[False])
    assert "\x1b" not in printed[False]
    marked = re.findall(r"\x1b\[(\d+)m(.*?)\x1b\[0m", printed[True])
    assert {text for code, text in marked if code == "32"} == {"hit"}
    assert {text for code, text in marked if code == "33"} == {"miss"}
    assert [text for code, text in marked if code == "1"] == re.findall(r"^(?! )(.+)$", plain, re.MULTILINE)
    assert max(map(len, plain.splitlines())) <= 80


def test_the_near_miss_of_the_demo_would_be_a_hit_by_its_vectors():
    assert cosine_similarity(TURN_ON, TURN_OFF) > 0.9
    assert similarities([(TURN_ON, TURN_OFF)])[0] < 0.5
