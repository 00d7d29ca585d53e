"""What reads videos: a face detector and a speech detector, made once per process."""

from __future__ import annotations

from functools import cached_property

from veridical import faces
from veridical.clips import StoreSettings
from veridical.faces.detect import MAX_ENLARGEMENT
from veridical.preparation.detection import Detector, ThriftyDetector
from veridical.preparation.speech import SpeechDetector


class Tools:
    """The detectors that a store's settings ask for, loaded at first use.

    Args:
        settings: Of the store, or of the model that the clips are for.
    """

    def __init__(self, settings: StoreSettings) -> None:
        self.settings = settings
        self._detectors: dict[float, Detector] = {}

    def detector_for_video(self) -> Detector:
        """Return a face detector for the pictures of one video, in order."""
        if self.settings.detector != "centerface" or not self.settings.thrifty_detection:
            return self._detector_of(1.0)
        return ThriftyDetector(self._detector_of, self._scale_of)

    @cached_property
    def speech(self) -> SpeechDetector:
        """The voice activity detector."""
        return SpeechDetector(threshold=self.settings.speech_threshold, silence_dbfs=self.settings.silence_dbfs)

    @cached_property
    def landmarker(self) -> faces.DenseLandmarker | None:
        """Finds dense landmarks; None when the settings do not ask for them."""
        return faces.DenseLandmarker() if self.settings.dense_landmarks else None

    def load(self) -> None:
        """Load everything now.

        Raises:
            MissingWeightsError: when weights cannot be had.
        """
        self._detector_of(1.0)
        self.speech.load()
        _ = self.landmarker

    def _detector_of(self, share: float) -> Detector:
        """Return the detector that brings pictures to a share of the full detection size."""
        if share not in self._detectors:
            self._detectors[share] = self._make_detector(round(self.settings.detection_size * share))
        return self._detectors[share]

    def _make_detector(self, size: int) -> Detector:
        settings = self.settings
        if settings.detector == "centerface":
            return faces.FaceDetector(settings.detector_threshold, detection_size=size)
        file = settings.detector_weights or faces.DEFAULT_RETINAFACE
        return faces.RetinaFaceDetector(settings.detector_threshold, weights_file=file, detection_size=size)

    def _scale_of(self, longer_side: int) -> float:
        return min(self.settings.detection_size / longer_side, MAX_ENLARGEMENT)
