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

EXCLUDED = [CHECKS.get_one(name) for name in MEANT]


@pytest.fixture(scope="module")
def server():
    caches = [
        CacheConfig(cache_id=name, attributes=("topic", "tenant"), api_key="key-of-both")
        for name in ("local", "other")
    ]
    with LocalServer(caches=caches, embedder=Measured()) as server:
        yield server


@schema.parametrize()
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
def test_the_service_keeps_to_its_description(case, server):
    case.call_and_validate(
        base_url=server.url,
        headers={"Authorization": f"Bearer {server.api_key}"},
        excluded_checks=EXCLUDED,
    )
