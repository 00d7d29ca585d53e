"""The direction of imports: a room imports only from rooms below it, and tables never import torch."""

from __future__ import annotations

import ast
from pathlib import Path

import grimp
import pytest

SOURCE = Path(__file__).parent.parent / "src" / "veridical"
ROWS = (
    ("cli",),
    ("demo",),
    ("pipeline",),
    ("reports",),
    ("training",),
    ("evaluation",),
    ("speech",),
    ("inference",),
    ("preparation", "inputs", "interventions"),
    ("clips",),
    ("models", "forgery", "puppets"),
    ("devices",),
    ("faces",),
    ("corpora",),
    ("media",),
    ("weights",),
    ("artefacts",),
    ("metrics",),
    ("settings", "randomness", "progress", "machine"),
    ("errors",),
)
LEVEL = {room: number for number, row in enumerate(ROWS) for room in row}
WITHOUT_TORCH = (
    "reports",
    "evaluation",
    "interventions",
    "clips",
    "corpora",
    "media",
    "weights",
    "artefacts",
    "metrics",
    "machine",
)
HEAVY = {"torch", "torchvision", "timm", "transformers", "lightning", "lightning_fabric"}


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


def modules_imported_by(path: Path) -> list[str]:
    """Dotted names of the modules that a file imports from."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module]


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


FILES = sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")


def test_every_room_has_a_row() -> None:
    assert {room_of(path) for path in FILES} == set(LEVEL)


def upward_imports(room: str, names: list[str]) -> list[str]:
    """The imports among the names that lead from a room to one on the same row or above."""
    others = {name: name.split(".")[1] for name in names if name.startswith("veridical.")}
    return [name for name, other in others.items() if other in LEVEL and other != room and LEVEL[other] <= LEVEL[room]]


def test_the_checks_see_what_they_are_for() -> None:
    assert upward_imports("metrics", ["veridical.errors", "veridical.corpora.splitting", "numpy"]) == [
        "veridical.corpora.splitting"
    ]
    assert upward_imports("reports", ["veridical.evaluation", "veridical.cli.main"]) == ["veridical.cli.main"]
    assert len(FILES) > 100
    assert printed("print(1)\nf(print)\n") == [1]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_downwards(path: Path) -> None:
    assert upward_imports(room_of(path), imports_of(path)) == []


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    """Every import of the package, also those inside functions; importing a module runs the faces of its rooms first."""
    built = grimp.build_graph(
        "veridical", include_external_packages=True, exclude_type_checking_imports=True, cache_dir=None
    )
    for module in list(built.modules):
        if not module.startswith("veridical."):
            continue
        for imported in built.find_modules_directly_imported_by(module):
            parts = imported.split(".")
            for length in range(2, len(parts) if parts[0] == "veridical" else 0):
                face = ".".join(parts[:length])
                if face not in (module, imported) and not module.startswith(f"{face}."):
                    built.add_import(importer=module, imported=face)
    return built


@pytest.mark.parametrize("room", WITHOUT_TORCH)
def test_rooms_of_tables_do_not_reach_torch(graph: grimp.ImportGraph, room: str) -> None:
    modules = {f"veridical.{room}", *graph.find_descendants(f"veridical.{room}")}
    heavy = HEAVY & graph.modules
    assert "torch" in heavy
    for module in sorted(modules):
        for name in sorted(heavy):
            assert graph.find_shortest_chain(module, name) is None, graph.find_shortest_chain(module, name)


def test_the_graph_sees_indirect_imports(graph: grimp.ImportGraph) -> None:
    chain = graph.find_shortest_chain("veridical.cli.main", "torch") or graph.find_shortest_chain(
        "veridical.inference", "torch"
    )
    assert chain is not None
    assert len(chain) > 2, "a chain over another module of ours"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_rooms_are_entered_by_their_face(path: Path) -> None:
    room = room_of(path)
    behind = [
        name
        for name in modules_imported_by(path)
        if name.startswith("veridical.") and name.count(".") > 1 and name.split(".")[1] != room
    ]
    assert not behind, f"import from the room's face instead: {', '.join(behind)}"


def printed(source: str) -> list[int]:
    """The lines of a source text that call `print`."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [call.lineno for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]


def test_only_the_command_line_prints() -> None:
    lines = {path: printed(path.read_text(encoding="utf-8")) for path in FILES if room_of(path) != "cli"}
    assert not {path: found for path, found in lines.items() if found}
