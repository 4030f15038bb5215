"""The interpreters that have the established package, and how to run a script with one."""

import json
import os
import subprocess
from pathlib import Path

HERE = Path(__file__).parent

# {"0.14.0": "/path/to/a/python/that/has/it", ...}, from noxfile.py.
ESTABLISHED = json.loads(os.environ.get("LANGCACHE_ESTABLISHED_PYTHONS", "{}"))


def run(python, script, *arguments):
    """What a script of this folder prints as JSON when that interpreter runs it."""
    done = subprocess.run(
        # Isolated from this folder and checkout, so that `langcache` is the one which is installed there.
        [python, "-I", HERE / script, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
