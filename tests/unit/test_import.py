"""What importing the package does not bring along."""

from __future__ import annotations

import subprocess
import sys


def test_a_program_does_not_pay_for_what_it_does_not_use():
    program = (
        "import sys, langcache; "
        "langcache.LangCache('http://127.0.0.1:1', 'key', 'cache'); "
        "print({name.split('.')[0] for name in sys.modules} & {'anyio', 'backoff', 'numpy', 'uvloop'}, "
        "[name for name in sys.modules if name.startswith('langcache.local')])"
    )
    run = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert run.stdout == "set() []\n"
