"""Where someone speaks: a mask in steps of 20 ms from the Silero voice activity detector (MIT, carried by its package).

The network sees 32 ms of audio after the 4 ms before them, with a recurrent state, in blocks of half a minute so that memory
does not grow with the length of a video. Source of the network: https://github.com/snakers4/silero-vad; its probabilities are
turned into a mask here: hysteresis, short gaps filled, short bursts dropped, and near-silence never speech.
"""

from __future__ import annotations

import importlib.util
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from veridical.clips import SAMPLE_RATE_HZ, SPEECH_STEP_S
from veridical.errors import MissingWeightsError
from veridical.media import step_loudness_dbfs

CHUNK = 512
CONTEXT = 64
STATE_SHAPE = (1, 1, 128)
BLOCK_CHUNKS = 1024
HYSTERESIS = 0.15
"""Speech goes on until the probability falls this far below the threshold."""
MIN_GAP_S = 0.1
MIN_SPEECH_S = 0.1
NETWORK = "silero_vad_16k_sequence.onnx"


class SpeechDetector:
    """Finds speech in 16 kHz mono audio; the network is loaded at first use.

    Args:
        threshold: Probability from which audio is speech.
        silence_dbfs: Steps whose root mean square is below this are never speech, decibels below full scale.
    """

    def __init__(self, *, threshold: float = 0.5, silence_dbfs: float = -60.0) -> None:
        self.threshold = threshold
        self.silence_dbfs = silence_dbfs

    def mask(self, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
        """Return for each 20 ms of the audio, a last part of a step included, whether it is speech.

        Args:
            samples: (S,) float32 in [-1, 1], 16 kHz.
        """
        if not len(samples):
            return np.zeros(0, dtype=np.bool_)
        loudness_dbfs = step_loudness_dbfs(samples, round(SAMPLE_RATE_HZ * SPEECH_STEP_S))
        chunks = _tidy(_with_hysteresis(self.probabilities(samples), self.threshold))
        centres_s = (np.arange(len(loudness_dbfs)) + 0.5) * SPEECH_STEP_S
        owner = np.minimum((centres_s * SAMPLE_RATE_HZ / CHUNK).astype(np.int64), len(chunks) - 1)
        mask: npt.NDArray[np.bool_] = chunks[owner] & (loudness_dbfs >= self.silence_dbfs)
        return mask

    def probabilities(self, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the probability of speech for each 32 ms, the last part filled up with silence."""
        count = -(-len(samples) // CHUNK)
        hidden = cell = np.zeros(STATE_SHAPE, dtype=np.float32)
        parts = []
        for first in range(0, count, BLOCK_CHUNKS):
            block = _windows(samples, first, min(first + BLOCK_CHUNKS, count))
            part, hidden, cell = self._session.run(None, {"input": block, "h": hidden, "c": cell})
            parts.append(np.asarray(part, dtype=np.float32).reshape(-1))
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.float32)

    def load(self) -> None:
        """Load the network now.

        Raises:
            MissingWeightsError: when its file is not there.
        """
        self._session  # noqa: B018 (a cached property is loaded by looking at it)

    @cached_property
    def _session(self) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        return onnxruntime.InferenceSession(str(network_path()), options, providers=["CPUExecutionProvider"])


def network_path() -> Path:
    """Return the network's file inside the installed package, without importing the package (it would import torch).

    Raises:
        MissingWeightsError: when the package is not installed or does not carry the file.
    """
    spec = importlib.util.find_spec("silero_vad")
    for folder in spec.submodule_search_locations or [] if spec else []:
        path = Path(folder) / "data" / NETWORK
        if path.exists():
            return path
    raise MissingWeightsError(f"{NETWORK} was not found; install it with: pip install 'silero-vad>=6.2'")


def _windows(samples: npt.NDArray[np.float32], first: int, stop: int) -> npt.NDArray[np.float32]:
    """Return chunks [first, stop), each with the audio before it, silence beyond the ends: (chunks, context + chunk)."""
    begin, end = first * CHUNK - CONTEXT, stop * CHUNK
    piece = np.zeros(end - begin, dtype=np.float32)
    low, high = max(begin, 0), min(end, len(samples))
    piece[low - begin : high - begin] = samples[low:high]
    return np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(piece, CONTEXT + CHUNK)[::CHUNK])


def _with_hysteresis(probability: npt.NDArray[np.float32], threshold: float) -> npt.NDArray[np.bool_]:
    certain = (probability >= threshold) | (probability < threshold - HYSTERESIS)
    last_certain = np.maximum.accumulate(np.where(certain, np.arange(len(probability)), -1))
    speech: npt.NDArray[np.bool_] = (last_certain >= 0) & (probability[last_certain] >= threshold)
    return speech


def _tidy(speech: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Fill gaps between speech that are too short to be pauses, then drop what is too short to be speech."""
    chunk_s = CHUNK / SAMPLE_RATE_HZ
    filled = speech.copy()
    for first, last in _runs(~speech):
        if first > 0 and last < len(speech) and (last - first) * chunk_s < MIN_GAP_S:
            filled[first:last] = True
    result = filled.copy()
    for first, last in _runs(filled):
        if (last - first) * chunk_s < MIN_SPEECH_S:
            result[first:last] = False
    return result


def _runs(mask: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return [first, last) of each stretch of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(first), int(last)) for first, last in edges.reshape(-1, 2)]
