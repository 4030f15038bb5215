"""MiniLM's graph, written anew: its weights stay 8 bits wide while it runs.

The published file widens them to 32 bits when it is loaded, so that each prompt reads 42 MB of weights. Here
activations are made 8 bits wide as well. Each row of them has a scale of its own, so a text has the same
vector whatever is beside it. Weights and activations are both unsigned: onnxruntime multiplies such ones
exactly on every processor. With signed weights, x86 processors without VNNI would cut off large sums.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .onnx_file import Graph, constants

__all__ = ["rewritten"]

_LAYERS = 6
_HEADS = 12
_WIDTH = 384
_EPSILON = 1e-12
_MIDDLE = 128
"""What stands for 0 in the eight bits."""

_LARGE = {99: 2, 157: 2, 223: 6, 338: 2}
"""Places with far greater numbers than others between layers, each with the number of parts it is cut into.

Uncut, they would leave few of the 127 steps to the others: a vector of "Yeah, that's right" had a cosine of
0.985 with the published graph's.
"""


def rewritten(model: bytes) -> bytes:
    """The content of an ONNX file, from that of the published one, whose hash must be known."""
    minilm = _MiniLM(model)
    x = minilm.embeddings()
    for layer in range(_LAYERS):
        x = minilm.layer(layer, x)
    return minilm.written(x)


class _MiniLM:
    """A transformer of BERT's kind: each step adds nodes and returns the name of the last one."""

    def __init__(self, model: bytes) -> None:
        self._known: dict[str, NDArray[Any]] = constants(model)
        # The six products of each layer have no names that tell which they are; they are in their order.
        self._products = [name[:-2] for name in self._known if name.startswith("val_") and name.endswith("_q")]
        self._graph = Graph()
        self._step = self._graph.constant("step", np.array(1 / (_MIDDLE - 1), np.float32))
        self._zero = self._graph.constant("zero", np.array(_MIDDLE, np.uint8))
        share = np.ones(_WIDTH, np.float32)
        share[list(_LARGE)] = [1 / parts for parts in _LARGE.values()]
        self._share = self._graph.constant("share", share)
        self._more = np.repeat([*_LARGE], [parts - 1 for parts in _LARGE.values()])
        self._again = self._graph.constant("again", self._more)

    def embeddings(self) -> str:
        graph, prefix = self._graph, "inner.embeddings."
        words, scales = (self._weight(f"{prefix}word_embeddings.weight_{part}") for part in ("q", "scale"))
        places = self._known[f"{prefix}position_embeddings.weight_q"].astype(np.float32)
        places *= self._known[f"{prefix}position_embeddings.weight_scale"].reshape(-1, 1)
        places += self._known[f"{prefix}token_type_embeddings.weight"][0]  # a prompt has one type of pieces
        graph.constant("places", places)
        graph.constant("from", np.array([0]))
        graph.cast("attention_mask", "int32", "mask")
        narrow = graph.node("Gather", [words, "input_ids"], "narrow")
        scale = graph.node("Gather", [scales, "input_ids"], "scale")
        word = graph.node("Mul", [graph.cast(narrow, "float32", "wide"), scale], "word")
        length = graph.node("Shape", ["input_ids"], "length", start=1)
        place = graph.node("Slice", ["places", "from", length], "place")
        norm = [self._weight(f"{prefix}LayerNorm.{name}") for name in ("weight", "bias")]
        total = graph.node("Add", [word, place], "total")
        return graph.node("LayerNormalization", [total, *norm], "embedded", axis=-1, epsilon=_EPSILON)

    def layer(self, number: int, x: str) -> str:
        graph, at = self._graph, f"layer{number}."
        prefix = f"inner.encoder.layer.{number}."
        *three, out, up, down = self._products[6 * number : 6 * number + 6]
        narrow = self._narrow_cut(x)
        parts = [self._product(f"{at}{part}", narrow, weights) for part, weights in zip("qkv", three, strict=True)]
        biases = [self._known[f"{prefix}attention.self.{name}.bias"] for name in ("query", "key", "value")]
        bias = graph.constant(f"{at}bias", np.concatenate(biases))
        seen = graph.node("MultiHeadAttention", [*parts, bias, "mask"], f"{at}seen", num_heads=_HEADS)
        x = self._added(f"{at}middle", f"{prefix}attention.output.", out, seen, x)
        wide = self._product(f"{at}up", self._narrow_cut(x), up)
        bent = graph.node("BiasGelu", [wide, self._weight(f"{prefix}intermediate.dense.bias")], f"{at}bent")
        return self._added(f"{at}end", f"{prefix}output.", down, bent, x)

    def _added(self, name: str, prefix: str, product: str, x: str, before: str) -> str:
        """What a product adds to what was before, brought to mean 0 and variance 1."""
        made = self._product(f"{name}.made", self._narrow(x), product)
        own = [self._weight(prefix + each) for each in ("LayerNorm.weight", "LayerNorm.bias", "dense.bias")]
        return self._graph.node("SkipLayerNormalization", [made, before, *own], name, epsilon=_EPSILON)

    def _narrow(self, x: str) -> tuple[str, str]:
        """Each row, divided by the greatest in it, in 127 steps up and down; and the greatest in each row."""
        graph = self._graph
        size = graph.node("Abs", [x], f"{x}.size")
        greatest = graph.node("ReduceMax", [size], f"{x}.greatest", axes=[-1])
        share = graph.node("Div", [x, greatest], f"{x}.share")
        return graph.node("QuantizeLinear", [share, self._step, self._zero], f"{x}.narrow"), greatest

    def _narrow_cut(self, x: str) -> tuple[str, str]:
        """The same with the parts of `_LARGE`; the second and further ones of each are at the end."""
        graph = self._graph
        narrow, greatest = self._narrow(graph.node("Mul", [x, self._share], f"{x}.cut"))
        again = graph.node("Gather", [narrow, self._again], f"{x}.again", axis=-1)
        return graph.node("Concat", [narrow, again], f"{x}.parts", axis=-1), greatest

    def _product(self, name: str, x: tuple[str, str], weights: str) -> str:
        graph, (narrow, greatest) = self._graph, x
        unsigned = (self._known[f"{weights}_q"] ^ -128).view(np.uint8)  # adds 128
        if narrow.endswith(".parts"):
            unsigned = np.concatenate([unsigned, unsigned[self._more]])
        zeros = np.full(unsigned.shape[1], _MIDDLE, np.uint8)
        given = [
            narrow,
            graph.constant(f"{name}.weights", unsigned),
            self._step,
            graph.constant(f"{name}.scales", self._known[f"{weights}_scale"].reshape(-1)),
            self._zero,
            graph.constant(f"{name}.zeros", zeros),
        ]
        shares = graph.node("MatMulIntegerToFloat", given, f"{name}.shares")
        return graph.node("Mul", [shares, greatest], name)

    def _weight(self, name: str) -> str:
        return self._graph.constant(name, self._known[name])

    def written(self, output: str) -> bytes:
        return self._graph.written({"input_ids": "int64", "attention_mask": "int64"}, output, _WIDTH)
