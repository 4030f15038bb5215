"""What the commands ``caches`` and ``keys`` share: service and admin key."""

from __future__ import annotations

import argparse
import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .embedder import read_secret, secret
from .messages import failed

if TYPE_CHECKING:
    from ..admin_sync import LangCacheAdmin

__all__ = ["add_command", "add_group"]

ADMIN_KEY_VARIABLE = "LANGCACHE_ADMIN_KEY"
URL_VARIABLE = "LANGCACHE_SERVER_URL"
_IDENTITY_VARIABLES = ("LANGCACHE_IDENTITY_URL", "LANGCACHE_IDENTITY_KEY")

_EPILOG = f"""\
The service is the one at --server-url, or in the variable {URL_VARIABLE}. The admin key is the one that the
service was started with: in the file of --admin-key-file, or in the variable {ADMIN_KEY_VARIABLE}.
The vendor's self-managed service has its keys from an identity service, of which URL and key are in the
variables {" and ".join(_IDENTITY_VARIABLES)}.
"""

Work = Callable[["LangCacheAdmin", argparse.Namespace], None]


def add_group(commands: Any, name: str, help: str) -> Any:
    """Add a command that has commands of its own, and give what they are added to."""
    group: argparse.ArgumentParser = commands.add_parser(
        name, help=help, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    return group.add_subparsers(required=True, metavar="command")


def add_command(group: Any, name: str, help: str, work: Work) -> argparse.ArgumentParser:
    """Add a command that does some work with a service."""
    command: argparse.ArgumentParser = group.add_parser(
        name, help=help, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command.add_argument("--server-url", metavar="URL", help=f"the service (default: {URL_VARIABLE})")
    command.add_argument(
        "--admin-key-file",
        type=Path,
        metavar="FILE",
        help=f"a file with the key (default: {ADMIN_KEY_VARIABLE})",
    )
    command.add_argument("--json", action="store_true", help="print JSON, for programs")
    command.set_defaults(run=functools.partial(_run, work), parser=command)
    return command


def _run(work: Work, options: argparse.Namespace) -> int:
    from ..admin_sync import LangCacheAdmin
    from ..errors import LangCacheError

    try:
        key = None
        if options.admin_key_file is not None:
            key = secret("--admin-key-file", read_secret("--admin-key-file", options.admin_key_file))
        identity_url, identity_key = (
            os.environ.get(name, "").strip() or None for name in _IDENTITY_VARIABLES
        )
        with LangCacheAdmin(
            options.server_url, key, identity_url=identity_url, identity_key=identity_key
        ) as admin:
            work(admin, options)
    except (LangCacheError, ValueError) as error:
        return failed(error, options)
    return 0
