"""The networks that preparation runs: face, landmark and speech detectors, loaded once per process."""

from __future__ import annotations

from functools import cached_property

from veridical import faces, weights
from veridical.artefacts import file_sha256
from veridical.clips import StoreSettings
from veridical.errors import UsageError
from veridical.preparation.detection import SUSPICION, ThriftyDetector
from veridical.preparation.speech import SpeechDetector


class Tools:
    """The detectors that a store's settings ask for, loaded at first use.

    Args:
        settings: Of the store, or of the model that the clips are for.
    """

    def __init__(self, settings: StoreSettings) -> None:
        self.settings = settings
        self._centerfaces: dict[float, faces.CenterFaceDetector] = {}

    def detector_for_video(self) -> faces.FaceDetector:
        """Return a face detector for the frames of one video, in order."""
        if self.settings.detector != "centerface" or not self.settings.thrifty_detection:
            return self._detector
        return ThriftyDetector(self._suspicious, self.settings.detection_size, self.settings.detector_threshold)

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
            MissingWeightsError: when weights cannot be found or downloaded.
        """
        _ = self._detector
        self.speech.load()
        _ = self.landmarker

    @cached_property
    def _detector(self) -> faces.FaceDetector:
        """The detector at full detection size."""
        settings = self.settings
        if settings.detector == "centerface":
            return faces.CenterFaceDetector(settings.detector_threshold, detection_size=settings.detection_size)
        with_checksum(settings)
        return faces.RetinaFaceDetector(
            settings.detector_threshold, weights_file=_weights_of(settings), detection_size=settings.detection_size
        )

    def _suspicious(self, share: float) -> faces.CenterFaceDetector:
        """Return the detector that resizes frames to a share of the full detection size and gives suspicions as well."""
        if share not in self._centerfaces:
            threshold = min(SUSPICION, self.settings.detector_threshold)
            size = max(round(self.settings.detection_size * share), faces.MIN_DETECTION_SIZE)
            self._centerfaces[share] = faces.CenterFaceDetector(threshold, detection_size=size)
        return self._centerfaces[share]


def with_checksum(settings: StoreSettings) -> StoreSettings:
    """Return settings with the checksum of the face detector's weights, where its name alone does not settle them.

    Raises:
        MissingWeightsError: when there is no such file.
        UsageError: when it is not the one that the settings name already.
    """
    if settings.detector == "centerface":
        return settings
    file = _weights_of(settings)
    checksum = file_sha256(weights.locate_file(file))
    if settings.detector_sha256 not in ("", checksum):
        raise UsageError(
            f"{file}: is not the file that detected the faces of this store (SHA-256 {checksum[:12]}…, expected "
            f"{settings.detector_sha256[:12]}…); put that file back, or prepare into another store"
        )
    return settings.model_copy(update={"detector_sha256": checksum})


def _weights_of(settings: StoreSettings) -> str:
    return settings.detector_weights or faces.DEFAULT_RETINAFACE
