"""``langcache serve``: a LangCache service."""
# ruff: noqa: T201 (a command line prints)

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import os
import re
import signal
import socket
import stat
import sys
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from .messages import failed

if TYPE_CHECKING:
    from ..service.config import ServerConfig
    from ..service.embedders import Embedder

__all__ = ["add_serve", "embedder_of"]

EMBEDDER_KEY_VARIABLE = "LANGCACHE_EMBEDDER_API_KEY"
"""The variable with the key of the embeddings endpoint: other users can see a command line."""

SERVE_KEY_VARIABLE = "LANGCACHE_SERVE_API_KEY"
"""The variable with the key that clients must send. `LANGCACHE_API_KEY` is the one that clients read."""

STORE_VARIABLE = "LANGCACHE_SERVE_STORE"
"""The variable with the URL of the Redis that keeps the entries, which may have a password."""

ALLOWED_HOSTS_VARIABLE = "LANGCACHE_SERVE_ALLOWED_HOSTS"
"""The variable with more names under which the service is reached, separated by commas."""

_MILLIS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_TIME = re.compile(r"(\d+)(ms|s|m|h|d)?")


def add_serve(commands: Any) -> None:
    """Add the command."""
    serve: argparse.ArgumentParser = commands.add_parser(
        "serve", help="run a LangCache service on this machine"
    )
    serve.add_argument("--host", default="127.0.0.1", help="where to listen (default %(default)s)")
    serve.add_argument("--port", type=int, default=8787, help="0 for one that is free (default %(default)s)")
    serve.add_argument("--cache-id", metavar="ID", help="the cache's id (default local)")
    serve.add_argument(
        "--api-key",
        metavar="KEY",
        help="the key that clients must send; other users of this machine can see it here, so better give it "
        f"in a file or in the variable {SERVE_KEY_VARIABLE} (default: a known one)",
    )
    serve.add_argument(
        "--api-key-file", type=Path, metavar="FILE", help="a file with the key that clients must send"
    )
    serve.add_argument(
        "--allowed-host",
        metavar="NAME",
        action="append",
        dest="allowed_hosts",
        default=[],
        help="another name under which the service is reached, say behind a proxy; give it once for each, or "
        f"all in the variable {ALLOWED_HOSTS_VARIABLE}, with commas",
    )
    serve.add_argument(
        "--attribute",
        metavar="NAME",
        action="append",
        dest="attributes",
        default=[],
        help="an attribute that entries may have; give it once for each",
    )
    serve.add_argument(
        "--threshold", type=float, help="similarity asked for by default, 0.5 to 1 (default 0.85)"
    )
    serve.add_argument(
        "--ttl",
        type=_millis,
        metavar="TIME",
        help="how long entries live by default, in milliseconds or as 500ms, 90s, 15m, 24h, 7d "
        "(default: for ever)",
    )
    serve.add_argument(
        "--db", type=Path, metavar="FILE", help="a SQLite file that keeps the entries (default: in memory)"
    )
    serve.add_argument(
        "--store",
        metavar="URL",
        help="a Redis that keeps the entries: redis://HOST:6379, rediss://, redis+cluster://, or "
        "redis+sentinel://HOST:26379/SERVICE (extra redis); a URL with a password is given in a file or in "
        f"the variable {STORE_VARIABLE}",
    )
    serve.add_argument("--store-file", type=Path, metavar="FILE", help="a file with the URL of that Redis")
    serve.add_argument(
        "--embedder",
        default="minilm",
        metavar="minilm|wordllama|onnx:FOLDER|openai:URL",
        help="the model that compares meanings: minilm; wordllama, which is faster and less exact (extra "
        "wordllama); a sentence transformer exported to ONNX, in a folder; or any endpoint that speaks "
        "OpenAI's embeddings API, such as openai:http://localhost:11434/v1, with the key in the variable "
        f"{EMBEDDER_KEY_VARIABLE} (default %(default)s)",
    )
    serve.add_argument("--embedder-model", metavar="MODEL", help="the model to ask an openai: endpoint for")
    serve.set_defaults(run=_serve, parser=serve)


def _millis(text: str) -> int:
    """Milliseconds from a time such as 250, 500ms, 90s, 15m, 24h or 7d."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time: give milliseconds, or 500ms, 90s, 15m, 24h, 7d"
        )
    return int(match[1]) * _MILLIS[match[2] or "ms"]


def _serve(options: argparse.Namespace) -> int:
    try:
        from ..service import CacheConfig, EmbedderError, ServerConfig, StoreError

        embedder = embedder_of(options)
        key, where = _api_key(options)
        chosen: dict[str, Any] = {
            "cache_id": options.cache_id,
            "api_key": key,
            "threshold": options.threshold,
        }
        given = {name: value for name, value in chosen.items() if value is not None}
        cache = CacheConfig(attributes=tuple(options.attributes), ttl_millis=options.ttl, **given)
        config = ServerConfig(
            caches=(cache,),
            host=options.host,
            port=options.port,
            db=_database(options.db),
            store=_store(options),
            allowed_hosts=tuple(options.allowed_hosts or _listed(ALLOWED_HOSTS_VARIABLE)),
        )
    except (ImportError, ValueError) as error:
        return failed(error)
    try:
        asyncio.run(_serve_until_stopped(config, embedder, where))
    except (ImportError, EmbedderError, StoreError) as error:
        return failed(error)
    except OSError as error:
        return failed(_not_listening(config, error))
    print("Stopped.")
    return 0


def _not_listening(config: ServerConfig, error: OSError) -> str:
    what = f"can't listen at {config.host!r}, port {config.port}: {error.strerror or error}"
    if error.errno == errno.EADDRINUSE:
        return f"{what}; --port 0 takes one that is free"
    if error.errno == errno.EACCES:
        return f"{what}; choose a --port above 1023, or --port 0 for one that is free"
    if error.errno in (errno.EADDRNOTAVAIL, None) or isinstance(
        error, socket.gaierror
    ):  # None: asyncio's own
        return f"{what}; --host must be an address of this machine, such as 127.0.0.1, or 0.0.0.0 for all"
    return what


def _api_key(options: argparse.Namespace) -> tuple[str | None, str]:
    """The key that clients must send, if one is given, and where: an option goes before the variable."""
    if options.api_key is not None and options.api_key_file is not None:
        raise ValueError("--api-key-file: can't be given along with --api-key")
    if options.api_key is not None:
        return options.api_key, "--api-key"
    if options.api_key_file is not None:
        where = f"--api-key-file {options.api_key_file}"
        return _secret(where, _read_secret("--api-key-file", options.api_key_file)), where
    return _secret(SERVE_KEY_VARIABLE, os.environ.get(SERVE_KEY_VARIABLE, "")) or None, SERVE_KEY_VARIABLE


def _store(options: argparse.Namespace) -> str | None:
    """The URL of Redis, if one is given: an option goes before the variable. Raises `ValueError`."""
    from ..service.stores.redis_url import redis_url

    if options.store is not None and options.store_file is not None:
        raise ValueError("--store-file: can't be given along with --store")
    where, text = STORE_VARIABLE, os.environ.get(STORE_VARIABLE, "")
    if options.store_file is not None:
        where, text = "--store-file", _read_secret("--store-file", options.store_file)
    if options.store is not None:
        where, text = "--store", options.store
    text = text.strip()
    if not text and where == STORE_VARIABLE:
        return None
    if options.db is not None:
        raise ValueError(
            f"--db: entries are kept in one place, and {where} names another; give one of the two alone"
        )
    try:
        url = redis_url(text)
    except ValueError as error:
        raise ValueError(f"{where}: {str(error).removeprefix('store: ')}") from None
    if where == "--store" and (url.password or url.sentinel_password):
        raise ValueError(
            "--store: other users of this machine can see a password here; give the URL in a file, with "
            f"--store-file FILE, or in the variable {STORE_VARIABLE}"
        )
    return text


def _read_secret(option: str, path: Path) -> str:
    try:
        mode, text = path.stat().st_mode, path.read_bytes().decode("ascii", "replace")
    except OSError as error:
        raise ValueError(f"{option}: can't read {str(path)!r}: {error.strerror}") from error
    if os.name == "posix" and stat.S_ISREG(mode) and mode & 0o077:
        # No refusal: what mounts secrets into containers often makes them readable by all there.
        print(f"langcache: other users can read {path}; chmod 600 {path} keeps it yours", file=sys.stderr)
    if not text.strip():
        raise ValueError(f"{option}: {str(path)!r} is empty")
    return text


def _secret(where: str, text: str) -> str:
    """A key without the white space around it. Raises `ValueError`, which does not hold the key."""
    key = text.strip()
    if not all("!" <= character <= "~" for character in key):
        raise ValueError(f"{where}: the key has a space, a line end or another character that no key has")
    return key


def _listed(variable: str) -> list[str]:
    return [name.strip() for name in os.environ.get(variable, "").split(",") if name.strip()]


def _database(path: Path | None) -> Path | None:
    """A path at which there is a file or can be one. Raises `ValueError`."""
    if path is not None and path.is_dir():
        raise ValueError(f"--db: unable to open {str(path)!r}: it is a folder; give the name of a file")
    if path is not None and not path.parent.is_dir():
        raise ValueError(f"--db: unable to open {str(path)!r}: there is no folder {str(path.parent)!r}")
    return path


def embedder_of(options: argparse.Namespace) -> Embedder:
    """The embedder that ``--embedder`` and ``--embedder-model`` name. Raises `ValueError`, `ImportError`."""
    from ..service import MiniLMEmbedder, OnnxEmbedder, OpenAIEmbedder, WordLlamaEmbedder

    kind, _, place = options.embedder.partition(":")
    if kind == "openai" and place:
        if not options.embedder_model:
            raise ValueError(
                "--embedder-model: is needed with openai:, say --embedder-model text-embedding-3-small"
            )
        key = _secret(EMBEDDER_KEY_VARIABLE, os.environ.get(EMBEDDER_KEY_VARIABLE, ""))
        return OpenAIEmbedder(place, options.embedder_model, key or None)
    if options.embedder_model:
        raise ValueError("--embedder-model: is for --embedder openai:URL alone")
    if kind == "onnx" and place:
        return OnnxEmbedder(place)
    if options.embedder == "wordllama":
        return WordLlamaEmbedder()
    if options.embedder == "minilm":
        return MiniLMEmbedder()
    raise ValueError(
        "--embedder: must be minilm, wordllama, onnx:FOLDER, or openai:URL together with --embedder-model, "
        f"but is {options.embedder!r}"
    )


async def _serve_until_stopped(config: ServerConfig, embedder: Embedder, key_from: str) -> None:
    from ..service.server import serving

    this = asyncio.current_task()
    assert this is not None
    with contextlib.suppress(NotImplementedError):  # Windows; there Ctrl-C raises KeyboardInterrupt
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, this.cancel)
    with contextlib.suppress(asyncio.CancelledError):  # a signal may also come during the start
        async with serving(config, embedder) as url:
            print(_instructions(url, config, embedder, key_from), flush=True)
            await asyncio.Event().wait()


def _instructions(url: str, config: ServerConfig, embedder: Embedder, key_from: str) -> str:
    from ..service.config import DEFAULT_API_KEY
    from ..service.stores.redis_url import redis_url

    cache = config.caches[0]
    # Any other key is a secret, and this output may end up in a log.
    key = quote(cache.api_key) if cache.api_key == DEFAULT_API_KEY else quote(f"<the key of {key_from}>")
    attributes = f", attributes {', '.join(cache.attributes)}" if cache.attributes else ""
    entries = "in memory" if config.db is None else f"in {config.db}"
    if config.store is not None:
        entries = f"in {redis_url(config.store).shown}"
    return f"""\
LangCache at {url}, entries {entries}{attributes}, embedded with {embedder.name}. Ctrl-C ends it.

For the shell that your program runs in:

export LANGCACHE_SERVER_URL={quote(url)}
export LANGCACHE_API_KEY={key}
export LANGCACHE_CACHE_ID={quote(cache.cache_id)}

There, save an answer and ask for it in other words:

curl -s "$LANGCACHE_SERVER_URL/v1/caches/$LANGCACHE_CACHE_ID/entries" \\
  -H "Authorization: Bearer $LANGCACHE_API_KEY" \\
  -d '{{"prompt": "How long does shipping to Canada take?", "response": "Five days."}}'
curl -s "$LANGCACHE_SERVER_URL/v1/caches/$LANGCACHE_CACHE_ID/entries/search" \\
  -H "Authorization: Bearer $LANGCACHE_API_KEY" \\
  -d '{{"prompt": "To Canada, how many days is shipping?"}}'
"""
