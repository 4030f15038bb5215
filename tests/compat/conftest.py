"""What the tests of this folder share. They need packages that nothing else needs: ``nox -s compat`` installs
them, and elsewhere the folder is not collected."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent

# {"0.14.0": "/path/to/a/python/that/has/it", ...}, from noxfile.py.
ESTABLISHED = json.loads(os.environ.get("LANGCACHE_ESTABLISHED_PYTHONS", "{}"))

collect_ignore_glob = [] if ESTABLISHED else ["test_*.py"]


def run(python, script, *arguments, env=None):
    """What a script of this folder prints as JSON when another interpreter runs it."""
    done = subprocess.run(
        # Isolated from this folder and checkout, so that `langcache` is the one which is installed there.
        [python, "-I", HERE / script, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env=env,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(params=ESTABLISHED)
def established_python(request):
    return ESTABLISHED[request.param]


@pytest.fixture(scope="session")
def our_python():
    return sys.executable
