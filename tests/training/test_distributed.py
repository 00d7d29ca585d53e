"""Several processes learn as one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from safetensors.torch import load_file
from tiny import tiny_recipe, tiny_values

from veridical.clips import ClipStore
from veridical.devices import resolve_precision
from veridical.errors import UsageError
from veridical.inference import load_detector
from veridical.training import Recipe, Run, distributed, train
from veridical.training.distributed import masked_mean, num_processes, own_device, share_of_batch, sum_over_processes
from veridical.training.losses import smoothed_bce


def test_a_masked_mean_leaves_out_what_does_not_apply() -> None:
    values = torch.tensor([1.0, 2.0, 50.0], requires_grad=True)
    mean = masked_mean(values, torch.tensor([True, True, False]))
    mean.backward()
    assert mean.item() == 1.5
    assert values.grad.tolist() == [0.5, 0.5, 0]
    assert masked_mean(values, torch.zeros(3)).item() == 0
    assert masked_mean(values.detach(), torch.tensor([0.5, 1.5, 0])).item() == 1.75


def test_whole_videos_are_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.arange(24)
    monkeypatch.setattr(distributed, "num_processes", lambda: 4)
    shares = []
    for rank in range(4):
        monkeypatch.setattr(distributed, "process_number", lambda rank=rank: rank)
        shares.append(share_of_batch(rows, 4))
        videos = shares[-1].reshape(-1, 4) // 4
        assert (videos == videos[:, :1]).all()
    assert sorted(np.concatenate(shares).tolist()) == rows.tolist()
    monkeypatch.setattr(distributed, "num_processes", lambda: 7)
    with pytest.raises(UsageError, match="cannot be shared by 7 processes"):
        share_of_batch(rows, 4)


def still_recipe(store: Path, **changes: Any) -> Recipe:
    """A recipe without dropout, whose draws would differ between one process and two."""
    values = tiny_values(store)
    values["model"]["temporal"]["dropout"] = 0.0
    values["model"]["head_dropout"] = 0.0
    for stage in values["stages"]:
        stage |= {"epochs": 2, "modality_dropout": 0.0}
    values["stages"][2]["openings"] = [{"train": ["video_backbone"], "lr": 0.001, "epoch": 1}]
    values["model"]["audio"]["config"] |= {"dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0}
    values["batches"] = {"hard_examples": 0.3}
    return tiny_recipe(store, **{**values, **changes})


def gradients(share: slice) -> dict[str, list[float]]:
    """Gradient and value of a loss with terms that apply to different numbers of clips, from a share of twelve clips."""
    torch.manual_seed(0)
    model, inputs = torch.nn.Linear(5, 3), torch.randn(12, 5)
    label = (torch.arange(12) % 3 == 0).float()
    weights = torch.tensor([1, 1, 1, 1, 0, 1, 0, 0, 0, 0, 0.5, 0])
    fabric = Fabric(accelerator="cpu", devices=num_processes(), strategy="ddp" if num_processes() > 1 else "auto")
    fabric.launch()
    wrapped = fabric.setup(model)
    output = wrapped(inputs[share])
    loss = smoothed_bce(output[:, 0], label[share], weights[share], 0.05)
    loss = loss + masked_mean(output[:, 1] ** 2, label[share]) + masked_mean(output[:, 2], torch.zeros(12)[share])
    fabric.backward(loss)
    value = sum_over_processes(loss.detach()) / num_processes()
    return {"loss": [value.item()], "gradient": model.weight.grad.flatten().tolist()}


@pytest.mark.slow
def test_two_processes_give_what_one_does(store: ClipStore, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import json\nfrom pathlib import Path\nfrom test_distributed import gradients, still_recipe\n"
        "from veridical.training import train\nfrom veridical.training.distributed import process_number\n"
        f"train(still_recipe(Path({str(store.path)!r})), Path({str(tmp_path / 'two')!r}))\n"
        "found = gradients(slice(0, 5) if process_number() == 0 else slice(5, 12))\n"
        f"Path({str(tmp_path)!r}, f'{{process_number()}}.json').write_text(json.dumps(found))\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=3600)
    assert done.returncode == 0, done.stderr[-3000:]
    for rank in (0, 1):
        found = json.loads((tmp_path / f"{rank}.json").read_text())
        for name, values in gradients(slice(0, 12)).items():
            np.testing.assert_allclose(found[name], values, rtol=1e-5, atol=1e-7, err_msg=name)
    one = train(still_recipe(store.path), tmp_path / "one")
    two = Run(tmp_path / "two").history()
    assert len(two) == len(one.history) == 6
    for mine, theirs in zip(one.history, two, strict=True):
        for name in ("train_loss", "train_segment", "val_loss"):
            # Adam makes whole steps out of gradients that are nothing but rounding
            assert mine[name] == pytest.approx(theirs[name], rel=2e-3), (mine["stage"], mine["epoch"], name)
    first, second = (load_file(tmp_path / name / "model" / "model.safetensors") for name in ("one", "two"))
    assert set(first) == set(second), "no prefix of a wrapper"
    mine, theirs = (load_detector(tmp_path / name).facts for name in ("one", "two"))
    assert mine.calibration.num_videos == theirs.calibration.num_videos == 12, "each video counts once"
    assert mine.calibration.temperature == pytest.approx(theirs.calibration.temperature, rel=0.02)
    assert mine.operating_points == pytest.approx(theirs.operating_points, abs=0.02)


@pytest.mark.parametrize("accelerator", ["auto", "cuda"])
@pytest.mark.parametrize("variable", ["LOCAL_RANK", "SLURM_LOCALID"])
def test_a_process_touches_no_device_of_another(
    accelerator: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    touched: list[str] = []

    @contextmanager
    def current(device: torch.device) -> Iterator[None]:
        touched.append(str(device))
        yield

    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.setenv(variable, "1")
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: torch.device("cuda"))
    monkeypatch.setattr(torch, "empty", lambda *_, device: touched.append(str(device)))
    monkeypatch.setattr(torch.cuda, "device", current)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    assert resolve_precision("auto", own_device(accelerator)) == "bf16-mixed"
    assert touched == ["cuda:1", "cuda:1"]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert own_device(accelerator) == torch.device("cuda:0"), "the only one that it sees is its own"
