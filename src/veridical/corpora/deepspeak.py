"""DeepSpeak v1.1 and v2 (Barrington, Bohacek, Farid, 2024–25): consenting people before their webcams, with audio.

The lists name files without folders, so the archives may be unpacked anywhere below the root. Whether a
voice is synthetic stands in different columns of the two releases: `recording-target-ai-generated` in v1.1, `audio-config`
in v2. Where the name of a v2 file contradicts its row (HelloMeme), the audio label stays unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from veridical.artefacts import Video
from veridical.corpora.adapter import Adapter, Notes
from veridical.corpora.listing import Row, csv_rows, distinct
from veridical.corpora.tree import absolute, find_list, list_files
from veridical.errors import UsageError
from veridical.settings import Settings

LAYOUT = (
    "ROOT/annotations-real.csv, annotations-fake.csv, annotations-split-def.csv, and the videos anywhere below ROOT"
)
SYNTHETIC_VOICES = frozenset({"elevenlabs", "playht", "speechify"})
"""Values of `audio-config` that are a cloned voice; `real` is a recorded one, any other leaves the label unknown."""
_NEEDED = {0: ("identity", "video-file"), 1: ("video-file", "identity-source", "identity-target")}
_KEPT = ("kind", "audio-config", "gesture-type", "script-type")
_AI_GENERATED = {"true": 1, "false": 0}


class DeepSpeakOptions(Settings):
    """Options of the DeepSpeak adapter."""

    dataset: str | None = None
    """Name of the corpus in the manifest; deepspeak_v1 or deepspeak_v2 when not given."""
    lists: Path | None = None
    """Folder with the annotations, when it is not the root."""


def read(root: Path, options: DeepSpeakOptions, notes: Notes) -> Iterator[Video]:
    """Yield the videos of a DeepSpeak folder."""
    base = options.lists or root
    split = _splits(_list(base, "split-def"), notes)
    lists = {0: _list(base, "real"), 1: _list(base, "fake")}
    rows = {label: csv_rows(path, _NEEDED[label]) for label, path in lists.items()}
    both = {row["video-file"] for row in rows[0]} & {row["video-file"] for row in rows[1]}
    if both:
        raise UsageError(f"{base}: {len(both)} videos are listed as real and as fake, for example {min(both)}")
    notes.release = "deepspeak_v2" if rows[1] and "audio-config" in rows[1][0] else "deepspeak_v1"
    files = _by_name(list_files(root, notes=notes), notes)
    for label, path in lists.items():
        present = 0
        for _, row in distinct(path, rows[label], "video-file", notes):
            place = files.pop(Path(row["video-file"]).stem, None)
            if place is None:
                notes.warn(f"listed in {path.name} but missing, left out", row["video-file"])
                continue
            present += 1
            yield _video(root, place, label, row, split, options.dataset or notes.release, notes)
        notes.expect(f"listed as {'fake' if label else 'real'}", len(rows[label]), present)
    listed = {Path(row["video-file"]).stem for part in rows.values() for row in part}
    notes.rest("in no list, left out", [path for name, path in files.items() if name not in listed])


def _list(base: Path, kind: str) -> Path:
    path = find_list(base, [f"annotations-{kind}.csv"], ("", ".official_files"))
    if path is None:
        raise UsageError(f"{base}: no annotations-{kind}.csv; expected {LAYOUT}")
    return path


def _splits(path: Path, notes: Notes) -> dict[str, str]:
    """Return the official split of each person; empty for a person who is in two."""
    split: dict[str, str] = {}
    for row in csv_rows(path, ("identity", "split")):
        place = row["split"].lower()
        if split.setdefault(row["identity"], place) != place:
            notes.warn("person in two official splits, left without a split", row["identity"])
            split[row["identity"]] = ""
    return split


def _by_name(files: list[str], notes: Notes) -> dict[str, str]:
    named: dict[str, str] = {}
    for path in files:
        if named.setdefault(Path(path).stem, path) != path:
            notes.warn("two files of one name, the first is used", path)
    return named


def _video(root: Path, path: str, label: int, row: Row, split: Mapping[str, str], dataset: str, notes: Notes) -> Video:
    names = [row["identity-target"], row["identity-source"]] if label else [row["identity"]]
    people = [name for name in names if name]
    attributes = dict(zip(("target", "donor"), [f"deepspeak/{name}" for name in people], strict=False))
    places = {split.get(name) for name in people}
    if len(places) > 1:
        notes.warn("people of different official splits, left without a split", path)
    elif places and (place := places.pop()) in ("train", "test"):
        attributes["official_split"] = place
    else:
        notes.warn("people in no official split", path)
    attributes |= {name.replace("-", "_"): row[name] for name in _KEPT if row.get(name)}
    if row.get("recording-target") and row.get("identity-target"):
        attributes["original"] = f"{dataset}/{row['identity-target']}-{row['recording-target']}"
    return Video(
        dataset=dataset, video_id=f"{dataset}/{Path(path).stem}", path=absolute(root, path), label=label,
        visual_label=label, audio_label=_audio_label(row, path, notes) if label else 0,
        generator=(row.get("engine") or None) if label else None,
        identities=tuple(f"deepspeak/{name}" for name in dict.fromkeys(people)), attributes=attributes,
    )  # fmt: skip


def _audio_label(row: Row, path: str, notes: Notes) -> int | None:
    """Return whether the voice of a fake is synthetic; None where the row leaves it open, or the file name contradicts it."""
    if "audio-config" not in row:
        return _AI_GENERATED.get(row.get("recording-target-ai-generated", "").lower())
    voice = row["audio-config"].lower()
    named = Path(path).stem.rpartition("-")[2].lower()
    if named != voice and named in (*SYNTHETIC_VOICES, "real"):
        notes.warn("the file name and the list disagree about the voice, audio label unknown", f"{path}: {voice}")
        return None
    return 1 if voice in SYNTHETIC_VOICES else 0 if voice == "real" else None


ADAPTER = Adapter("DeepSpeak", read, DeepSpeakOptions, LAYOUT)
