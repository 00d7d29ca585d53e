"""What the audit looks at: properties that are not content, whether a model can see them, what to do then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Property:
    """One property of a video."""

    kind: Literal["number", "category"]
    about: Literal["file", "picture", "sound"]
    """Properties of picture and sound are also judged against the visual and the audio label."""
    reaches_model: bool
    """Whether it is there to be learnt in what the model gets: faces of one size, and sound of one rate."""
    advice: str
    """What to do when it separates the classes."""


_REENCODE = "re-encode reals and fakes alike before preparing them"
_TRIM = "trim the leading silence of both classes, and shift all clips at random"
_SAME_SOURCE = "take reals from the same source as the fakes"
_LEVEL = "bring the sound of both classes to one level"
_SIZE = "match the face sizes of the classes, or downscale both alike"

PROPERTIES: dict[str, Property] = {
    "has_audio": Property("number", "file", True, "drop the sound of both classes, or use only videos that have sound"),
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
        "number", "picture", False, "find out why preparation fails more for one class (its ledger says)"
    ),
    "speech_onset_s": Property("number", "sound", True, _TRIM),
    "speech_share": Property("number", "sound", True, _SAME_SOURCE),
    "loudness_dbfs": Property("number", "sound", True, _LEVEL),
    "box_size_px": Property("number", "picture", True, _SIZE),
    "box_x": Property("number", "picture", False, "crop around the face only; nothing to do for the aligned crops"),
    "box_y": Property("number", "picture", False, "crop around the face only; nothing to do for the aligned crops"),
    "box_aspect": Property("number", "picture", True, "check that the detector sees both classes alike"),
    "detector_score": Property("number", "picture", False, "check that the detector sees both classes alike"),
    "interpolated": Property("number", "picture", True, "leave out windows whose faces were not all detected"),
    "brightness": Property("number", "picture", True, _SAME_SOURCE),
    "contrast": Property("number", "picture", True, _SAME_SOURCE),
    "sharpness": Property("number", "picture", True, "blur or re-encode both classes alike; test with equal sharpness"),
    "jpeg_grid": Property("number", "picture", True, _REENCODE),
}
"""Property → what it is. File properties come from a probed manifest, the others from the clips of a store."""
