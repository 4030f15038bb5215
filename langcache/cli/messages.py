"""What a command says when it can't go on."""
# ruff: noqa: T201 (a command line prints)

from __future__ import annotations

import sys

__all__ = ["failed"]


def failed(error: object) -> int:
    """Print why a command failed, in one line. Returns its exit status."""
    print(f"langcache: {error}", file=sys.stderr)
    return 1
