"""A plain folder: `real/…`, `fake/<generator>/…` or `fake/…`; or any tree of videos that are all real."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from veridical.artefacts import Video
from veridical.corpora.adapter import Adapter, Notes, of_corpus
from veridical.corpora.tree import absolute, list_files, without_suffix
from veridical.errors import UsageError
from veridical.settings import Settings

LAYOUT = "ROOT/real/**/*.mp4 and ROOT/fake/<generator>/**/*.mp4 (or ROOT/fake/*.mp4); or any tree, with all_real"


class FolderOptions(Settings):
    """Options of the folder adapter."""

    dataset: str | None = None
    """Name of the corpus in the manifest; the folder's name when not given."""
    all_real: bool = False
    """Take every video below the root as real, whatever its folder is called."""
    identity_pattern: str | None = None
    """Regular expression searched in each path relative to the root; its named group `identity` is the person shown,
    one of this data set: people of one name in another data set are others.
    The groups `donor` (whose face or voice was put in) and `original` (relative path, without suffix, of the real
    video) are optional."""
    fakes: Literal["visual", "audio", "both", "unknown"] = "unknown"
    """What is forged in the fakes; with `unknown`, their visual and audio labels stay unknown."""
    compression: str | None = None
    """Compression level to write into every row."""


def read(root: Path, options: FolderOptions, notes: Notes) -> Iterator[Video]:
    """Yield the videos of a plain folder."""
    files = list_files(root, notes=notes)
    if not files:
        odd = "; ".join(notice.line for notice in notes.notices)
        raise UsageError(f"{root}: no video files below this folder{'; ' if odd else ''}{odd}")
    dataset = options.dataset or root.resolve().name
    pattern = _compiled(options.identity_pattern)
    placed = [(path, *_place(path, options.all_real)) for path in files]
    if all(label is None for _, label, _ in placed):
        raise UsageError(
            f"{root}: {len(files)} videos, none below real/ or fake/; expected {LAYOUT}; if all are real, give --all-real"
        )
    ids = without_suffix(files)
    for path, label, generator in placed:
        if label is None:
            notes.warn("outside real/ and fake/, left out", path)
            continue
        identities, attributes = _people(path, pattern, dataset, notes)
        yield Video(
            dataset=dataset, video_id=f"{dataset}/{ids[path]}", path=absolute(root, path), label=label,
            visual_label=_modality_label(label, options.fakes, "visual"),
            audio_label=_modality_label(label, options.fakes, "audio"),
            generator=generator, compression=options.compression, identities=identities, attributes=attributes,
        )  # fmt: skip
    _advise(placed, options, notes)


def _place(path: str, all_real: bool) -> tuple[int | None, str | None]:
    """Return (label, generator) from the folder a file lies in; label None outside real and fake."""
    if all_real:
        return 0, None
    parts = path.split("/")
    top = parts[0].lower()
    if top == "real" and len(parts) > 1:
        return 0, None
    if top == "fake" and len(parts) > 1:
        return 1, parts[1] if len(parts) > 2 else "fake"
    return None, None


def _modality_label(label: int, fakes: str, modality: str) -> int | None:
    if label == 0:
        return 0
    return None if fakes == "unknown" else int(fakes in (modality, "both"))


def _compiled(pattern: str | None) -> re.Pattern[str] | None:
    if pattern is None:
        return None
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UsageError(f"identity pattern {pattern!r}: not a regular expression ({error})") from None
    unknown = set(compiled.groupindex) - {"identity", "donor", "original"}
    if "identity" not in compiled.groupindex or unknown:
        raise UsageError(
            f"identity pattern {pattern!r}: needs a named group (?P<identity>…), and may have donor and original; "
            f"found the groups {sorted(compiled.groupindex) or 'none'}"
        )
    return compiled


def _people(
    path: str, pattern: re.Pattern[str] | None, dataset: str, notes: Notes
) -> tuple[tuple[str, ...], dict[str, str]]:
    if pattern is None:
        return (), {}
    match = pattern.search(path)
    if match is None:
        notes.warn("identity pattern not found in the path, identity unknown", path)
        return (), {}
    groups = {name: value for name, value in match.groupdict().items() if value}
    named = {name: of_corpus(groups[name], dataset) for name in ("identity", "donor") if name in groups}
    people = list(named.values())
    attributes = {"target": people[0]} if people else {}
    if "donor" in groups:
        attributes["donor"] = named["donor"]
    if "original" in groups:
        attributes["original"] = f"{dataset}/{groups['original']}"
    return tuple(dict.fromkeys(people)), attributes


def _advise(placed: list[tuple[str, int | None, str | None]], options: FolderOptions, notes: Notes) -> None:
    fakes = [path for path, label, _ in placed if label == 1]
    if fakes and options.fakes == "unknown":
        notes.warn("fake whose forged modality is unknown; give --fakes visual, audio or both", fakes[0], len(fakes))
    if options.identity_pattern is None:
        notes.warn("identity unknown; give --identity-pattern, or one person may be in two splits",
                   count=sum(label is not None for _, label, _ in placed))  # fmt: skip


ADAPTER = Adapter("a plain folder", read, FolderOptions, LAYOUT)
