"""What a command says when it can't go on."""
# ruff: noqa: T201 (a command line prints)

from __future__ import annotations

import sys

__all__ = ["failed", "without_user"]


def failed(error: object) -> int:
    """Print why a command failed, in one line. Returns its exit status."""
    print(f"langcache: {error}", file=sys.stderr)
    return 1


def without_user(error: Exception, embedder: str | None) -> str:
    """A message without the user name and the password that the URL of an endpoint may have."""
    before = (embedder or "").rpartition("@")[0]
    user = before.partition("://")[2] or before.partition(":")[2]
    return str(error).replace(user, "…") if user else str(error)
