"""Each adapter on a miniature tree with the official names: labels, people, generators, times, damaged lists."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.corpora.miniature import (
    DEEPSPEAK_V1,
    Touch,
    avdeepfake1m_row,
    build_celebdf,
    build_deepspeak,
    lavdf_row,
    reasons,
    scanned,
)

from veridical.artefacts import Manifest
from veridical.corpora import CORPORA, held_out_corpora, prove, scan
from veridical.errors import ArtefactError, UsageError


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
    assert found["target and source in different official splits, left without a split"] == 2
    assert found["file name not of the corpus, left out"] == 1
    lines = {count.name: count.line for count in result.counts}
    assert lines["Face2Face c23"] == "Face2Face c23: 0 of 1000 (1,000 missing)"
    assert not result.complete


def test_flat_faceforensics(tmp_path: Path, touch: Touch) -> None:
    touch(tmp_path, ["original/000.mp4", "Deepfakes/000_001.mp4", "csv/x.mp4"])
    result = scan("faceforensics", tmp_path, compression="c23")
    assert result.manifest.table["compression"].to_pylist() == ["c23", "c23"]
    unknown = scan("faceforensics", tmp_path)
    assert unknown.manifest.table["compression"].to_pylist() == [None, None]
    assert reasons(unknown)["flat copy: compression unknown; give --compression c23 (or c0, c40)"] == 2
    assert reasons(unknown)["official list not found; put it into ROOT/splits or give --lists"] == 3


def test_celebdf(tmp_path: Path, touch: Touch) -> None:
    result, videos = scanned("celebdf", tmp_path, touch)
    fake = videos["celebdf/Celeb-synthesis/id0_id1_0000"]
    assert fake.identities == ("celebdf/id0", "celebdf/id1")
    assert fake.attributes["original"] == "celebdf/Celeb-real/id0_0000" in videos
    assert fake.attributes["official_split"] == "test"
    assert videos["celebdf/Celeb-real/id0_0000"].attributes["official_split"] == "train"
    assert videos["celebdf/YouTube-real/00000"].label == 0
    assert reasons(result)["in the test list but missing"] == 1


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
    assert found["listed in dfdc_train_part_0/metadata.json but missing, left out"] == 1
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


def test_lavdf(tmp_path: Path, touch: Touch) -> None:
    _, videos = scanned("lavdf", tmp_path, touch)
    both = videos["lavdf/test/2"]
    assert [(s.start_s, s.end_s, s.modality) for s in both.fake_segments] == [
        (0.5, 1.2, "visual"), (0.5, 1.2, "audio"), (2.0, 2.5, "visual"), (2.0, 2.5, "audio")]  # fmt: skip
    assert (both.generator, both.attributes["original"], both.has_audio) == ("visual+audio", "lavdf/train/0", True)
    assert videos["lavdf/dev/1"].attributes["official_split"] == "val"


def test_lavdf_originals_may_be_named_without_their_folder(tmp_path: Path, touch: Touch) -> None:
    rows = [
        lavdf_row("train/0.mp4", "train", False, False, []),
        lavdf_row("train/1.mp4", "train", True, False, [[0.0, 1]]),
    ]
    rows[1]["original"] = "0.mp4"
    (tmp_path / "metadata.min.json").write_text(json.dumps(rows))
    touch(tmp_path, ["train/0.mp4", "train/1.mp4"])
    real, fake = scan("lavdf", tmp_path).manifest.videos()
    assert fake.attributes["original"] == real.video_id


def test_avdeepfake1m(tmp_path: Path, touch: Touch) -> None:
    result, videos = scanned("avdeepfake1m", tmp_path, touch)
    base = "avdeepfake1m++/train/vox_celeb_2/id00012/21Uxsk56VDQ/00001"
    both = videos[f"{base}/fake_video_fake_audio"]
    assert [(s.end_s, s.modality) for s in both.fake_segments] == [(1.5, "visual"), (1.6, "audio")]
    assert (both.generator, both.duration_s, both.identities) == (
        "both_modified:Talklip:yourtts", 4.0, ("voxceleb2/id00012",))  # fmt: skip
    assert both.attributes["original"] == f"{base}/real" in videos
    assert "original" not in videos[f"{base}/real"].attributes
    voice = videos[f"{base}/real_video_fake_audio"]
    assert (voice.visual_label, [s.modality for s in voice.fake_segments]) == (0, ["audio"])
    assert reasons(result)["fake segments of a stream that is genuine by modify_type, not used"] == 1
    people = {video.attributes.get("source"): video.identities for video in videos.values()}
    assert (people["lrs3"], people["silent_videos"]) == (("lrs3/ukgnU2aXM2c",), ("avdeepfake1m/subject_7",))
    assert videos["avdeepfake1m++/testA/000001"].label is None
    assert {c.name: c.found for c in result.counts}["listed in testA_files.txt"] == 1


def test_the_first_avdeepfake1m_release_has_no_source_folders(tmp_path: Path, touch: Touch) -> None:
    row = avdeepfake1m_row("id00012/21Uxsk56VDQ/00001", "fake_video_real_audio", [[0.2, 0.4]], [])
    del row["video_model"]
    (tmp_path / "val_metadata.json").write_text(json.dumps([row]))
    touch(tmp_path, [f"val/val/{row['file']}"])
    result = scan("avdeepfake1m", tmp_path)
    (video,) = result.manifest.videos()
    assert (video.dataset, video.identities) == ("avdeepfake1m", ("voxceleb2/id00012",))
    assert (video.generator, video.audio_label) == ("visual_modified", 0)
    assert reasons(result) == {"fake whose original is not in its list": 1}


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
    swap, dub, avatar = (videos[f"deepspeak_v2/{name}"] for name in
                         ("facefusion-40-41", "latentsync-41-42-playht", "hellomeme-41-42-elevenlabs"))  # fmt: skip
    assert (swap.audio_label, dub.audio_label, avatar.audio_label) == (0, 1, None)
    assert reasons(result)["the file name and the list disagree about the voice, audio label unknown"] == 1
    assert swap.attributes["official_split"] == "train"
    assert (swap.attributes["target"], swap.attributes["donor"]) == ("deepspeak/1", "deepspeak/2")
    assert swap.attributes["original"] == "deepspeak_v2/1-41" in videos
    strange = videos["deepspeak_v2/memo-50-41-x"]
    assert strange.audio_label is None
    assert "official_split" not in strange.attributes
    assert reasons(result)["people of different official splits, left without a split"] == 1


def test_a_deepspeak_person_in_two_splits_is_in_none(tmp_path: Path, touch: Touch) -> None:
    build_deepspeak(tmp_path, touch)
    before = {video.video_id: video for video in scan("deepspeak", tmp_path).manifest.videos()}
    with (tmp_path / "annotations-split-def.csv").open("a") as stream:
        stream.write("3,1,test\n")
    after = scan("deepspeak", tmp_path)
    assert reasons(after)["person in two official splits, left without a split"] == 1
    theirs = [video for video in after.manifest.videos() if "deepspeak/1" in video.identities]
    assert any("official_split" in before[video.video_id].attributes for video in theirs)
    assert not any("official_split" in video.attributes for video in theirs)


def test_deepspeak_v1_says_in_a_column_of_its_own_whether_a_voice_is_synthetic(tmp_path: Path, touch: Touch) -> None:
    build_deepspeak(tmp_path, touch, DEEPSPEAK_V1)
    result = scan("deepspeak", tmp_path)
    labels = {v.generator: v.audio_label for v in result.manifest.videos()}
    assert labels == {None: 0, "facefusion": 0, "wav2lip": 1}
    assert {v.dataset for v in result.manifest.videos()} == {"deepspeak_v1"}
    assert "real: 2 of 6667 (6,665 missing)" in [count.line for count in result.counts]


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
    assert (swap.generator, swap.visual_label, swap.audio_label, swap.identities) == (
        "swap", 1, 0, ("mine/s1", "mine/s2"))  # fmt: skip
    assert (swap.attributes["target"], swap.attributes["donor"]) == ("mine/s1", "mine/s2")
    assert (videos["mine/fake/c"].generator, videos["mine/fake/c"].identities) == ("fake", ())
    assert reasons(result) == {
        "outside real/ and fake/, left out": 1, "identity pattern not found in the path, identity unknown": 1}  # fmt: skip


def test_a_tree_that_is_all_real(tmp_path: Path, touch: Touch) -> None:
    touch(tmp_path, ["grid/s1/a.mpg", "grid/x2/b.mpg", "grid/s1/a.align", "grid/s1/._a.mpg"])
    with pytest.raises(UsageError, match="--all-real"):
        scan("folder", tmp_path)
    options = {"all_real": True, "identity_pattern": r"(?P<identity>s\d+|x\d)/"}
    manifest = scan("folder", tmp_path, dataset="one", **options).manifest
    assert manifest.table["identities"].to_pylist() == [["one/s1"], ["one/x2"]]
    assert set(manifest.table["label"].to_pylist()) == {0}


@pytest.mark.parametrize("pattern", ["(", r"s\d", r"(?P<who>s\d)"])
def test_bad_identity_patterns(pattern: str, tmp_path: Path, touch: Touch) -> None:
    touch(tmp_path, ["real/s1.mp4"])
    with pytest.raises(UsageError, match="identity pattern"):
        scan("folder", tmp_path, identity_pattern=pattern)


def test_people_of_one_name_in_two_corpora_are_two_people(tmp_path: Path, touch: Touch) -> None:
    """Two folders number their people: split each by itself, nothing is shared. A corpus in two parts keeps its people."""
    touch(tmp_path, [f"{corpus}/real/{person}.mp4" for corpus in "ab" for person in ("01", "02")])

    def scanned_as(corpus: str, dataset: str, split: str) -> Manifest:
        options = {"dataset": dataset, "identity_pattern": r"(?P<identity>\d+)\.mp4"}
        manifest = scan("folder", tmp_path / corpus, **options).manifest
        return manifest.with_column("split", [split] * len(manifest))

    apart = Manifest.concat([scanned_as("a", "a", "train"), scanned_as("b", "b", "test")])
    assert prove(apart).clean
    touch(tmp_path, ["c/fake/x/01.mp4"])
    together = Manifest.concat([scanned_as("a", "mine", "train"), scanned_as("c", "mine", "test")])
    assert not prove(together).clean
    (tmp_path / "list.csv").write_text("path,label,identities\na/real/01.mp4,0,01;voxceleb2/id00076\n")
    (video,) = scan("csv", tmp_path / "list.csv").manifest.videos()
    assert video.identities == ("list/01", "voxceleb2/id00076"), "a name with a slash says its corpus itself"


CELEBDF_FILES = ["Celeb-real/id0_0000.mp4", "YouTube-real/00000.mp4", "Celeb-synthesis/id0_id1_0000.mp4"]


def test_celebdf_is_held_out_whatever_it_is_called(tmp_path: Path, touch: Touch) -> None:
    _, videos = scanned("celebdf", tmp_path, touch, dataset="mine")
    manifest = Manifest.from_videos(videos.values())
    assert held_out_corpora(manifest) == {"celebdf": {"mine": 5}}
    before = Manifest.from_videos(  # a manifest of a release that did not record the corpus: the people say it
        replace(v, attributes={k: x for k, x in v.attributes.items() if k != "corpus"}) for v in videos.values())  # fmt: skip
    assert held_out_corpora(before) == {"celebdf": {"mine": 4}}
    copies = scan("folder", tmp_path, all_real=True, dataset="copies")
    assert held_out_corpora(copies.manifest)["celebdf"]["copies"] >= 5
    assert any("a file of celebdf by its name, which is held out" in reason for reason in reasons(copies))
    (tmp_path / "list.csv").write_text("path,label\nCeleb-real/id0_0000.mp4,0\n")
    assert held_out_corpora(scan("csv", tmp_path / "list.csv").manifest) == {"celebdf": {"list": 1}}
    touch(tmp_path, ["flat/fake/id3_id12_0004.mp4", "flat/real/me_0001.mp4", "flat/real/id00076_id00166_0001.mp4"])
    assert held_out_corpora(scan("folder", tmp_path / "flat").manifest) == {"celebdf": {"flat": 1}}


@pytest.mark.parametrize("corpus", [name for name in CORPORA if name != "celebdf"])
def test_other_corpora_are_not_held_out(corpus: str, tmp_path: Path, touch: Touch) -> None:
    for dataset in (None, "mycelebs") if corpus not in ("faceforensics",) else (None,):
        result, _ = scanned(corpus, tmp_path, touch, dataset=dataset)
        assert held_out_corpora(result.manifest) == {}


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
    assert (second.identities, second.has_audio, second.split) == (("list/anna", "list/ben"), False, "test")
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
        ("path,label,visual_label\na.mp4,0,1\n", "row 2: label is real, visual_label is fake"),
        ("path,label,split\na.mp4,0,dev\n", "row 2: .*split"),
        ("path,label\na.mp4\n", "row 2: has 1 cells, the header has 2"),
        ("path,label\na.mp4,0,1\n", "row 2: has 3 cells"),
        ("path,label\n", "no rows"),
        ("", "is empty, expected a csv file"),
        ("path,label,label\na.mp4,0,1\n", "the column 'label' stands twice"),
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
