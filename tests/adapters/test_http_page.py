"""The Python on the page about the SDKs runs as it stands there, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from langcache.service import LocalServer

from .provider import Provider

for package in ("openai", "anthropic", "google.genai"):
    pytest.importorskip(package)

ROOT = Path(__file__).parents[2]
RUN = f"""
import sys
from pathlib import Path

sys.path.insert(0, {str(ROOT / "tests/docs")!r})
from test_snippets import blocks, run

run(blocks(Path({str(ROOT / "docs/openai.md")!r})))
"""


def test_the_page():
    with LocalServer(attributes=("fingerprint", "user")) as server, Provider() as provider:
        environment = {
            **os.environ,
            "LANGCACHE_SERVER_URL": server.url,
            "LANGCACHE_API_KEY": server.api_key,
            "LANGCACHE_CACHE_ID": server.cache_id,
            "OPENAI_BASE_URL": provider.openai,
            "OPENAI_API_KEY": "key",
            "ANTHROPIC_BASE_URL": provider.url,
            "ANTHROPIC_API_KEY": "key",
            "GOOGLE_GEMINI_BASE_URL": provider.url,
            "GEMINI_API_KEY": "key",
        }
        done = subprocess.run(
            [sys.executable, "-c", RUN], env=environment, capture_output=True, text=True, timeout=300
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("2\n2\nmiss\n")
    assert [seen.api for seen in provider.requests] == [
        *("openai.chat", "anthropic.messages", "gemini", "openai.chat")
    ]
