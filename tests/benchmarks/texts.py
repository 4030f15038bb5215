"""What is asked and answered in every measurement. Standard library only: each environment imports it."""

from __future__ import annotations

import json

PROMPT = "How does semantic caching work?"
THRESHOLD = 0.9
RESPONSE = (
    "A semantic cache keeps the answers that models gave, each with its question as a vector. A new question "
    "becomes a vector too, and if one that is near enough is in the cache, its answer is given again: within "
    "milliseconds, without a token paid for, and always the same. How near is near enough is for the program "
    "to say: too near finds nothing, too far finds answers to other questions altogether."
)
ENTRY_ID = "5b84acef3ce360988d1b35adbaaaccb1"

CACHE = "c"
LARGE_CACHE = "large"
DISTANT_CACHE = "distant"
DISTANCE_SECONDS = 0.005
"""How long after its request a reply of the distant cache comes."""

CACHES = {CACHE: "", LARGE_CACHE: "1 MB replies", DISTANT_CACHE: f"{1000 * DISTANCE_SECONDS:g} ms away"}
"""The ids of the canned caches, and what sets each apart from responses of 400 bytes that come at once."""

LARGE_RESPONSE = ("A line of a long answer, as a model writes it: about sixty bytes.\n" * 20_000)[:1_000_000]


def response(cache_id: str) -> str:
    """The response of the one entry in a cache."""
    return LARGE_RESPONSE if cache_id == LARGE_CACHE else RESPONSE


def search_reply(cache_id: str) -> bytes:
    """The body that answers ``search``."""
    entry = {
        "id": ENTRY_ID,
        "prompt": PROMPT.upper(),  # in other words it would be compared, which is measured apart
        "response": response(cache_id),
        "attributes": {"language": "en"},
        "similarity": 0.95,
        "searchStrategy": "semantic",
    }
    return json.dumps({"data": [entry]}, separators=(",", ":")).encode()


def set_reply() -> bytes:
    """The body that answers ``set``."""
    return json.dumps({"entryId": ENTRY_ID}, separators=(",", ":")).encode()
