"""`veridical score`: the scores of a detector for every clip of a store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from veridical.cli.options import AcceptSeen, DetectorSpec, Device, Interventions
from veridical.cli.terminal import open_console


def score(
    on: Annotated[Path, typer.Option("--on", help="Clip store to score.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Score table to write, for example scores.parquet.")],
    run: Annotated[Path | None, typer.Argument(help="A run, or its model folder.")] = None,
    detector: DetectorSpec = None,
    manifest: Annotated[
        Path | None, typer.Option(help="Labels and splits; the store's own copy when not given.")
    ] = None,
    intervention: Interventions = None,
    device: Device = "auto",
    split: Annotated[
        list[str] | None,
        typer.Option(help="Only this split (train, val, test; may be repeated). All videos when not given."),
    ] = None,
    accept_seen: AcceptSeen = False,
) -> None:
    """Score every clip of a store with a run, or with a foreign detector.

    A run is scored under several conditions: video and audio, each head alone, and each modality alone.
    """
    from veridical.artefacts import SPLITS, Manifest, check_file_name
    from veridical.clips import ClipStore
    from veridical.errors import UsageError, unknown_name
    from veridical.inference import load_scorer, score_store
    from veridical.interventions import parse_interventions

    check_file_name(output, ".parquet")
    if (run is None) == (detector is None):
        raise UsageError("give either a run, or --detector")
    for name in split or ():
        if name not in SPLITS:
            raise unknown_name("split", name, SPLITS)
    interventions = parse_interventions(intervention or ())
    store = ClipStore.open(on)
    labels = Manifest.read(manifest) if manifest else store.manifest()
    scorer = load_scorer(detector or run or "", device)
    table = score_store(scorer, store, labels, splits=split or (), interventions=interventions, accept_seen=accept_seen)
    table.write(output)
    conditions = table.table["condition"].value_counts().to_pylist()
    clips = max((row["counts"] for row in conditions), default=0)
    line = f"{len(table)} scores ({clips} clips, {len(conditions)} condition{'s' * (len(conditions) != 1)}): {output}"
    open_console().print(line, highlight=False, markup=False, soft_wrap=True)
