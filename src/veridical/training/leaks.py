"""Leaks before training: shortcuts that a model could learn instead of forgeries, and people or files shared between splits."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from veridical import corpora, progress
from veridical.artefacts import Manifest
from veridical.errors import LeakError
from veridical.training.data import TrainingData


def refuse_leaks(data: TrainingData, accepted: Sequence[str]) -> corpora.AuditResult:
    """Audit the training split; container facts that the model cannot see only warn.

    Returns:
        The audit; with too few people it has no verdicts, and a warning says so.

    Raises:
        LeakError: when a property that reaches the model separates the classes and was not accepted by name.
        UsageError: when an accepted name is not a property.
    """
    names = data.clips.loc[data.clips["split"] == "train", "video_id"].unique()
    known = data.manifest.table
    train = Manifest(known.filter(pc.is_in(known["video_id"], pa.array(names, pa.string()))))
    index = data.store.index()
    result = corpora.audit(train, index[index["video_id"].isin(names)], accept=tuple(accepted))
    for row in result.table[result.table["verdict"] == "warns"].drop_duplicates("property").itertuples():
        progress.say(f"warning: {row.property} separates the classes (AUC {row.auc:.2f}); the model cannot see it")
    if reason := untested_reason(result):
        progress.say(f"warning: the training split was not checked for shortcuts: {reason}")
    if result.leaks:
        worst = result.table[result.table["verdict"] == "leak"].iloc[0]
        raise LeakError(
            f"{', '.join(result.leaks)} separates real from fake without looking at the content (AUC {worst['auc']:.2f}, "
            f"{worst['property']}); make the classes alike (see `veridical audit`), or accept it: --accept-leak {result.leaks[0]}"
        )
    return result


def refuse_held_out(data: TrainingData, accepted: Sequence[str]) -> None:
    """Refuse to train or to select on a corpus that is held out for tests.

    Raises:
        LeakError: when training or validation has such videos, and the corpus was not accepted by name.
    """
    if learned := held_out(data, accepted):
        options = " ".join(f"--accept-leak {corpus}" for corpus in learned)
        videos = "; ".join(learned.values())
        raise LeakError(
            f"{videos}: this corpus is held out for tests; leave it out of training and validation "
            f"(`veridical split --scheme all-test`), or accept it: {options}"
        )


def held_out(data: TrainingData, accepted: Sequence[str]) -> dict[str, str]:
    """Return held-out corpus → what training and validation have of it, in words; without those accepted by name."""
    used = data.clips.loc[data.clips["split"].isin(["train", "val"]), "video_id"].unique()
    known = data.manifest.table
    videos = Manifest(known.filter(pc.is_in(known["video_id"], pa.array(used, pa.string()))))
    return {
        corpus: ", ".join(f"{count} videos of {corpus} in {dataset!r}" for dataset, count in datasets.items())
        for corpus, datasets in corpora.held_out_corpora(videos).items()
        if corpus not in accepted
    }


def refuse_shared(data: TrainingData, accepted: Sequence[str]) -> None:
    """Refuse a training split that shares people, originals or files with validation or test.

    Raises:
        LeakError: when it does, and that was not accepted by name.
    """
    shared = [leak for leak in corpora.prove(data.manifest, accepted).leaks if leak.keys and leak.first == "train"]
    if shared:
        links = "; ".join(
            f"{leak.first} and {leak.second} share {leak.keys} × the same {leak.link} ({', '.join(leak.examples[:3])})"
            for leak in shared
        )
        options = " ".join(f"--accept-leak {link}" for link in dict.fromkeys(leak.link for leak in shared))
        raise LeakError(f"{links}; split anew (see `veridical split`), or accept it: {options}")


def untested_reason(result: corpora.AuditResult) -> str:
    """Return why no property has a verdict, or an empty string where some have one."""
    unknown = result.table[result.table["verdict"] == "unknown"]
    return "" if len(unknown) < len(result.table) else str(unknown["reason"].mode().iloc[0])
