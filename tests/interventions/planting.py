"""Worlds of puppets in which nothing but a planted shortcut separates the classes, and what `veridical audit` names in them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import typer
from typer.testing import CliRunner

from veridical import corpora
from veridical.artefacts import Manifest
from veridical.cli.audit import audit
from veridical.interventions import WORLDS, plant
from veridical.preparation import prepare
from veridical.puppets import render_corpus

NAMED = {
    "audio_presence": {"has_audio"}, "leading_silence": {"speech_onset_s"}, "codec": {"codec"}, "bitrate": {"bitrate"},
    "pixel_format": {"pixel_format"}, "frame_rate": {"fps"}, "resolution": {"width", "height"}, "duration": {"duration_s"},
    "brightness": {"brightness"}, "loudness": {"loudness_dbfs"}, "watermark": {"sharpness", "contrast"},
    "crop_scale": {"box_size_px"}, "lost_faces": {"interpolated", "prepared"}, "duplicates": {"sha256"},
    "identity_overlap": {"identity"}, "missing_generator": {"absent"},
}  # fmt: skip
"""Shortcut → what the audit calls it."""
IN_THE_CONTENT = ("clean", "leading_silence", "brightness", "loudness", "watermark", "crop_scale", "lost_faces")


def two_takes(folder: Path, seed: int, *, people: int, seconds: float) -> Manifest:
    """Render two takes of each person and call one of them fake, of two generators in turn, split by person."""
    reals = render_corpus(
        folder,
        name="w",
        num_identities=people,
        videos_per_identity=2,
        duration_s=seconds,
        family="ab"[seed % 2],
        seed=seed,
    )
    videos = []
    for number, video in enumerate(reals.videos()):
        person, take = divmod(number, 2)
        fake = int(take == (person // 2 + seed) % 2)
        generator = f"take_{person % 2}" if fake else None
        videos.append(replace(video, label=fake, visual_label=fake, audio_label=fake, generator=generator))
    return corpora.split(Manifest.from_videos(videos), "stratified", fractions=(0.5, 0.25, 0.25), seed=seed).manifest


def planted(takes: Manifest, folder: Path, name: str, seed: int) -> Manifest:
    """Plant a world, probe its files, and prepare its clips where the shortcut is in the content."""
    manifest = corpora.probe_media(plant(takes, folder / "videos", WORLDS[name], seed)).manifest
    if name in IN_THE_CONTENT:
        prepare(manifest, folder / "store", workers=2)
    return manifest


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
