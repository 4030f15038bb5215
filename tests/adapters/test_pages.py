"""The Python on the pages about SDKs and frameworks runs as it stands there, each page in its own process.

They keep their connections open until the process ends, as in the programs of users. The cache has the
attributes that the page says.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .provider import Provider

ROOT = Path(__file__).parents[2]
NEEDED = {
    "langchain": ("langchain", "langchain_openai"),
    "openai": ("openai", "anthropic", "google.genai"),
    "openai-agents": ("agents",),
    "pydantic-ai": ("pydantic_ai", "openai"),
}
"""The pages, each with the packages that it needs."""

ASKED = {
    "langchain": ["openai.chat"] * 5,
    "openai": ["openai.chat", "anthropic.messages", "gemini", "openai.chat"],
    "openai-agents": ["openai.responses"],
    "pydantic-ai": ["openai.chat"] * 3,
}
"""What the provider of each page is asked: what is not asked was a hit."""

RUN = """
import os
import sys
from pathlib import Path

sys.path[:0] = [{folder!r}]
from test_snippets import attributes, blocks, run

from langcache.service import LocalServer

page = Path({page!r})
with LocalServer(attributes=attributes(page)) as server:
    os.environ["LANGCACHE_SERVER_URL"] = server.url
    os.environ["LANGCACHE_API_KEY"] = server.api_key
    os.environ["LANGCACHE_CACHE_ID"] = server.cache_id
    run(blocks(page))
"""


@pytest.mark.parametrize("page", NEEDED)
def test_a_page(page):
    for package in NEEDED[page]:
        pytest.importorskip(package)
    code = RUN.format(folder=str(ROOT / "tests/docs"), page=str(ROOT / f"docs/{page}.md"))
    with Provider() as provider:
        environment = {
            **os.environ,
            "OPENAI_BASE_URL": provider.openai,
            "OPENAI_API_KEY": "key",
            "ANTHROPIC_BASE_URL": provider.url,
            "ANTHROPIC_API_KEY": "key",
            "GOOGLE_GEMINI_BASE_URL": provider.url,
            "GEMINI_API_KEY": "key",
        }
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300
        )
    assert done.returncode == 0, done.stderr
    assert "the cache is not used" not in done.stderr
    assert [seen.api for seen in provider.requests] == ASKED[page], done.stdout
