"""What every adapter keeps to: rows that fit together, and wrong roots, missing lists, unknown files, contradictions said."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.corpora.miniature import BUILDERS, Touch, reasons, scanned

from veridical.corpora import CORPORA, scan
from veridical.errors import ArtefactError, UsageError


@pytest.mark.parametrize("name", CORPORA)
def test_contract(name: str, tmp_path: Path, touch: Touch) -> None:
    result, videos = scanned(name, tmp_path, touch)
    assert len(videos) >= 2
    for video in videos.values():
        assert video.video_id.startswith(video.dataset + "/")
        assert Path(video.path).is_absolute()
        assert Path(video.path).is_file()
        assert video.split is None
        assert (video.generator is None) or video.label == 1
        assert video.label != 0 or not (video.visual_label or video.audio_label)
        assert video.label != 1 or video.visual_label != 0 or video.audio_label != 0
        assert not video.fake_segments or video.label == 1
        assert "target" not in video.attributes or video.attributes["target"] in video.identities
    labels = Counter(video.label for video in videos.values())
    assert labels[0] >= 1
    assert labels[1] >= 1
    again = scan(name, tmp_path)
    assert again.manifest.fingerprint == result.manifest.fingerprint


@pytest.mark.parametrize("name", CORPORA)
def test_wrong_roots_are_errors_that_say_what_is_expected(name: str, tmp_path: Path) -> None:
    with pytest.raises((UsageError, ArtefactError), match=r"no such (folder|file)|expected"):
        scan(name, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"expected|is a folder with 0 csv files|no video files"):
        scan(name, tmp_path / "empty")
    (tmp_path / "holiday.mp4").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match=r"expected|is a folder with 0 csv files"):
        scan(name, tmp_path)
    with pytest.raises(UsageError, match=r"is a file, expected a folder|is not a csv file in UTF-8"):
        scan(name, tmp_path / "holiday.mp4")


MISSING_LISTS: dict[str, tuple[str, str]] = {
    "faceforensics": ("splits/val.json", "official list not found"),
    "celebdf": ("List_of_testing_videos.txt", "test list not found"),
    "dfdc": ("dfdc_train_part_0/metadata.json", "in no list, left out"),
    "fakeavceleb": ("meta_data.csv", "no meta_data.csv"),
    "lavdf": ("metadata.json", "no metadata.json"),
    "avdeepfake1m": ("train_metadata.json", "in no list, left out"),
    "deepspeak": ("annotations-split-def.csv", "no annotations-split-def.csv"),
    "csv": ("list.csv", "is a folder with 0 csv files"),
}
"""Corpus → (a list that is taken away, what is then said: an error, or a notice)."""


@pytest.mark.parametrize("name", [name for name in CORPORA if name != "folder"])
def test_a_missing_list_is_said(name: str, tmp_path: Path, touch: Touch) -> None:
    BUILDERS[name](tmp_path, touch)
    gone, message = MISSING_LISTS[name]
    (tmp_path / gone).unlink()
    try:
        said = " ".join(reasons(scan(name, tmp_path)))
    except UsageError as error:
        said = str(error)
    assert message in said


@pytest.mark.parametrize("name", [name for name in CORPORA if "lists" in CORPORA[name].options.model_fields])
def test_a_folder_of_lists_that_is_not_there_is_an_error(name: str, tmp_path: Path, touch: Touch) -> None:
    BUILDERS[name](tmp_path, touch)
    with pytest.raises(UsageError, match=r"--lists .*: no such folder"):
        scan(name, tmp_path, lists=tmp_path / "lists")


UNKNOWN_FILES = {
    "faceforensics": "original_sequences/youtube/c23/videos/what.mp4", "celebdf": "holiday/id0_0000.mp4",
    "dfdc": "dfdc_train_part_0/what.mp4", "fakeavceleb": "RealVideo-RealAudio/African/men/id00009/9.mp4",
    "lavdf": "train/what.mp4", "avdeepfake1m": "train/what.mp4", "deepspeak": "zip-0/what.mp4", "folder": "what.mp4",
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in CORPORA if name != "csv"])
def test_an_unknown_file_is_left_out_and_counted(name: str, tmp_path: Path, touch: Touch) -> None:
    before, _ = scanned(name, tmp_path, touch)
    touch(tmp_path, [UNKNOWN_FILES[name]])
    after = scan(name, tmp_path)
    assert after.manifest.fingerprint == before.manifest.fingerprint
    more = sum(reasons(after).values()) - sum(reasons(before).values())
    assert more == 1


@pytest.mark.parametrize("name", [name for name in CORPORA if name != "folder"])
def test_a_listed_file_that_is_not_there_is_left_out_and_counted(name: str, tmp_path: Path, touch: Touch) -> None:
    before, videos = scanned(name, tmp_path, touch)
    victim = next(v for v in videos.values() if v.label == 1 and v.attributes.get("official_split") != "val")
    Path(victim.path).unlink()
    after = scan(name, tmp_path)
    assert len(after.manifest) == len(before.manifest) - 1
    said = sum(reasons(after).values()) > sum(reasons(before).values())
    assert said or sum(count.found for count in after.counts) < sum(count.found for count in before.counts)


def contradict_faceforensics(root: Path, touch: Touch) -> None:
    (root / "splits/val.json").write_text('[["000", "004"]]')


def contradict_celebdf(root: Path, touch: Touch) -> None:
    with (root / "List_of_testing_videos.txt").open("a") as stream:
        stream.write("0 YouTube-real/00000.mp4\n")


def contradict_dfdc(root: Path, touch: Touch) -> None:
    (root / "labels.csv").write_text("filename,label\ndfdc_train_part_0/a.mp4,1\n")


def contradict_fakeavceleb(root: Path, touch: Touch) -> None:
    path = root / "meta_data.csv"
    path.write_text(path.read_text().replace("RealVideo-FakeAudio,African", "FakeVideo-FakeAudio,African"))


def contradict_json(root: Path, touch: Touch) -> None:
    path = next(root.glob("*metadata.json"))
    rows = json.loads(path.read_text())
    path.write_text(json.dumps([*rows, rows[0] | {"split": "test", "video_frames": 9}, rows[1]]))


def contradict_labels(root: Path, touch: Touch) -> None:
    with (root / "test/labels.csv").open("a") as stream:
        stream.write("t.mp4,1\n")


def contradict_deepspeak(root: Path, touch: Touch) -> None:
    with (root / "annotations-real.csv").open("a") as stream:
        stream.write("facefusion-40-41.mp4,1\n")


def contradict_csv(root: Path, touch: Touch) -> None:
    (root / "list.csv").write_text("path,label,visual_label\nvideos/a.mp4,real,fake\n")


CONTRADICTIONS: dict[str, tuple[Callable[[Path, Touch], None], str]] = {
    "faceforensics": (contradict_faceforensics, "sequence 000 is in train.json too"),
    "celebdf": (contradict_celebdf, "line 4: YouTube-real/00000.mp4 is listed above with the other label"),
    "dfdc": (contradict_dfdc, "in two lists with different labels, label unknown"),
    "fakeavceleb": (contradict_fakeavceleb, "is not below FakeVideo-FakeAudio"),
    "lavdf": (contradict_json, "listed twice in metadata.json with different values, left out"),
    "avdeepfake1m": (contradict_json, "listed twice in train_metadata.json with different values, left out"),
    "deepspeak": (contradict_deepspeak, "1 videos are listed as real and as fake"),
    "csv": (contradict_csv, "label is real, visual_label is fake"),
}
"""Corpus → (makes its lists contradict themselves, what is then said: an error, or a notice)."""


@pytest.mark.parametrize("name", [name for name in CORPORA if name != "folder"])
def test_contradictory_lists_are_never_a_guess(name: str, tmp_path: Path, touch: Touch) -> None:
    BUILDERS[name](tmp_path, touch)
    change, message = CONTRADICTIONS[name]
    change(tmp_path, touch)
    try:
        said = " ".join(reasons(scan(name, tmp_path)))
    except UsageError as error:
        said = str(error)
    assert message in said


@pytest.mark.parametrize("name", ["lavdf", "avdeepfake1m"])
def test_what_is_listed_twice_is_not_said_to_be_in_no_list(name: str, tmp_path: Path, touch: Touch) -> None:
    before, _ = scanned(name, tmp_path, touch)
    contradict_json(tmp_path, touch)
    after = scan(name, tmp_path)
    assert len(after.manifest) == len(before.manifest) - 1
    more = [reason for reason, count in reasons(after).items() if count > reasons(before).get(reason, 0)]
    assert len(more) == 2
    assert all(reason.startswith("listed twice") for reason in more)


def test_one_label_list_with_two_labels_of_a_video_is_refused(tmp_path: Path, touch: Touch) -> None:
    scanned("dfdc", tmp_path, touch)
    contradict_labels(tmp_path, touch)
    with pytest.raises(UsageError, match=r"labels\.csv: 1 videos are listed with two labels, for example t\.mp4"):
        scan("dfdc", tmp_path)


def test_unknown_corpora_and_options_are_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'faceforensics'"):
        scan("faceforensic", tmp_path)
    with pytest.raises(UsageError, match="has no option --all-real; its options: --dataset"):
        scan("celebdf", tmp_path, all_real=True)
    with pytest.raises(UsageError, match="version"):
        scan("celebdf", tmp_path, version="v3")


def test_a_name_that_is_no_text_is_left_out_and_counted(tmp_path: Path, touch: Touch) -> None:
    """Bytes that are not UTF-8, as old archives leave them, cannot be written into a manifest; the other files can."""
    name = os.fsencode(tmp_path) + b"/caf\xe9.mp4"
    try:
        Path(os.fsdecode(name)).touch()
    except OSError:
        pytest.skip("this file system takes names in UTF-8 only")
    with pytest.raises(UsageError, match=r"no video files .*1 × file name is not UTF-8 text.*caf"):
        scan("folder", tmp_path, all_real=True)
    touch(tmp_path, ["good.mp4", "sub/better.mp4"])
    result = scan("folder", tmp_path, all_real=True)
    assert len(result.manifest) == 2
    (notice,) = (notice for notice in result.notices if "UTF-8" in notice.reason)
    assert notice.line.startswith("1 × file name is not UTF-8 text, left out; rename the file (for example 'caf")
