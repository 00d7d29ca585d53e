"""Memory stays flat however long the video: nothing waits for the garbage collector."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

COUNT, SIZE = 240, (640, 480)
DECODED_MB = COUNT * SIZE[0] * SIZE[1] * 1.5 / 1e6
WORK = {
    "every picture": "for frame in video_frames(path): pass",
    "sampled": "for frame in video_frames(path, fps=2): pass",
    "transcode": "transcode(path, path.with_name('out.mp4'), crf=40, preset='ultrafast')",
}
SCRIPT = """
import gc, resource
from pathlib import Path
from veridical.media import transcode, video_frames
path = Path({path!r})
short = {work!r}.replace("path", "path.with_name('short.mp4')", 1)
exec(short)
gc.disable()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
exec({work!r})
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1000)
"""


@pytest.mark.parametrize("name", WORK)
def test_frames_are_freed_at_once(name: str, films, tmp_path: Path) -> None:
    options = {"preset": "ultrafast", "crf": "40"}
    path = films.write(tmp_path / "long.mp4", count=COUNT, size=SIZE, options=options)
    films.write(tmp_path / "short.mp4", count=20, size=SIZE, options=options)
    script = SCRIPT.format(path=str(path), work=WORK[name])
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert float(result.stdout) < 0.3 * DECODED_MB
