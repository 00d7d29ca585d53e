"""A preparation that is stuck at a certain moment, to be interrupted there.

`python interrupted_run.py MANIFEST STORE VIDEOS MOMENT SIGN` commits so many videos one by one. Then it is stuck in the next
`video`, or between the clips and the `ledger` of that video's commit, and makes the file SIGN.
"""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import pyarrow as pa
from tests.preparation.making import SMALL, MarkerTools, StuckAfter

from veridical.artefacts import Manifest
from veridical.clips import writer
from veridical.preparation import prepare


def stuck_in_commit(videos: int, sign: Path) -> None:
    """Let the commit after so many have their clips but not their rows of the ledger."""
    append, left = writer._append, [videos]

    def stuck(table: pa.Table, path: Path) -> None:
        left[0] -= path.name == "ledger.lance"
        if left[0] == -1:
            sign.touch()
            time.sleep(600)
        append(table, path)

    writer._append = stuck


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has its background jobs ignore it
    manifest, store, sign = (Path(sys.argv[number]) for number in (1, 2, 5))
    videos = int(sys.argv[3])
    if sys.argv[4] == "ledger":
        stuck_in_commit(videos, sign)
    make_tools = StuckAfter(videos, sign) if sys.argv[4] == "video" else MarkerTools
    prepare(Manifest.read(manifest), store, SMALL, workers=1, commit_seconds=0, make_tools=make_tools)
