"""Writes what the demo prints into the README: ``python tests/docs/demo_output.py``."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"
BLOCK = re.compile(r"(?<=<!-- the demo -->\n```text\n).*?(?=^```$)", re.DOTALL | re.MULTILINE)
TIME = re.compile(r"\d+\.\d+ (?=m?s\b)")
SIMILARITY = re.compile(r"(?<=hit  )\d\.\d+")


def printed() -> str:
    """What the demo prints where it is not on a terminal."""
    done = subprocess.run(
        [sys.executable, "-m", "langcache", "demo"], capture_output=True, text=True, timeout=300
    )
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout.lstrip("\n")


def shown() -> str:
    """What the README says that it prints."""
    return BLOCK.findall(README.read_text("utf-8"))[0]


def without_numbers(output: str) -> str:
    """Output with the same word in place of each time, and of each similarity, which runs differ in."""
    return SIMILARITY.sub("0.0", TIME.sub("0.0 ", output))


def similarities(output: str) -> list[float]:
    """The similarities in an output. Processors, and versions of onnxruntime, differ by some hundredths."""
    return [float(each) for each in SIMILARITY.findall(output)]


if __name__ == "__main__":
    output = printed()
    README.write_text(BLOCK.sub(lambda _: output, README.read_text("utf-8"), count=1), "utf-8")
