"""Who may do what: keys that clients send, and the caches that they open."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias

from aiohttp import web

from .problems import Problem

__all__ = ["ACTIONS", "Access", "Action", "digest_given", "digest_of", "given_key", "is_admin", "new_token"]

Action: TypeAlias = Literal["read", "write"]
ACTIONS: tuple[Action, ...] = ("read", "write")

Access: TypeAlias = Mapping[str, Iterable[str]]
"""The ids of caches that a key opens, each with what it may do there."""

_TOKEN_PREFIX = "lck_"  # noqa: S105 (so that scanners for secrets can find keys in files)
_TOKEN_BYTES = 32


def new_token() -> str:
    """A new key: 256 bits that nobody can guess."""
    return _TOKEN_PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)


def digest_of(key: bytes) -> bytes:
    """What is kept of a key.

    A plain SHA-256, without salt and work: keys are 256 bits of chance, so that nobody finds one by trying,
    however fast. Passwords would need a slow function, which each request would then have to wait for.
    """
    return hashlib.sha256(key).digest()


def given_key(request: web.Request) -> bytes | None:
    """The key that a request has, known or not. None also for several: a proxy may check another."""
    given = request.headers.getall("Authorization", ())
    scheme, _, key = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    return key.strip().encode("utf-8", "surrogateescape") or None if scheme.lower() == "bearer" else None


def digest_given(request: web.Request) -> bytes:
    """The digest of the key that a request has. Raises `Problem` with a 401 if it has none.

    Digests are looked up in a table. The time that this takes tells nothing of a key: who tries keys does not
    choose their digests.
    """
    key = given_key(request)
    if key is None:
        raise Problem(401, "the API key is missing: send it as Authorization: Bearer <key>, once")
    return digest_of(key)


def is_admin(admin: bytes | None, given: bytes) -> bool:
    """Whether a digest is that of the admin key."""
    return admin is not None and secrets.compare_digest(admin, given)
