"""Plans the forgeries of a manifest: which target, by which method, from which donor.

Donors have the split and the compression of their target, so that nobody crosses to another split, and no video is its own
donor at another quality.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from veridical.artefacts import Manifest, Video
from veridical.errors import UsageError, unknown_name
from veridical.forgery.catalogue import FORGERIES
from veridical.randomness import seed_from, stream


@dataclass(frozen=True)
class Task:
    """One forged video to make."""

    method: str
    donor: Video | None
    severity: float
    seed: int


@dataclass(frozen=True)
class Missing:
    """A forged video that cannot be made, and why."""

    video_id: str
    method: str
    reason: str


@dataclass(frozen=True)
class Plan:
    """What to make from each real video."""

    tasks: Mapping[str, tuple[Task, ...]]
    """Tasks by video_id of the target; none for a real video of which no forgery can be made."""
    missing: tuple[Missing, ...]


def plan_forgeries(
    manifest: Manifest,
    methods: Sequence[str],
    *,
    per_video: int | None = None,
    severity: tuple[float, float] = (0.25, 0.75),
    seed: int = 0,
) -> Plan:
    """Choose methods, donors and severities; a pure function of its arguments.

    Args:
        manifest: Its videos with label 0 are the targets and donors.
        methods: Names in `FORGERIES`.
        per_video: Forged videos per real video, with methods in turn so that each is equally frequent in each split;
            None: every method once.
        severity: Range from which severities are drawn uniformly.
        seed: Determines all choices.

    Raises:
        UsageError: if a method is unknown or repeated, a number out of range, or the manifest has no real videos.
    """
    _check(methods, per_video, severity)
    reals = [video for video in manifest.videos() if video.label == 0]
    if not reals:
        raise UsageError("nothing to forge: the manifest has no real videos (label 0)")
    pools: defaultdict[tuple[str | None, str | None], list[Video]] = defaultdict(list)
    for video in reals:
        pools[video.split, video.compression].append(video)
    tasks: dict[str, tuple[Task, ...]] = {}
    missing: list[Missing] = []
    for (split, _), pool in pools.items():
        for turn, index in enumerate(stream(seed, "forge", "turn", split).permutation(len(pool))):
            target = pool[index]
            planned = [_task(target, m, pool, severity, seed) for m in _methods_of(turn, methods, per_video)]
            tasks[target.video_id] = tuple(task for task in planned if isinstance(task, Task))
            missing += [task for task in planned if isinstance(task, Missing)]
    return Plan(tasks, tuple(missing))


def _check(methods: Sequence[str], per_video: int | None, severity: tuple[float, float]) -> None:
    if not methods:
        raise UsageError(f"no method given; valid: {', '.join(FORGERIES)}")
    for method in methods:
        if method not in FORGERIES:
            raise unknown_name("forgery", method, FORGERIES)
    if len(set(methods)) != len(methods):
        raise UsageError(f"methods: give each at most once, got {', '.join(methods)}")
    if per_video is not None and not 1 <= per_video <= len(methods):
        raise UsageError(f"per_video: expected 1 to {len(methods)} (the number of methods), got {per_video}")
    if not 0 <= severity[0] <= severity[1] <= 1:
        raise UsageError(f"severity: expected 0 <= low <= high <= 1, got {severity[0]} and {severity[1]}")


def _methods_of(turn: int, methods: Sequence[str], per_video: int | None) -> list[str]:
    if per_video is None:
        return list(methods)
    return [methods[(turn * per_video + index) % len(methods)] for index in range(per_video)]


def _task(
    target: Video, method: str, pool: Sequence[Video], severity: tuple[float, float], seed: int
) -> Task | Missing:
    forgery = FORGERIES[method]
    if forgery.needs_audio and target.has_audio is False:
        return Missing(target.video_id, method, "no_sound: the video has no audio track")
    choice = stream(seed, "forge", "choice", target.video_id, method)
    donor = None
    if forgery.donor != "none":
        donors = [video for video in pool if _can_donate(video, target, method)]
        if not donors:
            where = f"split {target.split}" if target.split else "the manifest"
            kind = "video of another speaker" if forgery.donor == "other_speaker" else "other video of the same speaker"
            return Missing(target.video_id, method, f"no_donor: no suitable {kind} in {where}")
        donor = donors[int(choice.integers(len(donors)))]
    drawn = round(float(choice.uniform(*severity)), 3)
    return Task(method, donor, drawn, seed_from(seed, "forge", target.video_id, method))


def _can_donate(video: Video, target: Video, method: str) -> bool:
    forgery = FORGERIES[method]
    if video.video_id == target.video_id or (forgery.needs_audio and video.has_audio is False):
        return False
    shared = bool(_people(video) & _people(target))
    return shared == (forgery.donor == "same_speaker")


def _people(video: Video) -> set[str]:
    """Return the people in a video; without identities, its group or the video itself counts as a person."""
    return set(video.identities) or {f"group:{video.group}" if video.group else f"video:{video.video_id}"}
