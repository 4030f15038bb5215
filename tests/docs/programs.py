"""The programs of docs/programs.md; ``python tests/docs/programs.py FOLDER`` writes them to files."""

from __future__ import annotations

import re
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "programs.md"
FASTAPI, THREADS, PYTEST = re.findall(
    r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE
)

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    for name, program in {"ask.py": FASTAPI, "threads.py": THREADS, "test_helpdesk.py": PYTEST}.items():
        (folder / name).write_text(f"# pyright: strict\n{program}", "utf-8")
