"""Cores: as many as this process may use, on every system."""

from __future__ import annotations

import os
import sys

import pytest

from veridical.machine import num_cores


def test_the_affinity_of_this_process_counts() -> None:
    assert 1 <= num_cores() <= len(os.sched_getaffinity(0))


def test_systems_without_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert 1 <= num_cores() <= (os.cpu_count() or 1)
