"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

DetectorSpec = Annotated[
    str | None,
    typer.Option(
        help="Instead of RUN: FILE.py:NAME, MODULE:NAME, or a .yaml file (ONNX, Hugging Face); see examples/."
    ),
]
Interventions = Annotated[
    list[str] | None,
    typer.Option(
        "--intervention",
        "--control",
        help="Also score changed clips (may be repeated). Controls destroy a cue: shuffle, reverse, freeze, drop_sound, silence,"
        " swap_sound, shift_sound:SECONDS, or `all` of these; a detector that loses nothing does not use the cue."
        " Degradations lower quality: h264:CRF.",
    ),
]
AcceptSeen = Annotated[
    bool,
    typer.Option(
        "--accept-seen", help="Go on although the run was trained on videos to be judged; a risk then says so."
    ),
]
Device = Annotated[
    str, typer.Option(help="Where to compute: cpu, cuda, cuda:1, mps; auto takes a GPU where there is one.")
]
