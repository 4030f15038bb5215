"""A table of requests and their fingerprints, so that these never change by accident.

Stored entries hold fingerprints. Where one has to change, raise the version of the rule,
`langcache.chat.keys.RULE`, and write the table anew: ``python tests/chat/test_fingerprints.py``.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from langcache.chat import chat_key, request_key
from langcache.chat.keys import RULE

FILE = Path(__file__).parent / "data" / "fingerprints.json"
TABLE = json.loads(FILE.read_text("utf-8"))


def key_of(row):
    if "api" in row:
        return request_key(row["body"], api=row["api"], place=row["place"], turns=row.get("turns", "single"))
    return chat_key(**row["settings"])(row["messages"])


@pytest.mark.parametrize("row", TABLE["rows"], ids=[row["name"] for row in TABLE["rows"]])
def test_a_request_has_the_fingerprint_that_it_had(row):
    key = key_of(row)
    found = {"text": key.text, "reason": key.reason, **(key.attributes or {})}
    assert {name: value for name, value in found.items() if value is not None} == row["key"]


def test_the_table_is_of_this_version_of_the_rule():
    assert TABLE["rule"] == RULE


def test_all_that_is_looked_up_has_a_fingerprint_of_its_own_unless_it_is_said_to_be_the_same():
    prints = [
        row["key"]["fingerprint"]
        for row in TABLE["rows"]
        if "same_as" not in row and "fingerprint" in row["key"]
    ]
    assert len(set(prints)) == len(prints) > 20
    keys = {row["name"]: row["key"] for row in TABLE["rows"]}
    for row in TABLE["rows"]:
        if "same_as" in row:
            assert row["key"]["fingerprint"] == keys[row["same_as"]]["fingerprint"], row["name"]


if __name__ == "__main__":
    for row in TABLE["rows"]:
        key = key_of(row)
        found = {"text": key.text, "reason": key.reason, **(key.attributes or {})}
        row["key"] = {name: value for name, value in found.items() if value is not None}
    lines = ",\n".join("    " + json.dumps(row, ensure_ascii=False) for row in TABLE["rows"])
    FILE.write_text(f'{{\n  "rule": {RULE},\n  "rows": [\n{lines}\n  ]\n}}\n', "utf-8")
