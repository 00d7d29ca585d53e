"""Miniature trees of every corpus, in the form of the releases: real names, real fields, made-up values."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from veridical.artefacts import Video
from veridical.corpora import ScanResult, scan

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


def avdeepfake1m_row(folder: str, name: str, visual: list[list[float]], audio: list[list[float]]) -> dict[str, Any]:
    """Return a row in the form of AV-Deepfake1M++; what is forged is said by the name, as in the release."""
    kind = {"real": "real", "real_video_fake_audio": "audio_modified", "fake_video_real_audio": "visual_modified",
            "fake_video_fake_audio": "both_modified"}[name]  # fmt: skip
    original = f"VoxCeleb2/dev/mp4/{folder}.mp4" if kind == "real" else f"{folder}/real.mp4"
    return {
        "file": f"{folder}/{name}.mp4", "original": original, "split": "train", "modify_type": kind,
        "audio_model": "yourtts" if "fake_audio" in name else None, "video_model": "Talklip" if "fake_video" in name else None,
        "fake_segments": visual or audio, "audio_fake_segments": audio, "visual_fake_segments": visual,
        "video_frames": 100, "audio_frames": 64000,
    }  # fmt: skip


def build_avdeepfake1m(root: Path, touch: Touch) -> None:
    vox, talk, silent = (
        "vox_celeb_2/id00012/21Uxsk56VDQ/00001",
        "lrs3/ukgnU2aXM2c/00004",
        "silent_videos/subject_7_ab_vid_1_2",
    )
    rows = [
        avdeepfake1m_row(vox, "real", [], []),
        # Genuine video with the times of the sound repeated for it: a mistake of the released list.
        avdeepfake1m_row(vox, "real_video_fake_audio", [[1.0, 1.5]], [[1.0, 1.5]]),
        avdeepfake1m_row(vox, "fake_video_fake_audio", [[1.0, 1.5]], [[1.0, 1.6]]),
        avdeepfake1m_row(talk, "real", [], []),
        avdeepfake1m_row(silent, "real", [], []),
    ]
    (root / "train_metadata.json").write_text(json.dumps(rows))
    (root / "testA_files.txt").write_text("000001.mp4\n000002.mp4\n")
    touch(root, [*(f"train/{row['file']}" for row in rows), "testA/000001.mp4"])


DEEPSPEAK_V1 = (
    ",video-file,kind,engine,identity-source,identity-target,recording-source,recording-target,"
    "recording-target-ai-generated,gesture-type,script-type\n"
    "0,facefusion--2-1--40-41--0.mp4,face-swap,facefusion,2,1,40,41,False,no-gesture,unscripted\n"
    "7,wav2lip--1-1--41-42--1.mp4,lip-sync,wav2lip,1,1,41,42,True,wave,no-speech\n"
)
DEEPSPEAK_V2 = (
    "video-file,kind,engine,identity-source,identity-target,recording-source,recording-target,audio-config,gen-config,"
    "gesture-type,script-type\n"
    "facefusion-40-41.mp4,face-swap,facefusion,2,1,40,41,real,simswap_256,no-gesture,unscripted\n"
    "latentsync-41-42-playht.mp4,lip-sync,latentsync,1,1,41,42,playht,,wave,no-speech\n"
    "hellomeme-41-42-elevenlabs.mp4,avatar,hellomeme,1,1,41,42,real,,wave,no-speech\n"
    "memo-50-41-x.mp4,avatar,memo,3,1,50,41,x,,wave,no-speech\n"
)


def build_deepspeak(root: Path, touch: Touch, fakes: str = DEEPSPEAK_V2) -> None:
    (root / "annotations-split-def.csv").write_text(",identity,split\n0,1,train\n1,2,Train\n2,3,test\n")
    (root / "annotations-real.csv").write_text("video-file,identity\n1-41.mp4,1\n3-50.mp4,3\n")
    (root / "annotations-fake.csv").write_text(fakes)
    touch(root, ["zip-0/1-41.mp4", "zip-0/3-50.mp4"])
    touch(root, [f"zip-1/{row['video-file']}" for row in csv.DictReader(fakes.splitlines())])


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
