"""The examples in the README of the established package run unchanged on this one."""

import ast
import re
import subprocess
import sys

import pytest
from interpreters import ESTABLISHED, run

from langcache.service import LocalServer

PLACEHOLDERS = ("https://api.example.com", "<LANGCACHE_API_KEY>", "<id>")


def examples(python):
    return re.findall(r"```python\n(.*?)```", run(python, "readme.py"), re.DOTALL)


def is_python(example):
    try:
        ast.parse(example)
    except SyntaxError:  # some are not: a positional argument after a keyword, a block without a statement
        return False
    return True


EXAMPLES = [
    pytest.param(example, id=f"{version}-{number}")
    for version, python in ESTABLISHED.items()
    for number, example in enumerate(examples(python))
    # docs/migration.md says what to write for a client of httpx.
    if is_python(example) and "httpx" not in example
]


def test_there_are_enough_examples():
    assert len(EXAMPLES) >= 2 * 14


@pytest.fixture(scope="module")
def server():
    with LocalServer(attributes=("language", "topic")) as server:
        yield server


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example(example, server):
    settings = {
        "LANGCACHE_SERVER_URL": server.url,
        "LANGCACHE_API_KEY": server.api_key,
        "LANGCACHE_CACHE_ID": server.cache_id,
    }
    for placeholder, value in zip(PLACEHOLDERS, settings.values(), strict=True):
        example = example.replace(placeholder, value)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", example],
        capture_output=True,
        text=True,
        timeout=120,
        env=settings,
    )
    if "delete_by_id" in example:  # of an entry that is not there
        assert "langcache.errors.NotFoundError: 404 Not Found" in done.stderr
    else:
        assert (done.stderr, done.returncode) == ("", 0)
