"""A tiny ONNX file written by hand: mean colour of an image times a matrix. Field numbers from `onnx.proto`."""

from __future__ import annotations

import numpy as np

FLOAT = 1


def _varint(value: int) -> bytes:
    encoded = b""
    while value > 127:
        encoded, value = encoded + bytes([value & 127 | 128]), value >> 7
    return encoded + bytes([value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes | str) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return _varint(field << 3 | 2) + _varint(len(raw)) + raw


def _value(name: str, shape: list[int | str]) -> bytes:
    sizes = b"".join(_bytes(1, _number(1, size) if isinstance(size, int) else _bytes(2, size)) for size in shape)
    return _bytes(1, name) + _bytes(2, _bytes(1, _number(1, FLOAT) + _bytes(2, sizes)))


def _node(kind: str, inputs: list[str], output: str) -> bytes:
    return b"".join(_bytes(1, name) for name in inputs) + _bytes(2, output) + _bytes(4, kind)


def colour_model(weights: np.ndarray, image: str, output: str) -> bytes:
    """Return a model from (N, 3, H, W) to (N, C): the mean of each colour times weights (3, C)."""
    tensor = b"".join(_number(1, size) for size in weights.shape) + _number(2, FLOAT) + _bytes(8, "w")
    tensor += _bytes(9, weights.astype("<f4").tobytes())
    nodes = [
        _node("GlobalAveragePool", [image], "pooled"), _node("Flatten", ["pooled"], "flat"),
        _node("MatMul", ["flat", "w"], output),
    ]  # fmt: skip
    graph = b"".join(_bytes(1, node) for node in nodes) + _bytes(2, "g") + _bytes(5, tensor)
    graph += _bytes(11, _value(image, ["N", 3, "H", "W"])) + _bytes(12, _value(output, ["N", weights.shape[1]]))
    return _number(1, 8) + _bytes(7, graph) + _bytes(8, _number(2, 13))
