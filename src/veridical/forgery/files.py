"""`forge`: forges the videos of a manifest, and encodes reals and fakes alike.

Every real video is encoded again with the settings of the fakes, at the same size, frame rate and length, so that nothing but
the forgery separates the classes; with several compression levels, every video, real and fake, is encoded at each level. A
finished video has a JSON marker next to it, written last; a second run keeps it.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import EllipsisType
from typing import Any

from veridical import progress
from veridical.artefacts import Manifest, Video, atomic_path, check_folder, claim_folder, locked
from veridical.corpora import leak_groups
from veridical.errors import UsageError
from veridical.forgery.catalogue import FORGERIES
from veridical.forgery.making import REAL, Job, Outcome, Output, finished, made_otherwise, maker
from veridical.forgery.plan import Missing, Plan, plan_forgeries
from veridical.machine import Lost, run_jobs

DEFAULT_TIMEOUT_S = 900.0
FACTS_FILE = "forge.json"
MANIFEST_FILE = "manifest.parquet"
OUTCOMES_FILE = "outcomes.csv"
CORPUS = "a corpus of forgeries"
MADE = ("videos", "landmarks", MANIFEST_FILE, OUTCOMES_FILE)
"""Names by which a corpus is recognised that has no facts yet."""


@dataclass(frozen=True)
class ForgeReport:
    """The manifest of the videos written, and the outcome of every video requested."""

    manifest: Manifest
    outcomes: tuple[Outcome, ...]

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods requested: "real", then forgeries in the order of `FORGERIES`."""
        requested = {outcome.method for outcome in self.outcomes}
        return tuple(name for name in (REAL, *FORGERIES) if name in requested)

    @property
    def splits(self) -> frozenset[str | None]:
        """The splits of the videos written."""
        return frozenset(self.manifest.table["split"].to_pylist())

    def count(self, method: str, status: str, split: str | EllipsisType | None = ...) -> int:
        """Return the number of videos of a method with a status, of one split (None: without split) or of all."""
        matches = [outcome for outcome in self.outcomes if (outcome.method, outcome.status) == (method, status)]
        return sum(split is ... or (match.video is not None and match.video.split == split) for match in matches)

    @property
    def num_fakes(self) -> int:
        """The number of forged videos, over all compression levels."""
        return sum(outcome.status == "ok" and outcome.method != REAL for outcome in self.outcomes)

    def failures(self) -> Counter[str]:
        """Count by "status: reason" the forged videos that could not be made."""
        return Counter(
            f"{outcome.status}: {outcome.reason}"
            for outcome in self.outcomes
            if outcome.method != REAL and outcome.status != "ok"
        )

    def write_outcomes(self, path: Path) -> None:
        """Write a csv with the columns video_id, method, status, reason and path."""
        with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["video_id", "method", "status", "reason", "path"])
            for outcome in self.outcomes:
                file_path = outcome.video.path if outcome.video else ""
                writer.writerow([outcome.video_id, outcome.method, outcome.status, outcome.reason, file_path])


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
    """Forge the real videos of a manifest, and encode the real ones again with the same settings.

    Args:
        manifest: Videos with label 0 are forged. Split it first: donors come from the target's split only.
        folder: Where `videos/<level>/<method>/*.mp4`, `manifest.parquet` (unless nothing could be forged) and `outcomes.csv` go.
            Finished videos are kept, those of methods that are not asked for now too; other settings need another folder.
        methods: Names in `FORGERIES`.
        per_video: Forged videos per real video, methods in turn; None: every method once.
        severity: Range to draw from; 0 is a careful forgery, 1 a careless one.
        seed: Determines all choices and the forgeries.
        compression: Levels such as c0 (lossless), c23, c40: the x264 quality (crf) of both classes. With several levels, every
            video, real and fake, is encoded at each; its video_id then ends in `@<level>`, and all levels share a leak group.
        preset: x264 preset.
        max_seconds: Longer videos are cut, reals and fakes alike; None for no limit (videos are held in memory).
        max_side: Larger frames are scaled down to this longer side; None for no limit.
        masks: Also write `<video>.mask.npz` with the forged pixels.
        reencode_reals: False keeps the files of the reals as they are: their encoding then gives the class away.
        workers: Number of processes; 0 works in this process, without a time limit.
        timeout_s: Time limit for one video (status timeout).

    Returns:
        The manifest of reals and fakes, with leak groups, and the outcome of every video requested.

    Raises:
        UsageError: before anything is made: if the arguments or the folder cannot be used, or another process forges into it.
        ArtefactError: if the disk is full.
        WorkerFailedError: if no video can be made, as weights are missing or workers only die.
    """
    _check_limits(workers, timeout_s, max_seconds, max_side)
    levels = compression_levels(compression)
    if len(levels) > 1 and not reencode_reals:
        raise UsageError("several compression levels encode the reals again: drop --keep-reals, or give one level")
    plan = plan_forgeries(manifest, methods, per_video=per_video, severity=severity, seed=seed)
    output = Output(Path(folder).absolute(), levels, preset, max_seconds, max_side, masks)
    facts = _facts(output, methods, per_video=per_video, severity=severity, seed=seed, reencode_reals=reencode_reals)
    check_folder(output.folder, CORPUS, FACTS_FILE, also=MADE)
    with locked(output.folder, "corpus"):
        claim_folder(output.folder, CORPUS, FACTS_FILE, facts, also=MADE)
        drawn = partial(plan_forgeries, manifest, severity=severity, seed=seed)
        report = _make(manifest, plan, drawn, output, methods, reencode_reals, workers, timeout_s)
        report.write_outcomes(output.folder / OUTCOMES_FILE)
        if report.num_fakes:
            report.manifest.write(output.folder / MANIFEST_FILE)
    return report


def _check_limits(workers: int, timeout_s: float, max_seconds: float | None, max_side: int | None) -> None:
    if workers < 0 or not timeout_s > 0:
        raise UsageError(f"expected workers >= 0 and timeout_s > 0, got {workers} and {timeout_s}")
    if any(limit is not None and not limit > 0 for limit in (max_seconds, max_side)):
        raise UsageError(f"expected max_seconds and max_side above 0, or no limit, got {max_seconds} and {max_side}")


def _make(
    manifest: Manifest,
    plan: Plan,
    drawn: Callable[[Sequence[str]], Plan],
    output: Output,
    methods: Sequence[str],
    reencode_reals: bool,
    workers: int,
    timeout_s: float,
) -> ForgeReport:
    """Make what is planned, and list it with the finished videos of earlier methods, whose plan `drawn` gives."""
    reals = [video for video in manifest.videos() if video.label == 0]
    jobs = _jobs(reals, plan, output, reencode_reals)
    _say_what_changed(jobs)
    outcomes = {(job.target.video_id, job.method): per_level for job, per_level in _run(jobs, workers, timeout_s)}
    requested = [(video.video_id, method) for video in reals for method in (REAL, *methods)]
    ordered = [outcome for key in requested for outcome in outcomes.get(key, ())]
    earlier = _methods_in(output.folder) - set(methods)
    kept = _kept(_jobs(reals, drawn(sorted(earlier)), output, False), ordered) if earlier else []
    originals = [] if reencode_reals else reals
    videos = [*originals, *(outcome.video for outcome in ordered if outcome.video is not None), *kept]
    return ForgeReport(leak_groups(Manifest.from_videos(videos)), (*ordered, *map(_outcome_of, plan.missing)))


def _facts(output: Output, methods: Sequence[str], **choices: Any) -> dict[str, Any]:
    """Return what all videos of a folder must have in common; with a number per video, that is the choice of methods too."""
    shared = {name: value for name, value in asdict(output).items() if name != "folder"}
    in_turn = {"methods": list(methods)} if choices["per_video"] is not None else {}
    return {**shared, **choices, **in_turn}


def _methods_in(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("videos/*/*")} & set(FORGERIES)


def _say_what_changed(jobs: Sequence[Job]) -> None:
    """Tell of finished videos that are made again, as the manifest says other things of their videos than it did."""
    changed = [(job, reason) for job in jobs if (reason := made_otherwise(job))]
    if changed:
        job, reason = changed[0]
        progress.say(
            f"{len(changed)} finished videos are made again, as they were made from something else (first "
            f"{job.target.video_id} {job.method}: {reason})"
        )


def _kept(jobs: Sequence[Job], made: Sequence[Outcome]) -> list[Video]:
    """Return the finished videos of methods that earlier runs made, of the real videos that are there."""
    reals = {outcome.video_id for outcome in made if outcome.method == REAL and outcome.status == "ok"}
    kept: list[Video] = []
    left = 0
    for job in jobs:
        videos = [finished(job, level) for level in job.output.levels]
        fits = job.target.video_id in reals or not any(outcome.method == REAL for outcome in made)
        kept += [video for video in videos if video is not None and fits]
        left += made_otherwise(job) != ""
    names = ", ".join(sorted({video.generator or "" for video in kept}))
    lost = f"; {left} others were made from something else than this manifest holds, and leave it" if left else ""
    if kept or left:
        progress.say(f"{len(kept)} finished videos of earlier runs stay in the manifest ({names or 'none'}){lost}")
    return kept


def compression_levels(names: Sequence[str]) -> tuple[int, ...]:
    """Return the x264 quality (crf) of each compression level: ("c0", "c23") → (0, 23).

    Raises:
        UsageError: if there is none, one is given twice, or one is not a level from c0 to c51.
    """
    matches = [re.fullmatch(r"c(\d{1,2})", name) for name in names]
    levels = [int(match[1]) for match in matches if match and int(match[1]) <= 51]
    if not levels or len(levels) != len(names) or len(set(levels)) != len(levels):
        raise UsageError(
            f"compression {', '.join(names)!r}: expected levels from c0 to c51, each once, for example c0,c23,c40"
        )
    return tuple(levels)


def _jobs(reals: Sequence[Video], plan: Plan, output: Output, reencode_reals: bool) -> list[Job]:
    """Return the reals first, which find and cache all landmarks, then the fakes, target by target."""
    again = [Job(video, None, output) for video in reals] if reencode_reals else []
    return again + [Job(video, task, output) for video in reals for task in plan.tasks[video.video_id]]


def _run(jobs: list[Job], workers: int, timeout_s: float) -> Iterator[tuple[Job, list[Outcome]]]:
    failed = 0
    with progress.task("forge", len(jobs), "video") as running:
        for job, result in run_jobs(jobs, maker, workers=workers, timeout_s=timeout_s):
            if isinstance(result, Lost):
                result = [Outcome(job.target.video_id, job.method, result.kind, result.reason)]
            failed += sum(outcome.status != "ok" for outcome in result)
            running.advance(1, failed=failed)
            yield job, result


def _outcome_of(missing: Missing) -> Outcome:
    status, _, reason = missing.reason.partition(": ")
    return Outcome(missing.video_id, missing.method, status, reason)
