"""FaceForensics++ (Rössler et al., ICCV 2019) with FaceShifter and DeepFakeDetection: official tree, or a flat copy.

Official: `original_sequences/<source>/<compression>/videos`, `manipulated_sequences/<method>/<compression>/videos`.
Flat copies have a folder per method (`original`, `Deepfakes`, …) and one compression, which only the user can know. A
fake is named `<target>_<source>.mp4`. The release has no audio; a wav file next to a video is taken as its genuine
audio track.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from veridical.artefacts import Video, read_json
from veridical.corpora.adapter import Adapter, Notes
from veridical.corpora.tree import absolute, find_list, list_files, stem
from veridical.errors import UsageError, unknown_name
from veridical.settings import Settings

LAYOUT = (
    "ROOT/original_sequences/youtube/c23/videos/*.mp4 and ROOT/manipulated_sequences/<method>/c23/videos/*.mp4, "
    "or a flat copy with ROOT/original/*.mp4 and ROOT/Deepfakes/*.mp4"
)
METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures", "FaceShifter", "DeepFakeDetection")
COMPRESSIONS = {"raw": "c0", "c0": "c0", "c23": "c23", "c40": "c40"}

_TREE = re.compile(
    r"(?:original_sequences/(?P<origin>youtube|actors)|manipulated_sequences/(?P<method>\w+))"
    r"/(?P<compression>raw|c0|c23|c40)/videos/[^/]+"
)
_SEQUENCE, _PAIR = re.compile(r"\d{3}"), re.compile(r"(\d{3})_(\d{3})")
_SCENE = re.compile(r"(\d{2})__(.+)")
_ACTED_PAIR = re.compile(r"(\d{2})_(\d{2})__(.+)__(\w{8})")
_SPLIT_FILES = ("train", "val", "test")


class FaceForensicsOptions(Settings):
    """Options of the FaceForensics++ adapter."""

    dataset: str = "faceforensics"
    """Name of the corpus in the manifest."""
    compression: str | None = None
    """Compression of a flat copy; in the official tree, read only this level."""
    lists: Path | None = None
    """Folder with train.json, val.json, test.json (or splits/…) and conversion_dict.json, when it is not the root."""


@dataclass(frozen=True)
class _Place:
    """Where a file lies; `source` is youtube, actors, or a method."""

    path: str
    source: str
    compression: str | None

    @property
    def real(self) -> bool:
        return self.source in ("youtube", "actors")


def read(root: Path, options: FaceForensicsOptions, notes: Notes) -> Iterator[Video]:
    """Yield the videos of a FaceForensics++ folder."""
    if options.compression not in (None, *COMPRESSIONS):
        raise unknown_name("compression", str(options.compression), COMPRESSIONS)
    files = list_files(root, notes=notes)
    places = _tree_places(files, options, notes) or _flat_places(files, options, notes)
    if not places:
        level = f" of compression {options.compression}" if options.compression else ""
        raise UsageError(f"{root}: no FaceForensics++ videos{level} among {len(files)} video files; expected {LAYOUT}")
    masks = {path for path in files if "/masks/" in path}
    sidecars = set(list_files(root, frozenset({".wav"})))
    lists = _Lists.read(root, options.lists, notes)
    for place in places:
        video = _video(root, place, options.dataset, lists, notes)
        if video is not None:
            yield _with_companions(video, root, place, masks, sidecars)


def _tree_places(files: list[str], options: FaceForensicsOptions, notes: Notes) -> list[_Place]:
    places: dict[tuple[str, str, str], _Place] = {}
    for path in files:
        match = _TREE.fullmatch(path)
        if match is None or (match["method"] and match["method"] not in METHODS):
            if "/masks/" not in path and path.startswith(("original_sequences/", "manipulated_sequences/")):
                notes.warn("in the tree but not in a folder of videos, left out", path)
            continue
        place = _Place(path, match["origin"] or match["method"], COMPRESSIONS[match["compression"]])
        key = (place.source, str(place.compression), stem(path))
        if key in places:
            notes.warn("present as raw and as c0, the second left out", path)
        elif options.compression is None or COMPRESSIONS[options.compression] == place.compression:
            places[key] = place
    return list(places.values())


def _flat_places(files: list[str], options: FaceForensicsOptions, notes: Notes) -> list[_Place]:
    folders = {"original": "youtube", "originals": "youtube", **{method: method for method in METHODS}}
    places = []
    for path in files:
        folder, _, name = path.rpartition("/")
        source = folders.get(folder)
        if source == "DeepFakeDetection" and _SCENE.fullmatch(stem(name)):
            source = "actors"
        if source is None:
            notes.warn("not in the folder of a method, left out", path)
            continue
        level = None if options.compression is None else COMPRESSIONS[options.compression]
        places.append(_Place(path, source, level))
    if places and options.compression is None:
        notes.warn("flat copy: compression unknown; give --compression c23 (or c0, c40)", places[0].path, len(places))
    return places


def _video(root: Path, place: _Place, dataset: str, lists: _Lists, notes: Notes) -> Video | None:
    """Return the row of one file, or None with a notice when its name is not of the corpus's form."""
    name, people, attributes = stem(place.path), _people(place), {}
    if people is None:
        notes.warn("file name not of the corpus, left out", place.path)
        return None
    compression = place.compression or "unknown"
    acted = place.source in ("actors", "DeepFakeDetection")
    attributes["target"] = people[0]
    if len(people) > 1:
        attributes["donor"] = people[1]
    if place.real:
        attributes["source"] = place.source
        attributes |= {"youtube_id": lists.youtube[name]} if name in lists.youtube else {}
    elif not acted:
        attributes["original"] = f"{dataset}/{compression}/original/{name[:3]}"
    official = None if acted else lists.place_of([person[-3:] for person in people], place.path, notes)
    if official:
        attributes["official_split"] = official
    folder = {"youtube": "original", "actors": "actors"}.get(place.source, place.source)
    forged = int(not place.real)
    return Video(
        dataset=dataset, video_id=f"{dataset}/{compression}/{folder}/{name}", path=absolute(root, place.path),
        label=forged, visual_label=forged, generator=None if place.real else place.source,
        compression=place.compression, identities=tuple(dict.fromkeys(people)), attributes=attributes,
    )  # fmt: skip


def _people(place: _Place) -> tuple[str, ...] | None:
    """Return (target,) or (target, donor) from a file name; None when it does not have the corpus's form."""
    form = {"youtube": _SEQUENCE, "actors": _SCENE, "DeepFakeDetection": _ACTED_PAIR}.get(place.source, _PAIR)
    match = form.fullmatch(stem(place.path))
    if match is None:
        return None
    if form is _SEQUENCE:
        return (f"ff++/{match[0]}",)
    if form is _SCENE:
        return (f"dfd/{match[1]}",)
    kind = "dfd" if form is _ACTED_PAIR else "ff++"
    return (f"{kind}/{match[1]}", f"{kind}/{match[2]}")


def _with_companions(video: Video, root: Path, place: _Place, masks: set[str], sidecars: set[str]) -> Video:
    """Return the row with its mask video and its sidecar audio file, where these exist."""
    attributes = dict(video.attributes)
    mask = f"manipulated_sequences/{place.source}/masks/videos/{place.path.rpartition('/')[2]}"
    if mask in masks:
        attributes["mask"] = absolute(root, mask)
    sidecar = place.path.rpartition(".")[0] + ".wav"
    if sidecar not in sidecars:
        return replace(video, attributes=attributes)
    attributes["audio_path"] = absolute(root, sidecar)
    return replace(video, attributes=attributes, has_audio=True, audio_label=0)


@dataclass(frozen=True)
class _Lists:
    """The official split of each sequence and the YouTube video it was cut from."""

    split: Mapping[str, str]
    youtube: Mapping[str, str]

    @classmethod
    def read(cls, root: Path, folder: Path | None, notes: Notes) -> _Lists:
        """Read the lists that are there; missing ones are noted."""
        base = folder or root
        split: dict[str, str] = {}
        for name in _SPLIT_FILES:
            path = find_list(base, [f"{name}.json"], ("splits", "", "dataset/splits"))
            if path is None:
                notes.warn("official list not found; put it into ROOT/splits or give --lists", f"{name}.json")
                continue
            for pair in read_json(path):
                _check_pair(pair, path)
                for sequence in pair:
                    if split.setdefault(sequence, name) != name:
                        raise UsageError(f"{path}: sequence {sequence} is in {split[sequence]}.json too")
        path = find_list(base, ["conversion_dict.json"], ("", "splits", "dataset"))
        if path is None:
            notes.warn("not found: without it, sequences of one YouTube video are not linked", "conversion_dict.json")
            return cls(split, {})
        cut_from = {sequence: text.rpartition(" ")[0] for sequence, text in read_json(path).items()}
        return cls(split, {sequence: f"youtube/{video}" for sequence, video in cut_from.items() if video})

    def place_of(self, sequences: list[str], path: str, notes: Notes) -> str | None:
        """Return the official split of a video, None when its sequences have none or two."""
        places = {self.split.get(sequence) for sequence in sequences}
        if len(places) > 1:
            notes.warn("target and source in different official splits, left without a split", path)
            return None
        return places.pop()


def _check_pair(pair: object, path: Path) -> None:
    if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(item, str) for item in pair):
        raise UsageError(f'{path}: expected a list of pairs of names such as ["071", "054"], found {pair!r}')


ADAPTER = Adapter("FaceForensics++", read, FaceForensicsOptions, LAYOUT)
