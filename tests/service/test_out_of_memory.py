"""A change of an index fails for want of memory at each of its lines: it is made as a whole or not at all."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from langcache.service.stores import index, rows, shrinking
from langcache.service.stores.index import Index
from langcache.service.stores.store import Entry

FILES = {index.__file__, rows.__file__, shrinking.__file__}
COUNT = 70
"""More than there is room for at first, so that arrays grow and shrink."""


def entry(number, prompt=None, **attributes):
    expires_at = 100 if number % 4 == 1 else None
    return Entry(f"id{number}", prompt or f"p{number % 5}", "r", attributes, expires_at)


def vector(number):
    drawn = np.random.default_rng(number).normal(size=(1, 8)).astype(np.float32)
    return drawn / np.linalg.norm(drawn)


class Clock:
    now = 1

    def __call__(self):
        return self.now


def filled(count):
    made = Index(8, Clock())
    for number in range(count):
        made.add([entry(number, a=str(number % 3), b=str(number))], vector(number))
    return made


def contents(made):
    same = [[found.id for _, found in made.same(f"p{number}", {}, 999)] for number in range(5)]
    near = [
        [(similarity, found.id) for similarity, found in made.nearest(vector(3)[0], attributes, 999)]
        for attributes in ({}, {"a": "1"})
    ]
    matching = [sorted(made.matching(attributes)) for attributes in ({}, {"a": "2"}, {"c": "new"})]
    return len(made), same, near, matching


def fails(change, made, at):
    """Make the change, with a `MemoryError` at the line that is run as this one. False if there are fewer."""
    lines = 0
    before = sys.gettrace()

    def trace(frame, event, _):
        nonlocal lines
        if frame.f_code.co_filename not in FILES:
            return None
        if event == "line":
            lines += 1
            if lines == at:
                raise MemoryError
        return trace

    sys.settrace(trace)
    try:
        change(made)
    except MemoryError:
        return True
    finally:
        sys.settrace(before)
    return False


def expire(made):
    made._clock.now = 100
    return len(made)


CHANGES = {
    "add": (64, lambda made: made.add([entry(1000, "p3", a="1", c="new")], vector(1000))),
    "add the second of a prompt": (6, lambda made: made.add([entry(1000, "p5", a="1")], vector(1000))),
    "replace": (6, lambda made: made.add([entry(2, "p5", c="new")], vector(1000))),
    "remove": (COUNT, lambda made: made.remove([f"id{number}" for number in range(COUNT - 5)])),
    "remove one": (6, lambda made: made.remove(["id2"])),
    "expire": (20, expire),
    "clear": (6, lambda made: made.clear()),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_that_fails_is_made_as_a_whole_or_not_at_all(name, monkeypatch):
    count, change = CHANGES[name]
    monkeypatch.setattr(index, "_CHUNK", 16)
    expected = filled(count)
    nothing = contents(expected)
    change(expected)
    whole = contents(expected)
    step = {"remove": 29, "expire": 5}.get(name, 1)  # these run thousands of lines
    at = 1
    made = filled(count)
    while fails(change, made, at):
        assert contents(made) in ((whole,) if name == "expire" else (nothing, whole)), at
        change(made)
        assert contents(made) == whole, at
        assert made.add([entry(2000, "p1", a="1")], vector(2000)) is None
        assert made.remove(["id2000"]) == 1
        assert contents(made) == whole, at
        made = filled(count)
        at += step
    assert at > 5
    assert contents(made) == whole
