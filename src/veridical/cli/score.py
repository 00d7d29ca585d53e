"""`veridical score`: what a detector says of every clip of a store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from veridical.cli.options import Controls, Detector, Device
from veridical.cli.terminal import open_console

if TYPE_CHECKING:
    from veridical.artefacts import Manifest, ScoreTable
    from veridical.clips import ClipStore


Scorer: TypeAlias = "Callable[[ClipStore, Manifest, tuple[str, ...]], ScoreTable]"


def score(
    on: Annotated[Path, typer.Option("--on", help="Clip store to score.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Score table to write, for example scores.parquet.")],
    run: Annotated[Path | None, typer.Argument(help="A run, or its model folder.")] = None,
    detector: Detector = None,
    manifest: Annotated[
        Path | None, typer.Option(help="Labels and splits; the store's own copy when not given.")
    ] = None,
    control: Controls = None,
    device: Device = "auto",
    split: Annotated[
        list[str] | None,
        typer.Option(help="Only this split (train, val, test; may be repeated). All videos when not given."),
    ] = None,
) -> None:
    """Score every clip of a store with a run, or with anybody's detector.

    A run is judged under several conditions: picture and sound together, each alone, and with one of them hidden.
    """
    from veridical.artefacts import SPLITS, Manifest, check_file_name
    from veridical.clips import ClipStore
    from veridical.errors import UsageError, unknown_name

    check_file_name(output, ".parquet")
    if (run is None) == (detector is None):
        raise UsageError("give either a run, or --detector")
    for name in split or ():
        if name not in SPLITS:
            raise unknown_name("split", name, SPLITS)
    store = ClipStore.open(on)
    labels = Manifest.read(manifest) if manifest else store.manifest()
    table = scorer(run, detector, control, device)(store, labels, tuple(split or ()))
    table.write(output)
    conditions = table.table["condition"].value_counts().to_pylist()
    clips = max((row["counts"] for row in conditions), default=0)
    said = f"{len(table)} scores ({clips} clips, {len(conditions)} condition{'s' * (len(conditions) != 1)}): {output}"
    open_console().print(said, highlight=False, markup=False, soft_wrap=True)


def scorer(run: Path | None, detector: str | None, control: list[str] | None = None, device: str = "auto") -> Scorer:
    """Return what scores the given splits of a store: a run, or a foreign detector."""
    from veridical.devices import pick_device
    from veridical.inference import load_bundle, score_store
    from veridical.inference.controls import CONTROLS
    from veridical.inference.wrappers import load_wrapped, score_store_with

    named = [name for given in control or () for name in (CONTROLS if given == "all" else (given,))]
    controls = tuple(dict.fromkeys(named))
    if detector is not None:
        wrapped = load_wrapped(detector)
        return lambda store, labels, splits: score_store_with(
            wrapped, store, labels, splits=splits, controls=controls, name=detector
        )
    assert run is not None
    bundle = load_bundle(run).to(pick_device(device))
    return lambda store, labels, splits: score_store(bundle, store, labels, splits=splits, controls=controls)
