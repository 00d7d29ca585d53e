"""The example that draws contact sheets runs and draws what its documentation shows."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import cv2
import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "puppet_contact_sheet.py"


@pytest.mark.slow
def test_contact_sheets_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [str(EXAMPLE), str(tmp_path), "--people", "2"])
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    names = {"puppets_a.jpg", "puppets_b.jpg", "puppets_talking.jpg", "puppets_scenes.jpg"}
    assert {path.name for path in tmp_path.iterdir()} == names
    for name in names:
        image = cv2.imread(str(tmp_path / name))
        assert image is not None
        assert image.std() > 20
