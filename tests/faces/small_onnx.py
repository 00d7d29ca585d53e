"""A RetinaFace that finds blue patches: an ONNX file written by hand, field numbers from `onnx.proto`.

At each stride one convolution averages the blue channel over a cell, a sigmoid makes a probability of it, and constants are its
offsets of boxes and landmarks.
"""

from __future__ import annotations

import numpy as np

STRIDES = (8, 16, 32)
BIASES = ((-6.0, -6.0), (0.0, -6.0), (-6.0, -6.0))
"""Of the two anchors of each stride: only the smaller one of the middle stride sees the patch surely enough."""
BOX = (1.0, -2.0, 0.5, -0.5)
POINTS = (-2.0, -1.0, 2.0, -1.0, 0.0, 0.5, -1.5, 2.0, 1.5, 2.0)
FLOAT, INT64 = 1, 7
IR_VERSION, OPSET = 8, 13


def tiny_retinaface(
    size: tuple[int, int] | None = None, *, probabilities: bool = True, landmarks: bool = True
) -> bytes:
    """Return the file; `size` is the width and height that it declares, None for any."""
    nodes, constants = [], []
    for level, (stride, biases) in enumerate(zip(STRIDES, BIASES, strict=True)):
        weights = np.zeros((2, 3, stride, stride), np.float32)
        weights[:, 0] = 0.1 / stride**2
        constants += [_tensor(f"w{level}", weights), _tensor(f"b{level}", np.array(biases, np.float32) - 9)]
        nodes.append(_node("Conv", [INPUT, f"w{level}", f"b{level}"], [f"c{level}"], strides=[stride, stride]))
        nodes.append(_node("Transpose", [f"c{level}"], [f"t{level}"], perm=[0, 2, 3, 1]))
        nodes.append(_node("Reshape", [f"t{level}", "column"], [f"z{level}"]))
    constants += [
        _tensor("column", np.array([1, -1, 1], np.int64)),
        _tensor("one", np.ones(1, np.float32)),
        _tensor("zero", np.zeros(1, np.float32)),
        _tensor("box", np.array(BOX, np.float32).reshape(1, 1, 4)),
        _tensor("points", np.array(POINTS, np.float32).reshape(1, 1, 10)),
    ]
    nodes.append(_node("Concat", [f"z{level}" for level in range(3)], ["z"], axis=1))
    nodes.append(_node("Sigmoid" if probabilities else "Identity", ["z"], ["p"]))
    nodes.append(_node("Sub", ["one", "p"], ["q"]))
    nodes.append(_node("Concat", ["q", "p"] if probabilities else ["p", "p"], ["scores"], axis=2))
    nodes.append(_node("Mul", ["p", "zero"], ["nothing"]))
    nodes.append(_node("Add", ["nothing", "box"], ["boxes"]))
    nodes.append(_node("Add", ["nothing", "points"], ["landmarks"]))
    lengths: list[int | str] = [size[1], size[0]] if size else ["height", "width"]
    outputs = ["boxes", "scores", "landmarks"] if landmarks else ["boxes", "scores"]
    graph = b"".join(
        [
            *(_field(1, node) for node in nodes),
            _field(2, b"tiny"),
            *(_field(5, constant) for constant in constants),
            _field(11, _value(INPUT, [1, 3, *lengths])),
            *(_field(12, _value(name, [1, "anchors", "values"])) for name in outputs),
        ]
    )
    return _number(1, IR_VERSION) + _field(8, _field(1, b"") + _number(2, OPSET)) + _field(7, graph)


INPUT = "image"


def _varint(value: int) -> bytes:
    value &= 2**64 - 1
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def _field(number: int, content: bytes | str) -> bytes:
    raw = content.encode() if isinstance(content, str) else content
    return _varint(number << 3 | 2) + _varint(len(raw)) + raw


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _tensor(name: str, values: np.ndarray) -> bytes:
    kind = FLOAT if values.dtype == np.float32 else INT64
    dims = b"".join(_number(1, length) for length in values.shape)
    return dims + _number(2, kind) + _field(8, name) + _field(9, values.tobytes())


def _node(kind: str, inputs: list[str], outputs: list[str], **attributes: int | list[int]) -> bytes:
    parts = [*(_field(1, name) for name in inputs), *(_field(2, name) for name in outputs), _field(4, kind)]
    for name, value in attributes.items():
        if isinstance(value, int):
            parts.append(_field(5, _field(1, name) + _number(3, value) + _number(20, 2)))
        else:
            parts.append(_field(5, _field(1, name) + b"".join(_number(8, item) for item in value) + _number(20, 7)))
    return b"".join(parts)


def _value(name: str, lengths: list[int | str]) -> bytes:
    dims = b"".join(
        _field(1, _number(1, length) if isinstance(length, int) else _field(2, length)) for length in lengths
    )
    return _field(1, name) + _field(2, _field(1, _number(1, FLOAT) + _field(2, dims)))
