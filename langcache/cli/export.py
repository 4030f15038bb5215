"""``langcache export``: the entries of a cache as JSON lines."""
# ruff: noqa: T201 (a command line prints)

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from .client import add_attributes, add_client_command, attributes_of, entries_of, patient, settings_of
from .lines import BOM, NewEntry, encoded, opened
from .messages import CommandError, check_output
from .place import add_place_options, is_given, place_given
from .terminal import Progress, write_line

if TYPE_CHECKING:
    from ..models import CacheEntry

__all__ = ["add_export"]

_DESCRIPTION = """\
Writes the entries of a cache as JSON lines, the oldest first, for `langcache import`: prompt, response,
attributes, and expires_at for those that expire. They are read from what a service keeps them in, a SQLite
file that no service may have open or a Redis.

A service by itself tells no entries but by their prompts: with --prompts, a file with a prompt in each line,
those with exactly these prompts are asked for. It does not tell when they expire, and of each prompt no more
than 4,096 entries or 3 MiB: the exit status is 1 if there may be more.
"""

_AT_ONCE = 16
"""How many prompts a service is asked for at once."""


def add_export(commands: Any) -> None:
    """Add the command."""
    export = add_client_command(commands, "export", "write the entries of a cache", _export, _DESCRIPTION)
    add_place_options(export)
    export.add_argument(
        "--prompts", metavar="FILE", help="ask a service for the entries with these prompts; - for stdin"
    )
    add_attributes(export, "only entries with this attribute")
    export.add_argument(
        "--output", type=Path, metavar="FILE", help="a file that others can't read (default: stdout)"
    )


def _export(options: argparse.Namespace) -> int:
    attributes = attributes_of(options)
    full: dict[int, int] = {}
    if options.prompts is not None:
        if is_given(options):
            raise ValueError("--prompts: asks a service, and --db and --store name other places")
        entries = _by_prompts(options, attributes, full)
    else:
        place, cache_id = _place(options)
        entries = _all(place, cache_id, attributes)
    with _output(options.output) as write, Progress("wrote", "entries") as progress:
        shown = progress if options.output is not None or not sys.stdout.isatty() else None
        count = asyncio.run(_write(entries, write, shown))
    if options.output is not None:
        print(f"Wrote {count:,} entries to {options.output}.", file=sys.stderr)
    for number, count in full.items():
        print(
            f"langcache: --prompts: the prompt in line {number} has {count:,} entries, and may have more, "
            "which a service does not tell; --db FILE or --store URL has all",
            file=sys.stderr,
        )
    return 1 if full else 0


def _place(options: argparse.Namespace) -> tuple[Path | str, str]:
    try:
        return place_given(options)
    except ValueError as error:
        if is_given(options) or not f"{error}".startswith("--db: name"):
            raise
        raise ValueError(
            "export: a service does not list its entries; read them from what it keeps them in, with --db "
            "FILE or --store URL, or ask it for those of known prompts with --prompts FILE"
        ) from None


async def _write(
    entries: AsyncGenerator[Any, None], write: Callable[[bytes], None], progress: Progress | None
) -> int:
    count = 0
    async with contextlib.aclosing(entries):  # also if this ends early
        async for entry in entries:
            write(encoded(entry))
            count += 1
            if progress is not None:
                progress(count, None)
    return count


async def _all(place: Path | str, cache_id: str, attributes: Mapping[str, str]) -> AsyncGenerator[Any, None]:
    from ..service.stores.listing import listing

    async with listing(place, cache_id) as listed:
        async for entry in listed.entries:
            if attributes.items() <= entry.attributes.items():
                yield entry


async def _by_prompts(
    options: argparse.Namespace, attributes: Mapping[str, str], full: dict[int, int]
) -> AsyncGenerator[NewEntry, None]:
    """The entries with the prompts that are given.

    ``full`` gets the numbers of the lines whose prompts may have more, and how many were told of each.
    """
    from ..client import AsyncLangCache
    from ..many import Batch

    async with AsyncLangCache(*settings_of(options), retry_config=patient()) as cache:
        entries = entries_of(cache)

        async def exact(line: tuple[int, str]) -> tuple[list[CacheEntry], bool]:
            return await entries.exact(line[1], attributes)

        written: set[str] = set()
        prompts = _prompts(options.prompts)
        async for result in Batch(prompts, exact, concurrency=_AT_ONCE, ordered=True, progress=None):
            number = result.item[0]
            if result.error is not None:
                raise CommandError(f"--prompts: line {number}: {result.error}") from result.error
            found, complete = result.value or ([], True)
            for entry in reversed(found):  # the oldest first
                if entry.id not in written:  # the prompts may differ in case alone
                    written.add(entry.id)
                    yield NewEntry(entry.prompt, entry.response, entry.attributes, None)
            if not complete:
                full[number] = len(found)


def _prompts(file: str) -> Iterator[tuple[int, str]]:
    """The different prompts in a file, each with the number of its first line.

    Raises `OSError`, and `ValueError` if the file is not UTF-8.
    """
    with opened(file) as lines:
        seen: set[str] = set()
        for number, raw in enumerate(lines, 1):
            try:
                prompt = raw.removeprefix(BOM if number == 1 else b"").rstrip(b"\r\n").decode()
            except UnicodeDecodeError:
                raise ValueError(f"--prompts: line {number} of {file} is not UTF-8") from None
            if prompt and prompt not in seen:
                seen.add(prompt)
                yield number, prompt


@contextlib.contextmanager
def _output(path: Path | None) -> Generator[Callable[[bytes], None], None, None]:
    """What writes a line: to stdout, or to a file that takes the place of another once all is written."""
    if path is None:
        yield write_line
        return
    check_output("--output", path)
    if path.exists() and not path.is_file():  # a device or a pipe, whose place no file takes
        with path.open("wb") as opened:
            yield partial(_write_to, opened)
        return
    path = path.resolve()
    # Prompts and answers may be nobody else's business: nobody else can read the file.
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:  # which has a name that nobody gave
        raise type(error)(error.errno, error.strerror, str(path)) from None
    beside = Path(name)
    try:
        with open(descriptor, "wb") as file:
            yield partial(_write_to, file)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _write_to(file: IO[bytes], line: bytes) -> None:
    file.write(line + b"\n")
