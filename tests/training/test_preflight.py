"""The checklist before training: each row fails when it should."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import fabricate_store, tiny_recipe, tiny_values

from veridical.clips import ClipStore
from veridical.errors import LeakError, UsageError
from veridical.training import outlook, preflight, read_recipe, train
from veridical.training.data import load_data

DATA_ROWS = {"frames", "faces", "audio", "speech", "splits", "held-out corpora", "statistics", "shortcuts"}


def verdicts(store: Path, **changes: Any) -> dict[str, str]:
    return {row.name: row.verdict for row in preflight(tiny_recipe(store, **changes))}


def test_a_sound_recipe_passes(store: ClipStore) -> None:
    found = verdicts(store.path)
    assert DATA_ROWS | {"weights", "device", "hyper-parameters", "three-term loss", "early stopping"} <= set(found)
    rows = {name: verdict for name, verdict in found.items() if not name.startswith("parameters")}
    assert rows.pop("shortcuts") == "not applicable", "too few people to look for shortcuts: that is no pass"
    assert set(rows.values()) == {"pass"}
    assert found["parameters, total"] == "not applicable"


@pytest.mark.parametrize(
    ("changes", "row"),
    [
        ({"losses": {"temporal": 0.0}}, "three-term loss"),
        ({"early_stopping": {"patience": 10}}, "early stopping"),
        ({"data": {"store": "nowhere"}}, "data"),
    ],
)
def test_what_is_wrong_fails(store: ClipStore, changes: dict[str, Any], row: str) -> None:
    assert verdicts(store.path, **changes)[row] == "fail"


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
