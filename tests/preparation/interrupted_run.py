"""A preparation to be interrupted from outside: `python interrupted_run.py MANIFEST STORE`."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.preparation.making import SMALL, SlowTools

from veridical.artefacts import Manifest
from veridical.preparation import prepare

if __name__ == "__main__":
    manifest, store = (Path(argument) for argument in sys.argv[1:])
    prepare(Manifest.read(manifest), store, SMALL, workers=1, commit_seconds=0.1, make_tools=SlowTools)
