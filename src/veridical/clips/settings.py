"""The facts of a clip store: how windows are cut, faces cropped and images compressed."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

from pydantic import Field, model_validator

from veridical.clips.clip import SAMPLE_RATE_HZ, SPEECH_STEP_S
from veridical.clips.contents import CONTENTS, MOUTH_FPS, Content
from veridical.settings import Settings

FacePolicy = Literal["everyone", "dominant", "largest", "single", "mask"]

THRESHOLDS = {"centerface": 0.5, "retinaface": 0.95}
"""Smallest score of a face by detector, where none is given."""


class StoreSettings(Settings):
    """What a clip is. Written into `store.json`; a store is only ever continued with the settings it was begun with."""

    fps: float = Field(default=5.0, gt=0, le=60)
    """Frames per second of presentation time."""
    window_s: float = Field(default=1.0, gt=0, le=10)
    """Length of a window in seconds; frames and audio come from the same window."""
    hop_s: float = Field(default=1.0, gt=0)
    """Distance between the starts of consecutive windows in seconds; equal to `window_s` means no overlap."""
    crop_size: int = Field(default=256, ge=32, le=1024)
    """Side of the aligned face crop in pixels."""
    crop_scale: float = Field(default=1.3, ge=1.0, le=3.0)
    """Side of the crop relative to the face: room for chin and forehead."""
    jpeg_quality: int = Field(default=95, ge=50, le=100)
    """JPEG quality of the face crops; chroma is kept at full resolution."""
    face_policy: FacePolicy = "everyone"
    """Which faces to follow: `everyone`, each person seen for a window, told apart by number; or one person: `dominant`, the
    one seen longest and largest; `largest`; `single` (videos with several are not prepared); `mask`, the one marked by the
    manifest's mask video (attribute `mask`; else the dominant one)."""
    detector: Literal["centerface", "retinaface"] = "centerface"
    """Face detector."""
    detector_weights: str = ""
    """For retinaface: an ONNX file, or a name that `veridical weights list` shows; empty for retinaface_mv2."""
    detector_sha256: str = ""
    """For retinaface: checksum of the file that found the faces, noted when a store is made; another file is refused."""
    detector_threshold: float = Field(default=0.5, gt=0.0, lt=1.0)
    """Smallest score that counts as a face; it belongs to the detector: .5 for centerface, from its precision/recall table, and
    .95 for retinaface."""
    detection_size: int = Field(default=640, ge=32)
    """Pixels to which the longer side of a frame is resized for detection."""
    thrifty_detection: bool = True
    """Search a shot at the scale and in the region that its faces need, not every whole frame at full size (centerface)."""
    detect_every: int = Field(default=1, ge=1)
    """Search faces in every n-th frame and interpolate between; costs no accuracy as long as 12 frames a second are searched."""
    max_missing_faces: int = Field(default=1, ge=0)
    """A window with more frames without a detected face than this is dropped and counted."""
    speech_threshold: float = Field(default=0.5, gt=0, lt=1)
    """Probability from which the voice activity detector's output counts as speech."""
    silence_dbfs: float = Field(default=-60.0, le=0.0)
    """Steps of audio weaker than this (root mean square, decibels below full scale) are never speech."""
    mouths: bool = False
    """Keep 25 grey crops of the mouth a second as well; the videos are decoded a second time for them."""
    flow: bool = False
    """Keep statistics of the movement in the face as well; the videos are decoded a second time for them."""
    dense_landmarks: bool = False
    """Keep FaceMesh's 468 landmarks of each frame as well."""
    max_duration_s: float = Field(default=3600.0, gt=0)
    """Longer videos are not prepared (status over_limit)."""
    max_megapixels: float = Field(default=40.0, gt=0)
    """Videos of larger frames are not prepared (status over_limit); 8K has 33."""

    @model_validator(mode="before")
    @classmethod
    def _threshold_of_detector(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("detector") in THRESHOLDS:
            return {"detector_threshold": THRESHOLDS[values["detector"]], **values}
        return values

    @model_validator(mode="after")
    def _check_window(self) -> StoreSettings:
        if abs(self.fps * self.window_s - self.num_frames) > 1e-6 or self.num_frames < 1:
            raise ValueError(f"fps x window_s must be a whole number of frames, got {self.fps * self.window_s:g}")
        if abs(self.fps * self.hop_s - round(self.fps * self.hop_s)) > 1e-6:
            raise ValueError(f"fps x hop_s must be a whole number of frames, got {self.fps * self.hop_s:g}")
        steps = self.window_s / SPEECH_STEP_S
        if abs(steps - round(steps)) > 1e-6:
            raise ValueError(f"window_s must be a multiple of {SPEECH_STEP_S} s, got {self.window_s:g}")
        if self.max_missing_faces >= self.num_frames:
            raise ValueError(f"max_missing_faces must be below the {self.num_frames} frames of a window")
        for name in ("detector_weights", "detector_sha256"):
            if getattr(self, name) and self.detector != "retinaface":
                raise ValueError(f"{name} needs detector=retinaface")
        return self

    @property
    def num_frames(self) -> int:
        """T: frames in a window."""
        return round(self.fps * self.window_s)

    @property
    def num_samples(self) -> int:
        """S: audio samples in a window."""
        return round(SAMPLE_RATE_HZ * self.window_s)

    @property
    def num_mouths(self) -> int:
        """M: mouth crops in a window of a store that keeps them."""
        return round(MOUTH_FPS * self.window_s)

    @property
    def contents(self) -> tuple[Content, ...]:
        """What is kept beyond faces and audio."""
        return tuple(name for name in CONTENTS if getattr(self, name))

    def with_contents(self, contents: Collection[Content]) -> StoreSettings:
        """Return the same settings with these optional contents and no others."""
        return self.model_copy(update={name: name in contents for name in CONTENTS})

    @property
    def num_speech_steps(self) -> int:
        """Steps of the speech mask in a window."""
        return round(self.window_s / SPEECH_STEP_S)
