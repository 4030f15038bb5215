"""How many instructions a call and the start of a program take, as valgrind counts them.

``python tests/benchmarks/instructions.py`` prints it in some minutes, with the package that is installed
where it runs. It needs valgrind. Instructions do not depend on what else the machine does, so small
differences can be seen that processor time would hide. They are no time: some take longer than others.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from measuring import HERE, canned_server, keep_compiled
from startup import NEEDED, PROGRAMS

CALLS = (100, 400)
"""The calls of two runs. What one takes more than the other is that of the calls between."""

CALL = """
import asyncio, importlib, sys
sys.path.insert(0, {here!r})

async def main():
    async with importlib.import_module("rivals.{rival}").connect({url!r}, "c") as operations:
        for _ in range({calls}):
            await operations["{operation}"]()

asyncio.run(main())
"""
OPERATIONS = [
    ("aiohttp_async", "search"),
    ("async_langcache", "search"),
    ("async_langcache", "get_or_set"),
    ("aiohttp_async", "set"),
    ("async_langcache", "set"),
]
STARTS = [NEEDED, "AsyncLangCache", "LangCache"]


def count(program: str) -> int:
    """The instructions of a program from its start to its end."""
    python = [sys.executable, "-c", program]
    subprocess.run(python, check=True)  # compiles what its installer left uncompiled
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={os.devnull}", *python]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    collected = re.search(r"Collected : (\d+)", run.stderr)
    if run.returncode or collected is None:
        raise RuntimeError(run.stderr)
    return int(collected[1])


def count_all(programs: Iterable[str]) -> list[int]:
    """The instructions of each program; two run at a time."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(count, programs))


def main() -> None:
    """Count, and print what was counted."""
    keep_compiled()
    with canned_server({"langcache": sys.executable}) as url:
        programs = [
            CALL.format(here=str(HERE), rival=rival, url=url, calls=calls, operation=operation)
            for rival, operation in OPERATIONS
            for calls in CALLS
        ]
        counted = count_all(programs)
    fewer, more = CALLS
    print(f"Python {platform.python_version()}, instructions of a call:")
    for (rival, operation), less, all_ in zip(OPERATIONS, counted[::2], counted[1::2], strict=True):
        print(f"{rival}: {operation}: {(all_ - less) / (more - fewer):,.0f}")
    bare, *starts = count_all(["pass", *(PROGRAMS[name][1] for name in STARTS)])
    print("instructions of a start, without those of Python itself:")
    for name, start in zip(STARTS, starts, strict=True):
        print(f"{name}: {start - bare:,}, x {(start - bare) / (starts[0] - bare):.2f}")


if __name__ == "__main__":
    main()
