"""What the tests of this folder share. They need packages that nothing else needs: ``nox -s compat`` installs
them, and elsewhere the folder is not collected."""

from __future__ import annotations

import sys

import pytest
from interpreters import ESTABLISHED

collect_ignore_glob = [] if ESTABLISHED else ["test_*.py"]


@pytest.fixture(params=ESTABLISHED)
def established_python(request):
    return ESTABLISHED[request.param]


@pytest.fixture(scope="session")
def our_python():
    return sys.executable
