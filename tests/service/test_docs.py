"""The Python of docs/local-service.md, run as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "local-service.md"
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


@pytest.mark.parametrize("snippet", [text for text in SNIPPETS if "def test_" not in text])
def test_a_snippet_runs(snippet):
    exec(compile(snippet, str(PAGE), "exec"), {})


@pytest.mark.parametrize("snippet", [text for text in SNIPPETS if "def test_" in text])
def test_a_snippet_of_a_test_passes(snippet, pytester, plugin_options):
    pytester.makepyfile(snippet)
    pytester.runpytest(*plugin_options, "--strict-markers", "-W", "error").assert_outcomes(passed=1)
