"""`veridical predict`: how likely single videos are forged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from veridical.cli.options import Device
from veridical.cli.terminal import open_console

if TYPE_CHECKING:
    from veridical.inference import Prediction, Unpredicted


def predict(
    videos: Annotated[list[Path], typer.Argument(help="Video files, or folders: every video below them.")],
    model: Annotated[Path, typer.Option("--model", "-m", help="A run, or its model folder.")],
    device: Device = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Predict how likely each video is forged, second by second.

    A video that cannot be scored is listed with the reason, and the exit code is 1. If a path does not exist, or a folder holds
    no video, nothing is scored and the exit code is 2.
    """
    from veridical.inference import Prediction, describe_calibration, find_videos, load_detector, predict_files

    paths = find_videos(videos)
    detector = load_detector(model, device)
    results = predict_files(detector, paths)
    predicted = [isinstance(result, Prediction) for result in results]
    if as_json:
        typer.echo(json.dumps([result.as_json() for result in results], indent=2))
    else:
        lines = [line for result in results for line in _lines(result)]
        notes = [describe_calibration(detector)] if any(predicted) else []
        for line in [*lines, *notes]:
            open_console().print(line, highlight=False, markup=False, soft_wrap=True)
    if not all(predicted):
        raise typer.Exit(1)


def _lines(result: Prediction | Unpredicted) -> list[str]:
    from veridical.inference import Unpredicted

    if isinstance(result, Unpredicted):
        return [str(result.path), f"  not evaluable: {result.reason}"]
    audio = "no usable speech" if result.audio_logit is None else f"{result.audio_logit:+.2f}"
    return [
        str(result.path),
        f"  p(fake) {_probability(result.p_fake)}; video head {result.video_logit:+.2f}, audio head {audio}",
        f"  second by second: {' '.join(_probability(clip.p_fake) for clip in result.clips)}",
        *(f"  remark: {remark}" for remark in result.remarks),
    ]


def _probability(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
