"""Synthetic score tables with known truths, and faults that can be planted."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import scipy.stats

from veridical.artefacts import Manifest, ScoreTable, Video

CONTROLS = ("shuffle", "swap_sound", "shift_sound:0.2")


def shift_for(auc: float) -> float:
    """Return how far apart two normal distributions of unit variance lie for this AUC."""
    return float(np.sqrt(2) * scipy.stats.norm.ppf(auc))


@dataclass(frozen=True)
class World:
    """A detector's scores on one corpus; every field is a truth or a planted fault."""

    dataset: str = "A"
    splits: Mapping[str, int] = field(default_factory=lambda: {"val": 60, "test": 120})
    """Split → number of leak groups; a group holds one real and a fake of each generator."""
    auc: Mapping[str, float] = field(default_factory=lambda: {"Swap": 0.9, "Mouth": 0.9})
    """Generator → true AUC of the joint condition, on videos."""
    compression_loss: Mapping[str, float] = field(default_factory=dict)
    """Compression → what is taken from the AUC of every generator; empty: all c23."""
    weak_group_loss: float = 0.0
    """What is taken from the AUC of videos with gender=b."""
    overconfidence: float = 1.0
    """Factor on logits that are calibrated otherwise (for AUC .9 and equal classes)."""
    sound: str = "both"
    """both, none, fakes_only."""
    forged_sound: tuple[str, ...] = ()
    """Generators that forge the audio; the others forge the frames."""
    sound_auc: float = 0.75
    """True AUC of sound alone on fakes of forged sound."""
    genuine_sound_auc: float = 0.5
    """True AUC of sound alone on fakes with genuine sound; above .5 is a leak."""
    clips: int = 4
    unscored_fakes: float = 0.0
    """Share of fakes without a score."""
    leaking_groups: int = 0
    """Test groups that take the name of a validation group."""
    probed: bool = False
    """Whether files were probed and clips looked at."""
    equal_files: int = 0
    """Test reals that are the same file as a validation real (and look like it)."""
    revealing: str = ""
    """What tells fakes: fps (files), speech_onset_s, box_size_px, brightness, detector_score (clips); '' nothing."""
    idle_control: str = ""
    """A control that costs nothing, although it destroys a cue; the others cost all. '' : none was scored."""

    def videos(self, rng: np.random.Generator) -> list[Video]:
        """Return the manifest's rows."""
        found, serial = [], 0
        for split, groups in self.splits.items():
            for number in range(groups):
                serial += 1
                name = f"{self.dataset}-{serial:05d}"
                group = f"{self.dataset}-g{number}" if split == "test" and number < self.leaking_groups else name
                levels = list(self.compression_loss) or ["c23"]
                common = {
                    "dataset": self.dataset, "split": split, "group": group if split == "test" else (
                        f"{self.dataset}-g{number}" if self.leaking_groups else name),
                    "compression": levels[serial % len(levels)], "identities": (name,),
                    "attributes": {"gender": "ab"[int(rng.integers(2))]},
                }  # fmt: skip
                for generator in ("", *self.auc):
                    heard = self.sound == "both" or (self.sound == "fakes_only" and bool(generator))
                    forged = generator in self.forged_sound
                    copied = split == "test" and not generator and number < self.equal_files
                    content = f"{self.dataset}-0000{number + 1}-real" if copied else f"{name}-{generator or 'real'}"
                    file = self._file(content, bool(generator), rng)
                    common["attributes"] = {**common["attributes"], **file.pop("attributes", {})}
                    found.append(
                        Video(
                            video_id=f"{name}-{generator or 'real'}", path=f"{name}/{generator or 'real'}.mp4",
                            label=int(bool(generator)), visual_label=int(bool(generator) and not forged),
                            audio_label=int(forged) if heard else None, generator=generator or None,
                            has_audio=heard, **common, **file,
                        )
                    )  # fmt: skip
        return found

    def _file(self, content: str, fake: bool, rng: np.random.Generator) -> dict[str, Any]:
        """Return what a probe would say of the file."""
        if not self.probed:
            return {}
        digest = hashlib.sha256(content.encode()).hexdigest()
        fps = 30.0 if self.revealing == "fps" and fake else float(rng.choice([25.0, 30.0]))
        return {"attributes": {"perceptual_hash": digest[:16]}, "sha256": digest, "fps": fps, "codec": "h264"}

    def content(self, manifest: Manifest, seed: int = 0) -> pd.DataFrame:
        """Return the content properties of a clip of each video, one of them telling fakes where that is planted."""
        rng = np.random.default_rng([seed, 7])
        names = ("speech_onset_s", "box_size_px", "brightness", "detector_score", "loudness_dbfs", "sharpness")
        table = pd.DataFrame({name: rng.normal(0, 1, len(manifest)) for name in names})
        if self.revealing in names:
            table[self.revealing] += 2.0 * manifest.frame(["label"])["label"].to_numpy(dtype=float)
        return table.assign(video_id=manifest.table["video_id"].to_pylist(), start_s=0.0)

    def build(self, seed: int = 0) -> tuple[ScoreTable, Manifest]:
        """Return the scores (joint, audio_masked, video_masked) and the manifest."""
        rng = np.random.default_rng(seed)
        videos = self.videos(rng)
        rows: list[dict[str, object]] = []
        joint: list[dict[str, Any]] = []
        for video in videos:
            if video.label and rng.random() < self.unscored_fakes:
                continue
            for condition in ("joint", "audio_masked", "video_masked", *self._controls()):
                if condition == "video_masked" and not video.has_audio:
                    continue
                if condition == f"control:{self.idle_control}":
                    rows += [
                        {**row, "condition": condition, "logit": row["logit"] + rng.normal(0, 0.05)} for row in joint
                    ]
                    continue
                found = self._rows(video, condition, rng)
                joint = found if condition == "joint" else joint
                rows += found
        return ScoreTable.from_frame(pd.DataFrame(rows)), Manifest.from_videos(videos)

    def _controls(self) -> tuple[str, ...]:
        return tuple(f"control:{name}" for name in CONTROLS) if self.idle_control else ()

    def _rows(self, video: Video, condition: str, rng: np.random.Generator) -> list[dict[str, object]]:
        shift = shift_for(self._auc(video, condition)) if video.label else 0.0
        scale = shift_for(0.9)
        score = rng.normal(shift, 1)
        logit = (score - scale / 2) * scale * self.overconfidence
        jitter = rng.normal(0, 0.5, self.clips)
        jitter -= jitter.mean()
        return [
            {
                "video_id": video.video_id, "start_s": float(clip), "dataset": video.dataset, "split": video.split,
                "generator": video.generator, "compression": video.compression, "group": video.group,
                "attributes": dict(video.attributes), "label": video.label, "visual_label": video.visual_label,
                "audio_label": video.audio_label, "speech_share": 0.8 if video.has_audio else None,
                "condition": condition, "logit": float(logit + jitter[clip]),
            }
            for clip in range(self.clips)
        ]  # fmt: skip

    def _auc(self, video: Video, condition: str) -> float:
        forged_sound = video.generator in self.forged_sound
        if condition.startswith("control:"):
            return 0.5
        if condition == "video_masked":
            return self.sound_auc if forged_sound else self.genuine_sound_auc
        if condition == "audio_masked" and forged_sound:
            return 0.5
        auc = self.auc[video.generator or ""]
        auc -= self.compression_loss.get(video.compression or "", 0.0)
        if video.attributes["gender"] == "b":
            auc -= self.weak_group_loss
        return auc


def together(*worlds: World, seed: int = 0) -> tuple[ScoreTable, Manifest]:
    """Return one score table and one manifest of several corpora."""
    built = [world.build(seed + number) for number, world in enumerate(worlds)]
    import pyarrow as pa

    return ScoreTable(pa.concat_tables([scores.table for scores, _ in built])), Manifest.concat(
        [manifest for _, manifest in built]
    )
