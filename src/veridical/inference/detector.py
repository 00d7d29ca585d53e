"""The detector: scores clips, and predicts from a video file whether it is forged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import torch

from veridical.artefacts import NEW, Seen, file_sha256
from veridical.clips import Clip, ClipStore, Content
from veridical.devices import pick_device
from veridical.inference.conditions import CONDITIONS, Logits, condition_logits, encode
from veridical.inference.model_folder import ModelFacts, Worth, read_model, write_model
from veridical.inputs import check_fit, clip_inputs
from veridical.metrics import Aggregation, Calibration
from veridical.models import DetectorModel
from veridical.preparation import Tools, extract_clips

BATCH_CLIPS = 16


@dataclass(frozen=True)
class ClipScore:
    """The scores of one window of a video."""

    start_s: float
    logit: float
    """Raw joint logit, higher = more fake."""
    p_fake: float | None
    """Calibrated probability; None when the model is not calibrated."""
    video_logit: float
    """Of the video head."""
    audio_logit: float | None
    """Of the audio head; None without usable speech."""
    person: int = 1
    """Number of the person whose face it shows, from 1."""


@dataclass(frozen=True)
class PersonScore:
    """The score of one person of a video."""

    person: int
    """From 1, the one seen longest and largest first."""
    logit: float
    """Joint logit of the person's windows, aggregated by the model's rule."""
    p_fake: float | None
    num_clips: int


@dataclass(frozen=True)
class Prediction:
    """What a detector predicts for a video file."""

    path: Path
    logit: float
    """Joint logit of the video: its windows' logits, aggregated by the model's rule; of several people the highest."""
    p_fake: float | None
    """Calibrated probability that anything about the video is forged; None from a detector that is no better than chance."""
    video_logit: float
    audio_logit: float | None
    clips: tuple[ClipScore, ...]
    num_dropped_windows: int
    """Windows without a score; the remarks say why."""
    remarks: tuple[str, ...] = ()
    """What is remarkable about the file: windows dropped, a choice between audio tracks, a file cut short."""
    worth: Worth | None = None
    """What the detector is worth on validation; None when that is not known."""
    seen: str | None = None
    """`training` or `validation` when this very file was part of it, `new` when not; None when that is not known."""
    people: tuple[PersonScore, ...] = ()
    """The people whom the video shows for a window or more, each with a score of their own."""

    def as_json(self) -> dict[str, Any]:
        """Return the prediction as JSON holds it."""
        worth = None if self.worth is None else {**self.worth.model_dump(), "above_chance": self.worth.above_chance}
        return {**asdict(self), "path": str(self.path), "worth": worth, "status": "ok"}


class Detector:
    """A trained model, or an ensemble, that scores clips and video files. Make one with `load_detector`."""

    conditions = CONDITIONS
    concurrent = True

    def __init__(self, facts: ModelFacts, members: Sequence[DetectorModel], seen: Seen | None = None) -> None:
        self.facts = facts.model_copy(update={"members": len(members)})
        self.members = tuple(members)
        self.seen = seen
        """What it was trained on; None where that is not known."""

    @property
    def name(self) -> str:
        """Name of the recipe that it was trained by."""
        return self.facts.name

    @property
    def aggregation(self) -> Aggregation:
        """The rule from clip logits to a video's."""
        return self.facts.aggregation

    @property
    def calibration(self) -> Calibration | None:
        """The map from video logits to probabilities; None when it was not calibrated, or is no better than chance."""
        return None if self.is_chance else self.facts.calibration

    @property
    def is_chance(self) -> bool:
        """Whether validation could not tell it from chance; then it gives no verdict."""
        return self.facts.worth is not None and not self.facts.worth.above_chance

    @property
    def contents(self) -> tuple[Content, ...]:
        """Optional contents of clips that it reads."""
        return self.facts.inputs.contents

    def to(self, device: torch.device) -> Detector:
        """Return the detector on a device."""
        return Detector(self.facts, [member.to(device) for member in self.members], self.seen)

    def check(self, store: ClipStore) -> None:
        """Refuse a store whose clips differ from the training clips.

        Raises:
            UsageError: naming what differs and how to prepare the videos.
        """
        check_fit(store, self.facts.inputs, self.facts.preparation)

    @torch.inference_mode()
    def logits(self, clips: Sequence[Clip], conditions: Sequence[str] = CONDITIONS) -> Logits:
        """Return raw logits (B,) per condition; of an ensemble the mean over its members.

        Lakshminarayanan et al. 2017, arXiv:1612.01474, average probabilities; temperature and thresholds of an ensemble are
        fitted on the mean logit here.
        """
        inputs, names = clip_inputs(clips, self.facts.inputs), tuple(conditions)
        logits = [condition_logits(member, encode(member, inputs), names) for member in self.members]
        return {name: np.mean([of_member[name] for of_member in logits], axis=0) for name in names}

    def score_clips(self, clips: Sequence[Clip]) -> list[ClipScore]:
        """Return the scores of clips, in order."""
        logits = self.logits(clips, ("joint", "video_head", "audio_head"))
        rows = zip(clips, logits["joint"], logits["video_head"], logits["audio_head"], strict=True)
        return [
            ClipScore(clip.start_s, float(joint), self._p_fake(joint), float(video), _or_none(audio), clip.person)
            for clip, joint, video, audio in rows
        ]

    def predict(self, path: str | Path) -> Prediction:
        """Predict whether a video file is forged.

        Args:
            path: Any file that can be decoded, with a face in it, at least one window long.

        Raises:
            UnusableVideoError: with a status and a reason, when no window of it can be scored.
        """
        path = Path(path)
        extraction = extract_clips(path, path.name, self._tools.settings, self._tools)
        starts = range(0, len(extraction.clips), BATCH_CLIPS)
        scores = [one for i in starts for one in self.score_clips(extraction.clips[i : i + BATCH_CLIPS])]
        people = [self._person_score(scores, number) for number in sorted({score.person for score in scores})]
        highest = max(people, key=lambda person: person.logit)
        own = [score for score in scores if score.person == highest.person]
        heard = [score.audio_logit for score in own if score.audio_logit is not None]
        return Prediction(
            path=path,
            logit=highest.logit,
            p_fake=highest.p_fake,
            video_logit=self._video_logit([score.video_logit for score in own]),
            audio_logit=self._video_logit(heard) if heard else None,
            clips=tuple(scores),
            num_dropped_windows=extraction.num_dropped_windows,
            worth=self.facts.worth,
            seen=self._seen(path),
            remarks=extraction.remarks,
            people=tuple(people),
        )

    def _seen(self, path: Path) -> str | None:
        if self.seen is None:
            return None
        known = self.seen.compare_file(file_sha256(path))
        return known if known != NEW or self.seen.learned.files else None

    def _person_score(self, scores: Sequence[ClipScore], person: int) -> PersonScore:
        logits = [score.logit for score in scores if score.person == person]
        logit = self._video_logit(logits)
        return PersonScore(person, logit, self._p_fake(logit), len(logits))

    @cached_property
    def _tools(self) -> Tools:
        return Tools(self.facts.preparation.with_contents(self.contents))

    def _video_logit(self, clip_logits: Sequence[float]) -> float:
        return self.aggregation.video_logit(np.array(clip_logits))

    def _p_fake(self, logit: float) -> float | None:
        return None if self.calibration is None else float(self.calibration.p_fake(logit))


def _or_none(value: float) -> float | None:
    return None if isnan(value) else float(value)


def load_detector(path: str | Path, device: str = "auto") -> Detector:
    """Load a trained detector, or an ensemble, from a run or its `model` folder.

    Args:
        path: The folder.
        device: `cpu`, `cuda`, `cuda:1`, `mps`; `auto` takes a GPU where there is one.

    Raises:
        ArtefactError: when there is none, or it is damaged.
        UsageError: when this machine does not have the device.
    """
    return Detector(*read_model(Path(path))).to(pick_device(device))


def save_detector(folder: Path, detector: Detector) -> None:
    """Write the model folder atomically."""
    write_model(folder, detector.facts, detector.members, detector.seen)
