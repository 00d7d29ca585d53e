"""A model card in Markdown: what a detector can be relied on for, in a page that travels with its weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from veridical.artefacts import atomic_path
from veridical.reports import content
from veridical.reports.content import Cell, Table
from veridical.reports.source import Source, read_source

SCOPE = """Reference corpus: {trained} (trained on it, or at least thresholds chosen on its validation videos); judged on
{judged}. Brackets hold 95 % intervals over leak groups; figures are of
whole videos unless said otherwise."""
LIMITS = """The figures hold for videos like those above. A score is evidence,
not proof: on other material, other generators or another compression it may mean less, and a person should decide. Not
for deciding about people without review."""


def write_model_card(folder: Path, out_markdown: Path) -> Path:
    """Write the model card of an evaluation folder.

    Raises:
        ArtefactError: when the folder is not an evaluation.
    """
    text = model_card(read_source(folder))
    with atomic_path(Path(out_markdown)) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(out_markdown)


def model_card(source: Source) -> str:
    """Return the card: figures with intervals, thresholds, flags, and what was never judged."""
    decision = source.facts["decision"]
    names = [dataset for dataset, _ in source.judged]
    parts = [
        f"# {source.name}",
        SCOPE.format(trained=source.reference or "not known", judged=", ".join(names)),
        f"**Ready for the next phase: {decision['ready']}.**",
        _bullets([content.typeset(reason) for reason in decision["reasons"]]),
        "## Figures",
        _markdown(content.headline_table(source)),
        "## From corpus to corpus",
        _markdown(content.matrix_table([source])),
        "## Decisions",
        *(_markdown(table) for table in content.decision_tables(source)),
        "## Known risks",
        _bullets(_risks(source, "FLAG")) or "No risk was flagged.",
        "## Not judged",
        _bullets(_risks(source, "NOT EVALUABLE")) or "Every risk of the register was judged.",
        "## Use and limits",
        LIMITS,
        "## Made from",
        _bullets([f"{name}: `{text}`" for name, text in content.flat(source.facts["fingerprints"])]),
        _bullets([f"{name} {text}" for name, text in content.flat(source.facts["versions"])]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _risks(source: Source, verdict: str) -> list[str]:
    found = []
    for _, row in source.risks[source.risks["verdict"] == verdict].iterrows():
        if verdict == "FLAG":
            sure = "certain" if row["certain"] else "not certain"
            measured = f": {content.plain(row['figure'])} against {row['threshold']:g}, {sure}."
            found.append(f"**{content.typeset(row['risk'])}**{measured} {row['mitigation']}.")
        else:
            found.append(f"{content.typeset(row['risk'])}: {row['reason']}.")
    return found


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _markdown(table: Table) -> str:
    rows = [table.headers, ["---"] * len(table.headers), *([_cell(cell) for cell in row] for row in table.rows)]
    return "\n".join("| " + " | ".join(str(text).replace("|", "\\|") for text in row) + " |" for row in rows)


def _cell(cell: Cell) -> str:
    return f"{cell.text} {cell.below}".strip() if cell.below else cell.text
