"""What a model needs, and whether a store offers it: one check, for training and for every later use."""

from __future__ import annotations

from typing import Any

from pydantic import model_validator

from veridical.clips import SAMPLE_RATE_HZ, ClipStore, Content, StoreSettings
from veridical.errors import UsageError
from veridical.settings import Settings

GIVEN_BY_INPUTS = ("fps", "window_s", "crop_size", "crop_scale")
LEARNED = ("jpeg_quality", "detector", "detector_sha256", "speech_threshold", "silence_dbfs")
"""Facts to which a model adapts and that its inputs do not name: JPEG compression, the detector whose landmarks align the faces,
and what counts as speech. Other facts of a store say which windows are in it, not what a clip is."""


class InputSettings(Settings):
    """What a model needs; part of the model's file, so that all later uses prepare clips alike."""

    fps: float = 5.0
    window_s: float = 1.0
    frame_size: int = 224
    """Side of a frame in pixels, cut from the middle of the stored crop."""
    crop_size: int = 256
    """Side of the stored crop that the frames are cut from, in pixels."""
    crop_scale: float = 1.3
    """Margin around the face in the store."""
    min_speech_share: float = 0.2
    """A window with less speech is scored without its audio."""
    min_loudness_dbfs: float = -60.0
    """A window that is quieter (root mean square) is scored without its audio."""
    mouths: bool = False
    """Use 25 crops of the mouth a second; the store must have been prepared with `mouths=true`."""
    flow: bool = False
    """Use statistics of the optical flow in the face; the store must have been prepared with `flow=true`."""

    @model_validator(mode="after")
    def _check_sizes(self) -> InputSettings:
        if self.frame_size > self.crop_size:
            raise ValueError(f"frame_size {self.frame_size} must not be larger than crop_size {self.crop_size}")
        return self

    @property
    def contents(self) -> tuple[Content, ...]:
        """Optional contents of the store that the model needs."""
        return tuple(name for name in ("mouths", "flow") if getattr(self, name))

    @property
    def num_frames(self) -> int:
        """Frames per clip."""
        return round(self.fps * self.window_s)

    @property
    def num_samples(self) -> int:
        """Samples per clip."""
        return round(SAMPLE_RATE_HZ * self.window_s)


def check_fit(store: ClipStore, inputs: InputSettings, learned_from: StoreSettings | None = None) -> None:
    """Refuse a store whose clips are not what a model was built or trained for.

    Args:
        store: The clips.
        inputs: What the model needs.
        learned_from: Facts of the store that the model learned from; None for a model that is about to learn from this one.

    Raises:
        UsageError: naming each fact that differs, both values, and what to do.
    """
    offered = store.settings
    wanted: dict[str, Any] = {name: getattr(inputs, name) for name in GIVEN_BY_INPUTS}
    wanted |= dict.fromkeys(inputs.contents, True)
    if learned_from is not None:
        wanted |= {name: value for name in LEARNED if (value := getattr(learned_from, name)) != ""}
    differing = {name: value for name, value in wanted.items() if getattr(offered, name) != value}
    if not differing:
        return
    facts = "; ".join(
        f"{name}: found {_said(getattr(offered, name))}, wanted {_said(value)}" for name, value in differing.items()
    )
    assignments = " ".join(f"--set {name}={_said(value)}" for name, value in differing.items())
    instead = "use a model that learned from such clips"
    if learned_from is None:
        instead = "change " + ", ".join(f"inputs.{name}" for name in differing) + " in the recipe"
    raise UsageError(
        f"{store.path}: its clips are not what the model needs ({facts}); prepare the videos into another store with "
        f"`{assignments}`, or {instead}"
    )


def _said(value: Any) -> str:
    """Return a value as `--set` takes it."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
