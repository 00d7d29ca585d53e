"""Official numbers of videos: how many each corpus should hold, compared with a manifest.

Sources: FaceForensics++ (its splits and download script), Celeb-DF v1, v2 and ++ (their papers and test list), DFDC (its
paper: 119 154 training and 5 000 labelled test videos), FakeAVCeleb (its csv), LAV-DF and AV-Deepfake1M (their papers).
The validation set of AV-Deepfake1M++ and the numbers of DeepSpeak are those that users of these corpora publish.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from veridical.artefacts import Manifest
from veridical.corpora.adapter import OfficialCount
from veridical.corpora.groups import attribute_column

_COLUMNS = ("generator", "compression")
_LABELS = {"real": 0, "fake": 1}


@dataclass(frozen=True)
class Expected:
    """How many videos of one kind a corpus has."""

    name: str
    count: int
    where: Mapping[str, str] = field(default_factory=dict)
    """`label` (real, fake), a column of the manifest, or an attribute → the value that the videos of this kind have."""
    optional: bool = False
    """Compared only when the manifest has some: a part of the release that many users do not download."""


def _official_split(counts: Mapping[str, int], **where: str) -> tuple[Expected, ...]:
    kind = " ".join(where.values())
    return tuple(
        Expected(f"{kind} {name}".strip(), count, {"official_split": name, **where}) for name, count in counts.items()
    )


_FF_METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")
_CELEB_REALS = (
    Expected("Celeb-real", 590, {"source": "Celeb-real"}),
    Expected("YouTube-real", 300, {"source": "YouTube-real"}),
    Expected("test real", 178, {"official_split": "test", "label": "real"}),
)
_FAKEAVCELEB = {
    "RealVideo-RealAudio": 500, "RealVideo-FakeAudio": 500, "FakeVideo-RealAudio": 9709, "FakeVideo-FakeAudio": 10835,
}  # fmt: skip

EXPECTED: dict[str, tuple[Expected, ...]] = {
    "faceforensics": (
        Expected("youtube", 1000, {"source": "youtube"}),
        *(Expected(method, 1000, {"generator": method}) for method in _FF_METHODS),
        Expected("FaceShifter", 1000, {"generator": "FaceShifter"}, optional=True),
        Expected("actors", 363, {"source": "actors"}, optional=True),
        Expected("DeepFakeDetection", 3068, {"generator": "DeepFakeDetection"}, optional=True),
        *_official_split({"train": 720, "val": 140, "test": 140}, source="youtube"),
    ),
    "celebdf": (
        *_CELEB_REALS,
        Expected("Celeb-synthesis", 5639, {"label": "fake"}),
        Expected("test fake", 340, {"official_split": "test", "label": "fake"}),
    ),
    "celebdf_v1": (
        Expected("Celeb-real", 158, {"source": "Celeb-real"}),
        Expected("YouTube-real", 250, {"source": "YouTube-real"}),
        Expected("Celeb-synthesis", 795, {"label": "fake"}),
    ),
    "celebdf++": (*_CELEB_REALS, Expected("Celeb-synthesis", 53_196, {"label": "fake"})),
    "dfdc": (
        Expected("train real", 19_154, {"official_split": "train", "label": "real"}, optional=True),
        Expected("train fake", 100_000, {"official_split": "train", "label": "fake"}, optional=True),
        Expected("test real", 2500, {"official_split": "test", "label": "real"}, optional=True),
        Expected("test fake", 2500, {"official_split": "test", "label": "fake"}, optional=True),
    ),
    "fakeavceleb": tuple(Expected(name, count, {"category": name}) for name, count in _FAKEAVCELEB.items()),
    "lavdf": (
        Expected("real", 36_431, {"label": "real"}),
        Expected("fake", 99_873, {"label": "fake"}),
        *_official_split({"train": 78_703, "val": 31_501, "test": 26_100}),
    ),
    "avdeepfake1m": _official_split({"train": 746_180, "val": 57_340, "test": 343_240}),
    "avdeepfake1m++": _official_split({"val": 77_326}),
    "deepspeak_v1": (Expected("real", 6667, {"label": "real"}), Expected("fake", 6796, {"label": "fake"})),
    "deepspeak_v2": (Expected("real", 9376, {"label": "real"}), Expected("fake", 7209, {"label": "fake"})),
}
"""Dataset, by the name that `scan` gives it → what it should hold; FaceForensics++ at each compression."""


def publishes_split(dataset: str) -> bool:
    """Say whether parts of the dataset's official split are among its official numbers."""
    return any("official_split" in item.where for item in EXPECTED.get(dataset, ()))


def official_counts(manifest: Manifest, releases: Mapping[str, str] | None = None) -> tuple[OfficialCount, ...]:
    """Put the official numbers next to those of a manifest, for every dataset whose numbers are published.

    Args:
        manifest: The videos of whole corpora; of a part, most would be reported missing.
        releases: Dataset → key of `EXPECTED`, where the dataset was given another name.
    """
    counts: list[OfficialCount] = []
    for dataset in sorted(manifest.table["dataset"].unique().to_pylist()):
        videos = manifest.select(dataset=dataset)
        release = (releases or {}).get(dataset, dataset)
        for level in _levels(videos, release):
            part = {} if level is None else {"compression": level}
            compared = [_count(videos, item, part) for item in EXPECTED.get(release, ())]
            counts += [count for count in compared if count is not None]
    return tuple(counts)


def _levels(videos: Manifest, release: str) -> list[str | None]:
    if release != "faceforensics":
        return [None]
    return sorted(videos.table["compression"].fill_null("unknown").unique().to_pylist())


def _count(videos: Manifest, expected: Expected, part: Mapping[str, str]) -> OfficialCount | None:
    """Return one count; None for an optional part that is missing, or a fact that no list was found for."""
    mask = np.ones(len(videos), dtype=bool)
    for name, value in {**expected.where, **part}.items():
        matches = _matches(videos, name, value)
        if matches is None:
            return None
        mask &= matches
    count = int(mask.sum())
    if expected.optional and not count:
        return None
    return OfficialCount(" ".join([expected.name, *part.values()]), expected.count, count)


def _matches(videos: Manifest, name: str, value: str) -> npt.NDArray[np.bool_] | None:
    """Return (N,) which videos have this value; None when the list that holds it was not found."""
    if name == "label":
        column, wanted = videos.table["label"], pa.scalar(_LABELS[value], pa.int8())
    elif name in _COLUMNS:
        column, wanted = videos.table[name].fill_null("unknown"), pa.scalar(value)
    else:
        column, wanted = attribute_column(videos, name), pa.scalar(value)
        if name == "official_split" and column.null_count == len(column):
            return None
    matches: npt.NDArray[np.bool_] = np.asarray(pc.equal(column, wanted).fill_null(False))
    return matches
