"""Make an ONNX network that was exported for one input size accept any size.

`centerface.onnx` declares an input of 10 x 3 x 32 x 32, which ONNX Runtime enforces. Its nodes do not depend on the
size, so replacing the declared dimensions with names is enough. The file is in protocol-buffer wire format, of which
this needs five message types (field numbers from `onnx.proto`, ONNX project); the `onnx` package would be a dependency
for this one purpose.
"""

from __future__ import annotations

from collections.abc import Callable

Field = tuple[int, int, bytes]
"""Field number, wire type (0 varint, 1 eight bytes, 2 length-delimited, 5 four bytes), raw value."""

VARINT, EIGHT_BYTES, MESSAGE, FOUR_BYTES = 0, 1, 2, 5
GRAPH, INITIALIZER, INPUT, OUTPUT = 7, 5, 11, 12
INITIALIZER_NAME, VALUE_NAME = 8, 1
TYPE, TENSOR_TYPE, SHAPE, DIMENSION, DIMENSION_NAME = 2, 1, 2, 1, 2
CHANNEL_AXIS = 1


def with_free_sizes(model: bytes) -> bytes:
    """Return an ONNX model whose inputs and outputs have any batch size, height and width; channels stay fixed.

    Weights that are also listed as inputs (as old exporters did) are removed from that list and so become constants.
    """
    return _edited(model, {GRAPH: _free_graph})


def _free_graph(graph: bytes) -> bytes:
    fields = _fields(graph)
    weights = {_first(value, INITIALIZER_NAME) for number, _, value in fields if number == INITIALIZER}
    kept = [field for field in fields if field[0] != INPUT or _first(field[2], VALUE_NAME) not in weights]
    return _edited(_joined(kept), {INPUT: _free_value, OUTPUT: _free_value})


def _free_value(value: bytes) -> bytes:
    name = _first(value, VALUE_NAME)
    return _edited(value, {TYPE: lambda kind: _edited(kind, {TENSOR_TYPE: lambda tensor: _free_tensor(tensor, name)})})


def _free_tensor(tensor: bytes, name: bytes) -> bytes:
    return _edited(tensor, {SHAPE: lambda shape: _free_shape(shape, name)})


def _free_shape(shape: bytes, name: bytes) -> bytes:
    lengths = [field for field in _fields(shape) if field[0] == DIMENSION]
    free = [
        field if axis == CHANNEL_AXIS else (DIMENSION, MESSAGE, _joined([(DIMENSION_NAME, MESSAGE, label)]))
        for axis, field in enumerate(lengths)
        for label in [b"batch" if axis == 0 else name + b"_axis_" + str(axis).encode()]
    ]
    return _joined(free)


def _edited(message: bytes, edits: dict[int, Callable[[bytes], bytes]]) -> bytes:
    """Return the message with the raw values of some fields passed through functions, by field number."""
    fields = _fields(message)
    return _joined([(number, kind, edits[number](raw) if number in edits else raw) for number, kind, raw in fields])


def _first(message: bytes, number: int) -> bytes:
    return next((raw for field, _, raw in _fields(message) if field == number), b"")


def _fields(message: bytes) -> list[Field]:
    fields: list[Field] = []
    position = 0
    while position < len(message):
        key, position = _read_varint(message, position)
        number, kind = key >> 3, key & 7
        start = position
        if kind == VARINT:
            _, position = _read_varint(message, position)
        elif kind == MESSAGE:
            length, start = _read_varint(message, position)
            position = start + length
        elif kind in (EIGHT_BYTES, FOUR_BYTES):
            position += 8 if kind == EIGHT_BYTES else 4
        else:
            raise ValueError(f"not an ONNX file: wire type {kind} at byte {position}")
        if position > len(message):
            raise ValueError("not an ONNX file: it ends inside a field")
        fields.append((number, kind, message[start:position]))
    return fields


def _joined(fields: list[Field]) -> bytes:
    parts = []
    for number, kind, raw in fields:
        parts.append(_varint(number << 3 | kind))
        if kind == MESSAGE:
            parts.append(_varint(len(raw)))
        parts.append(raw)
    return b"".join(parts)


def _read_varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(message):
        byte = message[position]
        value |= (byte & 127) << shift
        position, shift = position + 1, shift + 7
        if byte < 128:
            return value, position
    raise ValueError("not an ONNX file: it ends inside a number")


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    parts.append(value)
    return bytes(parts)
