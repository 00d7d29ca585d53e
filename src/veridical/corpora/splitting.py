"""Splitting a manifest into train, val and test without leaks; every split comes with its proof."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from veridical.artefacts import SPLITS, Manifest, write_json
from veridical.corpora import people
from veridical.corpora.allocation import LEFT_OUT, TEST, TRAIN, VAL, Sides, allocate
from veridical.corpora.groups import LINKS, codes, components, key_edges, set_column, with_group
from veridical.corpora.official import official_sides, repaired_sides
from veridical.corpora.proof import Proof, generators, prove
from veridical.errors import UsageError, unknown_name
from veridical.randomness import stream

Ints = npt.NDArray[np.int64]

GROUP_BY = ("component", "identity", "target")
"""What must not be in two splits. `component`: videos linked by a chain of people, originals, files; where one component
is larger than a split, or they are few, as `identity`. `identity`: people are split, videos with people of two splits are
left out. `target`: the person shown; donors may be in two splits, and the proof counts them."""

_HUGE = 0.5
_FEW_GROUPS = 10
_DEFAULT_FRACTIONS = (0.8, 0.1, 0.1)
_USED_BY = {
    "fractions": ("stratified", "leave-generator-out"),
    "held-out": ("leave-generator-out",),
    "fold": ("kfold",),
    "group-by": ("stratified", "leave-generator-out", "kfold"),
}
"""Option → the schemes that use it; given to another, it is an error."""


@dataclass(frozen=True)
class _Request:
    """The checked arguments of `split`."""

    manifest: Manifest
    seed: int
    fractions: tuple[float, ...]
    held_out: str | None
    fold: tuple[int, int] | None
    group_by: str


@dataclass(frozen=True, eq=False)
class SplitResult:
    """A manifest with `group` and `split` filled, and the proof."""

    manifest: Manifest
    """Videos that are in no split have a null split."""
    scheme: str
    proof: Proof
    moved: pd.DataFrame
    """video_id, from, to: the videos that a repair moved."""
    dropped: pd.DataFrame
    """video_id, reason: the videos in no split."""
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """Return the proof as plain values, with the moved videos; those left out are counted by reason."""
        return {
            "scheme": self.scheme, "notes": list(self.notes), "dropped": self._dropped_by_reason(),
            "moved": self.moved.to_dict(orient="records"), **self.proof.to_json(),
        }  # fmt: skip

    def write(self, path: Path) -> None:
        """Write the manifest, and its proof next to it as `PATH.proof.json`."""
        self.manifest.write(path)
        write_json(path.with_name(path.name + ".proof.json"), self.to_json())

    @property
    def lines(self) -> tuple[str, ...]:
        """What the terminal shows: leak groups, notes, the proof, what was moved and left out."""
        groups = ", ".join(f"{name} {count}" for name, count in self.proof.groups.items())
        moved = [f"{len(self.moved)} videos moved, listed in the proof"] if len(self.moved) else []
        dropped = [f"{count} videos left out: {reason}" for reason, count in self._dropped_by_reason().items()]
        return (f"leak groups: {groups}", *self.notes, *self.proof.lines, *moved, *dropped)

    def _dropped_by_reason(self) -> dict[str, int]:
        return {str(reason): int(count) for reason, count in self.dropped["reason"].value_counts().items()}


def split(
    manifest: Manifest,
    scheme: str,
    *,
    seed: int = 0,
    fractions: Sequence[float] | None = None,
    held_out: str | None = None,
    fold: tuple[int, int] | str | None = None,
    group_by: str | None = None,
) -> SplitResult:
    """Return the manifest with splits.

    Args:
        manifest: The videos; their own `split` and `group` are replaced.
        scheme: A name in `SCHEMES`.
        seed: Decides which groups go where; another seed gives another split.
        fractions: Shares of train, val and test, summing to 1 (stratified, leave-generator-out); 0.8, 0.1, 0.1 when
            not given.
        held_out: The generator that only test has (leave-generator-out).
        fold: (k, n) or "k/n", k from 1: test is fold k, val the next one (kfold).
        group_by: A name in `GROUP_BY` (stratified, leave-generator-out, kfold); `component` when not given.

    Raises:
        UsageError: when an argument is unknown, missing, or cannot be met; the message gives the numbers.
    """
    if scheme not in SCHEMES:
        raise unknown_name("scheme", scheme, SCHEMES)
    if group_by is not None and group_by not in GROUP_BY:
        raise unknown_name("group-by", group_by, GROUP_BY)
    if len(manifest) == 0:
        raise UsageError("the manifest holds no videos: nothing to split")
    given = {"fractions": fractions, "held-out": held_out, "fold": fold, "group-by": group_by}
    for name, value in given.items():
        if value is not None and scheme not in _USED_BY[name]:
            raise UsageError(f"--{name} belongs to --scheme {' and '.join(_USED_BY[name])}, not to {scheme}")
    shares = _shares(_DEFAULT_FRACTIONS if fractions is None else fractions)
    request = _Request(manifest, seed, shares, held_out, _fold(fold), group_by or GROUP_BY[0])
    sides = SCHEMES[scheme](request)
    return _result(manifest, scheme, sides)


def _stratified(request: _Request) -> Sides:
    sides = _partition(request, request.fractions)
    _check_generators(request.manifest, sides, request.fractions)
    return sides


def _leave_generator_out(request: _Request) -> Sides:
    """Test: the held-out generator and the reals of the test groups; train and val: the others and their reals."""
    names = generators(request.manifest)
    fakes = sorted(set(names[names.isin([*names.categories])]) - {"real", "unknown", "unlabelled"})
    if request.held_out is None:
        raise UsageError(
            f"leave-generator-out needs --held-out GENERATOR; the manifest has {', '.join(fakes) or 'none'}"
        )
    if request.held_out not in fakes:
        raise unknown_name("generator", request.held_out, fakes)
    if len(fakes) < 2:
        raise UsageError(
            f"leave-generator-out: {request.held_out!r} is the only generator, nothing would be left to train on"
        )
    sides = _partition(request, request.fractions)
    held, real = np.asarray(names == request.held_out), np.asarray(names == "real")
    side, left_out = sides.side.copy(), dict(sides.left_out)
    outside = np.flatnonzero(held & (side >= 0) & (side != TEST))
    inside = np.flatnonzero(~held & ~real & (side == TEST))
    side[outside] = side[inside] = LEFT_OUT
    left_out["held-out generator, but of a training or validation group"] = outside
    left_out["other generator, but of a test group"] = inside
    others = {SPLITS[index]: int(((side == index) & ~real).sum()) for index in (TRAIN, VAL, TEST)}
    reals = {SPLITS[index]: int(((side == index) & real).sum()) for index in (TRAIN, VAL, TEST)}
    for index in np.flatnonzero(np.asarray(request.fractions) > 0):
        if not others[SPLITS[index]] or not reals[SPLITS[index]]:
            raise UsageError(
                f"leave-generator-out {request.held_out!r}: {SPLITS[index]} would hold {reals[SPLITS[index]]} real and "
                f"{others[SPLITS[index]]} fake videos (all splits: real {reals}, fake {others}); change --fractions"
            )
    return Sides(side, left_out, group=sides.group, notes=sides.notes)


def _kfold(request: _Request) -> Sides:
    if request.fold is None:
        raise UsageError("kfold needs --fold K/N, for example 1/5")
    k, n = request.fold
    parts = _partition(request, (1 / n,) * n)
    names = {index: f"fold {index + 1}" for index in range(n)}
    _check_generators(request.manifest, parts, (1 / n,) * n, names)
    side = np.full(len(parts.side), TRAIN, dtype=np.int64)
    side[parts.side == k - 1] = TEST
    if n > 2:
        side[parts.side == k % n] = VAL
    side[parts.side < 0] = LEFT_OUT
    note = () if n > 2 else ("two folds leave no validation split: choose nothing on the test fold",)
    return Sides(side, parts.left_out, group=parts.group, notes=(*parts.notes, *note))


def _all_test(request: _Request) -> Sides:
    return Sides(np.full(len(request.manifest), TEST, dtype=np.int64))


SCHEMES: dict[str, Callable[[_Request], Sides]] = {
    "official": lambda request: official_sides(request.manifest),
    "repaired": lambda request: repaired_sides(request.manifest),
    "stratified": _stratified,
    "leave-generator-out": _leave_generator_out,
    "kfold": _kfold,
    "all-test": _all_test,
}
"""official: as published. repaired: as published, leaking groups put on one side. stratified: by generator and
compression, group-disjoint. leave-generator-out: one generator only in test. kfold: test is one of n parts. all-test:
a corpus to test on only."""


def _partition(request: _Request, fractions: Sequence[float]) -> Sides:
    """Return group-disjoint sides with these shares of every stratum."""
    manifest, rng = request.manifest, stream(request.seed, "split")
    labels = components(len(manifest), [key_edges(manifest, link) for link in LINKS])
    if request.group_by == "target":
        return _dealt(manifest, people.target_groups(manifest), fractions, rng)
    if request.group_by == "component" and not people.too_coarse(manifest, labels, fractions):
        return _dealt(manifest, labels, fractions, rng)
    side = people.split_people(manifest, _strata(manifest), fractions, rng)
    rows = np.flatnonzero(side < 0)
    sizes = np.bincount(labels)
    note = (
        f"the {len(sizes)} leak groups (the largest of {sizes.max()} videos) are too large or too few to be assigned whole: "
        f"people were split, and {len(rows)} of {len(manifest)} videos, which show people of two splits, are left out "
        "(--group-by target keeps them, with donor leakage)"
    )
    return Sides(side, {"its people are in different splits": rows}, group=_kept_groups(manifest, side), notes=(note,))


def _dealt(manifest: Manifest, group: Ints, fractions: Sequence[float], rng: np.random.Generator) -> Sides:
    return Sides(allocate(group, _strata(manifest), fractions, rng)[group], group=group)


def _kept_groups(manifest: Manifest, side: Ints) -> Ints:
    """Return groups by the person shown, for the videos in a split: the components are too large to resample."""
    kept = np.flatnonzero(side >= 0)
    group = np.full(len(side), -1, dtype=np.int64)
    if len(kept):
        group[kept] = people.target_groups(Manifest(manifest.table.take(pa.array(kept))))
    return group


def _strata(manifest: Manifest) -> Ints:
    """Return (N,) one number per combination of dataset, generator, compression and labels."""
    stratum = np.asarray(generators(manifest).codes, dtype=np.int64)
    for name in ("dataset", "compression", "visual_label", "audio_label"):
        column = manifest.table[name].cast(pa.string())
        numbers, names = codes(column)
        stratum = stratum * (len(names) + 1) + numbers + 1
    return np.unique(stratum, return_inverse=True)[1].astype(np.int64)


def _check_generators(
    manifest: Manifest, sides: Sides, fractions: Sequence[float], names: dict[int, str] | None = None
) -> None:
    """Raise when a generator, or the reals, are missing from a split that should have some."""
    names = names or dict(enumerate(SPLITS))
    side, kinds = sides.side, generators(manifest)
    groups = 0 if sides.group is None else len(np.unique(sides.group[sides.group >= 0]))
    for code, kind in enumerate(kinds.categories):
        rows = np.asarray(kinds.codes == code)
        if kind in ("unlabelled", "unknown") or not rows.any():
            continue
        wanted = [index for index, share in enumerate(fractions) if share > 0]
        counts = {names[index]: int((rows & (side == index)).sum()) for index in wanted}
        lacking = [name for name, count in counts.items() if not count]
        if lacking:
            total = int(rows.sum())
            raise UsageError(
                f"the {total} {'videos' if total > 1 else 'video'} of {kind!r} cannot be in every split: {_listed(lacking)} "
                "would have none "
                f"({_listed([f'{name} {count}' for name, count in counts.items()])}; left out "
                f"{int((rows & (side < 0)).sum())}); there are too few leak groups ({groups}): ask for larger or fewer splits "
                "(--fractions 0.8,0,0.2), try --group-by target, or add videos"
            )


def _listed(items: Sequence[str], most: int = 4) -> str:
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more


def _result(manifest: Manifest, scheme: str, sides: Sides) -> SplitResult:
    ids = manifest.table["video_id"]
    names = pa.array([*SPLITS, None], type=pa.string())
    divided = set_column(manifest, "split", names.take(pa.array(np.where(sides.side < 0, len(SPLITS), sides.side))))
    divided, notes = _grouped(divided, sides)
    moved = pd.DataFrame({
        "video_id": ids.take(pa.array(sides.moved_from[:, 0])).to_pylist(),
        "from": [SPLITS[index] for index in sides.moved_from[:, 1]],
        "to": [SPLITS[index] for index in sides.side[sides.moved_from[:, 0]]],
    })  # fmt: skip
    parts = [
        pd.DataFrame({"video_id": ids.take(pa.array(rows)).to_pylist(), "reason": reason})
        for reason, rows in sides.left_out.items() if len(rows)
    ]  # fmt: skip
    dropped = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"video_id": [], "reason": []})
    proof = prove(divided)
    return SplitResult(divided, scheme, proof, moved, dropped, (*sides.notes, *notes, *_few_groups(proof)))


def _few_groups(proof: Proof) -> tuple[str, ...]:
    """Warn of validation and test splits that rest on a handful of people."""
    total = sum(proof.groups.values())
    few = {name: count for name, count in proof.groups.items() if name != "train" and count < _FEW_GROUPS}
    if not few:
        return ()
    counts = " and ".join(f"{name} only {count}" for name, count in few.items())
    note = (
        f"{counts} of {total} leak groups: figures from so few independent cases will have wide intervals ({_FEW_GROUPS} "
        "or more are better); take larger --fractions, test on every fold in turn with kfold, or add people"
    )
    return (note,)


def _grouped(manifest: Manifest, sides: Sides) -> tuple[Manifest, tuple[str, ...]]:
    """Fill in `group`; where one component holds most videos, groups are the people shown, which can be resampled."""
    if sides.group is None:
        labels = components(len(manifest), [key_edges(manifest, link) for link in LINKS])
        largest = int(np.bincount(labels).max())
        if largest <= _HUGE * len(manifest) or largest == 1:
            return with_group(manifest, labels), ()
        note = (
            f"one leak group holds {largest} of {len(manifest)} videos; the column group names the person shown instead"
        )
        return with_group(manifest, people.target_groups(manifest)), (note,)
    kept = sides.group >= 0
    labels = np.where(kept, sides.group, sides.group.max() + 1)
    grouped = with_group(manifest, labels)
    if kept.all():
        return grouped, ()
    names = grouped.table["group"].combine_chunks().take(pa.array(np.arange(len(kept)), mask=~kept))
    return set_column(grouped, "group", names), ()


def _shares(fractions: Sequence[float]) -> tuple[float, ...]:
    shares = tuple(float(value) for value in fractions)
    usable = len(shares) == len(SPLITS) and min(shares) >= 0 and shares[0] > 0
    if not usable or not abs(sum(shares) - 1) <= 1e-6:  # also refuses NaN
        raise UsageError(f"fractions: expected shares of train, val, test that sum to 1 with some train, got {shares}")
    return shares


def _fold(fold: tuple[int, int] | str | None) -> tuple[int, int] | None:
    if fold is None:
        return None
    parts = fold.split("/") if isinstance(fold, str) else [str(part) for part in fold]
    if len(parts) != 2 or not all(part.strip().isdigit() for part in parts):
        raise UsageError(f"fold {fold!r}: expected K/N, for example 1/5")
    k, n = (int(part) for part in parts)
    if not (n >= 2 and 1 <= k <= n):
        raise UsageError(f"fold {k}/{n}: expected N of 2 or more and K from 1 to N")
    return k, n
