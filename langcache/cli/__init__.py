"""The command line: a service, its caches, and what is in them."""
# ruff: noqa: T201 (a command line prints)

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from .._version import __version__
from .caches import add_caches
from .doctor import add_doctor
from .embedder import embedder_of
from .entries import add_entries
from .export import add_export
from .fill import add_fill
from .keys import add_keys
from .messages import failed
from .parser import Parser
from .reembed import add_reembed
from .serve import add_serve
from .stats import add_stats
from .terminal import discard_output, output_failed
from .tune import add_tune

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name, by default those of this process. Returns the exit status."""
    if isinstance(arguments, str):
        raise TypeError(f"arguments: must be a list, such as {arguments.split()!r}, but is one str")
    _open_what_is_closed()
    options, unknown = _parser().parse_known_args(arguments)
    if unknown:  # the command says so, and not the program: its usage has the options that there are
        options.parser.refuse(unknown)
    _replace_what_can_not_be_printed()
    try:
        status: int = options.run(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of the output, such as `head`, has ended
        discard_output()
        return 141
    except OSError as error:
        if error.filename is not None:
            return failed(error)
        return output_failed(error)
    return status


def _open_what_is_closed() -> None:
    """Open the null device in place of standard streams that are closed.

    Else the next file or connection of this process would have the number of one of them, and get what is
    printed; and uvloop ends the process when it closes a number below 3.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it gets the lowest number that is free
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)


def _replace_what_can_not_be_printed() -> None:
    """Have output in an encoding that lacks a character of a prompt show an escape in its place."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def _parser() -> Parser:
    parser = Parser(prog="langcache", description="A semantic cache for LLM answers.")
    parser.add_argument("--version", action="version", version=f"langcache {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")

    add_serve(commands)
    add_doctor(commands)
    add_entries(commands)
    add_stats(commands)
    add_fill(commands)
    add_export(commands)
    add_caches(commands)
    add_keys(commands)

    demo = commands.add_parser("demo", help="see a LangCache at work, from start to end, in a second")
    demo.set_defaults(run=_demo, parser=demo)

    recover = commands.add_parser("recover", help="keep what is intact of a damaged --db file")
    recover.add_argument("file", type=Path, metavar="FILE", help="the file; it is moved aside, not deleted")
    recover.set_defaults(run=_recover, parser=recover)

    add_reembed(commands)
    add_tune(commands, lambda options: embedder_of(options.embedder, options.embedder_model))
    return parser


def _demo(options: argparse.Namespace) -> int:
    try:
        from .demo import demo

        demo()
    except ImportError as error:
        return failed(error)
    return 0


def _recover(options: argparse.Namespace) -> int:
    try:
        from ..service import StoreError
        from ..service.stores.recovery import recover
    except ImportError as error:
        return failed(error)
    try:
        done = recover(options.file)
    except StoreError as error:
        return failed(error)
    if done.moved_to is None:
        print(f"{options.file} is intact, with {done.kept} entries; nothing was changed.")
        return 0
    lost = "an unknown number was" if done.lost is None else f"{done.lost} were"
    print(f"{done.kept} entries of {options.file} are intact, {lost} lost.")
    print(f"The damaged file is now {done.moved_to}.")
    return 0
