"""Reads the encoder of a Whisper model from a CTranslate2 file into the names that transformers uses.

The format (CTranslate2's model specification, version 6): little-endian; format version, specification name, revision, number
of variables; then per variable a name, its shape, a type code and the bytes. Names are length-prefixed and zero-terminated.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from veridical.errors import MissingWeightsError

_TYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.offset = data, 0

    def number(self, code: str) -> int:
        (value,) = struct.unpack_from(f"<{code}", self.data, self.offset)
        self.offset += struct.calcsize(code)
        return int(value)

    def text(self) -> str:
        length = self.number("H")
        self.offset += length
        return self.data[self.offset - length : self.offset - 1].decode()

    def array(self) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
        shape = [self.number("I") for _ in range(self.number("B"))]
        kind, size = _TYPES[self.number("B")], self.number("I")
        self.offset += size
        return np.frombuffer(self.data, kind, size // np.dtype(kind).itemsize, self.offset - size).reshape(shape)


def read_whisper_encoder(path: Path, positions: int) -> dict[str, Tensor]:
    """Return the state of `transformers`' WhisperEncoder as float32, its position table cut to the first `positions` rows.

    Raises:
        MissingWeightsError: when the file is not a CTranslate2 Whisper model.
    """
    try:
        variables = _read_variables(path.read_bytes())
        return _to_transformers(variables, positions)
    except (struct.error, KeyError, ValueError, UnicodeDecodeError) as error:
        raise MissingWeightsError(
            f"{path}: is not a CTranslate2 Whisper model ({type(error).__name__}: {error})"
        ) from None


def _read_variables(data: bytes) -> dict[str, Tensor]:
    reader = _Reader(data)
    reader.number("I")
    if reader.text() != "WhisperSpec":
        raise ValueError("not a WhisperSpec")
    reader.number("I")
    variables = {}
    for _ in range(reader.number("I")):
        name, array = reader.text(), reader.array()
        if name.startswith("encoder/"):
            variables[name.removeprefix("encoder/")] = torch.tensor(array).float()
    return variables


def _to_transformers(variables: dict[str, Tensor], positions: int) -> dict[str, Tensor]:
    state = {
        f"{conv}.{kind}": variables[f"{conv}/{kind}"] for conv in ("conv1", "conv2") for kind in ("weight", "bias")
    }
    state["embed_positions.weight"] = variables["position_encodings/encodings"][:positions]
    state["layer_norm.weight"], state["layer_norm.bias"] = variables["layer_norm/gamma"], variables["layer_norm/beta"]
    for layer in range(sum(name.endswith("ffn/linear_0/weight") for name in variables)):
        old, new = f"layer_{layer}", f"layers.{layer}"
        for kind in ("weight", "bias"):
            query, key, value = variables[f"{old}/self_attention/linear_0/{kind}"].chunk(3)
            state[f"{new}.self_attn.q_proj.{kind}"] = query
            state[f"{new}.self_attn.v_proj.{kind}"] = value
            if kind == "weight":  # the key projection has no bias in Whisper
                state[f"{new}.self_attn.k_proj.weight"] = key
            state[f"{new}.self_attn.out_proj.{kind}"] = variables[f"{old}/self_attention/linear_1/{kind}"]
            state[f"{new}.fc1.{kind}"] = variables[f"{old}/ffn/linear_0/{kind}"]
            state[f"{new}.fc2.{kind}"] = variables[f"{old}/ffn/linear_1/{kind}"]
        for part, norm in (("self_attention", "self_attn_layer_norm"), ("ffn", "final_layer_norm")):
            state[f"{new}.{norm}.weight"] = variables[f"{old}/{part}/layer_norm/gamma"]
            state[f"{new}.{norm}.bias"] = variables[f"{old}/{part}/layer_norm/beta"]
    return state
