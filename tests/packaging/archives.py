"""Checks that the archives given as arguments hold what git tracks and no more; run by ``nox -s build``."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

AT_THE_TOP = {"LICENSE", "README.md", "noxfile.py", "pyproject.toml"}


def tracked(*folders: str) -> set[str]:
    """The files below these folders that git knows."""
    listed = subprocess.run(["git", "ls-files", "-z", *folders], check=True, capture_output=True, text=True)
    return set(filter(None, listed.stdout.split("\0")))


def in_sdist(archive: Path) -> set[str]:
    """The files of an sdist, without its top folder."""
    with tarfile.open(archive) as sdist:
        return {name.partition("/")[2] for name in sdist.getnames()}


def in_wheel(archive: Path) -> set[str]:
    """The files of a wheel, with its version cut out."""
    with zipfile.ZipFile(archive) as wheel:
        return {name.replace(f"-{archive.name.split('-')[1]}.", ".") for name in wheel.namelist()}


SDIST = tracked("langcache", "tests", "docs") | AT_THE_TOP | {"PKG-INFO", ".gitignore"}
METADATA = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}
METADATA |= {"licenses/langcache/service/embedders/bert_uncased_vocab.LICENSE"}
WHEEL = tracked("langcache") | {f"langcache.dist-info/{name}" for name in METADATA}

assert "langcache/py.typed" in WHEEL
for path in map(Path, sys.argv[1:]):
    held, expected = (in_wheel(path), WHEEL) if path.suffix == ".whl" else (in_sdist(path), SDIST)
    if held != expected:
        sys.exit(f"{path.name}: lacks {sorted(expected - held)}, should not have {sorted(held - expected)}")
    print(f"{path.name}: the {len(held)} files that it should have")
