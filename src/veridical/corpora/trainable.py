"""Whether a split manifest can be trained on: what is missing, and the smallest change that helps, before hours of work."""

from __future__ import annotations

from collections.abc import Iterator

from veridical.artefacts import Manifest

FEWEST_PEOPLE = 2
"""People of a split between whom faces and voices can be exchanged."""
USED = ("train", "val")
"""The splits that training needs."""


def training_obstacles(manifest: Manifest) -> tuple[str, ...]:
    """Return what keeps these splits from being trained on, each with a remedy; empty where nothing does.

    Without fakes these are still to be made: then every split needs people to exchange faces and voices. With fakes, training
    and validation need both classes. A manifest without a train split is not meant for training.
    """
    frame = manifest.frame(["split", "label", "identities"])
    if not (frame["split"] == "train").any():
        return ()
    if not (frame["label"] == 1).any():
        people = {
            str(name): {person for some in part if some is not None for person in some}
            for name, part in frame.groupby("split")["identities"]
        }
        return tuple(_too_few(people))
    return tuple(_one_class({name: set(frame.loc[frame["split"] == name, "label"].dropna()) for name in USED}))


def _too_few(people: dict[str, set[str]]) -> Iterator[str]:
    lone = {name: len(shown) for name, shown in people.items() if 0 < len(shown) < FEWEST_PEOPLE}
    missing = [name for name in USED if name not in people]
    if not lone and not missing:
        return
    found = [f"{name} shows one person" for name in lone] + [f"{name} has no video" for name in missing]
    total, needed = len(set().union(*people.values())), FEWEST_PEOPLE * 3
    if total < needed:
        remedy = f"add videos of {needed - total} more people ({total} now, {needed} are the least)"
    else:
        part = round(FEWEST_PEOPLE / total, 2)
        remedy = f"split anew with --fractions {1 - 2 * part:.2f},{part:.2f},{part:.2f}, for {FEWEST_PEOPLE} people in each split"
        if total % FEWEST_PEOPLE == 0 or total >= 2 * needed:
            remedy += f", or cross-validate: --scheme kfold --fold 1/{total // FEWEST_PEOPLE}, then 2/{total // FEWEST_PEOPLE} …"
    yield f"faces and voices cannot be exchanged, so training will lack fakes: {', '.join(found)}; {remedy}"


def _one_class(labels: dict[str, set[int]]) -> Iterator[str]:
    for name, found in labels.items():
        if lacking := [word for label, word in ((0, "real"), (1, "fake")) if label not in found]:
            yield (
                f"{name} has no {' and no '.join(lacking)} video, so training will refuse; add some, or split anew so that "
                f"{name} shows more people (--fractions)"
            )
