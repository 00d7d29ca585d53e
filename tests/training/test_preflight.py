"""The checklist before training: each row fails when it should."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tiny import fabricate_store, tiny_recipe, tiny_values
from typer.testing import CliRunner

from veridical.cli.main import build_app
from veridical.clips import ClipStore
from veridical.errors import LeakError, UsageError
from veridical.models import DetectorModel
from veridical.training import outlook, preflight, read_recipe, train
from veridical.training.data import load_data

DATA_ROWS = {"frames", "faces", "audio", "speech", "splits", "held-out corpora", "statistics", "shortcuts"}


def verdicts(store: Path, **changes: Any) -> dict[str, str]:
    return {row.name: row.verdict for row in preflight(tiny_recipe(store, **changes))}


def test_a_sound_recipe_passes(store: ClipStore) -> None:
    found = verdicts(store.path)
    assert DATA_ROWS | {"weights", "device"} <= set(found)
    rows = {name: found[name] for name in (DATA_ROWS | {"device", "optimiser", "three-term loss"})}
    assert rows.pop("shortcuts") == "not applicable", "too few people to look for shortcuts: that is no pass"
    assert set(rows.values()) == {"pass"}
    assert {found[name] for name in ("weights", "inputs", "model", "stages")} == {"changed"}, "tiny is not the strategy"
    assert found["parameters, total"] == "not applicable"


@pytest.mark.parametrize(
    ("row", "change", "detail"),
    [
        ("optimiser", "optimiser.clip_norm=0", "optimiser.clip_norm 0 (strategy 1)"),
        ("optimiser", "optimiser.betas=[.5,.6]", "optimiser.betas.0 0.5 (strategy 0.9); optimiser.betas.1 0.6 (strategy 0.999)"),
        ("three-term loss", "losses.smoothing=0", "losses.smoothing 0 (strategy 0.05)"),
        ("three-term loss", "losses.segment=5", "losses.segment 5 (strategy 1)"),
        ("early stopping", "early_stopping.patience=1", "early_stopping.patience 1 (strategy 3)"),
        ("weights", "model.video.weights=random", "efficientnet_b3: random; wav2vec2: facebook/wav2vec2-base (strategy effici"),
        ("model", "model.audio.trainable_blocks=12", "model.audio.trainable_blocks 12 (strategy 4)"),
        ("augmentation", "augmentation.views=9", "augmentation.views 9 (strategy 4)"),
        ("stages", "stages.2.lr=1", "stages.2.lr 1 (strategy 0.0001)"),
    ],
)  # fmt: skip
def test_each_row_says_what_departs_from_the_strategy(
    row: str, change: str, detail: str, store: ClipStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = DetectorModel(tiny_recipe(store.path).model)
    module = importlib.import_module("veridical.training.preflight")
    monkeypatch.setattr(module, "DetectorModel", lambda *_, **__: small)
    rows = {check.name: check for check in preflight(read_recipe("contract-v1", [change]))}
    assert rows[row].verdict == "changed"
    assert rows[row].detail.startswith(f"changed: {detail}")
    settings = {
        "inputs",
        "model",
        "augmentation",
        "batches",
        "optimiser",
        "stages",
        "three-term loss",
        "early stopping",
    }
    others = settings - {row} - ({"model"} if row == "weights" else set())
    assert {(rows[name].verdict, rows[name].detail) for name in others} == {("pass", "as the strategy")}


def test_what_is_wrong_fails_and_what_differs_is_changed(store: ClipStore) -> None:
    assert verdicts(store.path, data={"store": "nowhere"})["data"] == "fail"
    assert verdicts(store.path, losses={"temporal": 0.0})["three-term loss"] == "changed"
    rows = {row.name: row for row in preflight(tiny_recipe(store.path, early_stopping={"patience": 10}))}
    assert rows["early stopping"].detail.endswith("no stage is longer than the patience, so it never stops one")


def test_train_stops_where_the_checklist_fails_unless_it_is_accepted(store: ClipStore, tmp_path: Path) -> None:
    """Here people of validation are in the test split, which training itself does not refuse."""
    manifest, splits = store.manifest(), store.manifest().table["split"].to_pylist()
    people = [["same"] if split in ("val", "test") else [str(number)] for number, split in enumerate(splits)]
    manifest.with_column("identities", people).write(tmp_path / "m.parquet")
    values = tiny_values(store.path)
    values["stages"] = [{**values["stages"][2], "epochs": 1}]
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(values))
    arguments = [
        "train",
        str(tmp_path / "r.yaml"),
        "-o",
        str(tmp_path / "run"),
        "--manifest",
        str(tmp_path / "m.parquet"),
    ]
    result = CliRunner().invoke(build_app(), arguments)
    assert result.exit_code == 1
    assert "the checklist fails, nothing is trained: splits: 1 of identity in val and test" in result.output
    assert "or accept it: --accept-leak identity" in result.output
    assert not (tmp_path / "run").exists()
    result = CliRunner().invoke(
        build_app(), [*arguments, "--accept-leak", "identity", "--accept-leak", "loudness_dbfs"]
    )
    assert result.exit_code == 0, result.output


def test_a_device_that_is_not_here_fails_and_stops_training(store: ClipStore, tmp_path: Path) -> None:
    absent = "cuda" if torch.backends.mps.is_available() else "mps"  # no machine has both
    changes = {"runtime": {"accelerator": absent}}
    assert verdicts(store.path, **changes)["device"] == "fail"
    with pytest.raises(UsageError, match=f"device '{absent}': cannot be used here"):
        train(tiny_recipe(store.path, **changes), tmp_path / "run")


def test_missing_weights_fail_and_say_which_file(store: ClipStore) -> None:
    model = tiny_values(store.path)["model"]
    model["video"]["weights"] = "nowhere.safetensors"
    (row,) = (row for row in preflight(tiny_recipe(store.path, model=model)) if row.name == "weights")
    assert row.verdict == "fail"
    assert "nowhere.safetensors" in row.detail


def test_silent_data_fail_where_a_stage_needs_audio(tmp_path: Path) -> None:
    store = fabricate_store(tmp_path / "store", sound=False, people=8, clips=1)
    found = verdicts(store.path)
    assert {name for name, verdict in found.items() if verdict == "fail"} >= {"audio", "speech", "statistics"}
    stages = [stage for stage in tiny_values(store.path)["stages"] if stage["name"] != "audio"]
    found = verdicts(store.path, stages=stages)
    assert found["audio"] == found["speech"] == "not applicable"
    assert found["statistics"] == "pass"


def test_people_on_two_sides_fail(store: ClipStore, tmp_path: Path) -> None:
    manifest = store.manifest()
    everybody = [["somebody"]] * len(manifest.table)
    manifest.with_column("identities", everybody).write(tmp_path / "m.parquet")
    data = {"store": str(store.path), "manifest": str(tmp_path / "m.parquet")}
    assert verdicts(store.path, data=data)["splits"] == "fail"
    assert verdicts(store.path, data={**data, "accept_leaks": ["identity"]})["splits"] == "pass"


def test_a_held_out_corpus_in_training_fails(store: ClipStore, tmp_path: Path) -> None:
    """Whatever it is called: the corpus of its videos counts, and one whose name contains that of another is not held out."""
    manifest = store.manifest()
    attributes = [[*row, ("corpus", "celebdf")] for row in manifest.table["attributes"].to_pylist()]
    mine = manifest.with_column("dataset", ["mine"] * len(manifest.table)).with_column("attributes", attributes)
    val_only = [row if split == "val" else row[:-1]
                for row, split in zip(attributes, manifest.table["split"].to_pylist(), strict=True)]  # fmt: skip
    for name, changed in {"mine": mine, "val": manifest.with_column("attributes", val_only)}.items():
        changed.write(tmp_path / f"{name}.parquet")
        data = {"store": str(store.path), "manifest": str(tmp_path / f"{name}.parquet")}
        assert verdicts(store.path, data=data)["held-out corpora"] == "fail"
        with pytest.raises(LeakError, match=r"videos of celebdf in .* held out for tests.*--accept-leak celebdf"):
            train(tiny_recipe(store.path, data=data), tmp_path / "run")
        assert not (tmp_path / "run").exists()
        told = {**data, "accept_leaks": ["celebdf"]}
        assert verdicts(store.path, data=told)["held-out corpora"] == "pass"
    short = {"stages": [{**tiny_values(store.path)["stages"][2], "epochs": 1}], "batches": {"videos": 2}}
    assert train(tiny_recipe(store.path, data=told, **short), tmp_path / "run").stages
    manifest.with_column("dataset", ["fakeavceleb"] * len(manifest.table)).write(tmp_path / "other.parquet")
    data = {"store": str(store.path), "manifest": str(tmp_path / "other.parquet")}
    assert verdicts(store.path, data=data)["held-out corpora"] == "pass"


def test_parameters_of_the_contract_model_are_as_expected() -> None:
    rows = {row.name: row for row in preflight(read_recipe("contract-v1"), quick=True)}
    parts = [row for name, row in rows.items() if name.startswith("parameters")]
    assert len(parts) == 7
    assert {row.verdict for row in parts} == {"pass", "not applicable"}
    assert rows["parameters, total"].verdict == "pass"
    assert {rows[name].verdict for name in DATA_ROWS} == {"not applicable"}


def test_the_plan_is_compared_with_the_machine(
    store: ClipStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny_recipe(store.path)
    data = load_data(recipe.data, recipe.inputs)
    costs = outlook.stage_costs(recipe, data)
    assert [cost.name for cost in costs] == [stage.name for stage in recipe.schedule]
    assert all(cost.seconds > 0 and cost.memory > 1e6 for cost in costs)
    train(recipe, tmp_path / "run")
    cache = store.path.with_name(store.path.name + ".features")
    written = sum(
        path.stat().st_size for folder in (cache, tmp_path / "run") for path in folder.rglob("*") if path.is_file()
    )
    assert written / 4 < sum(cost.disk for cost in costs) < written * 4, "what it takes on disk"
    rows = {row.name: row for row in preflight(recipe)}
    assert rows["plan, all"].verdict == "pass"
    monkeypatch.setattr(
        sys.modules["veridical.training.preflight"], "room", lambda *_: outlook.Room(memory=1000, disk=1000)
    )
    rows = {row.name: row for row in preflight(recipe)}
    assert rows["plan, all"].verdict == "fail"
    assert "augmentation.views" in rows["plan, all"].detail, "what to reduce"
    assert rows[f"plan, {recipe.schedule[0].name}"].verdict == "fail"
    assert "batches.clips" in rows[f"plan, {recipe.schedule[0].name}"].detail


def test_a_step_without_enough_memory_fails(store: ClipStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def out(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(outlook, "batch_loss", out)
    assert verdicts(store.path)["plan"] == "fail"
