"""From the channels of an audio track to mono, so that nothing a listener hears is lost.

Channels are added as a stereo downmix (ITU-R BS.775) made mono would have them; of two channels that is the average. Where this
cancels what the channels hold, as with a voice in opposite phase left and right, they are turned in phase against each other
before they are added: 90° between two channels, evenly spread over half a circle between more. Then no two can cancel.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import av
import numpy as np
import numpy.typing as npt
from scipy.signal import sosfilt

Samples = npt.NDArray[np.float32]
Channels = npt.NDArray[np.float64]

WEIGHTS = {"FL": 0.5, "FR": 0.5, "DL": 0.5, "DR": 0.5, "FC": 0.5**0.5}
OTHER_WEIGHT = 0.5**1.5
"""Of surround, height and effect channels."""
BANDS_HZ = (100.0, 400.0, 1000.0, 2500.0, 6000.0)
"""Edges of the bands of speech in which it is looked for what cancels."""
LOST = 0.25
"""Share of the channels' power below which the mix has lost them; channels that have nothing in common keep all of it."""
AUDIBLE_POWER = 1e-6
"""Of a band, full scale 1: -60 dBFS."""
PERIOD_S = 1.0
"""In which something may cancel for all of the track to count as cancelling."""
HANN_GAIN = 8 / 3
"""Makes up for the power that a Hann window takes."""
PHASES = (
    (0.6923878, 0.9360654322959, 0.9882295226860, 0.9987488452737),
    (0.4021921162426, 0.8561710882420, 0.9722909545651, 0.9952884791278),
)
"""Two chains of all-pass sections whose outputs are 90° ± 1° apart from .2 % to 99.8 % of half the sample rate, the first delayed
by a sample (Niemitalo's "Hilbert transform", 2003)."""


class Mixer:
    """Mixes the frames of one audio track, in order, to mono.

    Args:
        cancels: Whether the plain mix loses sound (`cancels`).
    """

    def __init__(self, cancels: bool) -> None:
        self._cancels = cancels
        self._states: list[npt.NDArray[np.float64]] = [np.zeros((len(chain) + 1, 2)) for chain in PHASES]

    def mono(self, frame: av.AudioFrame) -> Samples:
        """Return (S,) samples, full scale 1."""
        channels = weighted_channels(frame)
        if not self._cancels or len(channels) == 1:
            return np.asarray(channels.sum(axis=0), np.float32)
        angles = np.pi / len(channels) * np.arange(len(channels))
        mixed = np.zeros(channels.shape[1])
        for number, share in enumerate((np.cos(angles), np.sin(angles))):
            turned, self._states[number] = sosfilt(_SECTIONS[number], share @ channels, zi=self._states[number])
            mixed += turned
        return np.asarray(mixed, np.float32)


def cancels(frames: Iterator[av.AudioFrame]) -> bool:
    """Return whether the plain mix of a track loses what its channels hold, in any second and any band of speech."""
    powers, seconds = np.zeros((2, len(BANDS_HZ) - 1)), 0.0
    for frame in frames:
        if len(frame.layout.channels) < 2:
            continue
        length_s = frame.samples / frame.sample_rate
        powers += length_s * _band_powers(weighted_channels(frame), frame.sample_rate)
        seconds += length_s
        if seconds >= PERIOD_S:
            if _is_lost(powers / seconds):
                return True
            powers, seconds = np.zeros_like(powers), 0.0
    return seconds > 0 and _is_lost(powers / seconds)


def weighted_channels(frame: av.AudioFrame) -> Channels:
    """Return (C, S) samples, full scale 1, each channel with its weight in the mix."""
    data = frame.to_ndarray()
    names = [channel.name for channel in frame.layout.channels]
    data = data if frame.format.is_planar else data.reshape(-1, len(names)).T
    if data.dtype.kind != "f":
        offset = 128.0 if data.dtype == np.uint8 else 0.0
        data = (data - offset) / float(2 ** (8 * data.dtype.itemsize - 1))
    if len(names) == 1:
        return np.asarray(data, np.float64)
    is_plain = len(names) == 2
    weights = [0.5 if is_plain else WEIGHTS.get(name, OTHER_WEIGHT) for name in names]
    return np.asarray(data * np.array(weights)[:, None], np.float64)


def _is_lost(powers: npt.NDArray[np.float64]) -> bool:
    mixed, apart = powers
    return bool(np.any((apart > AUDIBLE_POWER) & (mixed < LOST * apart)))


def _band_powers(channels: Channels, rate_hz: int) -> npt.NDArray[np.float64]:
    """Return (2, bands): power of the mix, and of the channels added up."""
    length = channels.shape[1]
    signals = np.concatenate([channels.sum(axis=0, keepdims=True), channels]) * np.hanning(length)
    power = 2 * HANN_GAIN * np.abs(np.fft.rfft(signals, axis=1) / length) ** 2
    edges = np.searchsorted(np.fft.rfftfreq(length, 1 / rate_hz), BANDS_HZ)
    bands = np.stack([power[:, start:stop].sum(axis=1) for start, stop in pairwise(edges)], 1)
    return np.stack([bands[0], bands[1:].sum(axis=0)])


def _sections(number: int) -> npt.NDArray[np.float64]:
    """Return (N, 6) second-order sections of a chain."""
    sections = [[a * a, 0.0, -1.0, 1.0, 0.0, -a * a] for a in PHASES[number]]
    return np.array([*sections, [0.0, 1.0, 0.0, 1.0, 0.0, 0.0] if number == 0 else [1.0, 0.0, 0.0, 1.0, 0.0, 0.0]])


_SECTIONS = tuple(_sections(number) for number in range(len(PHASES)))
