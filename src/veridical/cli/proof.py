"""The lines that say what the splits of a manifest share and lack."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from veridical.corpora import Proof


def proof_lines(proof: Proof) -> list[str]:
    """Return what is shared between splits, what one of them lacks, or one line that all is well."""
    lines = [
        f"LEAK {leak.first}/{leak.second}: {leak.keys} × the same {leak.link}, {leak.videos} videos "
        f"(for example {', '.join(leak.examples[:3])})"
        for leak in proof.leaks
        if leak.keys
    ]
    if proof.clean:
        lines = ["no two splits share a person, an original or a file" if proof.leaks else "one split only"]
    return lines + [
        f"{absence.split} of {absence.dataset} has no video of {absence.generator!r} (other splits: {absence.videos})"
        for absence in proof.absent
    ]
