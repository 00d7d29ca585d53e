"""What the audit tries: properties that are not content, whether a model can see them, and what to do about each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Property:
    """One property of a video, by which a detector could tell the classes apart without looking for forgeries."""

    kind: Literal["number", "category"]
    about: Literal["file", "video", "audio"]
    """Properties of video and audio are also tried against the visual and the audio label."""
    reaches_model: bool
    """Whether it survives preparation, in which faces are scaled to one size and audio to one rate."""
    advice: str
    """What to do when it separates the classes."""


_REENCODE = "re-encode reals and fakes alike before preparing them"
_TRIM = "trim the leading silence of both classes, and shift all clips at random"
_SAME_SOURCE = "take reals from the same source as the fakes"
_LEVEL = "normalise the audio of both classes to one level"
_SIZE = "match the face sizes of the classes, or downscale both alike"
_JITTER = (
    "see whether it is the forgery or the face detector that jitters: track both classes alike, test across corpora"
)

PROPERTIES: dict[str, Property] = {
    "has_audio": Property("number", "file", True, "drop the audio of both classes, or use only videos that have audio"),
    "compression": Property("category", "file", True, "use the same compression levels for both classes"),
    "container": Property("category", "file", False, _REENCODE),
    "codec": Property("category", "file", False, _REENCODE),
    "pixel_format": Property("category", "file", False, _REENCODE),
    "bitrate": Property("number", "file", False, _REENCODE),
    "fps": Property("number", "file", False, _SAME_SOURCE),
    "width": Property("number", "file", False, _SAME_SOURCE),
    "height": Property("number", "file", False, _SAME_SOURCE),
    "duration_s": Property("number", "file", False, "cut both classes to the same lengths"),
    "audio_codec": Property("category", "file", False, _REENCODE),
    "audio_rate_hz": Property("number", "file", False, _REENCODE),
    "prepared": Property(
        "number", "video", False, "find out from the ledger why preparation fails more often for one class"
    ),
    "speech_onset_s": Property("number", "audio", True, _TRIM),
    "speech_share": Property("number", "audio", True, _SAME_SOURCE),
    "loudness_dbfs": Property("number", "audio", True, _LEVEL),
    "box_size_px": Property("number", "video", True, _SIZE),
    "box_x": Property("number", "video", False, "crop around the face only; nothing to do for the aligned crops"),
    "box_y": Property("number", "video", False, "crop around the face only; nothing to do for the aligned crops"),
    "box_aspect": Property("number", "video", True, "check that the face detector treats both classes alike"),
    "detector_score": Property("number", "video", False, "check that the face detector treats both classes alike"),
    "interpolated": Property("number", "video", True, "leave out windows whose faces were not all detected"),
    "landmark_jitter": Property("number", "video", False, _JITTER),
    "box_jitter": Property("number", "video", False, _JITTER),
    "brightness": Property("number", "video", True, _SAME_SOURCE),
    "contrast": Property("number", "video", True, _SAME_SOURCE),
    "sharpness": Property("number", "video", True, "blur or re-encode both classes alike; test with equal sharpness"),
    "jpeg_grid": Property("number", "video", True, _REENCODE),
}
"""Property → what it is. File properties come from a probed manifest, the others from the clips of a store."""
