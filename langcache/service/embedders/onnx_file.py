"""ONNX files, as far as MiniLM's graph needs them: the constants of one are read, and a new one is written.

A file is a message of Protocol Buffers: fields with numbers, which are named in onnx.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Graph", "constants"]

_TYPES = {"float32": 1, "uint8": 2, "int8": 3, "int32": 6, "int64": 7}
_NAMES = {number: name for name, number in _TYPES.items()}
_IR_VERSION = 8
_VERSIONS = {"": 17, "com.microsoft": 1}
"""Those of the operators that are used, by domain. onnxruntime has them since 1.14."""
_OF_ONNXRUNTIME = {"BiasGelu", "MatMulIntegerToFloat", "MultiHeadAttention", "SkipLayerNormalization"}
"""Operators of its own domain."""

_Setting = int | float | list[int]


def constants(model: bytes) -> dict[str, NDArray[Any]]:
    """The constants in the content of a file, by name, in their order; those of other types are left out."""
    found: dict[str, NDArray[Any]] = {}
    graph = next(value for number, value in _fields(memoryview(model)) if number == 7)
    for tensor in (value for number, value in _fields(graph) if number == 5):
        fields = [*_fields(tensor)]
        shape = [value for number, value in fields if number == 1]
        last = dict(fields)
        if last[2] in _NAMES and 9 in last:
            found[bytes(last[8]).decode()] = np.frombuffer(last[9], _NAMES[last[2]]).reshape(shape)
    return found


class Graph:
    """Nodes and constants. Each node has one output, which is named after it."""

    def __init__(self) -> None:
        self._nodes: list[bytes] = []
        self._constants: dict[str, tuple[bytes, NDArray[Any]]] = {}

    def constant(self, name: str, array: NDArray[Any]) -> str:
        """Add a constant. One of the same name is replaced. Returns the name."""
        content = b"".join(_field(1, length) for length in array.shape) + _field(2, _TYPES[array.dtype.name])
        content += _field(8, name) + _head(9, array.nbytes)
        self._constants[name] = _head(5, len(content) + array.nbytes) + content, np.ascontiguousarray(array)
        return name

    def node(self, operator: str, given: Sequence[str], name: str, **settings: _Setting) -> str:
        """Add a node with these inputs and attributes. Returns the name."""
        content = b"".join(_field(1, each) for each in given) + _field(2, name) + _field(4, operator)
        content += b"".join(_field(5, _attribute(*each)) for each in settings.items())
        domain = "com.microsoft" if operator in _OF_ONNXRUNTIME else ""
        self._nodes.append(_field(1, content + _field(7, domain)))
        return name

    def cast(self, given: str, to: str, name: str) -> str:
        """Add a node that converts to a type of numpy's. Returns the name."""
        return self.node("Cast", [given], name, to=_TYPES[to])

    def written(self, inputs: Mapping[str, str], output: str, width: int) -> bytes:
        """The content of a file. Inputs, given with types, have two dimensions; the output has three."""
        given = (_field(11, _described(name, kind)) for name, kind in inputs.items())
        out = _field(12, _described(output, "float32", width))
        versions = (_field(8, _field(1, domain) + _field(2, number)) for domain, number in _VERSIONS.items())
        constants = (part for each in self._constants.values() for part in each)
        graph: tuple[Any, ...] = (*self._nodes, _field(2, "graph"), *constants, *given, out)
        length = sum(memoryview(part).nbytes for part in graph)
        # Some 24 MB, which are copied this once.
        return b"".join((_field(1, _IR_VERSION), *versions, _head(7, length), *graph))


def _attribute(name: str, value: _Setting) -> bytes:
    if isinstance(value, list):
        return _field(1, name) + b"".join(_field(8, each) for each in value) + _field(20, 7)
    at, kind = (3, 2) if isinstance(value, int) else (2, 1)
    return _field(1, name) + _field(at, value) + _field(20, kind)


def _described(name: str, kind: str, *last: int) -> bytes:
    """An input or output: its type and shape."""
    lengths = (_field(2, "texts"), _field(2, "pieces"), *(_field(1, length) for length in last))
    shape = b"".join(_field(1, length) for length in lengths)
    return _field(1, name) + _field(2, _field(1, _field(1, _TYPES[kind]) + _field(2, shape)))


def _field(number: int, value: int | float | bytes | str) -> bytes:
    """One field of a message. A message within it is given as bytes."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value % (1 << 64))
    if isinstance(value, float):
        return _varint(number << 3 | 5) + struct.pack("<f", value)
    content = value.encode() if isinstance(value, str) else value
    return _head(number, len(content)) + content


def _head(number: int, length: int) -> bytes:
    """What stands before the content of a field of so many bytes."""
    return _varint(number << 3 | 2) + _varint(length)


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes((*found, value))


def _fields(message: memoryview) -> Iterator[tuple[int, Any]]:
    """The number and the value of each field of a message that has nothing but integers and bytes."""
    at = 0
    while at < len(message):
        tag, at = _read_varint(message, at)
        value, at = _read_varint(message, at)
        if tag & 7 == 2:
            yield tag >> 3, message[at : at + value]
            at += value
        else:
            yield tag >> 3, value


def _read_varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at
