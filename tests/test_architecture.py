"""The direction of imports: a room imports only from rooms below it, and tables never import torch."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "veridical"
ROWS = (
    ("cli",),
    ("demo",),
    ("reports", "evaluation", "training"),
    ("inference",),
    ("preparation",),
    ("clips",),
    ("models", "forgery", "puppets"),
    ("devices",),
    ("faces",),
    ("corpora", "media"),
    ("weights",),
    ("artefacts",),
    ("metrics",),
    ("settings", "randomness", "progress", "machine"),
    ("errors",),
)
LEVEL = {room: number for number, row in enumerate(ROWS) for room in row}
WITHOUT_TORCH = ("corpora", "metrics", "reports", "evaluation", "artefacts")
REPORTS_READ_EVALUATIONS = ("reports", "evaluation")


def imports_of(path: Path) -> list[str]:
    """Dotted names of every module that a file imports, at the top or inside functions."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            whole = node.module == "veridical"
            names += [f"veridical.{alias.name}" for alias in node.names] if whole else [node.module]
    return names


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


FILES = sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")


def test_every_room_has_a_row() -> None:
    assert {room_of(path) for path in FILES} == set(LEVEL)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_downwards(path: Path) -> None:
    room = room_of(path)
    for name in imports_of(path):
        if not name.startswith("veridical."):
            continue
        other = name.split(".")[1]
        if other not in LEVEL or other == room or (room, other) == REPORTS_READ_EVALUATIONS:
            continue
        assert LEVEL[other] > LEVEL[room], f"{room} must not import {other}: it is not below"


@pytest.mark.parametrize("room", WITHOUT_TORCH)
def test_rooms_of_tables_do_not_import_torch(room: str) -> None:
    files = [path for path in FILES if room_of(path) == room]
    assert files
    for path in files:
        heavy = {"torch", "torchvision", "timm", "transformers", "lightning"}
        assert not heavy & {name.split(".")[0] for name in imports_of(path)}, path


def test_only_the_command_line_prints() -> None:
    for path in FILES:
        if room_of(path) == "cli":
            continue
        calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        assert not [call for call in calls if isinstance(call, ast.Name) and call.id == "print"], path
