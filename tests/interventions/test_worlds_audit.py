"""The audit finds what was planted, by its name, and finds nothing in the clean world."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.interventions.planting import NAMED, named, planted, two_takes

from veridical.artefacts import Manifest, Video
from veridical.corpora import audit
from veridical.interventions import WORLDS, plant
from veridical.media import write_video
from veridical.randomness import stream

FOUND_AS = {
    "audio_presence": "has_audio",
    "codec": "codec",
    "bitrate": "bitrate",
    "pixel_format": "pixel_format",
    "frame_rate": "fps",
    "resolution": "width",
    "duration": "duration_s",
}
"""Shortcut → the property of the file that gives it away."""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Forty short videos of drifting clouds with noise; half of them are called fake without being different."""
    folder = tmp_path_factory.mktemp("clouds")
    videos = []
    for index in range(40):
        rng = stream(index, "clouds")
        cloud = cv2.resize(
            rng.integers(30, 220, (9, 12, 3)).astype(np.uint8), (160, 120), interpolation=cv2.INTER_CUBIC
        )
        frames = np.stack([np.roll(cloud, k, axis=1) for k in range(10)])
        samples = (0.1 * rng.standard_normal(6400)).astype(np.float32)
        path = folder / f"{index}.mp4"
        write_video(path, frames, fps=25, samples=samples, preset="superfast")
        identity = f"p{index}"
        videos.append(
            Video("w", f"w/{index}", str(path), label=index % 2, audio_label=0, identities=(identity,), group=identity)
        )
    return Manifest.from_videos(videos)


@pytest.mark.slow
@pytest.mark.parametrize("world", ["clean", *FOUND_AS])
def test_the_audit_names_what_was_planted(corpus: Manifest, tmp_path: Path, world: str) -> None:
    table = audit(plant(corpus, tmp_path, WORLDS[world])).table
    raised = set(table.loc[table["verdict"].isin(["leak", "warns"]), "property"])
    if world == "clean":
        assert raised == set()
    else:
        assert FOUND_AS[world] in raised


@pytest.fixture(scope="module")
def takes(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Two takes of twelve people, one of them called fake."""
    return two_takes(tmp_path_factory.mktemp("takes"), 0, people=12, seconds=1.2)


@pytest.mark.slow
@pytest.mark.parametrize(
    "world", ["clean", "leading_silence", "crop_scale", "watermark", "lost_faces", "identity_overlap"]
)
def test_the_command_names_what_was_planted_in_puppets(takes: Manifest, tmp_path: Path, world: str) -> None:
    raised = named(planted(takes, tmp_path, world, 0), tmp_path)
    if world == "clean":
        assert raised == set()
    else:
        assert raised & NAMED[world]


def test_every_world_has_a_name_in_the_audit() -> None:
    assert set(NAMED) == set(WORLDS) - {"clean"}
