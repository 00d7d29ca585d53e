"""`veridical predict`: the verdict on single videos."""

from __future__ import annotations

import json
from dataclasses import asdict
from math import exp
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from veridical import progress
from veridical.cli.score import Device
from veridical.cli.terminal import open_console
from veridical.errors import UsageError, VeridicalError

if TYPE_CHECKING:
    from veridical.inference import LoadedDetector, ModelFacts, Prediction


def predict(
    videos: Annotated[list[Path], typer.Argument(help="Video files, or folders: every video below them.")],
    model: Annotated[Path, typer.Option("--model", "-m", help="A run, or its model folder.")],
    device: Device = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Say how likely each video is forged, second by second.

    A video that cannot be judged says why, and the exit code is 1; if a path does not exist, or a folder holds no video,
    nothing is judged: 2.
    """
    from veridical.inference import load_detector

    paths = _files(videos)
    detector = load_detector(model, device)
    results = [_judge(detector, path) for path in progress.track(paths, "predict", unit="video")]
    if as_json:
        typer.echo(json.dumps([_plain(path, result) for path, result in results], indent=2))
    else:
        _show(results, detector.bundle.facts, open_console())
    if any(isinstance(result, VeridicalError) for _, result in results):
        raise typer.Exit(1)


def _files(given: list[Path]) -> list[Path]:
    """Return the files that were named, and those inside the folders that were named; each once."""
    from veridical.corpora import VIDEO_SUFFIXES, list_files

    missing = [str(path) for path in given if not path.exists()]
    if missing:
        raise UsageError(f"no such video file: {', '.join(missing)}")
    found: list[Path] = []
    for path in given:
        inside = [path / name for name in list_files(path)] if path.is_dir() else [path]
        if not inside:
            raise UsageError(f"{path}: is a folder without videos; looked for: {' '.join(sorted(VIDEO_SUFFIXES))}")
        found += inside
    return list(dict.fromkeys(found))


def _judge(detector: LoadedDetector, path: Path) -> tuple[Path, Prediction | VeridicalError]:
    try:
        return path, detector.predict(path)
    except VeridicalError as error:
        return path, error


def _plain(path: Path, result: Prediction | VeridicalError) -> dict[str, Any]:
    if isinstance(result, VeridicalError):
        return {"path": str(path), "status": getattr(result, "status", "unreadable"), "reason": str(result)}
    return {**asdict(result), "path": str(path), "status": "ok"}


def _show(results: list[tuple[Path, Prediction | VeridicalError]], facts: ModelFacts, console: Console) -> None:
    for path, result in results:
        for line in _lines(path, result):
            console.print(line, highlight=False, markup=False, soft_wrap=True)
    if any(not isinstance(result, VeridicalError) for _, result in results):
        console.print(_conditions(facts), highlight=False, markup=False, soft_wrap=True)


def _lines(path: Path, result: Prediction | VeridicalError) -> list[str]:
    if isinstance(result, VeridicalError):
        return [str(path), f"  not evaluable: {result}"]
    sound = "no usable speech" if result.audio_logit is None else f"{result.audio_logit:+.2f}"
    dropped = f", {result.num_dropped_windows} windows without a face" if result.num_dropped_windows else ""
    seconds = " ".join(_probability(clip.p_fake) for clip in result.clips)
    return [
        str(path),
        f"  p(fake) {_probability(result.p_fake)}; picture alone {result.video_logit:+.2f}, sound alone {sound}{dropped}",
        f"  second by second: {seconds}",
    ]


def _conditions(facts: ModelFacts) -> str:
    """Say what the numbers rest on."""
    if facts.calibration is None:
        return "The model is not calibrated: no probabilities."
    threshold = 1 / (1 + exp(-facts.operating_points["eer"] / facts.calibration.temperature))
    return (
        f"p(fake) is calibrated on {facts.calibration.num_videos} validation videos of the model's own corpus, where errors of "
        f"both kinds are equal at {threshold:.2f}; on other material it may be far off. Alone: raw logits, above 0 leans to fake."
    )


def _probability(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
