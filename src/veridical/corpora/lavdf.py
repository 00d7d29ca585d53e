"""LAV-DF (Cai et al., DICTA 2022): partial forgeries of video, audio or both, with the times that were forged.

Field names as in the authors' loader and in a row of the released list: `original` is null for reals, times are seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from veridical.artefacts import Video
from veridical.corpora.adapter import Adapter, Notes
from veridical.corpora.listing import Row, distinct, json_rows, segments
from veridical.corpora.tree import absolute, find_list, list_files
from veridical.errors import UsageError
from veridical.settings import Settings

LAYOUT = "ROOT/metadata.json (or metadata.min.json) and ROOT/{train,dev,test}/*.mp4"
_SPLITS = {"train": "train", "dev": "val", "test": "test"}
_NEEDED = ("file", "split", "modify_video", "modify_audio", "fake_periods")


class LavDFOptions(Settings):
    """Options of the LAV-DF adapter."""

    dataset: str = "lavdf"
    """Name of the corpus in the manifest."""
    lists: Path | None = None
    """Folder with metadata.json, when it is not the root."""


def read(root: Path, options: LavDFOptions, notes: Notes) -> Iterator[Video]:
    """Yield the videos of an LAV-DF folder."""
    path = find_list(options.lists or root, ["metadata.json", "metadata.min.json"])
    if path is None:
        raise UsageError(f"{options.lists or root}: no metadata.json; expected {LAYOUT}")
    files = set(list_files(root, notes=notes))
    rows = json_rows(path, _NEEDED)
    for number, row in distinct(path, rows, "file", notes):
        if row["file"] not in files:
            notes.warn("listed but missing, left out", row["file"])
            continue
        yield _video(root, path, number, row, options.dataset, notes)
    notes.rest(f"not in {path.name}, left out", files - {row["file"] for row in rows})


def _video(root: Path, path: Path, number: int, row: Row, dataset: str, notes: Notes) -> Video:
    visual, audio = int(bool(row["modify_video"])), int(bool(row["modify_audio"]))
    label = int(visual or audio)
    forged = tuple(name for name, flag in (("visual", visual), ("audio", audio)) if flag)
    if bool(row["fake_periods"]) != bool(label):
        notes.warn("forged without times, or times without forgery", row["file"])
    attributes: dict[str, str] = {}
    if row["split"] in _SPLITS:
        attributes["official_split"] = _SPLITS[row["split"]]
    else:
        notes.warn(f"split is {row['split']!r}, expected train, dev or test; left without a split", row["file"])
    original = row.get("original")
    if original:
        # Some copies of the list name the original without its folder.
        place = original if "/" in original else f"{row['file'].rpartition('/')[0]}/{original}".lstrip("/")
        attributes["original"] = f"{dataset}/{place.rpartition('.')[0]}"
    channels = row.get("audio_channels")
    return Video(
        dataset=dataset, video_id=f"{dataset}/{row['file'].rpartition('.')[0]}", path=absolute(root, row["file"]),
        label=label, visual_label=visual, audio_label=audio, generator="+".join(forged) if label else None,
        attributes=attributes, fake_segments=segments(path, number, row["fake_periods"], forged),
        has_audio=None if channels is None else channels > 0, duration_s=row.get("duration"),
    )  # fmt: skip


ADAPTER = Adapter("LAV-DF", read, LavDFOptions, LAYOUT)
