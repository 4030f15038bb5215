"""The Python on the pages about frameworks runs as it stands there, each page in a process of its own.

The frameworks keep their connections open until the process ends, as in the programs of users.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from langcache.service import LocalServer

from .provider import Provider

ROOT = Path(__file__).parents[2]
NEEDED = {
    "langchain": ("langchain", "langchain_openai"),
    "openai-agents": ("agents",),
    "pydantic-ai": ("pydantic_ai", "openai"),
}
"""The pages, each with the packages that it needs."""

RUN = """
import sys
from pathlib import Path

sys.path[:0] = [{folder!r}]
from test_snippets import blocks, run

run(blocks(Path({page!r})))
"""


@pytest.mark.parametrize("page", NEEDED)
def test_a_page(page):
    for package in NEEDED[page]:
        pytest.importorskip(package)
    code = RUN.format(folder=str(ROOT / "tests/docs"), page=str(ROOT / f"docs/{page}.md"))
    with LocalServer(attributes=("fingerprint", "user")) as server, Provider() as provider:
        environment = {
            **os.environ,
            "LANGCACHE_SERVER_URL": server.url,
            "LANGCACHE_API_KEY": server.api_key,
            "LANGCACHE_CACHE_ID": server.cache_id,
            "OPENAI_BASE_URL": provider.openai,
            "OPENAI_API_KEY": "key",
        }
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        assert provider.count > 0
