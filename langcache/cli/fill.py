"""``langcache import`` and ``langcache warm``: many entries from a file into a cache."""
# ruff: noqa: T201 (a command line prints)

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec

from .client import add_client_command, settings_of
from .filling import Done, Filling, Stopped
from .lines import FORMATS, Fields, count_lines, format_of, read_lines
from .messages import failed, said
from .place import add_embedder_options, add_place_options, is_given, own_service
from .settings import time_in_millis
from .terminal import Progress, one_line, print_json

__all__ = ["add_fill"]

_AGAIN = """
What the cache has already, the same prompt with the same response and attributes, is not stored again: a
command that was stopped goes on where it ended when it is given again. The exit status is 1 if any line has
failed; each is named on stderr, with the reason.
"""

_IMPORT = f"""\
Stores entries that `langcache export` wrote: JSON lines with prompt, response and maybe attributes and
expires_at. Those that have expired are left out. They go to a service, or with --db or --store into what a
service keeps its entries in; then no service may have the SQLite file open.
{_AGAIN}"""

_WARM = f"""\
Stores questions and answers from JSON lines, from a table (.csv, .tsv, with names in its first line) or from
a log. A field may lie inside of others: --response-field choices.0.message.content
{_AGAIN}"""


def add_fill(commands: Any) -> None:
    """Add the commands."""
    read = add_client_command(commands, "import", "store the entries of an export", _import, _IMPORT)
    warm = add_client_command(commands, "warm", "fill a cache from a file or from logs", _warm, _WARM)
    for command in (read, warm):
        command.add_argument("file", metavar="FILE", help="the file, or - for stdin")
        add_place_options(command)
        add_embedder_options(command)
        command.add_argument(
            "--ttl",
            type=time_in_millis,
            metavar="TIME",
            help="how long to keep entries that do not say when they expire: milliseconds, or 500ms, 90s, "
            "15m, 24h, 7d (default: the cache's)",
        )
        command.add_argument(
            "--concurrency",
            type=_at_once,
            default=16,
            metavar="NUMBER",
            help="how many are stored at once, 1 to 256 (default %(default)s)",
        )
        command.add_argument(
            "--again", action="store_true", help="do not look what the cache has: store all of them"
        )
    warm.add_argument("--format", choices=FORMATS, help="of the file (default: as its name ends, else jsonl)")
    warm.add_argument("--prompt-field", metavar="FIELD", default="prompt", help="default %(default)s")
    warm.add_argument("--response-field", metavar="FIELD", default="response", help="default %(default)s")
    warm.add_argument(
        "--attribute",
        metavar="NAME[=FIELD]",
        action="append",
        dest="attributes",
        help="an attribute and the field that has it, once for each (default: all in the field attributes)",
    )
    warm.add_argument(
        "--skip-others", action="store_true", help="pass over lines without the two fields, as in a log"
    )


def _import(options: argparse.Namespace) -> int:
    return _fill(options, "jsonl", Fields(), copies=True)


def _warm(options: argparse.Namespace) -> int:
    attributes = None
    if options.attributes is not None:
        pairs = (each.partition("=") for each in options.attributes)
        attributes = {name: field or name for name, _, field in pairs}
    fields = Fields(options.prompt_field, options.response_field, attributes, options.skip_others)
    return _fill(options, options.format or format_of(options.file), fields, copies=False)


def _fill(options: argparse.Namespace, form: Any, fields: Fields, *, copies: bool) -> int:
    with ExitStack() as stack:
        if is_given(options):
            names = _attribute_names(options.file, form, fields)
            if names is None:
                return _finished(options, Done(), ())
            settings = stack.enter_context(own_service(options, names))
        else:
            settings = settings_of(options)
        total = count_lines(options.file)
        progress = stack.enter_context(Progress("read", "lines"))
        filling = Filling(
            settings,
            ttl=options.ttl,
            concurrency=options.concurrency,
            again=options.again,
            copies=copies,
            progress=lambda number: progress(number, total),
        )
        status = 0
        try:
            asyncio.run(filling.run(read_lines(options.file, form, fields)))
            progress(total or filling.done.lines, total or filling.done.lines)
        except Stopped as stopped:
            progress.end()
            status = failed(f"stopped: {said(stopped.error, options)}; the same command goes on from here")
        except KeyboardInterrupt:
            progress.end()
            print("Interrupted; the same command goes on from here.", file=sys.stderr)
            status = 130
    finished = _finished(options, filling.done, filling.failures)
    return status or finished


def _finished(options: argparse.Namespace, done: Done, failures: Sequence[tuple[int, str]]) -> int:
    """Print what became of the lines. Returns the exit status."""
    for number, reason in failures:
        print(f"langcache: line {number}: {one_line(reason)}", file=sys.stderr)
    if options.json:
        print_json(msgspec.to_builtins(done))
    else:
        print(done)
    return 1 if failures else 0


def _attribute_names(file: str, form: Any, fields: Fields) -> Sequence[str] | None:
    """The names of attributes that a service of our own has to know; None if there is no entry to store.

    Raises `OSError`, and `ValueError` if there is none since the lines are wrong: then nothing should be made
    for them.
    """
    if file == "-" or (Path(file).exists() and not Path(file).is_file()):
        raise ValueError(f"{file}: with --db and --store it is read twice, so it must be a file")
    names: dict[str, None] = {}
    wrong, entries = "", 0
    for line in read_lines(file, form, fields):
        if line.entry is not None:
            entries += 1
            names.update(dict.fromkeys(line.entry.attributes))
        elif line.reason is not None:
            wrong = wrong or f"line {line.number}: {one_line(line.reason)}"
    if wrong and not entries:
        raise ValueError(f"{file}: there is nothing to store; {wrong}")
    return tuple(fields.attributes or names) if entries else None


def _at_once(text: str) -> int:
    if text.isdecimal() and 1 <= int(text) <= 256:
        return int(text)
    raise argparse.ArgumentTypeError(f"must be a whole number from 1 to 256, but is {text!r}")
