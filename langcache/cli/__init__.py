"""The command line: ``serve`` runs a LangCache service on this machine, ``demo`` shows what one does.

``tune`` chooses a threshold.
"""
# ruff: noqa: T201 (a command line prints)

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from .._version import __version__
from .tune import add_tune

if TYPE_CHECKING:
    from ..service.config import ServerConfig
    from ..service.embedders import Embedder

__all__ = ["main"]

EMBEDDER_KEY_VARIABLE = "LANGCACHE_EMBEDDER_API_KEY"
"""The variable with the key of the embeddings endpoint: other users can see a command line."""

_MILLIS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_TIME = re.compile(r"(\d+)(ms|s|m|h|d)?")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name, by default those of this process. Returns the exit status."""
    if isinstance(arguments, str):
        raise TypeError(f"arguments: must be a list, such as {arguments.split()!r}, but is one str")
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of the output, such as `head`, has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python's exit reports an error
        return 141
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="langcache", description="A semantic cache for LLM answers.")
    parser.add_argument("--version", action="version", version=f"langcache {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")

    serve = commands.add_parser("serve", help="run a LangCache service on this machine")
    serve.add_argument("--host", default="127.0.0.1", help="where to listen (default %(default)s)")
    serve.add_argument("--port", type=int, default=8787, help="0 for one that is free (default %(default)s)")
    serve.add_argument("--cache-id", metavar="ID", help="the cache's id (default local)")
    serve.add_argument(
        "--api-key", metavar="KEY", help="the key that clients must send (default: a known one)"
    )
    serve.add_argument(
        "--attribute",
        metavar="NAME",
        action="append",
        dest="attributes",
        default=[],
        help="an attribute that entries may have; give it once for each",
    )
    serve.add_argument("--threshold", type=float, help="similarity asked for by default (default 0.85)")
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
        "--embedder",
        default="minilm",
        metavar="minilm|wordllama|onnx:FOLDER|openai:URL",
        help="the model that compares meanings: minilm; wordllama, which is faster and less exact (extra "
        "wordllama); a sentence transformer exported to ONNX, in a folder; or any endpoint that speaks "
        "OpenAI's embeddings API, such as openai:http://localhost:11434/v1, with the key in the variable "
        f"{EMBEDDER_KEY_VARIABLE} (default %(default)s)",
    )
    serve.add_argument("--embedder-model", metavar="MODEL", help="the model to ask an openai: endpoint for")
    serve.set_defaults(run=_serve)

    demo = commands.add_parser("demo", help="see a LangCache at work, from start to end, in a second")
    demo.set_defaults(run=_demo)

    add_tune(commands, _embedder)
    return parser


def _millis(text: str) -> int:
    """Milliseconds from a time such as 250, 500ms, 90s, 15m, 24h or 7d."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time: give milliseconds, or 500ms, 90s, 15m, 24h, 7d"
        )
    return int(match[1]) * _MILLIS[match[2] or "ms"]


def _demo(options: argparse.Namespace) -> int:
    try:
        from ..service.demo import demo

        demo()
    except ImportError as error:
        return _failed(error)
    return 0


def _serve(options: argparse.Namespace) -> int:
    try:
        from ..service import CacheConfig, EmbedderError, ServerConfig, StoreError

        embedder = _embedder(options)
        given = {
            name: value
            for name in ("cache_id", "api_key", "threshold")
            if (value := getattr(options, name)) is not None
        }
        cache = CacheConfig(attributes=tuple(options.attributes), ttl_millis=options.ttl, **given)
        config = ServerConfig(caches=(cache,), host=options.host, port=options.port, db=options.db)
    except (ImportError, ValueError) as error:
        return _failed(error)
    try:
        asyncio.run(_serve_until_stopped(config, embedder))
    except (ImportError, EmbedderError, StoreError) as error:
        return _failed(error)
    except OSError as error:
        return _failed(f"can't listen at {config.host!r}, port {config.port}: {error.strerror or error}")
    return 0


def _failed(error: object) -> int:
    print(f"langcache: {error}", file=sys.stderr)
    return 1


def _embedder(options: argparse.Namespace) -> Embedder:
    from ..service import MiniLMEmbedder, OnnxEmbedder, OpenAIEmbedder, WordLlamaEmbedder

    kind, _, place = options.embedder.partition(":")
    if kind == "openai" and place:
        if not options.embedder_model:
            raise ValueError(
                "--embedder-model: is needed with openai:, say --embedder-model text-embedding-3-small"
            )
        return OpenAIEmbedder(place, options.embedder_model, os.environ.get(EMBEDDER_KEY_VARIABLE))
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


async def _serve_until_stopped(config: ServerConfig, embedder: Embedder) -> None:
    from ..service.server import serving

    this = asyncio.current_task()
    assert this is not None
    with contextlib.suppress(NotImplementedError):  # Windows; there Ctrl-C raises KeyboardInterrupt
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, this.cancel)
    with contextlib.suppress(asyncio.CancelledError):  # a signal may also come during the start
        async with serving(config, embedder) as url:
            print(_instructions(url, config, embedder), flush=True)
            await asyncio.Event().wait()


def _instructions(url: str, config: ServerConfig, embedder: Embedder) -> str:
    from ..service.config import DEFAULT_API_KEY

    cache = config.caches[0]
    # Any other key is a secret, and this output may end up in a log.
    key = quote(cache.api_key) if cache.api_key == DEFAULT_API_KEY else "'<the key given as --api-key>'"
    attributes = f", attributes {', '.join(cache.attributes)}" if cache.attributes else ""
    entries = "in memory" if config.db is None else f"in {config.db}"
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
