"""What is run on every change: ``nox``; and what is run now and then: ``nox -s NAME`` (see ``nox -l``)."""

from __future__ import annotations

import json
from pathlib import Path

import nox

PYPROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PYPROJECT)

ESTABLISHED = ("0.11.1", "0.14.0")  # releases of the established client, one of each generation

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["lint", "types", "tests", "uvloop", "coverage"]
nox.options.error_on_missing_interpreters = False  # a contributor needs one Python, not all of them


def group(name: str) -> tuple[str, ...]:
    """The requirements in a dependency group of pyproject.toml."""
    return nox.project.dependency_groups(PYPROJECT, name)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and formatting with ruff."""
    session.install(*group("lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """Check types with mypy and pyright, both strict."""
    session.install(".[local]", *group("types"), *group("test"))
    session.run("mypy")
    session.run("mypy", "--strict", "tests/typing")  # uses that must check, and misuses that must not
    session.run("pyright")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests against the built wheel."""
    session.install(".[local]", *group("test"))
    run_tests(session, *session.posargs)


@nox.session
def uvloop(session: nox.Session) -> None:
    """Run the tests of the clients with uvloop under the sync client."""
    session.install(".[local,speed]", *group("test"))
    run_tests(session, "tests/client", *session.posargs)


@nox.session(python=PYTHONS)
def compat(session: nox.Session) -> None:
    """Run programs written for the established client, redisvl and langchain-redis, on this package."""
    session.install(".[local]", *group("test"), *group("compat"))
    established = {
        version: install_apart(session, f"established-{version}", f"langcache=={version}")
        for version in ESTABLISHED
    }
    session.run(
        f"{session.bin}/pytest",
        "tests/compat",
        *session.posargs,
        env={"LANGCACHE_ESTABLISHED_PYTHONS": json.dumps(established)},
    )


@nox.session
def coverage(session: nox.Session) -> None:
    """Combine what all test sessions covered, and ask for enough of it."""
    session.install(*group("test"))
    session.run("coverage", "combine")
    session.run("coverage", "report")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure the clients against rivals, each in an environment of its own; fail if a target is missed."""
    session.install(".")
    pythons = {
        "langcache": f"{session.bin}/python",
        "local": install_apart(session, "local", ".[local]"),
        "uvloop": install_apart(session, "uvloop", ".[speed]"),
        "established": install_apart(session, "established", f"langcache=={ESTABLISHED[-1]}"),
        "aiohttp": install_apart(session, "aiohttp", "aiohttp", "msgspec"),
        "httpx": install_apart(session, "httpx", "httpx", "msgspec"),
    }
    environments = [f"--python={name}={python}" for name, python in pythons.items()]
    kept = ("--json=docs/data/benchmark.json", "--chart=docs/benchmark.svg")
    session.run("python", "tests/benchmarks", *environments, *kept, *session.posargs)


def install_apart(session: nox.Session, name: str, *requirements: str) -> str:
    """The Python of an environment of its own, for what can't be where this package is."""
    home = Path(session.create_tmp()).resolve() / name
    session.run("python", "-m", "venv", "--clear", str(home))
    python = str(home / "bin" / "python")
    session.run(python, "-m", "pip", "install", "--quiet", *requirements, external=True)
    return python


def run_tests(session: nox.Session, *arguments: str) -> None:
    """Run pytest under coverage. ``coverage run -m`` would put the checkout before the installed wheel."""
    pytest = f"{session.bin}/pytest"
    session.run("coverage", "run", pytest, *arguments)
