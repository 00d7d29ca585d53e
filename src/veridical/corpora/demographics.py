"""Attributes about people, recognised by their usual names: `Sex`, `subject_gender`, `skin-tone`, `age_group`."""

from __future__ import annotations

import re

DEMOGRAPHICS: dict[str, tuple[str, ...]] = {
    "gender": ("gender", "sex"),
    "race": ("race",),
    "ethnicity": ("ethnicity", "ethnic group", "ethnic origin", "ethnic"),
    "skin tone": (
        "skin tone", "skin", "skin type", "skin colour", "skin color", "skintone", "fitzpatrick", "fitzpatrick type",
        "fitzpatrick skin type", "monk skin tone", "mst",
    ),
    "age group": ("age group", "age", "age range", "age band", "age bin", "age bracket", "agegroup"),
    "accent": ("accent", "dialect"),
    "language": ("language", "native language", "mother tongue"),
}  # fmt: skip
"""What an attribute says about people → the names that it goes by."""
_WHOSE = frozenset(
    {"subject", "target", "person", "actor", "speaker", "participant", "perceived", "apparent", "reported", "self"}
)
"""Words before a name that say of whom, or how it is known; they change nothing about what it is."""
_KINDS = {name: kind for kind, names in DEMOGRAPHICS.items() for name in names}


def demographic(name: str) -> str | None:
    """Return what an attribute says about people (a name in `DEMOGRAPHICS`), or None when it says something else."""
    spaced = re.sub(r"([a-z])([A-Z])", r"\1 \2", name.removeprefix("attribute.")).lower()
    words = re.sub(r"[^a-z]+", " ", spaced).split()
    while words and words[0] in _WHOSE:
        words = words[1:]
    return _KINDS.get(" ".join(words))
