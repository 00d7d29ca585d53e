"""Devices, precision, batches ahead, and writing tensors."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from veridical.devices import autocast, map_ahead, pick_device, resolve_precision, save_tensors
from veridical.errors import ArtefactError, UsageError


def test_results_come_in_the_order_of_the_items_from_threads_of_one_core() -> None:
    threads = torch.get_num_threads()
    assert list(map_ahead(lambda item: (item, torch.get_num_threads()), range(9), threads=3)) == [
        (n, 1) for n in range(9)
    ]
    assert torch.get_num_threads() == threads


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)\nmore")

    monkeypatch.setattr("veridical.devices.save_file", full)
    with pytest.raises(
        ArtefactError, match=r"cannot be written \(.*No space left.*28\)\); make room and run .*--resume"
    ):
        save_tensors(tmp_path / "model.safetensors", {"a": torch.zeros(9)})


def test_devices() -> None:
    assert pick_device("cpu") == torch.device("cpu")
    assert torch.zeros(1, device=pick_device("auto")).sum() == 0
    with pytest.raises(UsageError, match="device 'cuda:77': cannot be used here"):
        pick_device("cuda:77")
    for name in ("toaster", "cuda:first", "", "cpu:"):
        with pytest.raises(UsageError, match=f"unknown device '{name}'.* Valid: .*auto") as caught:
            pick_device(name)
        assert len(str(caught.value)) < 100


@pytest.mark.parametrize(
    ("capabilities", "precision"),
    [
        ({"avx512_bf16": True}, "bf16-mixed"),
        ({"amx_bf16": True}, "bf16-mixed"),
        ({"avx2": True}, "32-true"),
        ({}, "32-true"),
    ],
)
def test_automatic_precision_is_half_where_the_processor_has_it(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], precision: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    device = torch.device("cpu")
    assert resolve_precision("auto", device) == precision
    with pytest.raises(UsageError, match="16-mixed needs a graphics processor"):
        resolve_precision("16-mixed", device)
    with autocast(device, "auto"):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == (torch.bfloat16 if precision == "bf16-mixed" else torch.float32)


def test_automatic_precision_of_a_torch_that_does_not_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert resolve_precision("auto", torch.device("cpu")) == "32-true"
