"""What reads videos: a face detector and a speech detector, made once per process."""

from __future__ import annotations

from functools import cached_property

from veridical import faces
from veridical.clips import StoreSettings
from veridical.preparation.speech import SpeechDetector


class Tools:
    """The detectors that a store's settings ask for, loaded at first use.

    Args:
        settings: Of the store, or of the model that the clips are for.
    """

    def __init__(self, settings: StoreSettings) -> None:
        self.settings = settings

    @cached_property
    def detector(self) -> faces.FaceDetector:
        """The face detector."""
        return faces.FaceDetector(self.settings.detector_threshold, detection_size=self.settings.detection_size)

    @cached_property
    def speech(self) -> SpeechDetector:
        """The voice activity detector."""
        return SpeechDetector(threshold=self.settings.speech_threshold, silence_dbfs=self.settings.silence_dbfs)

    def load(self) -> None:
        """Load everything now.

        Raises:
            MissingWeightsError: when weights cannot be had.
        """
        self.detector  # noqa: B018 (a cached property is loaded by looking at it)
        self.speech.load()
