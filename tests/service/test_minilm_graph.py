"""MiniLM's graph as it is written anew, compared with the published one, and the files it is written to."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "quality"))

from sets import labelled_sets

from langcache.service.embedders import minilm
from langcache.service.embedders.base import folded
from langcache.service.embedders.minilm_graph import rewritten
from langcache.service.embedders.onnx_file import Graph, constants
from langcache.service.embedders.transformer import Transformer
from langcache.service.embedders.wordpiece import WordPiece, read_vocabulary

TEXTS = sorted({folded(text) for pairs in labelled_sets().values() for pair in pairs for text in pair[1:]})
FURTHEST = ["yeah, that's right", "that is right", "yes, that's it", "that makes sense as well"]
"""Of all the texts, those whose vectors change most."""
CHOSEN = [*TEXTS[::150], *FURTHEST]


@pytest.fixture(scope="module")
def published():
    return minilm._weights()


@pytest.fixture(scope="module")
def made(published):
    return transformer(rewritten(published))


def transformer(model):
    return Transformer(model, WordPiece(read_vocabulary(minilm._VOCABULARY)), max_length=256)


def test_a_vector_is_near_the_one_of_the_published_graph(published, made):
    cosines = (made.embed(CHOSEN) * transformer(published).embed(CHOSEN)).sum(axis=1)
    assert cosines.min() >= 0.99
    assert cosines.mean() >= 0.999


def test_a_text_has_one_vector_alone_and_in_any_batch(made):
    alone = {text: made.embed([text])[0] for text in CHOSEN}
    assert made._rows_at_once > 1
    for order in (CHOSEN, CHOSEN[::-1] + CHOSEN):
        for text, vector in zip(order, made.embed(order), strict=True):
            assert np.array_equal(vector, alone[text]), text


@pytest.mark.parametrize("rows", [1, 5, 8, 64])
@pytest.mark.parametrize("kind", ["greatest", "alternating", "random"])
def test_products_of_eight_bits_are_exact_on_this_processor(rows, kind):
    x, y = np.full((1, rows, 1536), 255, np.uint8), np.full((1536, 384), 255, np.uint8)
    if kind == "alternating":  # sums of two neighbours at either end of 16 bits
        x[..., ::3], y[::3] = 0, 0
    elif kind == "random":
        random = np.random.default_rng(1)
        x, y = (random.integers(0, 256, array.shape, np.uint8) for array in (x, y))
    graph = Graph()
    one, zero = np.array(1, np.float32), np.array(128, np.uint8)
    given = [
        *(graph.constant("x", x), graph.constant("y", y)),
        *(graph.constant("one", one), graph.constant("ones", np.ones(384, np.float32))),
        *(graph.constant("zero", zero), graph.constant("zeros", np.full(384, 128, np.uint8))),
    ]
    graph.cast("number", "float32", "wide")
    graph.node("ReduceMax", ["wide"], "most")
    product = graph.node("MatMulIntegerToFloat", given, "product")
    session = onnxruntime.InferenceSession(
        graph.written({"number": "int64"}, graph.node("Mul", [product, "most"], "out"), 384),
        providers=["CPUExecutionProvider"],
    )
    (out,) = session.run(["out"], {"number": np.ones((1, 1), np.int64)})
    expected = (x[0].astype(np.int64) - 128) @ (y.astype(np.int64) - 128)
    assert np.array_equal(out[0], expected)


def test_constants_are_read_as_they_were_written():
    arrays = {
        "wide": np.arange(300, dtype=np.float32).reshape(100, 3),
        "narrow": np.arange(-128, 128, dtype=np.int8),
        "unsigned": np.arange(256, dtype=np.uint8).reshape(2, 2, 64),
        "long": np.array([-1, 2**62]),
        "one": np.array(0.5, np.float32),
        "none": np.empty((0, 4), np.int32),
    }
    graph = Graph()
    for name, array in arrays.items():
        graph.constant(name, array)
    found = constants(graph.written({"number": "int64"}, "number", 1))
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array)
        assert found[name].shape == array.shape
