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
    from veridical.speech import SpeechPrediction


def predict(
    files: Annotated[
        list[Path],
        typer.Argument(help="Videos or sound files, or folders: all of them below; with --model videos only."),
    ],
    model: Annotated[
        Path | None,
        typer.Option(
            "--model",
            "-m",
            help="A run, or its model folder. When not given, voices are scored by the packaged detector.",
        ),
    ] = None,
    device: Device = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Predict how likely each video is forged, second by second; without --model, how likely each voice is synthetic.

    A file that cannot be scored is listed with the reason, and the exit code is 1. If a path does not exist, or a folder holds
    nothing to score, nothing is scored and the exit code is 2.
    """
    from veridical.inference import Prediction, describe_calibration, find_videos, load_detector, predict_files

    if model is None:
        _predict_voices(files, as_json)
        return
    paths = find_videos(files)
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


def _predict_voices(files: list[Path], as_json: bool) -> None:
    """Score voices with the detector that travels with the package."""
    from veridical.inference import Unpredicted
    from veridical.speech import find_recordings, load_speech_detector, predict_speech

    detector = load_speech_detector()
    facts = detector.facts
    results = predict_speech(detector, find_recordings(files))
    notes = {"operating_point": facts.operating_point, "worth": facts.worth, "limits": facts.limits}
    if as_json:
        shown = [{**result.as_json(), **notes} if _scored(result) else result.as_json() for result in results]
        typer.echo(json.dumps(shown, indent=2))
    else:
        lines = [line for result in results for line in _voice_lines(result, facts.threshold)]
        lines += [f"{facts.version}: {text}." for text in notes.values()] if any(map(_scored, results)) else []
        for line in lines:
            open_console().print(line, highlight=False, markup=False, soft_wrap=True)
    if any(isinstance(result, Unpredicted) for result in results):
        raise typer.Exit(1)


def _scored(result: object) -> bool:
    from veridical.speech import SpeechPrediction

    return isinstance(result, SpeechPrediction)


def _voice_lines(result: SpeechPrediction | Unpredicted, threshold: float) -> list[str]:
    from veridical.inference import Unpredicted

    if isinstance(result, Unpredicted):
        return [str(result.path), f"  not evaluable: {result.reason}"]
    verdict = (
        "leans to synthetic, as some genuine voices do"
        if result.is_called_synthetic
        else "not told from genuine speech, which is no proof"
    )
    windows = " ".join(f"{window.start_s:.0f} s {window.p_fake:.2f}" for window in result.windows)
    return [
        str(result.path),
        f"  voice: {verdict}; p(synthetic) {result.p_fake:.2f}, called synthetic from {threshold:.2f}",
        f"  by window of 3 s: {windows}; {result.speech_s:.1f} s of speech in {result.duration_s:.1f} s",
        "  video: not scored, no detector of video travels with the package; name one with --model",
    ]


def _lines(result: Prediction | Unpredicted) -> list[str]:
    from veridical.artefacts import LEARNED, SELECTED
    from veridical.inference import Unpredicted

    if isinstance(result, Unpredicted):
        return [str(result.path), f"  not evaluable: {result.reason}"]
    seen = [f"  this file was in the {result.seen} data of the model: nothing follows from its score"]
    audio = "no usable speech" if result.audio_logit is None else f"{result.audio_logit:+.2f}"
    several = len(result.people) > 1
    people = f"; highest of {len(result.people)} people" if several else ""
    lines = [
        str(result.path),
        f"  {_verdict(result)}{people}; video head {result.video_logit:+.2f}, audio head {audio}",
    ]
    for person in result.people if result.p_fake is not None else ():
        clips = [clip for clip in result.clips if clip.person == person.person]
        name = (
            f"person {person.person} from {clips[0].start_s:g} s: p(fake) {_probability(person.p_fake)}; "
            if several
            else ""
        )
        lines.append(f"  {name}second by second: {' '.join(_probability(clip.p_fake) for clip in clips)}")
    lines += seen if result.seen in (LEARNED, SELECTED) else []
    lines += [f"  remark: {remark}" for remark in result.remarks]
    return lines


def _verdict(result: Prediction) -> str:
    """Return the probability and what it is worth, or that there is none."""
    if result.worth is None:
        return f"p(fake) {_probability(result.p_fake)}"
    if not result.worth.above_chance:
        return f"no verdict: no better than chance, {result.worth}"
    return f"p(fake) {_probability(result.p_fake)}, {result.worth}"


def _probability(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
