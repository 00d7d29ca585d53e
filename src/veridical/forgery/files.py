"""Forging the videos of a manifest: files in, files and a manifest out, reals and fakes through the same encoder.

Every real video is written again with the encoder settings of the fakes, at the same size, frame rate and length, so
that nothing but the forgery separates the classes; with several compression levels every video, real and fake, is written
at each of them. A finished video has a JSON file beside it, written last; a second run keeps it.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import EllipsisType

from veridical.artefacts import Manifest, Video, atomic_path
from veridical.corpora import leak_groups
from veridical.errors import UsageError
from veridical.forgery.catalogue import FORGERIES
from veridical.forgery.making import REAL, Job, Outcome, Output, maker
from veridical.forgery.plan import Missing, Plan, plan_forgeries
from veridical.machine import Lost, run_jobs
from veridical.progress import task as progress_task

DEFAULT_TIMEOUT_S = 900.0


@dataclass(frozen=True)
class ForgeReport:
    """The manifest of what was written and the outcome of all that was wanted."""

    manifest: Manifest
    outcomes: tuple[Outcome, ...]

    @property
    def methods(self) -> tuple[str, ...]:
        """All that was wanted: "real", then forgeries in the order of `FORGERIES`."""
        wanted = {outcome.method for outcome in self.outcomes}
        return tuple(name for name in (REAL, *FORGERIES) if name in wanted)

    @property
    def splits(self) -> frozenset[str | None]:
        """The splits of what was made."""
        return frozenset(self.manifest.table["split"].to_pylist())

    def count(self, method: str, status: str, split: str | EllipsisType | None = ...) -> int:
        """Return how many videos of a method have a status, of one split (None: without split) or of all."""
        fitting = [outcome for outcome in self.outcomes if (outcome.method, outcome.status) == (method, status)]
        return sum(split is ... or (made.video is not None and made.video.split == split) for made in fitting)

    @property
    def num_fakes(self) -> int:
        """How many forged videos there are now, over all compression levels."""
        return sum(outcome.status == "ok" and outcome.method != REAL for outcome in self.outcomes)

    def failures(self) -> Counter[str]:
        """Return how often each "status: reason" kept a forged video from being made."""
        return Counter(
            f"{outcome.status}: {outcome.reason}"
            for outcome in self.outcomes
            if outcome.method != REAL and outcome.status != "ok"
        )

    def write_outcomes(self, path: Path) -> None:
        """Write a csv: video_id, method, status, reason, path."""
        with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["video_id", "method", "status", "reason", "path"])
            for made in self.outcomes:
                where = made.video.path if made.video else ""
                writer.writerow([made.video_id, made.method, made.status, made.reason, where])


def forge(
    manifest: Manifest,
    folder: Path,
    *,
    methods: Sequence[str],
    per_video: int | None = None,
    severity: tuple[float, float] = (0.25, 0.75),
    seed: int = 0,
    compression: Sequence[str] = ("c23",),
    preset: str = "medium",
    max_seconds: float | None = 10.0,
    max_side: int | None = 1280,
    masks: bool = False,
    reencode_reals: bool = True,
    workers: int = 1,
    timeout_s: float = DEFAULT_TIMEOUT_S,
) -> ForgeReport:
    """Forge the real videos of a manifest and write the reals again by the same encoder.

    Args:
        manifest: Videos with label 0 are forged; give it a split first, donors come from the target's split only.
        folder: Where `videos/<level>/<method>/*.mp4` go. Finished videos of the same settings are kept.
        methods: Names in `FORGERIES`.
        per_video: Forged videos per real one, methods in turn; None: every method once.
        severity: Range to draw from, 0 a careful forger, 1 a careless one.
        seed: Of all choices and of the forgeries.
        compression: Levels such as c0 (lossless), c23, c40: the quality (crf) of x264 for both classes. With several, every
            video, real and fake, is written at each; its video_id then ends in `@<level>`, and all levels share a leak group.
        preset: Effort of the encoder.
        max_seconds: Longer videos are cut, reals and fakes alike; None for no limit (they are held in memory).
        max_side: Larger pictures are scaled down; None for no limit.
        masks: Also write `<video>.mask.npz` with the forged pixels.
        reencode_reals: False keeps the reals' files as they are: their encoding then gives the class away.
        workers: Processes; 0 works in this one, without a time limit.
        timeout_s: Time limit of one video in seconds (status timeout).

    Returns:
        The manifest of reals and fakes, with leak groups, and the outcome of every wanted video, unusable ones included.

    Raises:
        UsageError: for unknown methods, numbers out of range or a manifest without real videos.
        WorkerFailedError: when no video can be made: no room on the disk, no weights.
    """
    if workers < 0 or not timeout_s > 0:
        raise UsageError(f"expected workers >= 0 and timeout_s > 0, got {workers} and {timeout_s}")
    if any(limit is not None and not limit > 0 for limit in (max_seconds, max_side)):
        raise UsageError(f"expected max_seconds and max_side above 0, or no limit, got {max_seconds} and {max_side}")
    levels = compression_levels(compression)
    if len(levels) > 1 and not reencode_reals:
        raise UsageError(
            "several compression levels need reals that are written again: drop --keep-reals or ask for one level"
        )
    plan = plan_forgeries(manifest, methods, per_video=per_video, severity=severity, seed=seed)
    output = Output(Path(folder).absolute(), levels, preset, max_seconds, max_side, masks)
    reals = [video for video in manifest.videos() if video.label == 0]
    jobs = _jobs(reals, plan, output, reencode_reals)
    made = {(job.target.video_id, job.method): outcomes for job, outcomes in _run(jobs, workers, timeout_s)}
    wanted = [(video.video_id, method) for video in reals for method in (REAL, *methods)]
    ordered = [outcome for key in wanted for outcome in made.get(key, ())]
    videos = [*([] if reencode_reals else reals), *(one.video for one in ordered if one.video is not None)]
    return ForgeReport(leak_groups(Manifest.from_videos(videos)), (*ordered, *map(_not_made, plan.missing)))


def compression_levels(names: Sequence[str]) -> tuple[int, ...]:
    """Return the x264 quality (crf) of each compression level, as ("c0", "c23") → (0, 23).

    Raises:
        UsageError: for what is no level from c0 to c51, none at all, or one that is named twice.
    """
    found = [re.fullmatch(r"c(\d{1,2})", name) for name in names]
    levels = [int(match[1]) for match in found if match and int(match[1]) <= 51]
    if not levels or len(levels) != len(names) or len(set(levels)) != len(levels):
        raise UsageError(
            f"compression {', '.join(names)!r}: expected levels from c0 to c51, each once, for example c0,c23,c40"
        )
    return tuple(levels)


def _jobs(reals: Sequence[Video], plan: Plan, output: Output, reencode_reals: bool) -> list[Job]:
    """Return the reals first, which search all landmarks, then the fakes of one target after the other."""
    again = [Job(video, None, output) for video in reals] if reencode_reals else []
    return again + [Job(video, task, output) for video in reals for task in plan.tasks[video.video_id]]


def _run(jobs: list[Job], workers: int, timeout_s: float) -> Iterator[tuple[Job, list[Outcome]]]:
    failed = 0
    with progress_task("forge", len(jobs), "video") as running:
        for job, result in run_jobs(jobs, maker, workers=workers, timeout_s=timeout_s):
            if isinstance(result, Lost):
                result = [Outcome(job.target.video_id, job.method, result.kind, result.reason)]
            failed += sum(outcome.status != "ok" for outcome in result)
            running.advance(1, failed=failed)
            yield job, result


def _not_made(missing: Missing) -> Outcome:
    status, _, reason = missing.reason.partition(": ")
    return Outcome(missing.video_id, missing.method, status, reason)
