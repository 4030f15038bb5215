"""What a command says when it can't go on."""
# ruff: noqa: T201 (a command line prints)

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path

__all__ = ["CommandError", "check_output", "failed", "said"]

_ARGUMENT = re.compile(
    r"^(?P<name>\w+)(?=: )|\bpass (?P<to_pass>\w+)="
    r"|(?<![\w/\\.'\"-])(?P<within>[a-z]+(?:_[a-z]+|[A-Z][a-z]+)+)\b(?!['\"/\\-]|\.\w)",
    re.MULTILINE,
)
"""Where an error may name an argument of Python, or a service what was sent for one, such as ``maxResults``.

Amid a text only names of several words count, since others may be words of the text, and none that is in
quotes or part of a path, which the user gave.
"""

_OPTIONS = {
    "api_key": "api_key_file",
    "admin_key": "admin_key_file",
    "similarity_threshold": "threshold",
    "default_search_threshold": "threshold",
    "search_strategies": "strategies",
    "ttl_millis": "ttl",
    "default_ttl_millis": "ttl",
}
"""Arguments, each with the option that stands for it where none has the argument's own name."""

_VARIABLES = ("server_url", "api_key", "cache_id", "admin_key")
"""Arguments that commands read from a variable where no option gives them."""


class CommandError(Exception):
    """What a command could not do, though what it was given is right."""


def failed(error: object, options: argparse.Namespace | None = None) -> int:
    """Print why a command failed, in one line: an error in the words of `said`, or a text.

    Returns its exit status: 2 if what it was given is wrong, which is a `ValueError`, and else 1.
    """
    print(f"langcache: {said(error, options) if isinstance(error, Exception) else error}", file=sys.stderr)
    return 2 if isinstance(error, ValueError) else 1


def check_output(option: str, path: Path) -> None:
    """Raise `ValueError` if no file can be at the path that an option names: before there is work to lose."""
    if path.is_dir():
        raise ValueError(f"{option}: {path} is a folder; name a file")
    folder = path.resolve().parent
    if not folder.is_dir():
        raise ValueError(f"{option}: there is no folder {str(folder)!r}")


def said(error: Exception, options: argparse.Namespace | None = None) -> str:
    """What is wrong, in one line, with the options or variables of a command in place of arguments."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename is not None else error.strerror
    text = f"{error}"
    if options is not None:
        text = _ARGUMENT.sub(lambda argument: _renamed(argument, options), text)
    return "; ".join(text.splitlines()) or type(error).__name__


def _renamed(argument: re.Match[str], options: argparse.Namespace) -> str:
    name = argument["name"] or argument["to_pass"] or argument["within"]
    name = re.sub(r"[A-Z]", lambda letter: f"_{letter[0].lower()}", name)
    known: dict[str, str] = options.parser.names()
    option = name if name in known else _OPTIONS.get(name, "")
    if option not in known:
        return argument[0]
    if argument["to_pass"]:
        return f"give {known[option]}"
    variable = f"LANGCACHE_{name.upper()}"
    if name in _VARIABLES and getattr(options, option) is None and os.environ.get(variable, "").strip():
        return variable
    return known[option]
