"""`tune` measures what a service gives, leaves nothing behind, and can be run from the command line."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
import xml.etree.ElementTree as ElementTree

import pytest

from langcache import LangCache, verifier
from langcache.cli import main
from langcache.errors import FailedDependencyErrorResponseContent, LangCacheError
from langcache.service import EmbedderError, LocalServer
from langcache.tuning import Pair, tune

ANGLES = [("here", "there @30", True), ("here", "there @45", True), ("here @10", "there @70", False)]
"""The similarity (1 + cos) / 2 of these is .933, .854 and .75."""


def client_of(server):
    return LangCache(server.url, server.api_key, server.cache_id)


def entries(server):
    """All prompts that the cache holds."""
    with client_of(server) as client:
        return sorted(entry.prompt for entry in client.search("any", similarity_threshold=0, max_results=100))


def hits(report):
    return [(row.kept, row.wrong) for row in report.rows]


THRESHOLDS = [0.7, 0.8, 0.9, 0.94]
AT_THRESHOLDS = [(2, 1), (2, 0), (1, 0), (0, 0)]


def test_an_embedder_is_measured_and_closed(embedder):
    calls = []
    report = tune(ANGLES, embedder=embedder, thresholds=THRESHOLDS, progress=lambda *done: calls.append(done))
    assert hits(report) == AT_THRESHOLDS
    assert calls == [(1, 3), (2, 3), (3, 3)]
    assert (embedder.started, embedder.closed) == (1, 1)
    assert "3 pairs (2 with the same answer, 1 with different ones),\nsimilarity by angle\n" in str(report)


@pytest.mark.parametrize("concurrency", [1, 2, 16])
def test_a_running_service_is_measured_beside_its_entries_and_left_as_it_was(server, concurrency):
    calls = []
    with client_of(server) as client:
        client.set("there @30", "not to be found", attributes={"topic": "x", "tenant": "y"})
        client.set("here", "not to be deleted")
        report = tune(
            ANGLES,
            client=client,
            attribute="topic",
            thresholds=THRESHOLDS,
            concurrency=concurrency,
            progress=lambda *done: calls.append(done),
        )
        assert hits(report) == AT_THRESHOLDS
        assert calls == [(1, 3), (2, 3), (3, 3)]
        assert "similarity by the service\n" in str(report)
    assert entries(server) == ["here", "there @30"]


def test_an_empty_cache_needs_no_attribute(embedder):
    with LocalServer(embedder=embedder) as server:
        with client_of(server) as client:
            assert hits(tune(ANGLES, client=client, thresholds=THRESHOLDS)) == AT_THRESHOLDS
        assert entries(server) == []


def test_a_cache_with_entries_needs_an_attribute_and_is_left_as_it_was(server):
    with client_of(server) as client:
        client.set("here", "an answer")
        with pytest.raises(ValueError, match="attribute: is needed, since the cache has other entries"):
            tune(ANGLES, client=client)
    assert entries(server) == ["here"]


def test_entries_that_come_while_a_cache_is_measured_are_noticed(embedder):
    with LocalServer(embedder=embedder) as server, client_of(server) as client:

        def progress(done, total):
            client.set("from another program", "an answer")

        with pytest.raises(ValueError, match="attribute: is needed"):
            tune(ANGLES, client=client, progress=progress)
        assert entries(server) == ["from another program"]


def test_an_attribute_that_the_cache_lacks_is_said(server):
    with client_of(server) as client, pytest.raises(LangCacheError, match="'other' is not configured"):
        tune(ANGLES, client=client, attribute="other")


def test_a_text_that_the_service_can_not_take_is_said_with_its_pair(server):
    pairs = [*ANGLES, ("x" * 1025, "y", False)]
    with (
        client_of(server) as client,
        pytest.raises(ValueError, match="pair 4 of 4: prompt: must have at most 1024"),
    ):
        tune(pairs, client=client, attribute="topic")
    with (
        client_of(server) as client,
        pytest.raises(ValueError, match="pair 4 of 4: prompt: must have at most 1024"),
    ):
        tune([(prompt, question, same) for question, prompt, same in pairs], client=client, attribute="topic")
    assert entries(server) == []


@pytest.mark.parametrize("attribute", ["topic", None])
def test_after_a_failure_nothing_is_left_in_the_cache(attribute, embedder):
    class FailsAtLast(type(embedder)):
        async def embed(self, texts):
            if "the last question" in texts:
                raise EmbedderError("out of order")
            return await super().embed(texts)

    with LocalServer(attributes=("topic",), embedder=FailsAtLast()) as server:
        with client_of(server) as client, pytest.raises(FailedDependencyErrorResponseContent):
            tune([*ANGLES * 5, ("the last question", "a", True)], client=client, attribute=attribute)
        assert entries(server) == []


def test_an_embedder_that_fails_is_said_and_closed(embedder):
    embedder.failure = EmbedderError("out of order")
    with pytest.raises(EmbedderError, match="out of order"):
        tune(ANGLES, embedder=embedder)
    assert embedder.closed == 1


def test_what_can_not_be_read_is_never_a_hit(embedder):
    class English(type(embedder)):
        def can_read(self, text):
            return text.isascii()

    pairs = [*ANGLES, ("où", "où", True)]
    (row,) = tune(pairs, embedder=English(), thresholds=[0]).rows
    assert (row.kept, row.wrong) == (2, 1)
    with LocalServer(attributes=("topic",), embedder=English()) as server, client_of(server) as client:
        assert tune(pairs, client=client, attribute="topic", thresholds=[0]).rows == (row,)


def test_pairs_with_a_similarity_are_scored_only_if_asked(embedder):
    pairs = [Pair(*ANGLES[0], 0.5), Pair(*ANGLES[1], 0.5), Pair(*ANGLES[2], 0.6)]
    given = tune(pairs, embedder=embedder, thresholds=THRESHOLDS)
    assert hits(given) == [(0, 0)] * 4
    assert embedder.started == 0
    assert "similarity as given" in str(given)
    assert hits(tune(pairs, embedder=embedder, thresholds=THRESHOLDS, rescore=True)) == AT_THRESHOLDS
    mixed = tune([Pair(*ANGLES[0]), *pairs[1:]], embedder=embedder, thresholds=THRESHOLDS)
    assert hits(mixed) == [(1, 0), (1, 0), (1, 0), (0, 0)]
    assert "similarity by angle for 1, as given for the others" in str(mixed)


async def test_it_works_where_an_event_loop_runs(embedder):
    assert hits(tune(ANGLES, embedder=embedder, thresholds=THRESHOLDS)) == AT_THRESHOLDS
    report = await asyncio.to_thread(tune, ANGLES, embedder=embedder, thresholds=THRESHOLDS)
    assert hits(report) == AT_THRESHOLDS


def test_an_embedder_and_a_client_are_not_taken_together(server, embedder):
    with (
        client_of(server) as client,
        pytest.raises(ValueError, match="embedder: can't be given along with client"),
    ):
        tune(ANGLES, client=client, embedder=embedder)


def test_a_scoped_client_is_refused_before_anything_is_stored(server):
    with client_of(server) as client, pytest.raises(ValueError, match="client: must not be scoped"):
        tune(ANGLES, client=client.scoped(topic="x"), attribute="tenant")
    assert entries(server) == []


QUESTIONS = [
    ("How do I reset my password?", "How can I reset my password?", True),
    ("How long does shipping to Canada take?", "To Canada, how many days is shipping?", True),
    ("How do I enable two-factor login?", "How do I disable two-factor login?", False),
    ("What is the capital of France?", "What is the capital of Spain?", False),
    ("What is the capital of France?", "How do bees make honey?", False),
]


def test_the_default_is_what_a_local_service_gives():
    grid = [number / 50 for number in range(51)]
    embedded = tune(QUESTIONS, thresholds=grid)
    with LocalServer(attributes=("run",)) as server, client_of(server) as client:
        served = tune(QUESTIONS, client=client, attribute="run", thresholds=grid)
        similarities = []
        for question, prompt, _ in QUESTIONS:
            client.set(prompt, "an answer", attributes={"run": "x"})
            similarities.append(client.search(question, similarity_threshold=0, attributes={"run": "x"}).data)
            client.flush()
    assert embedded.rows == served.rows
    for row in embedded.rows:
        assert row.hits == sum(found.similarity >= row.threshold for (found,) in similarities)
    assert embedded.at(0.85).kept == 2
    assert tune(QUESTIONS, thresholds=[0], accept=verifier).rows[0].hits < 5


def written(path, pairs, similarities=None):
    lines = []
    for at, (question, prompt, same) in enumerate(pairs):
        line = {"question": question, "prompt": prompt, "same": same, "source": "judge", "at": 0}
        lines.append({**line, "similarity": similarities[at] if similarities else None})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return str(path)


def run(*arguments, code="pass", **variables):
    """The exit status, output and errors of the program."""
    start = f"import sys; {code}; from langcache.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-W", "error", "-c", start, "tune", *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LANGCACHE_")}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, env=environment | variables
    )
    return done.returncode, done.stdout, done.stderr


def variables_of(server):
    return {
        "LANGCACHE_SERVER_URL": server.url,
        "LANGCACHE_API_KEY": server.api_key,
        "LANGCACHE_CACHE_ID": server.cache_id,
    }


LOG = [("a", "b", True)] * 300 + [("c", "d", False)] * 100
SIMILARITIES = [0.8 + at / 2000 for at in range(300)] + [0.7 + at / 1000 for at in range(100)]


def test_a_log_with_similarities_is_certified_without_the_extra(tmp_path):
    log, picture = written(tmp_path / "shadow.jsonl", LOG, SIMILARITIES), tmp_path / "kept.svg"
    status, output, errors = run(
        log, "--max-wrong", "0.05", "--svg", str(picture), code="sys.modules['numpy'] = None"
    )
    assert (status, errors) == (0, "")
    expected = tune(log, max_wrong=0.05)
    assert output == f"{expected}\n"
    assert f"* {expected.threshold:.3f} is certified: at most 5% wrong hits" in output
    assert picture.read_text("utf-8") == expected.svg()
    assert ElementTree.parse(picture).getroot().tag.endswith("svg")


def test_an_uncertified_threshold_ends_with_1_and_says_how_many_labels_are_missing(tmp_path, capsys):
    log = written(tmp_path / "shadow.jsonl", LOG, SIMILARITIES)
    assert main(["tune", log, "--max-wrong", "0.001", "--confidence", "0.9"]) == 1
    output = capsys.readouterr().out
    assert "No threshold is certified for at most 0.1% wrong hits, with 90% confidence." in output
    assert re.search(r"\nAbout [\d,]+ more labelled pairs do, if they come out like these\.\n", output)
    assert main(["tune", log, "--threshold", "0.9", "--threshold", "0.85"]) == 0
    rows = [line.split()[:2] for line in capsys.readouterr().out.splitlines() if line.startswith("   ")]
    assert rows == [["0.850", "200"], ["0.900", "100"]]


def test_several_files_and_an_embedder_are_measured(tmp_path, capsys):
    one, other = written(tmp_path / "one.jsonl", QUESTIONS[:3]), tmp_path / "other.csv"
    other.write_text(
        "".join(f"{question},{prompt},{same}\n" for question, prompt, same in QUESTIONS[3:]), "utf-8"
    )
    assert main(["tune", one, str(other), "--embedder", "minilm"]) == 0
    output, errors = capsys.readouterr()
    assert output.startswith(
        "5 pairs (2 with the same answer, 3 with different ones),\nsimilarity by minilm/"
    )
    assert "scored 5 of 5 pairs\n" in errors


def test_a_service_is_measured_that_the_environment_names(tmp_path, server):
    pairs = written(tmp_path / "pairs.jsonl", ANGLES)
    status, output, errors = run(pairs, "--service", "--attribute", "tenant", **variables_of(server))
    assert status == 0, errors
    assert "similarity by the service" in output
    assert "scored 3 of 3 pairs\n" in errors
    assert entries(server) == []


def test_a_service_is_measured_that_options_name(tmp_path, server, monkeypatch, capsys):
    monkeypatch.setenv("LANGCACHE_API_KEY", server.api_key)
    named = ["--server-url", server.url, "--cache-id", server.cache_id]
    assert main(["tune", written(tmp_path / "pairs.jsonl", ANGLES), "--service", *named]) == 0
    output, errors = capsys.readouterr()
    assert "similarity by the service" in output
    assert "scored 3 of 3 pairs\n" in errors
    assert entries(server) == []


def test_ctrl_c_leaves_nothing_in_the_cache(tmp_path, embedder):
    class Waits(type(embedder)):
        reached, released = threading.Event(), threading.Event()

        async def embed(self, texts):
            if "here" in texts:
                self.reached.set()
                await asyncio.to_thread(self.released.wait, 300)
            return await super().embed(texts)

    pairs = written(tmp_path / "pairs.jsonl", ANGLES)
    with LocalServer(attributes=("topic",), embedder=Waits()) as server:
        command = [sys.executable, "-m", "langcache", "tune", pairs, "--service", "--attribute", "topic"]
        program = subprocess.Popen(command, env=os.environ | variables_of(server), stderr=subprocess.PIPE)
        try:
            assert Waits.reached.wait(300)
            program.send_signal(signal.SIGINT)
        finally:
            Waits.released.set()
            program.communicate(timeout=300)
        assert program.returncode == 130
        assert entries(server) == []


SAID = {
    "no_file": (["nowhere.tsv"], "nowhere.tsv: No such file or directory"),
    "a_folder": (["."], ".: Is a directory"),
    "no_pair": (["bad.tsv"], "bad.tsv, line 2: 'perhaps' is no label"),
    "too_much": (["good.tsv", "--max-wrong", "5"], "--max-wrong: must be from 0 to 1, but is 5"),
    "url_without_service": (["good.tsv", "--server-url", "http://x"], "--server-url: is for --service"),
    "attribute_without_service": (["good.tsv", "--attribute", "run"], "--attribute: is for --service"),
    "unknown_embedder": (["good.tsv", "--embedder", "other"], "--embedder: must be minilm,"),
    "embedder_out_of_reach": (
        ["good.tsv", "--embedder", "openai:http://127.0.0.1:9", "--embedder-model", "m"],
        "the embeddings endpoint",
    ),
    "password_of_an_embedder": (
        ["good.tsv", "--embedder", "openai:http://me:secret@x:99999999", "--embedder-model", "m"],
        "--embedder: url: must be a URL such as https://host[:port]/v1",
    ),
    "password_of_no_url": (
        ["good.tsv", "--embedder", "openai:me:secret@x", "--embedder-model", "m"],
        "--embedder: url: must begin with https:// or http://",
    ),
    "service_and_embedder": (
        [
            "good.tsv",
            "--service",
            "--server-url",
            "http://127.0.0.1:1",
            "--cache-id",
            "x",
            "--embedder",
            "minilm",
        ],
        "--embedder: can't be given along with --service",
    ),
    "picture_nowhere": (["good.tsv", "--svg", "nowhere/x.svg"], "--svg: there is no folder '"),
    "picture_is_a_folder": (["good.tsv", "--svg", "."], "--svg: . is a folder; name a file"),
}


@pytest.mark.parametrize(("arguments", "message"), SAID.values(), ids=SAID)
def test_what_can_not_be_done_is_said_in_one_line(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LANGCACHE_API_KEY", "key")
    (tmp_path / "good.tsv").write_text("a\tb\t1\nc\td\t0\n", "utf-8")
    (tmp_path / "bad.tsv").write_text("a\tb\t1\nc\td\tperhaps\n", "utf-8")
    could_be = message.endswith(("No such file or directory", "Is a directory")) or "endpoint" in message
    assert main(["tune", *arguments]) == (1 if could_be else 2)
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith(f"langcache: {message}")
    assert output.err.count("\n") == 1


def test_a_service_without_a_cache_id_is_said_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("LANGCACHE_CACHE_ID", raising=False)
    assert main(["tune", written(tmp_path / "p.jsonl", ANGLES), "--service", "--server-url", "http://x"]) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.startswith("langcache: --api-key-file: is missing")
    assert "--cache-id: is missing" in errors


def test_the_missing_extra_is_said_in_one_line(tmp_path):
    pairs = written(tmp_path / "pairs.jsonl", ANGLES)
    status, output, errors = run(pairs, code="sys.modules['numpy'] = None")
    assert (status, output) == (1, "")
    assert errors.startswith("langcache: langcache.service needs the package 'numpy'; install it with: ")
