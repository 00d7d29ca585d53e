"""A detector in an ONNX file, which names only tensors and shapes: what they mean is declared."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from veridical.clips import Clip
from veridical.errors import UsageError
from veridical.inference.foreign.base import DeclaredSettings, ForeignScorer, OutputSettings, resized
from veridical.media import FULL_SCALE


class OnnxSettings(DeclaredSettings, OutputSettings):
    """What the inputs and outputs of an ONNX detector mean."""

    also_called: ClassVar[Mapping[str, str]] = {"picture_input": "frames_input", "sound_input": "audio_input"}

    kind: Literal["onnx"]
    file: Path
    """The ONNX file; a relative path starts at the folder of the settings."""
    frames_input: str | None = None
    """Name of the tensor that takes frames; None when there is none."""
    audio_input: str | None = None
    """Name of the tensor that takes the clip's audio, (1, S) float32 in [-1, 1) at 16 kHz. Clips without audio get no score."""
    layout: Literal["NCHW", "NHWC", "NTCHW", "NCTHW", "NTHWC"] = "NCHW"
    """Order of the frame tensor's dimensions: N frames or clips, T frames of a clip, C colours, H height, W width."""
    size: int = Field(default=224, ge=8, le=4096)
    """Side of the frames in pixels."""
    colours: Literal["RGB", "BGR"] = "RGB"
    """Order of the colours."""
    divide_by: float = Field(default=255.0, gt=0)
    """Pixel values 0–255 are divided by this first."""
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Then subtracted from each colour, in the order of `colours`."""
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Each colour is divided by this last."""
    output: str
    """Name of the tensor that holds the score."""

    def load(self, name: str, folder: Path) -> OnnxScorer:
        """Return the detector; a relative path of the file starts at the folder."""
        return OnnxScorer(name, self.model_copy(update={"file": folder / self.file}))


class OnnxScorer(ForeignScorer):
    """An ONNX file behind the scorer protocol; runs on the CPU."""

    def __init__(self, name: str, settings: OnnxSettings) -> None:
        import onnxruntime

        super().__init__(name)
        self.settings, self.aggregation = settings, settings.aggregation
        if not settings.file.is_file():
            raise UsageError(f"{settings.file}: no such ONNX file")
        try:
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 3
            self._session = onnxruntime.InferenceSession(
                str(settings.file), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # noqa: BLE001 (the errors of onnxruntime have no common base)
            raise UsageError(f"{settings.file}: cannot be loaded as ONNX ({str(error).splitlines()[0]})") from None
        self._check()

    def _check(self) -> None:
        settings = self.settings
        inputs = [item.name for item in self._session.get_inputs()]
        outputs = [item.name for item in self._session.get_outputs()]
        given = [name for name in (settings.frames_input, settings.audio_input) if name is not None]
        if sorted(given) != sorted(inputs):
            raise UsageError(
                f"{settings.file}: its inputs are {', '.join(inputs)}; the settings feed {', '.join(given) or 'none'}"
                " (frames_input, audio_input)"
            )
        if settings.output not in outputs:
            raise UsageError(f"{settings.file}: no output {settings.output!r}; its outputs are {', '.join(outputs)}")
        if settings.frames_input is not None and ("T" in settings.layout) != (settings.takes == "clip"):
            raise UsageError(f"{settings.file}: layout {settings.layout} does not go with takes: {settings.takes}")

    def score(self, clip: Clip) -> float | None:
        """Return the clip's logit; None for a clip without audio where the network takes audio."""
        settings, feed = self.settings, dict[str, Any]()
        if settings.audio_input is not None:
            if clip.samples is None:
                return None
            feed[settings.audio_input] = (clip.samples.astype(np.float32) / FULL_SCALE)[None]
        if settings.frames_input is not None:
            feed[settings.frames_input] = self._frames(clip)
        output = self._session.run([settings.output], feed)[0]
        return settings.clip_logit(settings.logits(np.asarray(output, dtype=np.float64)))

    def _frames(self, clip: Clip) -> npt.NDArray[np.float32]:
        settings = self.settings
        frames = resized(settings.frames(clip), settings.size).astype(np.float32)
        if settings.colours == "BGR":
            frames = frames[..., ::-1]
        frames = (frames / settings.divide_by - np.array(settings.mean)) / np.array(settings.std)
        if settings.takes == "clip":
            frames = frames[None]
        stored = "NTHWC" if settings.takes == "clip" else "NHWC"
        return np.ascontiguousarray(
            frames.transpose([stored.index(name) for name in settings.layout]), dtype=np.float32
        )
