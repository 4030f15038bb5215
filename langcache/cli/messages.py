"""What a command says when it can't go on."""
# ruff: noqa: T201 (a command line prints)

from __future__ import annotations

import sys

__all__ = ["CommandError", "failed"]


class CommandError(Exception):
    """What a command could not do, though what it was given is right."""


def failed(error: object, text: str = "") -> int:
    """Print why a command failed, in one line: ``text``, or the error's own.

    Returns its exit status: 2 if what it was given is wrong, which is a `ValueError`, and else 1.
    """
    print(f"langcache: {text or error}", file=sys.stderr)
    return 2 if isinstance(error, ValueError) else 1
