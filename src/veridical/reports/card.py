"""A model card in Markdown: what a detector can be relied on for, on a page that travels with its weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from veridical.artefacts import atomic_path
from veridical.evaluation import Evaluation
from veridical.reports import content
from veridical.reports.content import Table, TableCell

SCOPE = """Reference corpus: {reference}. Tested on {tested}. Figures are for whole videos unless stated otherwise; brackets are
95 % intervals over leak groups; they allow for the number of people tested, not for a kind of person that is not among them."""
SELECTED = " (thresholds and temperatures were selected on its validation videos)"
LIMITS = """The figures hold for videos like those above. A score is evidence, not proof: on other material, for other generators
or at another compression it may be less reliable, and the decision is for a person to make. Not for decisions about people
without human review."""


def write_model_card(evaluation: Evaluation, out_markdown: Path) -> Path:
    """Write the model card of an evaluation and return its path."""
    with atomic_path(Path(out_markdown)) as temporary:
        temporary.write_text(model_card(evaluation), encoding="utf-8")
    return Path(out_markdown)


def model_card(evaluation: Evaluation) -> str:
    """Return the card: figures with intervals, thresholds, flagged risks, and what was not evaluated."""
    facts = evaluation.facts
    reference = facts.reference.dataset or "not known"
    selected = "" if facts.reference.reason else SELECTED
    tested = ", ".join(dataset for dataset, _ in evaluation.test_sets) or "no test set"
    parts = [
        f"# {facts.title or content.UNTITLED}",
        SCOPE.format(reference=f"{reference}{selected}", tested=tested),
        f"**Ready for the next phase: {evaluation.ready}.**",
        _bullets([content.typeset(reason) for reason in facts.decision.reasons]),
        "## Figures",
        _markdown(content.headline_table(evaluation)),
        "## Generalisation across corpora",
        _markdown(content.matrix_table([evaluation])),
        "## Operating points",
        *(_markdown(table) for table in content.decision_tables(evaluation)),
        "## Known risks",
        _bullets(_risks(evaluation, "FLAG")) or "No risk was flagged.",
        "## Undecided risks",
        _bullets(_risks(evaluation, "UNDECIDED")) or "No risk is undecided.",
        "## Not evaluated",
        _bullets(_risks(evaluation, "NOT EVALUABLE")) or "Every risk of the register was evaluated.",
        "## Use and limits",
        LIMITS,
        "## Made from",
        _bullets([f"{name}: `{text}`" for name, text in content.pairs(asdict(facts.fingerprints))]),
        _bullets([f"{name} {text}" for name, text in content.pairs(facts.versions)]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _risks(evaluation: Evaluation, verdict: str) -> list[str]:
    lines = []
    for _, row in evaluation.risks[evaluation.risks["verdict"] == verdict].iterrows():
        risk = content.typeset(row["risk"])
        if verdict in ("FLAG", "UNDECIDED"):
            certain = "certain" if row["certain"] else "not certain"
            why = certain if verdict == "FLAG" else row["reason"]
            limit = f"{content.plain(row['figure'])} against a threshold of {row['threshold']:g}, {why}"
            lines.append(f"**{risk}**: {limit}. Mitigation: {row['mitigation']}.")
        else:
            lines.append(f"{risk}: {row['reason']}.")
    return lines


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _markdown(table: Table) -> str:
    rows = [table.headers, ["---"] * len(table.headers), *([_cell(cell) for cell in row] for row in table.rows)]
    return "\n".join("| " + " | ".join(str(text).replace("|", "\\|") for text in row) + " |" for row in rows)


def _cell(cell: TableCell) -> str:
    return f"{cell.text} {cell.below}".strip() if cell.below else cell.text
