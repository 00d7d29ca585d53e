"""`veridical predict`: the verdict on single videos."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from veridical import progress
from veridical.errors import VeridicalError

if TYPE_CHECKING:
    from veridical.inference import LoadedDetector, Prediction


def predict(
    videos: Annotated[list[Path], typer.Argument(help="Video files.")],
    model: Annotated[Path, typer.Option("--model", "-m", help="A run, or its model folder.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Say how likely each video is forged, second by second. A video that cannot be judged says why; exit code 1 then."""
    from veridical.inference import load_detector

    detector = load_detector(model)
    results = [_judge(detector, path) for path in progress.track(videos, "predict", unit="video")]
    if as_json:
        typer.echo(json.dumps([_plain(path, result) for path, result in results], indent=2))
    else:
        _show(results, Console())
    if any(isinstance(result, VeridicalError) for _, result in results):
        raise typer.Exit(1)


def _judge(detector: LoadedDetector, path: Path) -> tuple[Path, Prediction | VeridicalError]:
    try:
        return path, detector.predict(path)
    except VeridicalError as error:
        return path, error


def _plain(path: Path, result: Prediction | VeridicalError) -> dict[str, Any]:
    if isinstance(result, VeridicalError):
        return {"path": str(path), "status": getattr(result, "status", "unreadable"), "reason": str(result)}
    return {**asdict(result), "path": str(path), "status": "ok"}


def _show(results: list[tuple[Path, Prediction | VeridicalError]], console: Console) -> None:
    table = Table("video", "p(fake)", "per second", "picture alone", "sound alone", "note")
    for path, result in results:
        if isinstance(result, VeridicalError):
            table.add_row(escape(path.name), "–", "", "", "", escape(f"not evaluable: {result}"))
            continue
        sound = "–" if result.audio_logit is None else f"{result.audio_logit:+.2f}"
        note = f"{result.num_dropped_windows} windows without a face" if result.num_dropped_windows else ""
        seconds = " ".join(_probability(clip.p_fake) for clip in result.clips[:12]) + (
            " …" if len(result.clips) > 12 else ""
        )
        table.add_row(
            escape(path.name), _probability(result.p_fake), seconds, f"{result.video_logit:+.2f}", sound, note
        )
    console.print(table)
    console.print("p(fake): calibrated on validation data of the model. Alone: raw logits, above 0 leans to fake.")


def _probability(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
