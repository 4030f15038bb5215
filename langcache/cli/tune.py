"""``langcache tune``: a similarity threshold from labelled pairs."""
# ruff: noqa: T201 (a command line prints)

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .client import add_client_options, patient, settings_of
from .messages import check_output, failed
from .terminal import Progress

if TYPE_CHECKING:
    from ..service.embedders import Embedder
    from ..sync import LangCache

__all__ = ["add_tune"]

_DESCRIPTION = """\
Shows what each similarity threshold keeps and lets through on labelled pairs of questions, and with
--max-wrong the lowest threshold that is certified. The exit status is then 1 if there is none.

A pair is two questions, and whether the answer to one is the answer to the other. Files: JSON lines with
question, prompt, same and maybe similarity, as cache-aside writes them; .tsv or .csv with columns of these
names, or with two texts and a label such as 1 or 0, same or different.
"""

_EPILOG = """\
With --service the prompts are stored, searched for and deleted again, each as an entry of its own, in the
cache that clients use: at --server-url or in LANGCACHE_SERVER_URL, and so on. Other entries are left alone.
The cache must be empty, unless --attribute names an attribute that it was set up with, which tells these
entries from others.
"""


def add_tune(commands: Any, embedder: Callable[[argparse.Namespace], Embedder]) -> None:
    """Add the command. ``embedder`` makes the one that ``--embedder`` and ``--embedder-model`` name."""
    tune: argparse.ArgumentParser = commands.add_parser(
        "tune",
        help="choose a similarity threshold from labelled pairs of questions",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    tune.add_argument(
        "pairs", nargs="+", type=Path, metavar="PAIRS", help="a file of labelled pairs, or several"
    )
    tune.add_argument(
        "--max-wrong", type=float, metavar="SHARE", help="how many of the hits may be wrong, say 0.05"
    )
    tune.add_argument(
        "--confidence",
        type=float,
        default=0.95,
        metavar="SHARE",
        help="how sure that is to hold (default %(default)s)",
    )
    tune.add_argument(
        "--threshold",
        type=float,
        action="append",
        dest="thresholds",
        metavar="NUMBER",
        help="a threshold of the table; give it once for each (default: a range)",
    )
    tune.add_argument(
        "--svg", type=Path, metavar="FILE", help="draw a picture of wrong hits against questions kept"
    )
    tune.add_argument(
        "--verifier",
        action="store_true",
        help="count what cache-aside's verifier rejects as misses, as it does",
    )
    tune.add_argument(
        "--rescore", action="store_true", help="score the pairs that have a similarity in the file, too"
    )
    tune.add_argument(
        "--embedder",
        metavar="minilm|wordllama|onnx:FOLDER|openai:URL",
        help="the model of a local service, as for serve (default minilm)",
    )
    tune.add_argument("--embedder-model", metavar="MODEL", help="the model to ask an openai: endpoint for")
    tune.add_argument("--service", action="store_true", help="ask a running service, in place of an embedder")
    add_client_options(tune)
    tune.add_argument(
        "--attribute", metavar="NAME", help="an attribute that tells the entries of this run from others"
    )
    tune.add_argument(
        "--concurrency",
        type=int,
        default=16,
        metavar="NUMBER",
        help="how many pairs are scored at once (default %(default)s)",
    )

    def run(options: argparse.Namespace) -> int:
        return _tune(options, embedder)

    tune.set_defaults(run=run, parser=tune)


def _tune(options: argparse.Namespace, make_embedder: Callable[[argparse.Namespace], Embedder]) -> int:
    from ..errors import LangCacheError
    from ..matching.verifier import verifier
    from ..tuning import tune

    expected: tuple[type[Exception], ...] = (ImportError, ValueError, LangCacheError)
    with suppress(ImportError):  # pairs that have a similarity need no embedder
        from ..service import EmbedderError

        expected = (*expected, EmbedderError)
    with ExitStack() as stack:
        try:
            client, embedder = None, None
            if options.svg is not None:
                check_output("--svg", options.svg)
            if options.service:
                _check_no_embedder(options)
                client = stack.enter_context(_client(options))
            else:
                _check_no_service_options(options)
            if options.embedder is not None or options.embedder_model is not None:
                options.embedder = options.embedder or "minilm"
                embedder = make_embedder(options)
            progress = stack.enter_context(Progress("scored", "pairs"))
            report = tune(
                options.pairs,
                max_wrong=options.max_wrong,
                confidence=options.confidence,
                thresholds=options.thresholds,
                embedder=embedder,
                client=client,
                attribute=options.attribute,
                accept=verifier if options.verifier else None,
                rescore=options.rescore,
                concurrency=options.concurrency,
                progress=progress,
            )
            progress.end()
            if options.svg is not None:
                options.svg.write_text(report.svg(), "utf-8")
        except expected as error:
            return failed(error, options)
    print(report)
    return 0 if options.max_wrong is None or report.certified is not None else 1


def _check_no_service_options(options: argparse.Namespace) -> None:
    for name in ("server_url", "api_key_file", "cache_id", "attribute"):
        if getattr(options, name) is not None:
            raise ValueError(f"--{name.replace('_', '-')}: is for --service, which asks a running service")


def _check_no_embedder(options: argparse.Namespace) -> None:
    if options.embedder is not None or options.embedder_model is not None:
        raise ValueError("--embedder: can't be given along with --service, which has an embedder of its own")


def _client(options: argparse.Namespace) -> LangCache:
    from ..sync import LangCache

    return LangCache(*settings_of(options), retry_config=patient(), timeout_ms=30_000)
