"""What an adapter says where its framework is not installed."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

ADAPTERS = {
    "langchain": ("langchain", "langchain"),
    "pydantic_ai": ("pydantic_ai", "pydantic-ai"),
    "openai_agents": ("agents", "openai-agents"),
}


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_the_error_names_the_extra(monkeypatch, adapter):
    package, extra = ADAPTERS[adapter]
    for name in list(sys.modules):
        if name.partition(".")[0] == package or name.startswith(f"langcache.chat.adapters.{adapter}"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"pip install '\.\[{extra}\]'") as raised:
        importlib.import_module(f"langcache.chat.adapters.{adapter}")
    assert raised.value.name == raised.value.__cause__.name
    monkeypatch.undo()


def test_importing_the_package_loads_no_framework():
    code = (
        "import sys, langcache.chat.adapters\nprint([name for name in {!r} if name in sys.modules])".format(
            ["agents", "langchain_core", "openai", "pydantic_ai"]
        )
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
