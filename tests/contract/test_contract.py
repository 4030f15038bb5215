"""The service does what openapi.yaml says, for right and wrong requests that schemathesis makes from it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import CHECKS

from langcache.service import CacheConfig, LocalServer

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "service"))

from measured_service import Measured  # noqa: E402

schema = schemathesis.openapi.from_path(HERE / "openapi.yaml")

MEANT = {
    "allow_header_conformance": "an entry may have any id, so that search, too, can be deleted",
}
"""What schemathesis would have otherwise, and is meant: its checks that are left out, with the reason."""

ADMIN_KEY = "key-of-the-admin"
"""For the operations that make caches and keys."""

EXCLUDED = [CHECKS.get_one(name) for name in MEANT]


@pytest.fixture(scope="module")
def server():
    caches = [
        CacheConfig(cache_id=name, attributes=("topic", "tenant"), api_key="key-of-both")
        for name in ("local", "other")
    ]
    with LocalServer(caches=caches, embedder=Measured(), admin_key=ADMIN_KEY) as server:
        yield server


def keeps_to_it(case, server, key):
    case.call_and_validate(
        base_url=server.url, headers={"Authorization": f"Bearer {key}"}, excluded_checks=EXCLUDED
    )


QUICK = {"deadline": None, "derandomize": True, "suppress_health_check": list(HealthCheck)}
OF_ENTRIES = r"^/health|^/v1/caches/\{cacheId\}/"


@schema.include(path_regex=OF_ENTRIES).parametrize()
@settings(max_examples=25, **QUICK)
def test_the_service_keeps_to_its_description(case, server):
    keeps_to_it(case, server, server.api_key)


@schema.exclude(path_regex=OF_ENTRIES).parametrize()
@settings(max_examples=8, **QUICK)
def test_so_does_its_control_plane(case, server):
    keeps_to_it(case, server, ADMIN_KEY)
