"""What an environment with the package and no extra must do; run there by ``nox -s build``."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import metadata, version
from importlib.util import find_spec

for extra in ("numpy", "wordllama", "uvloop", "opentelemetry", "pytest"):
    assert find_spec(extra) is None, f"{extra} is here; this is to be run without any extra"

import langcache

COMMAND = "pip install 'langcache[local]'"

assert langcache.__version__ == version("langcache")
assert metadata("langcache")["License-Expression"] == "MIT"
for name in langcache.__all__:
    getattr(langcache, name)

with langcache.LangCache("http://127.0.0.1:1", "key", "cache") as cache:
    try:
        cache.search("Does the sync client work without uvloop?")
    except langcache.errors.ConnectError:
        pass

try:
    from langcache.local import LocalServer
except ImportError as error:
    assert COMMAND in str(error), error
else:
    sys.exit(f"{LocalServer} was imported without numpy")

for command in ("demo", "serve"):
    run = subprocess.run([sys.executable, "-m", "langcache", command], capture_output=True, text=True)
    assert run.returncode == 1, run
    assert COMMAND in run.stderr, run
    assert "Traceback" not in run.stderr, run

print(f"langcache {langcache.__version__} works alone, and says how to get its extras")
