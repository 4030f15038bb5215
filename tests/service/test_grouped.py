"""Texts that are embedded together."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from langcache.service.embedders import EmbedderError
from langcache.service.grouped import Grouped


class Lengths:
    """The vector of a text is its length; some texts fail."""

    name, dimensions = "lengths", 1

    def __init__(self):
        self.calls = []

    async def start(self):
        self.calls.append("start")

    async def embed(self, texts):
        self.calls.append(list(texts))
        if "bad" in texts:
            raise EmbedderError("no bad ones")
        return np.array([[len(text)] for text in texts], np.float32)

    async def close(self):
        self.calls.append("close")


async def embedded(embedder, *texts):
    outcomes = await asyncio.gather(*(embedder.embed([text]) for text in texts), return_exceptions=True)
    return [each if isinstance(each, Exception) else each.tolist() for each in outcomes]


async def test_texts_of_one_moment_go_in_one_call_and_no_more_than_64():
    lengths = Lengths()
    embedder = Grouped(lengths)
    assert (embedder.name, embedder.dimensions) == ("lengths", 1)
    await embedder.start()
    texts = ["x" * number for number in range(100)]
    assert await embedded(embedder, *texts) == [[[number]] for number in range(100)]
    assert await embedded(embedder, "later") == [[[5]]]
    assert (await embedder.embed(["a", "bc"])).tolist() == [[1], [2]]
    await embedder.close()
    assert lengths.calls == ["start", texts[:64], texts[64:], ["later"], ["a", "bc"], "close"]


async def test_a_text_that_fails_fails_alone():
    lengths = Lengths()
    first, bad, last = await embedded(Grouped(lengths), "a", "bad", "abc")
    assert (first, last) == ([[1]], [[3]])
    assert repr(bad) == "EmbedderError('no bad ones')"
    assert lengths.calls == [["a", "bad", "abc"], ["a"], ["bad"], ["abc"]]
    with pytest.raises(EmbedderError):
        await Grouped(lengths).embed(["bad"])


async def test_a_cancelled_caller_disturbs_no_other():
    embedder = Grouped(Lengths())
    calls = [asyncio.create_task(embedder.embed([text])) for text in ("a", "bad", "abc")]
    await asyncio.sleep(0)
    calls[1].cancel()
    first, cancelled, last = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(cancelled, asyncio.CancelledError)
    assert (first.tolist(), last.tolist()) == ([[1]], [[3]])
