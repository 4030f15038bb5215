"""These tests need schemathesis, which ``nox -s contract`` installs. Elsewhere they are left out."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("schemathesis") else ["test_*.py"]
