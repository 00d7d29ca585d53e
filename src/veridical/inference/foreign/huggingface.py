"""An image or video classification model of Hugging Face, from a local folder or the hub; its own processor prepares frames.

Only safetensors are read, and no code of the model's repository is run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from veridical.clips import Clip
from veridical.errors import MissingWeightsError, UsageError, unknown_name
from veridical.inference.foreign.base import DeclaredSettings, ForeignScorer, OutputSettings
from veridical.weights import model_hub


class HuggingFaceSettings(DeclaredSettings):
    """Which model, and which of its labels means fake."""

    kind: Literal["huggingface"]
    model: str
    """A folder with config.json, preprocessor_config.json and model.safetensors, or the name of a model on the hub."""
    revision: str | None = None
    """Commit of the hub's repository; name one, so that figures can be reproduced."""
    fake_label: str
    """The label of the model's configuration that means fake."""

    def load(self, name: str, folder: Path) -> HuggingFaceScorer:
        """Return the detector; a model that is a folder inside the given one is read from there."""
        inside = folder / self.model
        return HuggingFaceScorer(name, self.model_copy(update={"model": str(inside)}) if inside.is_dir() else self)


class HuggingFaceScorer(ForeignScorer):
    """A transformers classifier behind the scorer protocol."""

    def __init__(self, name: str, settings: HuggingFaceSettings) -> None:
        import transformers

        super().__init__(name)

        if "/" not in settings.model and not Path(settings.model).is_dir():
            raise UsageError(f"{settings.model}: no such folder; a model on the hub is named OWNER/NAME")
        self.settings, self.aggregation = settings, settings.aggregation
        takes_clips = settings.takes == "clip"
        kind: Any
        kind, described = (
            (transformers.AutoModelForVideoClassification, "a video classification model")
            if takes_clips
            else (transformers.AutoModelForImageClassification, "an image classification model")
        )
        try:
            with model_hub(settings.model):
                self._processor: Any = transformers.AutoImageProcessor.from_pretrained(
                    settings.model, revision=settings.revision, trust_remote_code=False
                )
                self._model: Any = kind.from_pretrained(
                    settings.model, revision=settings.revision, trust_remote_code=False, use_safetensors=True
                ).eval()
        except (OSError, ValueError, KeyError, MissingWeightsError) as error:
            reason = str(error).strip().splitlines()[0]
            raise UsageError(f"{settings.model}: cannot be loaded as {described} ({reason})") from None
        self._output = self._output_settings()

    def _output_settings(self) -> OutputSettings:
        labels = {str(name): int(index) for index, name in self._model.config.id2label.items()}
        if self.settings.fake_label not in labels:
            raise unknown_name(f"label of {self.settings.model}", self.settings.fake_label, labels)
        if len(labels) == 1:
            return OutputSettings(output_kind="logit", higher_is="fake")
        return OutputSettings(output_kind="class_logits", fake_index=labels[self.settings.fake_label])

    def score(self, clip: Clip) -> float:
        """Return the clip's logit: the fake label against all others."""
        frames = list(self.settings.frames(clip))
        prepared = self._processor(frames, return_tensors="pt")
        with torch.inference_mode():
            logits = self._model(**prepared).logits
        return self.settings.clip_logit(self._output.logits(logits.double().numpy().astype(np.float64)))
