"""A rewritten network takes other sizes and computes the same; other files are refused."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veridical import weights
from veridical.faces.onnx_shapes import (
    GRAPH,
    INITIALIZER,
    INPUT,
    _fields,
    _joined,
    _read_varint,
    _varint,
    with_free_sizes,
)


def session(model: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def test_the_answer_at_the_declared_size_does_not_change() -> None:
    original = weights.locate("centerface").read_bytes()
    image = np.random.default_rng(0).uniform(0, 255, (10, 3, 32, 32)).astype(np.float32)
    before = session(original).run(None, {"input.1": image})
    after = session(with_free_sizes(original)).run(None, {"input.1": image})
    assert len(before) == 4
    for one, other in zip(before, after, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("size", [(1, 3, 64, 96), (2, 3, 32, 160)])
def test_other_sizes_are_taken(size: tuple[int, int, int, int]) -> None:
    network = session(with_free_sizes(weights.locate("centerface").read_bytes()))
    assert [item.name for item in network.get_inputs()] == ["input.1"]
    outputs = network.run(None, {"input.1": np.zeros(size, np.float32)})
    assert [output.shape[1] for output in outputs] == [1, 2, 2, 10]
    assert {output.shape[2:] for output in outputs} == {(size[2] // 4, size[3] // 4)}


@settings(deadline=None)
@given(st.integers(0, 2**60))
def test_numbers_round_trip(value: int) -> None:
    assert _read_varint(_varint(value), 0) == (value, len(_varint(value)))


def test_weights_are_no_longer_inputs() -> None:
    """Else ONNX Runtime takes them for changeable and cannot merge them into its kernels."""
    model = with_free_sizes(weights.locate("centerface").read_bytes())
    graph = next(raw for number, _, raw in _fields(model) if number == GRAPH)
    numbers = [number for number, _, _ in _fields(graph)]
    assert numbers.count(INPUT) == 1
    assert numbers.count(INITIALIZER) > 100


def test_a_whole_network_round_trips() -> None:
    model = weights.locate("centerface").read_bytes()
    assert _joined(_fields(model)) == model


@pytest.mark.parametrize("data", [b"\x0f", b"\x0a\xff\x01", b"\xff\xff"])
def test_what_is_no_network_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not an ONNX file"):
        with_free_sizes(data)
