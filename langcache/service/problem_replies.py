"""Failures of handlers as replies over HTTP."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from .problems import Problem, body_of, log_failure, problem_of

__all__ = ["answer_with_problems"]

_NEWER_TYPES = {404: "/errors/resource-not-found", 424: "/errors/resource-unavailable"}
"""The types that established clients for Python know since 0.12, which know no others."""

_KNOWS_NEWER_TYPES = re.compile(r"langcache-python/|speakeasy-sdk/python (?:0\.(?:1[2-9]|[2-9]\d)|[1-9])")
"""The clients, by their User-Agent, that get the newer types. No type would do for all."""

_UNDERSTOOD = {"Accept-Encoding": "gzip, deflate"}

_BROKEN_BODY = "the body can't be read: it is not sent as its headers say"


@web.middleware
async def answer_with_problems(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Turn an exception of a handler into the reply that the hosted service would give."""
    try:
        return await handler(request)
    except web.HTTPException as error:  # of aiohttp: no such route or method, or a body that is too large
        allow = {name: value for name, value in error.headers.items() if name == "Allow"}
        _forget_frames(error)
        return _reply(request, Problem(error.status), allow)
    except Exception as error:
        broken = isinstance(error, web.RequestPayloadError)
        problem = Problem(400, _BROKEN_BODY) if broken else problem_of(error)
        client_left = isinstance(error, ConnectionError) and request.transport is None
        if problem.status == 500 and not client_left:  # a client that leaves early is no failure of ours
            resource = request.match_info.route.resource
            log_failure(request.method, "?" if resource is None else resource.canonical)  # without ids
        _forget_frames(error)
        return _reply(request, problem, _UNDERSTOOD if problem.status == 415 else problem.headers)


def _forget_frames(error: BaseException) -> None:
    """Forget where an error, and those behind it, came from: frames that hold the request.

    The request holds the error in turn, so that only a collection of garbage would free the two.
    """
    behind: BaseException | None = error
    while behind is not None and behind.__traceback__ is not None:
        behind.__traceback__ = None
        behind = behind.__cause__ or behind.__context__


def _reply(request: web.Request, problem: Problem, headers: Mapping[str, str] | None = None) -> web.Response:
    kind = problem.type
    if problem.status in _NEWER_TYPES and _KNOWS_NEWER_TYPES.match(request.headers.get("User-Agent", "")):
        kind = _NEWER_TYPES[problem.status]
    return web.Response(
        status=problem.status, body=body_of(problem, kind), content_type="application/json", headers=headers
    )
