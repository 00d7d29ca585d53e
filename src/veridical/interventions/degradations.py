"""Degradations: what happens to videos on their way, such as re-encoding; a robust detector keeps its score.

They act on stored clips, so they reach the aligned face only, not detection and tracking. The next degradation is a function
here and a line in `catalogue.INTERVENTIONS`.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from veridical.clips import Clip
from veridical.media import CRF_OF_LEVEL, video_frames, write_video

H264_CRFS = tuple(float(crf) for crf in CRF_OF_LEVEL.values())
"""The compression levels c23 and c40 of FaceForensics++."""
_FPS = 25
"""Frame rate that the encoder is told; it sets how coarse x264 quantises at a given crf."""


def h264_clip(clip: Clip, partner: Clip | None, crf: float | None) -> Clip:
    """Encode the frames and mouth crops as H.264 at a crf and decode them again; flow statistics stay as measured."""
    assert crf is not None
    mouths = clip.mouths
    if mouths is not None:
        mouths = _reencoded(np.repeat(mouths[..., None], 3, axis=3), crf)[..., 0]
    return replace(clip, frames=_reencoded(clip.frames, crf), mouths=mouths)


def _reencoded(frames: npt.NDArray[np.uint8], crf: float) -> npt.NDArray[np.uint8]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        write_video(path, frames, fps=_FPS, crf=round(crf))
        return np.stack([frame.image for frame in video_frames(path)])
