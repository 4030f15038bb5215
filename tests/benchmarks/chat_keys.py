"""What a key of a chat request costs, beside plain JSON and a hash: ``python tests/benchmarks/chat_keys.py``.

Both are timed in one run, in microseconds of CPU time, with a system prompt of 4 KB.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable

from langcache.chat import request_key

BODY = {
    "model": "gpt",
    "temperature": 0.2,
    "messages": [
        {"role": "system", "content": "You are a helpful assistant. " * 146},
        {"role": "user", "content": "How do I pay?"},
    ],
}
CALLS = 200


def microseconds(function: Callable[[], object]) -> float:
    """The quickest of 25 rounds."""
    best = float("inf")
    for _ in range(25):
        started = time.process_time()
        for _ in range(CALLS):
            function()
        best = min(best, time.process_time() - started)
    return 1e6 * best / CALLS


if __name__ == "__main__":
    plain = microseconds(lambda: hashlib.sha256(json.dumps(BODY, sort_keys=True).encode()).hexdigest())
    key = microseconds(
        lambda: request_key(BODY, api="openai.chat", place="api.openai.com/v1/chat/completions")
    )
    print(f"request_key {key:.0f} us, json.dumps and sha256 {plain:.0f} us: x {key / plain:.1f}")
