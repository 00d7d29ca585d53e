"""The README's walk through one's own videos, run as it stands on real talking people."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

README = Path(__file__).parent.parent / "README.md"
SPEAKERS, CLIPS_EACH = ("s1", "s2", "s3", "s4", "s5", "s20", "s22", "s23", "s26", "s30", "s31", "s32"), 2


def commands() -> str:
    found = re.search(r"<!-- tested: own-videos -->\n```bash\n(.*?)```", README.read_text(), re.DOTALL)
    assert found, "the README lost its tested block"
    return found[1]


@pytest.mark.slow
def test_own_videos(real_clips: Path, tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    for speaker in SPEAKERS:
        (videos / speaker).mkdir(parents=True)
        for path in sorted((real_clips / "grid" / speaker).glob("*.mpg"))[:CLIPS_EACH]:
            shutil.copy(path, videos / speaker)
    unseen = sorted((real_clips / "grid" / "x1").glob("*.mpg"))[0]
    tools = str(Path(sys.executable).parent)
    environment = {**os.environ, "VIDEOS": str(videos), "VIDEO": str(unseen), "PATH": f"{tools}:{os.environ['PATH']}"}
    # A short training: the point is that every command takes what the one before it gives.
    script = commands().replace(
        "train small", "train small --set stages.0.epochs=1 --set stages.1.epochs=1 --set stages.2.epochs=1"
    )
    result = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    assert unseen.name in result.stdout
    metrics = pd.read_csv(tmp_path / "evaluation" / "metrics.csv")
    video_auc = metrics[(metrics["metric"] == "auc") & (metrics["level"] == "video") & (metrics["split"] == "test")]
    assert len(video_auc)
    assert video_auc["value"].dropna().between(0, 1).all()
    page = (tmp_path / "evaluation" / "report.html").read_text()
    assert "<html" in page
    assert not re.search(r'(src|href)="https?://', page), "the report must open offline"
