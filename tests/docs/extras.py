"""Writes what each extra weighs into docs/install.md: ``python tests/docs/extras.py``. Needs uv."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "install.md"
TABLE = re.compile(r"(?<=<!-- what extras weigh -->\n).*?(?=\n\n)", re.DOTALL)
HEAD = "| Installed | Distributions, this one included | Size |\n|---|---|---|"
EXTRAS = (
    "",
    "local",
    "wordllama",
    "redis",
    "metrics",
    "otel",
    "speed",
    "openai",
    "anthropic",
    "google-genai",
)
EXTRAS += ("langchain", "openai-agents", "pydantic-ai")


def weigh(extra: str) -> tuple[int, float]:
    """How many distributions an environment with an extra has, and their size in millions of bytes."""
    with tempfile.TemporaryDirectory() as home:
        subprocess.run(["uv", "venv", "-q", "--python", sys.executable, home], check=True)
        what = f"{ROOT}[{extra}]" if extra else f"{ROOT}"
        subprocess.run(["uv", "pip", "install", "-q", "--python", home, what], check=True)
        (site,) = Path(home).glob("lib/python*/site-packages")
        files = [path for path in site.rglob("*") if path.is_file()]
        return len([*site.glob("*.dist-info")]), sum(path.stat().st_size for path in files) / 1e6


def main() -> None:
    rows = [HEAD]
    for extra in EXTRAS:
        count, size = weigh(extra)
        rows.append(f"| `.{f'[{extra}]' if extra else ''}` | {count} | {size:.0f} MB |")
        print(rows[-1], flush=True)
    PAGE.write_text(TABLE.sub("\n".join(rows), PAGE.read_text("utf-8"), count=1), "utf-8")


if __name__ == "__main__":
    main()
