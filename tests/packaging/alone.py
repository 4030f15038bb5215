"""What an environment with the package and no extra must do; run there by ``nox -s build``."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from importlib.metadata import metadata, version
from importlib.util import find_spec

import langcache
from langcache.errors import ConnectError
from langcache.telemetry import Telemetry

COMMAND = "pip install '.[local]'"

for extra in ("numpy", "onnxruntime", "wordllama", "uvloop", "opentelemetry", "pytest"):
    assert find_spec(extra) is None, f"{extra} is here; this is to be run without any extra"

assert langcache.__version__ == version("langcache")
assert metadata("langcache")["License-Expression"] == "MIT AND Apache-2.0"
for name in langcache.__all__:
    getattr(langcache, name)

with (
    langcache.LangCache("http://127.0.0.1:1", "key", "cache") as cache,
    suppress(ConnectError),
):
    cache.search("Does the sync client work without uvloop?")

said = ""
try:
    from langcache.service import LocalServer as LocalServer
except ImportError as error:
    said = str(error)
assert COMMAND in said, said

said = ""
try:
    Telemetry()
except ImportError as error:
    said = str(error)
assert "pip install '" in said, said
assert "[otel]'" in said, said

for command in ("demo", "serve"):
    run = subprocess.run([sys.executable, "-m", "langcache", command], capture_output=True, text=True)
    assert run.returncode == 1, run
    assert COMMAND in run.stderr, run
    assert "Traceback" not in run.stderr, run

print(f"langcache {langcache.__version__} works alone, and says how to get its extras")
