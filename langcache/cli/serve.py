"""``langcache serve``: a LangCache service."""
# ruff: noqa: T201 (a command line prints)

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from shlex import quote
from typing import TYPE_CHECKING, Any

from .messages import failed
from .serve_settings import SETTINGS, Plan, plan_of
from .settings import add_settings
from .terminal import output_failed

if TYPE_CHECKING:
    from ..service.rate import Usage
    from ..service.server import Running
    from ..service.workers import Worker

__all__ = ["add_serve"]

_EPILOG = """\
Every option may also be given in a TOML file, which --config names, and in a variable LANGCACHE_SERVE_NAME.
An option goes before the variable, the variable before the file.
"""


def add_serve(commands: Any) -> None:
    """Add the command."""
    serve: argparse.ArgumentParser = commands.add_parser(
        "serve", help="run a LangCache service on this machine", epilog=_EPILOG
    )
    add_settings(serve, SETTINGS)
    serve.set_defaults(run=_serve, parser=serve)


def _serve(options: argparse.Namespace) -> int:
    try:
        with _ignoring_hang_up():
            plan = plan_of(options)
            if plan.logs is not None:
                from ..service.logs import set_up

                set_up(*plan.logs)
            status = _serve_here(plan) if plan.workers == 1 else _serve_with_workers(plan)
    except (ImportError, ValueError) as error:
        return failed(error)
    if status == 0:
        print("Stopped.")
    return status


def _serve_here(plan: Plan) -> int:
    return _status(plan, lambda: asyncio.run(_until_stopped(plan)))


def _serve_with_workers(plan: Plan) -> int:
    from ..service.listeners import bind
    from ..service.rate import RateLimit, Usage
    from ..service.server import url_of
    from ..service.workers import Supervisor, counting_together, preload, saying_what_needs_a_file

    def serve() -> int:
        preload(plan.embedder)
        with contextlib.ExitStack() as stack:
            listeners = stack.enter_context(bind(plan.config.host, plan.config.port, plan.workers))
            url = url_of(plan.config, *listeners.address)
            usage = None
            if plan.config.rate_limit is not None:
                with saying_what_needs_a_file("rate_limit"):
                    usage = Usage(RateLimit(plan.config.rate_limit), shared=True)
                stack.callback(usage.close)
            begins, ended = stack.enter_context(counting_together(plan.config))

            def work(worker: Worker) -> int:
                begins(worker.number)
                return _status(plan, lambda: asyncio.run(_until_told(plan, worker, usage)))

            supervisor = Supervisor(work, listeners, plan.drain, ended, _hang_up_ends(plan))
            return supervisor.run(lambda: _show_instructions(url, plan))

    return _status(plan, serve)


def _status(plan: Plan, run: Callable[[], int]) -> int:
    """The exit status of what serves; what prevents it is said in one line."""
    from ..service import EmbedderError, StoreError

    try:
        return run()
    except ValueError as error:
        return failed(plan.named(error))
    except (ImportError, EmbedderError, StoreError) as error:
        return failed(error)
    except BrokenPipeError:  # the reader of the output has ended
        raise
    except OSError as error:
        return failed(_not_listening(plan, error))


@contextlib.contextmanager
def _ignoring_hang_up() -> Generator[None, None, None]:
    """Let SIGHUP end nothing before there is a handler for it, unless the service runs in a terminal.

    ``systemctl reload`` may come as soon as the process has begun.
    """
    if _in_terminal() or not hasattr(signal, "SIGHUP"):
        yield
        return
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


def _in_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _hang_up_ends(plan: Plan) -> bool:
    """Whether SIGHUP ends the service, as a closed terminal does. Else it reads its certificate again."""
    return plan.config.tls_cert is None and _in_terminal()


async def _until_stopped(plan: Plan) -> int:
    """Serve until a signal comes, and finish what has been accepted; a second signal ends all at once."""
    this = asyncio.current_task()
    assert this is not None
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    started = False

    def on_signal() -> None:
        if started and not stop.is_set():
            stop.set()
        else:
            this.cancel()

    with contextlib.suppress(NotImplementedError):  # Windows; there Ctrl-C raises KeyboardInterrupt
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, on_signal)
    with contextlib.suppress(asyncio.CancelledError):  # a signal may also come during the start
        async with _serving(plan) as running:
            started = True
            _show_instructions(running.url, plan)
            await stop.wait()
            await running.drain(plan.drain)
    return 0


async def _until_told(plan: Plan, worker: Worker, usage: Usage | None) -> int:
    """Serve as one of several processes, until the first of them says so or has gone."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_reader(worker.end_of_parent, stop.set)
    async with _serving(plan, worker.sockets, usage) as running:
        worker.ready()
        await stop.wait()
        loop.remove_reader(worker.end_of_parent)
        await running.drain(plan.drain)
    return 0


@contextlib.asynccontextmanager
async def _serving(
    plan: Plan, bound: Sequence[socket.socket] = (), usage: Usage | None = None
) -> AsyncGenerator[Running, None]:
    """Serve. After SIGHUP, also one that comes during the start, the certificate is read again."""
    from ..service.server import serving

    loop = asyncio.get_running_loop()
    hung_up = asyncio.Event()
    handles = hasattr(signal, "SIGHUP") and not _hang_up_ends(plan)
    if handles:
        loop.add_signal_handler(signal.SIGHUP, hung_up.set)
    async with serving(plan.config, plan.embedder, bound=bound, usage=usage, draw=_draw) as running:
        if handles:
            loop.add_signal_handler(signal.SIGHUP, running.reload)
        if hung_up.is_set():
            running.reload()
        yield running


def _draw(scored: Sequence[tuple[float, bool]]) -> tuple[str, str]:
    """The picture of labelled pairs for the page, as an SVG document, and the same as a table of text."""
    from ..tuning.report import Report

    report = Report(
        scored, max_wrong=None, confidence=0.95, thresholds=None, scored_by="as the page has shown it"
    )
    return report.svg(), f"{report}"


def _not_listening(plan: Plan, error: OSError) -> str:
    what = f"can't listen at {plan.config.host!r}, port {plan.config.port}: {error.strerror or error}"
    if error.errno == errno.EADDRINUSE:
        return f"{what}; --port 0 takes one that is free"
    if error.errno == errno.EACCES:
        return f"{what}; choose a --port above 1023, or --port 0 for one that is free"
    if error.errno in (errno.EADDRNOTAVAIL, None) or isinstance(
        error, socket.gaierror
    ):  # None: asyncio's own
        return f"{what}; --host must be an address of this machine, such as 127.0.0.1, or 0.0.0.0 for all"
    return what


def _show_instructions(url: str, plan: Plan) -> None:
    try:
        print(_instructions(url, plan), flush=True)
    except BrokenPipeError:  # the reader of the output has ended
        raise
    except OSError as error:  # such as a full disk, which is no reason to answer no requests
        output_failed(error, f"; the service at {url} goes on")


def _instructions(url: str, plan: Plan) -> str:
    from ..service.config import DEFAULT_API_KEY
    from ..service.stores.redis_url import redis_url

    config = plan.config
    cache = config.caches[0]
    # Any other key is a secret, and this output may end up in a log.
    key = quote(cache.api_key) if cache.api_key == DEFAULT_API_KEY else quote(f"<the key of {plan.key_from}>")
    attributes = f", attributes {', '.join(cache.attributes)}" if cache.attributes else ""
    entries = "in memory" if config.db is None else f"in {config.db}"
    if config.store is not None:
        entries = f"in {redis_url(config.store).shown}"
    embedder = plan.embedder.name
    processes = f", {plan.workers} processes" if plan.workers > 1 else ""
    page = f"Look at it: {url}/ (the page asks for the key)\n\n" if config.has_page else ""
    return f"""\
LangCache at {url}, entries {entries}{attributes}, embedded with {embedder}{processes}. Ctrl-C ends it.

{page}For the shell that your program runs in:

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
