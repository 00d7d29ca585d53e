"""Before training: what would a detector learn instead of forgeries, and whom would it know again when it is judged?"""

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
        What was tried; where there are too few people nothing is judged, and that is said.

    Raises:
        LeakError: when a property that reaches the model separates the classes and was not accepted by name.
        UsageError: when an accepted name is no property.
    """
    names = data.clips.loc[data.clips["split"] == "train", "video_id"].unique()
    known = data.manifest.table
    train = Manifest(known.filter(pc.is_in(known["video_id"], pa.array(names, pa.string()))))
    index = data.store.index()
    result = corpora.audit(train, index[index["video_id"].isin(names)], accept=tuple(accepted))
    for row in result.table[result.table["verdict"] == "warns"].itertuples():
        progress.say(f"warning: {row.property} separates the classes (AUC {row.auc:.2f}); the model cannot see it")
    if unjudged := not_judged(result):
        progress.say(f"warning: shortcuts were not looked for in the training split: {unjudged}")
    if result.leaks:
        worst = result.table[result.table["verdict"] == "leak"].iloc[0]
        raise LeakError(
            f"{', '.join(result.leaks)} separates real from fake without looking at the content (AUC {worst['auc']:.2f}, "
            f"{worst['property']}); make the classes alike (see `veridical audit`), or accept it: --accept-leak {result.leaks[0]}"
        )
    return result


def refuse_shared(data: TrainingData, accepted: Sequence[str]) -> None:
    """Refuse splits in which somebody or something that trains is judged as well.

    Raises:
        LeakError: when train shares people, originals or files with val or test and that was not accepted by name.
    """
    shared = [leak for leak in corpora.prove(data.manifest, accepted).leaks if leak.keys and leak.first == "train"]
    if shared:
        found = "; ".join(
            f"{leak.first} and {leak.second} share {leak.keys} × the same {leak.link} ({', '.join(leak.examples[:3])})"
            for leak in shared
        )
        options = " ".join(f"--accept-leak {link}" for link in dict.fromkeys(leak.link for leak in shared))
        raise LeakError(f"{found}; split anew (see `veridical split`), or accept it: {options}")


def not_judged(result: corpora.AuditResult) -> str:
    """Return why not one property could be judged, or nothing when some were."""
    unknown = result.table[result.table["verdict"] == "unknown"]
    return "" if len(unknown) < len(result.table) else str(unknown["reason"].mode().iloc[0])
