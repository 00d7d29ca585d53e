"""The clock that turns timestamps into seconds, and fills in those that are missing."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veridical.media.container import Clock
from veridical.media.sound import _resampled


def read(clock: Clock, pts: list[int | None], dts: list[int | None] | None = None) -> list[float]:
    base = Fraction(1, 100)
    pairs = zip(pts, dts or [None] * len(pts), strict=True)
    return [clock.read(SimpleNamespace(pts=p, dts=d, time_base=base)) for p, d in pairs]


@settings(deadline=None)
@given(st.lists(st.integers(0, 300_000), min_size=1))
def test_rising_timestamps_are_taken_as_they_are(ticks: list[int]) -> None:
    ticks.sort()
    assert read(Clock(0.04), ticks) == [pytest.approx(tick / 100) for tick in ticks]


def test_missing_timestamps_are_filled_from_decoding_times_or_the_usual_step() -> None:
    assert read(Clock(0.04), [None, None, None]) == pytest.approx([0, 0.04, 0.08])
    assert read(Clock(0.04), [None, None, None], [5, 15, 18]) == pytest.approx([0.05, 0.15, 0.18])
    assert read(Clock(0.04), [0, None, 8, None]) == pytest.approx([0, 0.04, 0.08, 0.12])


def test_sound_whose_rate_changes_keeps_time_and_length() -> None:
    pieces = [(rate, np.full(rate, level, np.float32)) for rate, level in ((8_000, 0.2), (16_000, 0.5), (48_000, 0.8))]
    samples = np.concatenate(list(_resampled(iter(pieces), 16_000)))
    assert len(samples) == pytest.approx(48_000, abs=3)
    for second, level in enumerate((0.2, 0.5, 0.8)):
        assert samples[second * 16_000 + 1_000 : second * 16_000 + 15_000].mean() == pytest.approx(level, abs=1e-3)
