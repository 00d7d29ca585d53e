"""Every adapter on a miniature tree with the official names: labels, people, generators, counts, and bad trees."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from veridical.artefacts import Video
from veridical.corpora import CORPORA, ScanResult, scan
from veridical.errors import ArtefactError, UsageError

Touch = Callable[[Path, Iterable[str]], None]


def build_faceforensics(root: Path, touch: Touch) -> None:
    touch(
        root, [f"original_sequences/youtube/{level}/videos/{i:03d}.mp4" for level in ("raw", "c23") for i in range(4)]
    )
    touch(root, [f"manipulated_sequences/{method}/c23/videos/{pair}.mp4"
                 for method in ("Deepfakes", "FaceShifter") for pair in ("000_001", "001_000", "002_003")])  # fmt: skip
    touch(root, ["manipulated_sequences/Deepfakes/masks/videos/000_001.mp4",
                 "manipulated_sequences/Deepfakes/c23/videos/000_001.wav",
                 "original_sequences/actors/c23/videos/01__outside_talking_pan_laughing.mp4",
                 "manipulated_sequences/DeepFakeDetection/c23/videos/01_02__walking_and_outside_surprised__ABCD1234.mp4",
                 "manipulated_sequences/Deepfakes/c23/videos/holiday.mp4"])  # fmt: skip
    (root / "splits").mkdir()
    for name, pairs in (("train", [["000", "001"]]), ("val", [["002", "004"]]), ("test", [["003", "005"]])):
        (root / "splits" / f"{name}.json").write_text(json.dumps(pairs))
    (root / "conversion_dict.json").write_text(json.dumps({"000": "-abc 0", "001": "xyz 0", "003": "-abc 1"}))


def build_celebdf(root: Path, touch: Touch) -> None:
    touch(root, ["Celeb-real/id0_0000.mp4", "Celeb-real/id1_0001.mp4", "YouTube-real/00000.mp4",
                 "Celeb-synthesis/id0_id1_0000.mp4", "Celeb-synthesis/id1_id0_0001.mp4"])  # fmt: skip
    (root / "List_of_testing_videos.txt").write_text(
        "1 YouTube-real/00000.mp4\n0 Celeb-synthesis/id0_id1_0000.mp4\n1 Celeb-real/id9_0000.mp4\n"
    )


def build_dfdc(root: Path, touch: Touch) -> None:
    touch(
        root, ["dfdc_train_part_0/a.mp4", "dfdc_train_part_0/b.mp4", "dfdc_train_part_1/c.mp4", "test/t.mp4", "x.mp4"]
    )
    part = {"a.mp4": {"label": "REAL", "split": "train", "original": None},
            "b.mp4": {"label": "FAKE", "split": "train", "original": "a.mp4"},
            "gone.mp4": {"label": "FAKE", "split": "train", "original": "a.mp4"}}  # fmt: skip
    (root / "dfdc_train_part_0/metadata.json").write_text(json.dumps(part))
    other = {"c.mp4": {"label": "FAKE", "split": "train", "original": "elsewhere.mp4"}}
    (root / "dfdc_train_part_1/metadata.json").write_text(json.dumps(other))
    (root / "test/labels.csv").write_text("filename,label\nt.mp4,0\n")


FAKEAVCELEB_ROWS = [
    ("id00001", "-", "-", "real", "A", "RealVideo-RealAudio", "African", "men", "1.mp4"),
    ("id00001", "fake.mp4", "-", "rtvc", "B", "RealVideo-FakeAudio", "African", "men", "1_fake.mp4"),
    ("id00001", "id00002", "-", "fsgan", "C", "FakeVideo-RealAudio", "African", "men", "1_id00002_x.mp4"),
    (
        "id00002",
        "id00001",
        "faceswap",
        "faceswap-wav2lip",
        "D",
        "FakeVideo-FakeAudio",
        "African",
        "men",
        "2_id00001.mp4",
    ),
    ("id00002", "id00001", "-", "wav2lip", "D", "FakeVideo-FakeAudio", "African", "men", "2_id00001.mp4"),
]


def build_fakeavceleb(root: Path, touch: Touch) -> None:
    with (root / "meta_data.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["source", "target1", "target2", "method", "category", "type", "race", "gender", "path", ""])
        for row in FAKEAVCELEB_ROWS:
            writer.writerow([*row, f"FakeAVCeleb/{row[5]}/{row[6]}/{row[7]}/{row[0]}"])
    touch(root, [f"{row[5]}/{row[6]}/{row[7]}/{row[0]}/{row[8]}" for row in FAKEAVCELEB_ROWS])


def lavdf_row(file: str, split: str, visual: bool, audio: bool, periods: list[list[float]]) -> dict[str, Any]:
    return {"file": file, "n_fakes": len(periods), "fake_periods": periods, "duration": 3.0, "modify_video": visual,
            "original": "train/0.mp4" if visual or audio else None, "modify_audio": audio, "split": split,
            "video_frames": 75, "audio_channels": 1, "audio_frames": 48000}  # fmt: skip


def build_lavdf(root: Path, touch: Touch) -> None:
    rows = [lavdf_row("train/0.mp4", "train", False, False, []), lavdf_row("dev/1.mp4", "dev", True, False, [[0.5, 1.2]]),
            lavdf_row("test/2.mp4", "test", True, True, [[0.5, 1.2], [2, 2.5]])]  # fmt: skip
    (root / "metadata.json").write_text(json.dumps(rows))
    touch(root, [row["file"] for row in rows])


def build_avdeepfake1m(root: Path, touch: Touch) -> None:
    def row(
        name: str, kind: str, visual: list[list[float]], audio: list[list[float]], **more: object
    ) -> dict[str, Any]:
        return {"file": f"id00012/vid/1/{name}.mp4", "original": None if kind == "real" else "id00012/vid/1/real.mp4",
                "split": "train", "modify_type": kind, "audio_model": "vits", "fake_segments": visual or audio,
                "audio_fake_segments": audio, "visual_fake_segments": visual, "video_frames": 100, "audio_frames": 64000,
                **more}  # fmt: skip

    rows = [row("real", "real", [], []), row("a", "audio_modified", [], [[1.0, 1.5]]),
            row("b", "both_modified", [[1.0, 1.5]], [[1.0, 1.6]], video_model="diff2lip")]  # fmt: skip
    (root / "train_metadata.json").write_text(json.dumps(rows))
    (root / "test_files.txt").write_text("000001.mp4\n000002.mp4\n")
    touch(root, [*(f"train/{row['file']}" for row in rows), "test/000001.mp4"])


def build_deepspeak(root: Path, touch: Touch) -> None:
    (root / "annotations-split-def.csv").write_text("identity,split\n1,train\n2,train\n3,test\n")
    (root / "annotations-real.csv").write_text("video-file,identity\n1-0.mp4,1\n3-0.mp4,3\n")
    (root / "annotations-fake.csv").write_text(
        "video-file,kind,engine,identity-source,identity-target,audio-config\n"
        "f1.mp4,face-swap,facefusion,2,1,real\nf2.mp4,lip-sync,latentsync,2,2,playht\nf3.mp4,face-swap,memo,1,3,x\n"
    )
    touch(root, ["zip-0/1-0.mp4", "zip-0/3-0.mp4", "zip-1/f1.mp4", "zip-1/f2.mp4", "zip-1/f3.mp4"])


def build_folder(root: Path, touch: Touch) -> None:
    touch(
        root, ["real/s1/a.mp4", "real/s2/b.MOV", "fake/swap/s1_s2.mp4", "fake/c.mkv", "other/d.mp4", "real/notes.txt"]
    )


def build_csv(root: Path, touch: Touch) -> None:
    touch(root, ["videos/a.mp4", "videos/b.mp4"])
    (root / "list.csv").write_text("path,label\nvideos/a.mp4,real\nvideos/b.mp4,1\n")


BUILDERS: dict[str, Callable[[Path, Touch], None]] = {
    "faceforensics": build_faceforensics, "celebdf": build_celebdf, "dfdc": build_dfdc, "fakeavceleb": build_fakeavceleb,
    "lavdf": build_lavdf, "avdeepfake1m": build_avdeepfake1m, "deepspeak": build_deepspeak, "folder": build_folder,
    "csv": build_csv,
}  # fmt: skip


def scanned(name: str, root: Path, touch: Touch, **options: Any) -> tuple[ScanResult, dict[str, Video]]:
    BUILDERS[name](root, touch)
    result = scan(name, root, **options)
    return result, {video.video_id: video for video in result.manifest.videos()}


def reasons(result: ScanResult) -> dict[str, int]:
    return {notice.reason: notice.count for notice in result.notices}


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
    (tmp_path / "holiday.mp4").touch()
    with pytest.raises(UsageError, match=r"expected|found a folder with 0 csv files"):
        scan(name, tmp_path)


def test_unknown_corpora_and_options_are_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'faceforensics'"):
        scan("faceforensic", tmp_path)
    with pytest.raises(UsageError, match="has no option 'all_real'"):
        scan("celebdf", tmp_path, all_real=True)
    with pytest.raises(UsageError, match="version"):
        scan("celebdf", tmp_path, version="v3")


def test_faceforensics(tmp_path: Path, touch: Touch) -> None:
    result, videos = scanned("faceforensics", tmp_path, touch)
    fake = videos["faceforensics/c23/Deepfakes/000_001"]
    assert (fake.label, fake.visual_label, fake.generator, fake.compression) == (1, 1, "Deepfakes", "c23")
    assert fake.identities == ("ff++/000", "ff++/001")
    assert fake.attributes["original"] == "faceforensics/c23/original/000" in videos
    assert fake.attributes["official_split"] == "train"
    assert fake.attributes["mask"].endswith("masks/videos/000_001.mp4")
    assert fake.attributes["audio_path"].endswith("000_001.wav")
    assert (fake.has_audio, fake.audio_label) == (True, 0)
    assert videos["faceforensics/c0/original/000"].compression == "c0"
    assert videos["faceforensics/c0/original/000"].attributes["youtube_id"] == "youtube/-abc"
    actor = videos["faceforensics/c23/DeepFakeDetection/01_02__walking_and_outside_surprised__ABCD1234"]
    assert actor.identities == ("dfd/01", "dfd/02")
    assert "official_split" not in videos["faceforensics/c23/Deepfakes/002_003"].attributes
    found = reasons(result)
    assert found["target and source are in different official splits, left without one"] == 2
    assert found["name is not one of the corpus's, left out"] == 1
    lines = {count.name: count.line for count in result.counts}
    assert lines["Face2Face c23"] == "Face2Face c23: 0 of 1000 (1,000 missing)"
    assert not result.complete


def test_flat_faceforensics(tmp_path: Path, touch: Touch) -> None:
    touch(tmp_path, ["original/000.mp4", "Deepfakes/000_001.mp4", "csv/x.mp4"])
    result = scan("faceforensics", tmp_path, compression="c23")
    assert result.manifest.table["compression"].to_pylist() == ["c23", "c23"]
    unknown = scan("faceforensics", tmp_path)
    assert unknown.manifest.table["compression"].to_pylist() == [None, None]
    assert reasons(unknown)["flat copy: compression unknown; say --compression c23 (or c0, c40)"] == 2
    assert reasons(unknown)["official list not found; put it into ROOT/splits or give --lists"] == 3


def test_celebdf(tmp_path: Path, touch: Touch) -> None:
    result, videos = scanned("celebdf", tmp_path, touch)
    fake = videos["celebdf/Celeb-synthesis/id0_id1_0000"]
    assert fake.identities == ("celebdf/id0", "celebdf/id1")
    assert fake.attributes["original"] == "celebdf/Celeb-real/id0_0000" in videos
    assert fake.attributes["official_split"] == "test"
    assert videos["celebdf/Celeb-real/id0_0000"].attributes["official_split"] == "train"
    assert videos["celebdf/YouTube-real/00000"].label == 0
    assert reasons(result)["in the test list but not there"] == 1


def test_celebdf_list_says_one_for_real(tmp_path: Path, touch: Touch) -> None:
    build_celebdf(tmp_path, touch)
    path = tmp_path / "List_of_testing_videos.txt"
    path.write_text("0 YouTube-real/00000.mp4\n1 Celeb-synthesis/id0_id1_0000.mp4\n")
    with pytest.raises(UsageError, match="all 2 labels contradict the folders"):
        scan("celebdf", tmp_path)
    path.write_text("1 YouTube-real/00000.mp4\n1 Celeb-synthesis/id0_id1_0000.mp4\n")
    result = scan("celebdf", tmp_path)
    assert reasons(result)["the test list contradicts the folder, label unknown"] == 1
    path.write_text("real YouTube-real/00000.mp4\n")
    with pytest.raises(UsageError, match="line 1"):
        scan("celebdf", tmp_path)


def test_celebdf_plus_plus_names_the_method(tmp_path: Path, touch: Touch) -> None:
    touch(tmp_path, ["Celeb-real/id0_0000.mp4", "Celeb-synthesis/FaceSwap/SimSwap/id0_id1_0000.mp4"])
    videos = list(scan("celebdf", tmp_path).manifest.videos())
    assert {video.dataset for video in videos} == {"celebdf++"}
    assert [video.generator for video in videos if video.label] == ["SimSwap"]


def test_dfdc(tmp_path: Path, touch: Touch) -> None:
    result, videos = scanned("dfdc", tmp_path, touch)
    fake = videos["dfdc/dfdc_train_part_0/b"]
    assert (fake.label, fake.visual_label, fake.audio_label) == (1, None, None)
    assert fake.attributes["original"] == "dfdc/dfdc_train_part_0/a" in videos
    assert fake.attributes["part"] == "dfdc/dfdc_train_part_0"
    assert (videos["dfdc/test/t"].label, videos["dfdc/test/t"].attributes["official_split"]) == (0, "test")
    found = reasons(result)
    assert found["listed in dfdc_train_part_0/metadata.json but not there, left out"] == 1
    assert found["in no list, left out"] == 1


def test_fakeavceleb(tmp_path: Path, touch: Touch) -> None:
    result, videos = scanned("fakeavceleb", tmp_path, touch)
    labels = {v.attributes["category"]: (v.label, v.visual_label, v.audio_label) for v in videos.values()}
    assert labels == {"RealVideo-RealAudio": (0, 0, 0), "RealVideo-FakeAudio": (1, 0, 1), "FakeVideo-RealAudio": (1, 1, 0),
                      "FakeVideo-FakeAudio": (1, 1, 1)}  # fmt: skip
    twice = videos["fakeavceleb/FakeVideo-FakeAudio/African/men/id00002/2_id00001"]
    assert (twice.generator, twice.attributes["methods"]) == (None, "faceswap-wav2lip;wav2lip")
    assert twice.identities == ("voxceleb2/id00002", "voxceleb2/id00001")
    assert reasons(result)["listed twice with different methods, generator unknown"] == 1
    assert reasons(result)["target1 names no person, not used"] == 1


def test_partial_fakes_carry_their_times(tmp_path: Path, touch: Touch) -> None:
    for name in ("lavdf", "avdeepfake1m"):
        (tmp_path / name).mkdir()
    _, videos = scanned("lavdf", tmp_path / "lavdf", touch)
    both = videos["lavdf/test/2"]
    assert [(s.start_s, s.end_s, s.modality) for s in both.fake_segments] == [
        (0.5, 1.2, "visual"), (0.5, 1.2, "audio"), (2.0, 2.5, "visual"), (2.0, 2.5, "audio")]  # fmt: skip
    assert (both.generator, both.attributes["original"], both.has_audio) == ("visual+audio", "lavdf/train/0", True)
    assert videos["lavdf/dev/1"].attributes["official_split"] == "val"
    _, videos = scanned("avdeepfake1m", tmp_path / "avdeepfake1m", touch)
    both = videos["avdeepfake1m/train/id00012/vid/1/b"]
    assert [(s.end_s, s.modality) for s in both.fake_segments] == [(1.5, "visual"), (1.6, "audio")]
    assert (both.generator, both.duration_s, both.identities) == (
        "both_modified:diff2lip:vits", 4.0, ("voxceleb2/id00012",))  # fmt: skip
    assert videos["avdeepfake1m/test/000001"].label is None


def test_damaged_lists_name_the_row(tmp_path: Path, touch: Touch) -> None:
    (tmp_path / "metadata.json").write_text(json.dumps([lavdf_row("a.mp4", "train", True, False, [[2.0, 1.0]])]))
    touch(tmp_path, ["a.mp4"])
    with pytest.raises(UsageError, match="row 0: fake periods"):
        scan("lavdf", tmp_path)
    (tmp_path / "metadata.json").write_text('[{"file": "a.mp4"}]')
    with pytest.raises(UsageError, match="row 0: fields missing: split"):
        scan("lavdf", tmp_path)
    (tmp_path / "metadata.json").write_text("[{")
    with pytest.raises(ArtefactError, match="not JSON"):
        scan("lavdf", tmp_path)


def test_deepspeak(tmp_path: Path, touch: Touch) -> None:
    result, videos = scanned("deepspeak", tmp_path, touch)
    assert (videos["deepspeak/f1"].audio_label, videos["deepspeak/f2"].audio_label) == (None, 1)
    assert videos["deepspeak/f1"].attributes["official_split"] == "train"
    assert "official_split" not in videos["deepspeak/f3"].attributes
    assert reasons(result)["its people are in different official splits, left without one"] == 1


def test_folder(tmp_path: Path, touch: Touch) -> None:
    result, videos = scanned(
        "folder",
        tmp_path,
        touch,
        dataset="mine",
        fakes="visual",
        identity_pattern=r"(?P<identity>s\d)(_(?P<donor>s\d))?",
    )
    assert set(videos) == {"mine/real/s1/a", "mine/real/s2/b", "mine/fake/swap/s1_s2", "mine/fake/c"}
    swap = videos["mine/fake/swap/s1_s2"]
    assert (swap.generator, swap.visual_label, swap.audio_label, swap.identities) == ("swap", 1, 0, ("s1", "s2"))
    assert (videos["mine/fake/c"].generator, videos["mine/fake/c"].identities) == ("fake", ())
    assert reasons(result) == {
        "outside real/ and fake/, left out": 1, "identity pattern not found in the path, identity unknown": 1}  # fmt: skip


def test_a_tree_that_is_all_real(tmp_path: Path, touch: Touch) -> None:
    touch(tmp_path, ["grid/s1/a.mpg", "grid/x2/b.mpg", "grid/s1/a.align", "grid/s1/._a.mpg"])
    with pytest.raises(UsageError, match="--all-real"):
        scan("folder", tmp_path)
    manifest = scan("folder", tmp_path, all_real=True, identity_pattern=r"(?P<identity>s\d+|x\d)/").manifest
    assert manifest.table["identities"].to_pylist() == [["s1"], ["x2"]]
    assert set(manifest.table["label"].to_pylist()) == {0}


@pytest.mark.parametrize("pattern", ["(", r"s\d", r"(?P<who>s\d)"])
def test_bad_identity_patterns(pattern: str, tmp_path: Path, touch: Touch) -> None:
    touch(tmp_path, ["real/s1.mp4"])
    with pytest.raises(UsageError, match="identity pattern"):
        scan("folder", tmp_path, identity_pattern=pattern)


def test_csv_with_every_column(tmp_path: Path, touch: Touch) -> None:
    touch(tmp_path, ["v/a.mp4", "v/b.mp4"])
    (tmp_path / "list.csv").write_text(
        "path,label,visual_label,audio_label,generator,compression,identities,split,fake_segments,has_audio,fps,attribute.gender\n"
        "v/a.mp4,real,,,,c23,anna,train,,yes,25,f\n"
        "v/b.mp4,fake,1,0,swap,c23,anna;ben,test,0.5-1.5:visual;2-3:visual,no,,\n"
    )
    first, second = scan("csv", tmp_path / "list.csv").manifest.videos()
    assert (first.video_id, first.visual_label, first.attributes) == (
        "list/v/a",
        0,
        {"gender": "f", "official_split": "train"},
    )
    assert (second.identities, second.has_audio, second.split) == (("anna", "ben"), False, "test")
    assert [segment.end_s for segment in second.fake_segments] == [1.5, 3.0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path\na.mp4\n", "columns missing: label"),
        ("path,label,generater\na.mp4,0,x\n", "did you mean 'generator'"),
        ("path,label\na.mp4,maybe\n", "row 2: label is 'maybe'"),
        ("path,label\na.mp4,0\na.mp4,0\n", "row 3: video_id .* is already in row 2"),
        ("path,label\n,0\n", "row 2: path is empty"),
        ("path,label,fps\na.mp4,0,nan\n", "row 2: fps is 'nan'"),
        ("path,label,fake_segments\na.mp4,1,3-2:visual\n", "row 2: fake_segments"),
        ("path,label,visual_label\na.mp4,0,1\n", "row 2: label says real, visual_label says fake"),
        ("path,label,split\na.mp4,0,dev\n", "row 2: .*split"),
        ("path,label\na.mp4\n", "row 2: has fewer cells"),
        ("path,label\na.mp4,0,1\n", "row 2: has more cells"),
        ("path,label\n", "no rows"),
        ("", "columns missing: path, label"),
    ],
)
def test_csv_errors_name_the_row(text: str, message: str, tmp_path: Path, touch: Touch) -> None:
    touch(tmp_path, ["a.mp4"])
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(UsageError, match=message):
        scan("csv", tmp_path / "list.csv")


def test_csv_counts_files_that_are_not_there(tmp_path: Path, touch: Touch) -> None:
    touch(tmp_path, ["a.mp4"])
    (tmp_path / "list.csv").write_text("path,label\na.mp4,0\ngone.mp4,1\n")
    result = scan("csv", tmp_path)
    assert len(result.manifest) == 1
    assert result.notices[0].examples[0].startswith("row 3: ")
