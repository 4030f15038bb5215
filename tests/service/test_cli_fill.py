"""`python -m langcache export`, `import` and `warm`: between files, services, SQLite and Redis."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import pytest
from angle_embedder import AngleEmbedder

from langcache import LangCache
from langcache.cli import main, place
from langcache.cli.lines import Fields, read_lines
from langcache.service import LocalServer


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("LANGCACHE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(place, "embedder_of", lambda name, model: AngleEmbedder())


@pytest.fixture
def cache(server, monkeypatch):
    """A client of a server that the variables of clients name."""
    monkeypatch.setenv("LANGCACHE_SERVER_URL", server.url)
    monkeypatch.setenv("LANGCACHE_API_KEY", server.api_key)
    monkeypatch.setenv("LANGCACHE_CACHE_ID", server.cache_id)
    with LangCache() as cache:
        yield cache


@pytest.fixture
def run(capsys):
    """The exit status of a command, and what it prints."""

    def run(*arguments):
        status = main([*map(str, arguments)])
        return status, *capsys.readouterr()

    return run


def of(cache, prompt, **options):
    """The responses to exactly a prompt, newest first."""
    found = cache.search(prompt, search_strategies=["exact"], max_results=100, **options)
    return [entry.response for entry in found]


ENTRIES = [
    ("a @0", "A", {"topic": "t"}, None),
    ("é \u2028 @10", 'with "quotes",\nlines and \U0001f600', None, None),
    ("same", "first", None, None),
    ("SAME", "second", None, None),
    ("same", "third", {"topic": "t", "tenant": "u"}, 3_600_000),
]


def filled(path):
    with (
        LocalServer(("topic", "tenant"), db=path, embedder=AngleEmbedder()) as server,
        LangCache(server.url, server.api_key, server.cache_id) as cache,
    ):
        for prompt, response, attributes, ttl in ENTRIES:
            cache.set(prompt, response, attributes=attributes, ttl_millis=ttl)


def test_a_cache_goes_from_a_file_through_a_service_and_back(cache, run):
    filled("cache.db")
    status, out, err = run("export", "--db", "cache.db")
    lines = [json.loads(line) for line in out.split("\n")[:-1]]
    assert (status, [(line["prompt"], line["response"]) for line in lines]) == (
        0,
        [each[:2] for each in ENTRIES],
    )
    assert [line.get("attributes") for line in lines] == [each[2] for each in ENTRIES]
    assert ["expires_at" in line for line in lines] == [False] * 4 + [True]
    status, out, err = run("export", "--db", "cache.db", "--output", "all.jsonl")
    assert (status, out, os.stat("all.jsonl").st_mode & 0o077) == (0, "", 0)
    assert "Wrote 5 entries to all.jsonl." in err

    assert run("import", "all.jsonl")[:2] == (0, "Stored 5\n")
    assert of(cache, "same") == ["third", "second", "first"], "the newest is the newest"
    assert of(cache, "a @0", attributes={"topic": "t"}) == ["A"]
    assert run("import", "all.jsonl")[:2] == (0, "Stored 0, 5 there already\n")
    assert run("import", "all.jsonl", "--again")[:2] == (0, "Stored 5\n")
    cache.flush()
    run("import", "all.jsonl")

    (expires,) = (line["expires_at"] for line in lines if "expires_at" in line)
    run("import", "all.jsonl", "--db", "other.db", "--cache-id", "new")
    _, out, _ = run("export", "--db", "other.db", "--cache-id", "new")
    again = [json.loads(line) for line in out.split("\n")[:-1]]
    assert sorted(again, key=str) == sorted(
        [line | ({"expires_at": again[-1]["expires_at"]} if "expires_at" in line else {}) for line in lines],
        key=str,
    )
    assert abs(_seconds(expires) - _seconds(next(e["expires_at"] for e in again if "expires_at" in e))) < 60

    with open("prompts", "w", encoding="utf-8") as prompts:
        prompts.write("same\na @0\nunknown\nsame\n")
    _, out, _ = run("export", "--prompts", "prompts")
    told = [json.loads(line)["response"] for line in out.splitlines()]
    assert told == ["first", "second", "third", "A"]


def _seconds(text):
    return time.mktime(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S"))


def test_only_entries_with_attributes_are_exported_and_other_caches_are_named(run):
    filled("cache.db")
    _, out, _ = run("export", "--db", "cache.db", "--attribute", "tenant=u")
    assert [json.loads(line)["response"] for line in out.splitlines()] == ["third"]
    status, out, err = run("export", "--db", "cache.db", "--cache-id", "other")
    assert (status, out) == (1, "")
    assert "no entries of a cache 'other'; it has some of local" in err
    status, out, _ = run("stats", "--db", "cache.db", "--json")
    told = json.loads(out)
    assert (told["entries"], told["different_prompts"], told["that_expire"]) == (5, 3, 1)
    assert told["embedder"] == "angle"


def test_what_is_open_or_embedded_otherwise_is_refused_and_not_changed(run, monkeypatch):
    filled("cache.db")
    with open("one.jsonl", "w") as file:
        file.write('{"prompt": "p", "response": "r"}\n')
    with LocalServer(db="cache.db", embedder=AngleEmbedder()):
        for command in (["export"], ["import", "one.jsonl"]):
            status, _, err = run(*command, "--db", "cache.db")
            assert (status, "it is in use" in err) == (1, True)
    other = AngleEmbedder()
    other.name = "another"
    monkeypatch.setattr(place, "embedder_of", lambda name, model: other)
    status, _, err = run("import", "one.jsonl", "--db", "cache.db")
    assert (status, other.started) == (1, 0)
    assert "embedded with angle, and not with another" in err
    assert json.loads(run("stats", "--db", "cache.db", "--json")[1])["embedder"] == "angle"


TABLES = {
    "qa.csv": 'question,reply,topic\nq1,"a, 1",t\nq2,"a\n2",\n',
    "qa;.csv": 'question;reply;topic\nq1;"a, 1";t\nq2;"a\n2";\n',
    "qa.tsv": "question\treply\ttopic\nq1\ta, 1\tt\nq2\ta 2\t\n",
    "qa.jsonl": '{"question": "q1", "reply": "a, 1", "topic": "t"}\n\n{"question": "q2", "reply": "a 2"}\n',
}


@pytest.mark.parametrize("name", TABLES)
def test_warm_reads_tables_and_lines(name, cache, run):
    with open(name, "w") as file:
        file.write(TABLES[name])
    fields = ["--prompt-field", "question", "--response-field", "reply", "--attribute", "topic"]
    status, out, err = run("warm", name, *fields)
    if name == "qa.jsonl":
        assert (status, out) == (0, "Stored 2\n")
    else:  # an empty cell is no value of an attribute
        assert (status, out.startswith("Stored ")) == (0, True), err
    assert of(cache, "q1", attributes={"topic": "t"}) == ["a, 1"]
    assert len(of(cache, "q2")) == 1


@pytest.mark.parametrize(
    ("name", "content", "options", "reason"),
    [
        (
            "a.csv",
            b"question,answer\nq,a\n",
            [],
            "--prompt-field: no column of the table is called 'prompt'; its",
        ),
        (
            "a.csv",
            b"prompt;answer\nq;a\n",
            [],
            "--response-field: no column of the table is called 'response'",
        ),
        ("a.csv", b"prompt|response\nq|a\n", [], "its first line has 'prompt|response'"),
        ("a.csv", b"\xef\xbb\xbfPrompt,Response\nq,a\n", [], "its first line has 'Prompt', 'Response'"),
        ("a.csv", b"\n", [], "its first line has no names"),
        ("a.csv", b"prompt,response,prompt\nq,a,p\n", [], "several columns of the table are called 'prompt'"),
        (
            "a.tsv",
            b"prompt\tresponse\n",
            ["--attribute", "team"],
            "--attribute: no column of the table is called",
        ),
        ("a.jsonl", b"nothing\n", [], "there is nothing to store; line 1: is not JSON"),
        ("none.csv", None, ["--attribute", "team"], "No such file"),
        ("none.jsonl", None, [], "No such file"),
    ],
    ids=[
        "names",
        "semicolons",
        "bars",
        "capitals",
        "empty-line",
        "one-name-twice",
        "attribute",
        "json",
        "no-table",
        "no-lines",
    ],
)
def test_what_can_not_be_stored_makes_no_database(run, name, content, options, reason):
    if content is not None:
        Path(name).write_bytes(content)
    status, out, err = run("warm", name, "--db", "new.db", *options)
    assert (status, out, reason in err) == (2 if content is not None else 1, "", True), err
    assert not Path("new.db").exists()


@pytest.mark.parametrize("name", ["empty.csv", "empty.jsonl"])
def test_of_nothing_nothing_is_stored(run, name):
    Path(name).write_bytes(b"")
    assert run("warm", name, "--db", "new.db") == (0, "Stored 0\n", "")
    assert not Path("new.db").exists()


def test_an_export_by_prompts_has_all_entries_of_each_once(cache, run):
    cache.set_many([("few", "0"), ("FEW", "1"), *(("many", f"{number}") for number in range(150))])
    Path("prompts.txt").write_text("\ufefffew\r\nFEW\r\nmany\nnone\n", "utf-8")
    status, out, err = run("export", "--prompts", "prompts.txt")
    told = [json.loads(line) for line in out.splitlines()]
    assert (status, "may have more" in err) == (0, False)
    assert sorted(each["response"] for each in told if each["prompt"] == "many") == sorted(
        f"{number}" for number in range(150)
    )
    assert sorted(each["prompt"] for each in told if each["prompt"] != "many") == ["FEW", "few"]


@pytest.fixture
def large(cache, monkeypatch):
    """A prompt of which the service does not tell all answers: the oldest is left out."""
    monkeypatch.setattr("langcache.service.operations.MAX_REPLY_BYTES", 20_000)
    monkeypatch.setattr("langcache.aside.entries._FULL_REPLY_BYTES", 20_000)
    lines = [("large", f"{number}" * 9_000) for number in range(4)]
    for prompt, response in lines:
        cache.set(prompt, response)
    return lines


@pytest.mark.usefixtures("large")
def test_an_export_by_prompts_says_where_it_may_not_be_all(cache, run, monkeypatch):
    cache.set_many([("few", f"{number}") for number in range(15)])
    cache.set_many([("many", f"{number}") for number in range(65)])
    monkeypatch.setattr("langcache.aside.entries._LAST_PAGE", 64)
    for file, numbers in (
        ("few\nmany\nlarge\nnone\n", (2, 3)),
        ("few\n\nfew\nmany\n\r\nmany\nfew\nlarge\nmany\n", (4, 8)),
        ("\ufeff\n\nlarge\nlarge\nfew\r\nmany", (6, 3)),
    ):
        Path("prompts.txt").write_text(file, "utf-8")
        status, out, err = run("export", "--prompts", "prompts.txt")
        assert (status, len(out.splitlines())) == (1, 15 + 64 + 3)
        for number, count in zip(numbers, (64, 3), strict=True):
            assert f"--prompts: the prompt in line {number} has {count} entries, and may have more" in err
        assert err.count("may have more") == 2
    Path("prompts.txt").write_text("few\nnone\n")
    status, out, err = run("export", "--prompts", "prompts.txt")
    assert (status, len(out.splitlines()), "may have more" in err) == (0, 15, False)


@pytest.mark.parametrize(
    ("file", "number"),
    [("{}\n", 1), ("\n{}", 2), ("few\n\nfew\nfew\n{}\nother\n", 5), ("few\r\nfew\r\n\r\n{}\r\n", 4)],
)
@pytest.mark.usefixtures("cache")
def test_a_prompt_that_can_not_be_asked_for_is_named_by_its_line(file, number, run):
    Path("prompts.txt").write_bytes(file.format("x" * 1025).encode())
    status, _, err = run("export", "--prompts", "prompts.txt")
    assert (status, err.count(f"langcache: --prompts: line {number}: prompt: ")) == (1, 1), err


def test_what_the_cache_does_not_tell_is_not_stored_twice(cache, large, run):
    with open("all.jsonl", "w") as file:
        file.writelines(json.dumps({"prompt": prompt, "response": text}) + "\n" for prompt, text in large)
    status, out, err = run("import", "all.jsonl")
    assert (status, out) == (1, "Stored 0, 3 there already, 1 failed\n")
    assert "line 1: the cache has more entries of this prompt than it tells" in err
    assert "put the line into a file of its own and give --again, which stores all lines" in err
    cache.flush()
    assert run("import", "all.jsonl")[:2] == (0, "Stored 4\n")


def test_a_file_may_be_larger_than_memory(cache, run, monkeypatch):
    monkeypatch.setattr("langcache.cli.filling._WINDOW", 1)
    with open("all.jsonl", "w") as file:
        file.writelines(f'{{"prompt": "p{number}", "response": "{"r" * 100_000}"}}\n' for number in range(60))
    assert run("import", "all.jsonl")[:2] == (0, "Stored 60\n")
    tracemalloc.start()
    try:
        assert run("import", "all.jsonl")[:2] == (0, "Stored 0, 60 there already\n")
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < os.stat("all.jsonl").st_size / 3


@pytest.mark.parametrize("command", ["import", "warm"])
def test_a_prompt_with_many_answers_is_stored_once(command, cache, run, monkeypatch):
    monkeypatch.setattr("langcache.cli.filling._WINDOW", 7)
    with open("all.jsonl", "w") as file:
        file.writelines(f'{{"prompt": "q", "response": "{number}"}}\n' for number in range(150))
    assert run(command, "all.jsonl")[:2] == (0, "Stored 150\n")
    assert run(command, "all.jsonl")[:2] == (0, "Stored 0, 150 there already\n")
    assert len(cache.search("q", search_strategies=["exact"], max_results=4096)) == 150


def test_a_reembedding_shows_how_far_it_is(run, tmp_path, monkeypatch):
    filled(tmp_path / "cache.db")
    monkeypatch.setattr("langcache.cli.reembed.embedder_of", lambda name, model: other)
    other = AngleEmbedder()
    other.name = "another"
    status, out, err = run("reembed", "--db", "cache.db", "--embedder", "minilm")
    assert (status, out) == (0, "5 entries are embedded with another.\n")
    assert "embedded 5 of 5 prompts" in err


def test_warm_takes_answers_out_of_a_log(cache, run):
    chat = {"request": {"messages": [{"content": "be kind"}, {"content": "q"}]}, "user.id": 7}
    chat["reply"] = {"choices": [{"message": {"content": "a"}}]}
    lines = ["starting", "{}", json.dumps(chat), '{"level": "info"}', "[1, 2]", "7"]
    sys.stdin, before = SimpleNamespace(buffer=io.BytesIO("\n".join(lines).encode())), sys.stdin
    fields = ["--prompt-field", "request.messages.-1.content"]
    fields += ["--response-field", "reply.choices.0.message.content", "--attribute", "tenant=user.id"]
    try:
        status, out, err = run("warm", "-", *fields, "--skip-others", "--json")
    finally:
        sys.stdin = before
    assert (status, "line " in err) == (0, False)
    assert json.loads(out) == {
        "lines": 6,
        "stored": 1,
        "there": 0,
        "expired": 0,
        "skipped": 5,
        "failed": 0,
    }
    assert of(cache, "q", attributes={"tenant": "7"}) == ["a"]


WRONG = {
    "not json": "is not JSON",
    '{"prompt": "p"}': "has no response",
    '{"response": "r"}': "has no prompt",
    '{"prompt": 7, "response": "r"}': "prompt is no text",
    '{"prompt": "p", "response": {}}': "response is no text",
    '{"prompt": "", "response": "r"}': "prompt: must have at least 1",
    '{"prompt": "p", "response": "r", "attributes": {"other": "x"}}': "other",
    '{"prompt": "p", "response": "r", "attributes": {"topic": []}}': "attribute topic is no text",
    '{"prompt": "p", "response": "r", "attributes": "x"}': "attributes are no object",
    '{"prompt": "p", "response": "r", "expires_at": "soon"}': "expires_at is no time",
    '{"prompt": "\\ud800", "response": "r"}': "",
    '{"prompt": "p", "response": "r", "expires_at": "9000-01-01T00:00:00Z"}': "expires_at: must be at most",
}


def test_each_line_that_fails_is_named_and_the_others_are_stored(cache, run):
    good = [json.dumps({"prompt": f"good {number}", "response": "r"}) for number in range(len(WRONG))]
    with open("all.jsonl", "w") as file:
        file.writelines(f"{wrong}\n{right}\n" for wrong, right in zip(WRONG, good, strict=True))
    status, out, err = run("import", "all.jsonl")
    assert (status, out) == (1, f"Stored {len(good)}, {len(WRONG)} failed\n")
    failed = [line for line in err.splitlines() if line.startswith("langcache: line ")]
    assert len(failed) == len(WRONG)
    for number, (line, reason) in enumerate(zip(failed, WRONG.values(), strict=True)):
        assert line.startswith(f"langcache: line {2 * number + 1}: ")
        assert reason in line
    assert of(cache, "good 11") == ["r"]


def test_what_has_expired_is_left_out(cache, run):
    with open("all.jsonl", "w") as file:
        for when in ('"2001-01-01T00:00:00Z"', '"2001-01-01"', "1000", '"2999-01-01T00:00:00+01:00"'):
            file.write(f'{{"prompt": "p", "response": "r", "expires_at": {when}}}\n')
    status, out, _ = run("import", "all.jsonl")
    assert (status, out) == (1, "Stored 0, 3 expired, 1 failed\n"), "the last is further than a service keeps"


def test_a_stop_is_said_and_the_same_command_goes_on(cache, server, run, monkeypatch):
    with open("all.jsonl", "w") as file:
        file.writelines(f'{{"prompt": "p{number}", "response": "r"}}\n' for number in range(50))
    monkeypatch.setenv("LANGCACHE_API_KEY", "wrong")
    status, out, err = run("import", "all.jsonl")
    assert (status, out) == (1, "Stored 0\n")
    assert "stopped: 401" in err
    assert "the same command goes on from here" in err
    monkeypatch.setenv("LANGCACHE_API_KEY", server.api_key)
    for number in range(20):
        cache.set(f"p{number}", "r")
    assert run("import", "all.jsonl")[:2] == (0, "Stored 30, 20 there already\n")


def test_ctrl_c_says_what_was_stored(cache, run, monkeypatch):
    from langcache.cli import filling

    monkeypatch.setattr(filling, "_WINDOW", 2)
    with open("all.jsonl", "w") as file:
        file.writelines(f'{{"prompt": "p{number}", "response": "r"}}\n' for number in range(6))

    def lines(*arguments):
        for line in read_lines("all.jsonl", "jsonl", Fields()):
            if line.number == 5:
                raise KeyboardInterrupt
            yield line

    monkeypatch.setattr("langcache.cli.fill.read_lines", lines)
    status, out, err = run("import", "all.jsonl")
    assert (status, out) == (130, "Stored 4\n")
    assert "Interrupted; the same command goes on from here." in err


def test_a_cache_goes_through_redis(run, redis_at, tmp_path):
    url = tmp_path / "url"
    url.write_text(redis_at)
    url.chmod(0o600)
    filled("cache.db")
    _, exported, _ = run("export", "--db", "cache.db")
    (tmp_path / "all.jsonl").write_bytes(exported.encode())
    store = ["--store-file", url, "--cache-id", "c"]
    status, out, err = run("export", *store)
    assert (status, "there are no entries" in err) == (1, True)
    assert run("import", "all.jsonl", *store)[:2] == (0, "Stored 5\n")
    assert run("import", "all.jsonl", *store)[:2] == (0, "Stored 0, 5 there already\n")
    status, out, _ = run("export", *store)
    back = [json.loads(line) for line in out.split("\n")[:-1]]
    before = [json.loads(line) for line in exported.split("\n")[:-1]]
    for line in (*back, *before):
        line.pop("expires_at", None)
    assert sorted(back, key=str) == sorted(before, key=str)
    assert json.loads(run("stats", *store, "--json")[1])["entries"] == 5


def test_progress_is_a_bar_on_a_terminal_and_a_line_at_each_tenth_elsewhere(monkeypatch):
    from langcache.cli.terminal import Progress

    for terminal in (True, False):
        stream = io.StringIO()
        stream.isatty = lambda terminal=terminal: terminal
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setenv("TERM", "xterm")
        with Progress("read", "lines") as progress:
            for done in range(1, 1001):
                progress(done, 1000)
        shown = stream.getvalue()
        if terminal:
            assert shown.endswith("[########################] read 1,000 of 1,000 lines\n")
            assert max(map(len, shown.split("\r"))) <= 80
        else:
            assert shown.splitlines() == [f"read {done:,} of 1,000 lines" for done in range(100, 1001, 100)]


def test_the_variable_of_clients_names_the_cache_of_a_file_too(run, monkeypatch):
    monkeypatch.setenv("LANGCACHE_CACHE_ID", "shop")
    with open("one.jsonl", "w") as file:
        file.write('{"prompt": "q", "response": "a"}\n')
    run("import", "--db", "cache.db", "one.jsonl")
    assert json.loads(run("export", "--db", "cache.db", "--cache-id", "shop")[1])["response"] == "a"
    assert json.loads(run("export", "--db", "cache.db")[1])["response"] == "a"


def test_an_answer_that_was_stored_anew_is_imported_as_often_as_it_is_there(cache, run):
    line = '{"prompt": "q", "response": "%s"}\n'
    with open("all.jsonl", "w") as file:
        file.write("".join(line % response for response in "xyx"))
    assert run("import", "all.jsonl")[1] == "Stored 3\n"
    assert of(cache, "q") == ["x", "y", "x"]
    assert run("import", "all.jsonl")[1] == "Stored 0, 3 there already\n"
    cache.flush()
    assert run("warm", "all.jsonl")[1] == "Stored 2, 1 there already\n"


def test_an_export_leaves_other_files_alone(run):
    filled("cache.db")
    os.mkfifo("pipe")
    reader = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
    Path("out.jsonl.part").write_text("mine")
    Path("link").symlink_to("target")
    for name in ("out.jsonl", "link", "pipe"):
        assert run("export", "--db", "cache.db", "--output", name)[0] == 0
    assert Path("out.jsonl.part").read_text() == "mine"
    assert Path("link").is_symlink()
    assert Path("target").read_bytes() == Path("out.jsonl").read_bytes() == os.read(reader, 100_000)
    os.close(reader)
    assert {each for each in os.listdir() if each.startswith(".")} == set()


def test_where_an_export_can_not_be_written_is_said_as_it_was_given(run, monkeypatch):
    filled("cache.db")

    def refused(**_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/nobody/gave/this")

    monkeypatch.setattr("tempfile.mkstemp", refused)
    status, out, err = run("export", "--db", "cache.db", "--output", "out.jsonl")
    assert (status, out, err) == (1, "", f"langcache: {Path('out.jsonl').resolve()}: Permission denied\n")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"prompt,response\nq,a, b\n", "line 2: has 3 cells, and the first line has 2"),
        ("prompt,response\nCafé?,Oui\n".encode("cp1252"), "line 2: is not UTF-8"),
        (b'prompt,response\n"q,a\nq,a\nq,a\n', "line 2: can't be read: unexpected end of data; does a cell"),
        (b'prompt,response\n"q\nq",a,b\n', "line 2: has 3 cells"),
    ],
)
@pytest.mark.usefixtures("cache")
def test_a_line_of_a_table_that_would_be_damaged_is_named(run, content, reason):
    Path("qa.csv").write_bytes(content)
    status, out, err = run("warm", "qa.csv")
    assert (status, out.startswith("Stored 0")) == (1, True)
    assert reason in err


def test_an_export_whose_reader_has_ended_leaves_no_traceback(tmp_path):
    filled(tmp_path / "cache.db")
    reading, writing = os.pipe()
    os.close(reading)
    export = [sys.executable, "-m", "langcache", "export", "--db", str(tmp_path / "cache.db")]
    ended = subprocess.run(export, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(writing)
    assert "Traceback" not in ended.stderr
    assert "generator" not in ended.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has a device that is full")
@pytest.mark.parametrize("output", [[], ["--output", "/dev/full"]], ids=["stdout", "output"])
def test_an_export_that_can_not_be_written_is_said_in_one_line(output, monkeypatch, capsys):
    filled("cache.db")
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert main(["export", "--db", "cache.db", *output]) == 1
    assert capsys.readouterr().err == "langcache: can't write the output: No space left on device\n"


def test_a_closed_stdin_is_said(cache, run, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    for command in (["search", "-"], ["import", "-"], ["export", "--prompts", "-"]):
        status, _, err = run(*command)
        assert status in (1, 2)
        assert "stdin is closed" in err


@pytest.mark.parametrize("command", ["export", "stats"])
def test_without_the_extra_a_command_says_what_to_install(command):
    program = "import sys; sys.modules['numpy'] = None; from langcache.cli import main; sys.exit(main())"
    arguments = [sys.executable, "-c", program, command, "--db", "cache.db"]
    ended = subprocess.run(arguments, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert "pip install" in ended.stderr
    assert "local" in ended.stderr
