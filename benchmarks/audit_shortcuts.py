"""Every shortcut planted in worlds of puppets: does `veridical audit` name it, and does it keep quiet where nothing is planted?

    python benchmarks/audit_shortcuts.py FOLDER [--people 20] [--seconds 2.4] [--seeds 2] [--clean-seeds 6]

A world has a real and a "fake" video of each person; the fake one is another genuine take, so that nothing separates the classes
but what was planted in it. Files are written again and probed, clips are prepared where the shortcut is in the content, and the
real command judges manifest or store. `named` counts worlds in which the property that stands for the shortcut was a leak or a
warning; `fewer` the same with only the first 12 people. Run it again after an interruption: finished worlds are kept. The
last line is one JSON object. `benchmarks/audit_tables.py` does the same with many made-up tables.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", OMP_WAIT_POLICY="PASSIVE")

import argparse
import json
from dataclasses import replace
from pathlib import Path

import typer
from typer.testing import CliRunner

from veridical import corpora
from veridical.artefacts import Manifest, read_json, write_json
from veridical.cli.audit import audit
from veridical.media import probe
from veridical.preparation import prepare
from veridical.puppets import MANIFEST_SHORTCUTS, WORLDS, plant, render_corpus

NAMED = {
    "audio_presence": {"has_audio"}, "leading_silence": {"speech_onset_s"}, "codec": {"codec"}, "bitrate": {"bitrate"},
    "pixel_format": {"pixel_format"}, "frame_rate": {"fps"}, "resolution": {"width", "height"}, "duration": {"duration_s"},
    "brightness": {"brightness"}, "loudness": {"loudness_dbfs"}, "watermark": {"sharpness", "contrast"},
    "crop_scale": {"box_size_px"}, "lost_faces": {"interpolated", "prepared"}, "duplicates": {"sha256"},
    "identity_overlap": {"identity"}, "missing_generator": {"absent"},
}  # fmt: skip
"""Shortcut → what the audit calls it."""
IN_THE_CONTENT = ("clean", "leading_silence", "brightness", "loudness", "watermark", "crop_scale", "lost_faces")
FEWER = 12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=2.4)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--clean-seeds", type=int, default=6)
    arguments = parser.parse_args()
    alarms: dict[str, list[tuple[set[str], set[str]]]] = {"clean": []}
    for seed in range(max(arguments.seeds, arguments.clean_seeds)):
        takes = world(arguments.folder.absolute() / str(seed), seed, arguments)
        for name in WORLDS if seed < arguments.seeds else ("clean",):
            alarms.setdefault(name, []).append(found(takes, arguments.folder.absolute() / str(seed) / name, name, seed))
    print(f"{'planted':18s} {'named':>6s} {'fewer':>6s}  also named")
    for name, worlds in alarms.items():
        print(line(name, worlds), flush=True)
    figures = {name: [sum(bool(NAMED[name] & part) for part in parts) / len(worlds) for parts in zip(*worlds, strict=True)]
               for name, worlds in alarms.items() if name != "clean"}  # fmt: skip
    false = [sum(bool(part) for part in parts) / len(alarms["clean"]) for parts in zip(*alarms["clean"], strict=True)]
    print(json.dumps({"named_share": figures, "clean_alarm_share": false, "clean_worlds": len(alarms["clean"])}))


def line(name: str, worlds: list[tuple[set[str], set[str]]]) -> str:
    wanted = NAMED.get(name, set())
    hits = [sum(bool(wanted & part if wanted else part) for part in parts) for parts in zip(*worlds, strict=True)]
    others = sorted(set().union(*(part for parts in worlds for part in parts)) - wanted)
    return f"{name:18s} {hits[0]:3d}/{len(worlds)} {hits[1]:4d}/{len(worlds)}  {', '.join(others)}"


def world(folder: Path, seed: int, arguments: argparse.Namespace) -> Manifest:
    """Render two takes of each person and call one of them fake, of two generators in turn, split by person."""
    reals = render_corpus(
        folder / "puppets", name="w", num_identities=arguments.people, videos_per_identity=2, duration_s=arguments.seconds,
        family="ab"[seed % 2], seed=seed,
    )  # fmt: skip
    videos = []
    for number, video in enumerate(reals.videos()):
        person, take = divmod(number, 2)
        fake = int(take == (person // 2 + seed) % 2)
        generator = f"take_{person % 2}" if fake else None
        videos.append(replace(video, label=fake, visual_label=fake, audio_label=fake, generator=generator))
    return corpora.split(Manifest.from_videos(videos), "stratified", fractions=(0.5, 0.25, 0.25), seed=seed).manifest


def found(takes: Manifest, folder: Path, name: str, seed: int) -> tuple[set[str], set[str]]:
    """Return what the audit names in a planted world, with all its people and with fewer."""
    kept = folder / "found.json"
    if not kept.exists():
        planted = corpora.probe_media(plant(takes, folder / "videos", WORLDS[name], seed), probe).manifest
        if name in IN_THE_CONTENT:
            prepare(planted, folder / "store", workers=2)
        people = sorted({video.identities[0] for video in planted.videos()})[:FEWER]
        few = Manifest.from_videos(video for video in planted.videos() if video.identities[0] in people)
        write_json(kept, {"named": [sorted(named(manifest, folder)) for manifest in (planted, few)]})
    first, second = read_json(kept)["named"]
    return set(first), set(second)


def named(manifest: Manifest, folder: Path) -> set[str]:
    """Return what `veridical audit` calls a leak or a warning, in the clips where they were prepared, and in the splits."""
    path = folder / "manifest.parquet"
    manifest.write(path)
    source = [str(folder / "store"), "--manifest", str(path)] if (folder / "store").exists() else [str(path)]
    app = typer.Typer()
    app.command()(audit)
    result = json.loads(CliRunner().invoke(app, [*source, "--json"]).stdout)
    raised = {row["property"] for row in result["properties"] if row["verdict"] in ("leak", "warns")}
    shared = {leak["link"] for leak in result["splits"]["leaks"] if leak["keys"]}
    return raised | shared | ({"absent"} if result["splits"]["absent"] else set())


assert set(NAMED) == set(WORLDS) - {"clean"} >= set(MANIFEST_SHORTCUTS)


if __name__ == "__main__":
    main()
