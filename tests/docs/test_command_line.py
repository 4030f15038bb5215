"""The commands on the page about the command line do what it shows."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from langcache import LangCache
from langcache.cli import main
from langcache.service import LocalServer

PAGE = Path(__file__).parents[2] / "docs" / "command-line.md"
COMMAND = re.compile(
    r"^\$ python -m langcache (?P<arguments>(?:.+\\\n)*.+)\n(?P<output>(?:(?!\$ ).+\n)*)", re.MULTILINE
)


@pytest.fixture
def files(tmp_path, monkeypatch):
    """What the page reads."""
    monkeypatch.chdir(tmp_path)
    Path("faq.csv").write_text("question,answer\nWhat is Redis?,A database.\nWhat is 1 + 1?,2\n")
    said = {
        "request": {"messages": [{"content": "Who wrote Faust?"}]},
        "reply": {"choices": [{"message": {"content": "Goethe."}}]},
    }
    Path("chat.log").write_text(f"started\n{json.dumps(said)}\n")
    Path("prompts.txt").write_text("What is Redis?\n")


@pytest.mark.usefixtures("files")
def test_the_examples_print_what_the_page_shows(monkeypatch, capsys):
    blocks = re.findall(r"^```console\n(.+?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    commands = [found for block in blocks for found in COMMAND.finditer(block)]
    assert len(commands) == 11
    with LocalServer(attributes=("topic",)) as server:
        monkeypatch.setenv("LANGCACHE_SERVER_URL", server.url)
        monkeypatch.setenv("LANGCACHE_API_KEY", server.api_key)
        monkeypatch.setenv("LANGCACHE_CACHE_ID", server.cache_id)
        with LangCache() as cache:
            cache.health()
        for found in commands:
            status = main(shlex.split(found["arguments"].replace("\\\n", "")))
            expected = re.escape(found["output"]).replace("…", ".+")
            printed = capsys.readouterr()
            assert re.fullmatch(expected, printed.out, re.DOTALL), (found["arguments"], printed)
            assert status == (3 if found["output"] == "miss\n" else 0), found["arguments"]
