"""`python -m langcache search`, `set`, `delete`, `flush`, `stats` and `doctor`, against real services."""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import os
import re
import socket
import sys
from pathlib import Path

import pytest

from langcache.cli import main
from langcache.cli.client import MISS
from langcache.cli.doctor import EXTRAS
from langcache.cli.terminal import print_table
from langcache.service import CacheConfig, ServerConfig
from langcache.service.server import serving

SECRET = "own-secret-0123456789"


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    for name in [name for name in os.environ if name.startswith("LANGCACHE_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def kept():
    return {"api_key": SECRET}


@pytest.fixture
def named(server, monkeypatch):
    """A server that the variables of clients name."""
    monkeypatch.setenv("LANGCACHE_SERVER_URL", server.url)
    monkeypatch.setenv("LANGCACHE_API_KEY", server.api_key)
    monkeypatch.setenv("LANGCACHE_CACHE_ID", server.cache_id)
    return server


@pytest.fixture
def run(capsys):
    """The exit status of a command, and what it prints."""

    def run(*arguments):
        status = main([*map(str, arguments)])
        printed = capsys.readouterr()
        assert SECRET not in printed.out + printed.err
        assert "Traceback" not in printed.err
        return status, printed.out, printed.err

    return run


@pytest.mark.usefixtures("named")
def test_an_entry_from_birth_to_death(run):
    status, entry_id, _ = run("set", "a @0", "the answer", "--attribute", "topic=t", "--ttl", "1h")
    entry_id = entry_id.strip()
    assert status == 0
    status, out, _ = run("search", "b @20", "--attribute", "topic=t")
    assert (status, out) == (0, f"hit  0.970  a @0\n  the answer\n  id {entry_id}  topic=t\n")
    status, out, _ = run("search", "b @20", "--json")
    (found,) = json.loads(out)["data"]
    assert (status, found["id"], found["response"]) == (0, entry_id, "the answer")
    assert run("search", "b @20", "--attribute", "topic=other") == (MISS, "miss\n", "")
    assert run("search", "b @20", "--threshold", "0.99") == (MISS, "miss\n", "")
    assert run("search", "A @0", "--strategy", "exact")[0] == 0
    assert run("delete", entry_id) == (0, "Deleted 1 entry.\n", "")
    assert run("delete", entry_id) == (
        MISS,
        "Deleted 0 entries.\n",
        f"langcache: there is no entry {entry_id}\n",
    )
    status, out, _ = run("search", "b @20", "--json")
    assert (status, json.loads(out)) == (MISS, {"data": []})


@pytest.mark.usefixtures("named")
def test_delete_by_attributes_and_flush(run):
    for topic in ("t", "t", "u"):
        run("set", "a", "b", "--attribute", f"topic={topic}")
    status, out, _ = run("delete", "--attribute", "topic=t", "--json")
    assert (status, json.loads(out)) == (0, {"deletedEntriesCount": 2})
    status, out, err = run("flush")
    assert (status, out, err) == (
        2,
        "",
        "langcache: flush: deletes all entries; say --yes if that is meant\n",
    )
    assert run("search", "a")[0] == 0
    assert run("flush", "--yes") == (0, "All entries are deleted.\n", "")
    assert run("search", "a")[0] == MISS


@pytest.mark.usefixtures("named")
def test_a_text_of_a_cache_does_not_control_the_terminal(run, capsys):
    print_table([["name"], ["  x\x1b]0;x\x07\ny"]])
    assert capsys.readouterr().out == "name\n  x\N{REPLACEMENT CHARACTER}]0;x\N{REPLACEMENT CHARACTER} y\n"
    run("set", "q\x1b[2J", "a\x1b]0;x\x07\nb")
    _, out, _ = run("search", "q\x1b[2J")
    assert not {each for each in out if not each.isprintable()} - {"\n"}
    assert json.loads(run("search", "q\x1b[2J", "--json")[1])["data"][0]["response"] == "a\x1b]0;x\x07\nb"


@pytest.mark.usefixtures("named")
def test_a_dash_reads_stdin(run, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("two\nlines\n"))
    run("set", "q", "-")
    monkeypatch.setattr(sys, "stdin", io.StringIO("q\n"))
    assert "  two\n  lines\n" in run("search", "-")[1]


@pytest.mark.usefixtures("named")
@pytest.mark.parametrize("command", [["set", "-", "x"], ["set", "p", "-"], ["search", "-"]], ids=" ".join)
def test_what_stdin_has_is_text_in_its_encoding(command, run, monkeypatch):
    cases = ((b"Caf\xe9", "utf-8"), (b"\xc3\xa9", "ascii"), (b"a\n\xed\xb3\xbf\n", "utf-8"))
    # Python reads what is no text as lone surrogates where LC_ALL is C or C.UTF-8.
    for (content, encoding), errors in itertools.product(cases, ("strict", "surrogateescape")):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), encoding, errors))
        assert run(*command) == (2, "", f"langcache: -: stdin is not {encoding.upper()}\n")


@pytest.mark.usefixtures("named")
def test_a_mark_at_the_start_of_stdin_is_no_part_of_a_text(run, monkeypatch):
    for command in (["set", "-", "the answer"], ["search", "question @0"]):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xef\xbb\xbfquestion @0\n"), "utf-8"))
        status, out, _ = run(*command)
        assert status == 0
    assert "the answer" in out


@pytest.mark.usefixtures("named")
@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["search", ""], "prompt: must have at least 1 character"),
        (["search", "x" * 1025], "prompt: "),
        (["search", "x", "--threshold", "2"], "--threshold: must be"),
        (["search", "x", "--threshold=-0.1"], "--threshold: must be"),
        (["search", "x", "--threshold", "nan"], "--threshold: must be"),
        (["search", "x", "--max-results", "0"], "--max-results: must be"),
        (["search", "x", "--attribute", "a b=x"], "--attribute: "),
        (["set", "a", "b", "--ttl", "999999d"], "--ttl: must be"),
        (["set", "a", "b", "--attribute", "topic=a,b"], "--attribute: "),
        (["set", "a", "b", "--attribute", "topic=a", "--attribute", "topic=b"], "topic is given twice"),
        (["delete"], "delete: give ids, or --attribute"),
        (["delete", "i", "--attribute", "topic=a"], "delete: give ids, or --attribute"),
        (["search", "x", "--api-key-file", "nowhere"], "--api-key-file: can't read 'nowhere'"),
        (
            ["search", "x", "--server-url", "http://user:pass@h"],
            "--server-url: must not carry a user or password, or any @; the key goes in LANGCACHE_API_KEY",
        ),
        (["stats", "--db", "nowhere.db", "--server-url", "http://h"], "--server-url: "),
        (["export"], "export: a service does not list its entries"),
        (["export", "--db", "a.db", "--prompts", "p"], "--prompts: asks a service"),
        (["import", "-", "--db", "a.db"], "-: with --db and --store it is read twice"),
        (["import", ".", "--db", "a.db"], ".: with --db and --store it is read twice"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_what_is_given_wrongly_is_said_in_one_line(run, arguments, reason, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert said_in_one_line(run(*arguments), reason) == 2


@pytest.mark.usefixtures("named")
@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["search", "x", "--attribute", "other=x"], "other"),
        (["search", "x", "--cache-id", "other"], "404"),
        (["search", "x", "--max-results", "9999"], "400 Bad Request: --max-results: must be at most"),
        (["stats"], "the service gives no figures"),
        (["stats", "--cache-id", "other"], "404"),
        (["stats", "--db", "nowhere.db"], "there is no database nowhere.db"),
        (["export", "--db", "."], "the database . can't be used: it is not a file"),
        (["import", "nowhere.jsonl"], "nowhere.jsonl: No such file"),
        (["import", "nowhere.jsonl", "--db", "a.db"], "nowhere.jsonl: No such file"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_what_can_not_be_done_is_said_in_one_line(run, arguments, reason, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert said_in_one_line(run(*arguments), reason) == 1


def said_in_one_line(done, reason):
    """The exit status of a command that said what is wrong as it should."""
    status, out, err = done
    assert out == ""
    assert err.startswith("langcache: ")
    assert reason in err
    assert err.count("\n") == 1
    return status


@pytest.mark.parametrize("command", ["search x", "set a b", "delete i", "flush --yes", "stats"])
def test_with_nothing_set_all_three_are_named_as_options(run, command):
    status, out, err = run(*command.split())
    assert (status, out, err.count("\n")) == (2, "", 1)
    for option in ("--server-url", "--api-key-file", "--cache-id", "langcache serve"):
        assert option in err


SOMEWHERE = {
    "LANGCACHE_SERVER_URL": "http://127.0.0.1:1",
    "LANGCACHE_API_KEY": "key",
    "LANGCACHE_CACHE_ID": "cache",
}
WRONG = [
    *(f"{command} --server-url ftp://h" for command in ("search q", "set q a", "delete i", "flush --yes")),
    *(
        f"{command} --cache-id a/b"
        for command in ("search q", "stats", "warm all.jsonl", "export --prompts x")
    ),
    *(f"{command} --api-key-file spaces" for command in ("search q", "tune pairs.tsv --service", "serve")),
    "search q --threshold 2",
    "search q --max-results 0",
    "set q a --ttl 999999d",
    "delete --attribute a/b=x",
    "warm all.jsonl --ttl 999999d",
    "import all.jsonl --db a.db --embedder-model m --embedder openai:h",
    "export --db a.db --output nowhere/a.jsonl",
    "tune pairs.tsv --max-wrong 2",
    "tune pairs.tsv --confidence 2",
    "tune pairs.tsv --threshold 2",
    "tune pairs.tsv --concurrency 0",
    "tune pairs.tsv --api-key-file spaces",
    "tune pairs.tsv --service --attribute a/b",
    "tune pairs.tsv --service --server-url ftp://h",
    "tune pairs.tsv --service --cache-id a/b",
    "tune pairs.tsv --svg nowhere/a.svg",
    "reembed --embedder minilm --db nowhere",
    "reembed --db all.jsonl --embedder-model m --embedder openai:h",
    "reembed --db all.jsonl --embedder minilm --cache-id a/b",
    "caches create c --threshold 2",
    "caches list --server-url ftp://h",
    "keys list --admin-key-file spaces",
    "serve --cache-id a/b",
    "serve --max-entries 0",
    "serve --ttl 999999d",
]


@pytest.mark.parametrize(
    ("command", "given"),
    [
        ("search q --api-key-file nowhere/api_key.txt", "nowhere/api_key.txt"),
        ("export --db cache_id.db", "cache_id.db"),
        ("recover server_url.db", "server_url.db"),
        ("recover .", "."),
        (f"recover {'x' * 300}", "x" * 300),
        (f"serve --db {'x' * 300}", "x" * 300),
    ],
)
def test_what_the_user_gave_is_said_as_it_is(command, given, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(command.split()) in (1, 2)
    err = capsys.readouterr().err
    assert given in err
    assert "output" not in err


@pytest.mark.parametrize("command", WRONG)
def test_what_is_wrong_is_said_of_the_option_and_of_no_argument(command, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, value in (*SOMEWHERE.items(), ("LANGCACHE_ADMIN_KEY", "admin")):
        monkeypatch.setenv(name, value)
    Path("spaces").write_text("a key")
    Path("spaces").chmod(0o600)
    Path("all.jsonl").write_text('{"prompt": "p", "response": "r"}\n')
    Path("pairs.tsv").write_text("a\tb\t1\nc\td\t0\n")
    assert main(command.split()) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert re.match(rf"langcache: {command.split()[-2]}(:| spaces:)", err)
    assert not re.search(r"[a-z]_[a-z]", err.replace(f"{tmp_path}", ""))


@pytest.mark.parametrize(
    ("variable", "value"), [("LANGCACHE_SERVER_URL", "ftp://h"), ("LANGCACHE_CACHE_ID", "a/b")]
)
def test_what_is_wrong_with_a_variable_is_said_of_the_variable(run, variable, value, monkeypatch):
    for name, given in {**SOMEWHERE, variable: value}.items():
        monkeypatch.setenv(name, given)
    assert run("search", "q")[2].startswith(f"langcache: {variable}: must ")


def test_what_commands_with_an_admin_key_need_is_named_as_options(run):
    status, out, err = run("caches", "list")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "--server-url" in err
    assert "--admin-key-file" in err
    assert "all three" not in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["serv"], "did you mean serve?"),
        (["serve", "--prot", "80"], "did you mean --port?"),
        (["caches", "lst"], "did you mean list?"),
        (["search", "q", "--atribute", "a=b"], "did you mean --attribute?"),
        (["search", "q", "--strategy", "fuzzy"], "there are exact, semantic"),
        (["set", "a", "b", "--ttl", "soon"], "'soon' is no time"),
        (["set", "a", "b", "--attribute", "topic"], "must be NAME=VALUE"),
        (["import", "f", "--concurrency", "0"], "from 1 to 256"),
        (["demo", "--zzz"], "unrecognized arguments: --zzz\n"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_misspelled_is_answered_with_the_nearest(arguments, said, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


async def test_stats_of_a_service_with_figures(run, embedder, monkeypatch):
    pytest.importorskip("prometheus_client")
    config = ServerConfig(caches=(CacheConfig(api_key=SECRET),), metrics_key=SECRET[::-1])
    async with serving(config, embedder) as running:
        for name, value in (("SERVER_URL", running.url), ("API_KEY", SECRET), ("CACHE_ID", "local")):
            monkeypatch.setenv(f"LANGCACHE_{name}", value)
        status, _, err = await asyncio.to_thread(run, "stats")
        assert (status, "gives its figures for a key alone" in err) == (1, True)
        monkeypatch.setenv("LANGCACHE_METRICS_KEY", SECRET[::-1])
        for command in (["search", "a"], ["set", "a", "b"], ["search", "a"], ["search", "a"]):
            await asyncio.to_thread(run, *command)
        status, out, _ = await asyncio.to_thread(run, "stats", "--json")
        assert status == 0
        told = json.loads(out)
        assert (told["searches"], told["hits"], told["misses"]) == (3, 2, 1)
        assert "hit rate" in (await asyncio.to_thread(run, "stats"))[1]


def checks(out):
    return {check["name"]: check for check in json.loads(out)}


@pytest.mark.usefixtures("named")
def test_doctor_finds_nothing_wrong(run):
    status, out, _ = run("doctor", "--json")
    found = checks(out)
    assert status == 0
    assert {check["state"] for check in found.values()} == {"ok"}
    assert {
        "server_url",
        "api_key",
        "cache_id",
        "proxy",
        "reachable",
        "valid",
        "embedder",
        "latency",
        "clock",
    } <= (found.keys())
    assert re.fullmatch(r"\*{8}, \d+ characters, from LANGCACHE_API_KEY", found["api_key"]["what"])
    status, out, _ = run("doctor")
    assert (status, max(map(len, out.splitlines())) <= 80) == (0, True)


def closed_port():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{unused.getsockname()[1]}"


@pytest.mark.parametrize(
    ("changed", "name", "advice"),
    [
        ({"LANGCACHE_API_KEY": ""}, "api_key", "set LANGCACHE_API_KEY"),
        ({"LANGCACHE_API_KEY": "wrong"}, "valid", "check LANGCACHE_API_KEY"),
        ({"LANGCACHE_CACHE_ID": "other"}, "valid", "check LANGCACHE_CACHE_ID"),
        ({"LANGCACHE_SERVER_URL": closed_port()}, "reachable", "does the service run?"),
        ({"LANGCACHE_SERVER_URL": f"http://u:{SECRET}@h"}, "settings", ""),
        ({"LANGCACHE_SERVER_URL": "http://h.invalid", "http_proxy": f"socks5://u:{SECRET}@h"}, "proxy", ""),
    ],
    ids=["no key", "wrong key", "wrong cache", "no service", "password in the URL", "impossible proxy"],
)
@pytest.mark.usefixtures("named")
def test_doctor_says_what_to_do(run, changed, name, advice, monkeypatch):
    for variable, value in changed.items():
        monkeypatch.setenv(variable, value)
    status, out, _ = run("doctor", "--json")
    check = checks(out)[name]
    assert (status, check["state"]) == (1, "wrong")
    assert advice in check["advice"]
    assert run("doctor")[0] == 1


@pytest.mark.usefixtures("named")
def test_doctor_tells_an_embedder_that_fails(run, embedder):
    from langcache.service import EmbedderError

    embedder.failure = EmbedderError("no model")
    status, out, _ = run("doctor", "--json")
    assert (status, checks(out)["valid"]["state"], checks(out)["embedder"]["state"]) == (1, "ok", "wrong")


def test_doctor_knows_the_extras_that_there_are():
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8")
    listed = text.partition("[project.optional-dependencies]\n")[2].partition("\n[")[0]
    assert set(EXTRAS) == set(re.findall(r"^([\w-]+) = \[", listed, re.MULTILINE))


@pytest.mark.parametrize(
    ("variables", "terminal", "coloured"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": ""}, True, True),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, True, False),
        ({"TERM": "dumb"}, True, False),
    ],
    ids=str,
)
def test_colours_are_for_terminals(variables, terminal, coloured, monkeypatch):
    from langcache.cli.terminal import Colours

    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    stream = io.StringIO()
    stream.isatty = lambda: terminal
    assert (Colours(stream).bold("x") != "x") == coloured


@pytest.mark.parametrize("command", ["search", "doctor", "import", "export", "stats"])
@pytest.mark.parametrize("given", [["--api-key", "sk-verysecret"], ["--api-key=sk-verysecret"]])
def test_a_key_as_an_option_is_refused_and_not_repeated(run, capsys, command, given):
    with pytest.raises(SystemExit) as ended:
        run(command, *(["x"] if command in ("search", "import") else []), *given)
    assert ended.value.code == 2
    assert "sk-verysecret" not in capsys.readouterr().err


@pytest.mark.usefixtures("named")
def test_a_question_is_read_from_stdin_too(run, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("How do I pay?\n"))
    run("set", "-", "By card.")
    assert "By card." in run("search", "How do I pay?")[1]
    status, _, err = run("set", "-", "-")
    assert (status, "stdin has the question or the answer" in err) == (2, True)
