"""One self-contained HTML page: opens offline, prints well, reads on a phone; no script, no request to anywhere."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from veridical.artefacts import atomic_path
from veridical.errors import UsageError
from veridical.evaluation import Evaluation
from veridical.reports import content, details, plots
from veridical.reports.plots import Plot
from veridical.settings import read_yaml


@dataclass(frozen=True)
class ReportExtras:
    """What a report can show beyond an evaluation; everything is optional."""

    title: str = ""
    """Heading of the page; empty: the title of the evaluation."""
    training: Sequence[Mapping[str, object]] = ()
    """Rows of metrics.jsonl: stage, epoch, losses, val_auc, …"""
    settings: Mapping[str, object] = field(default_factory=dict)
    """The recipe of the training."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """Name → text, shown under "How this was made": duration, machine, number of parameters."""

    @classmethod
    def of_run(cls, run: Path, title: str = "") -> ReportExtras:
        """Read the training curves and the recipe of a run, where the folder holds them."""
        metrics, recipe = run / "metrics.jsonl", run / "recipe.yaml"
        lines = metrics.read_text(encoding="utf-8").splitlines() if metrics.is_file() else []
        settings = read_yaml(recipe) if recipe.is_file() else {}
        return cls(title, [json.loads(line) for line in lines], settings)


def write_report(
    evaluations: Evaluation | Sequence[Evaluation], out_html: Path, *, extras: ReportExtras | None = None
) -> Path:
    """Write the report of one evaluation, or of several side by side.

    Args:
        evaluations: The first is reported in full; all are in the cross-corpus matrix.
        out_html: File to write.
        extras: Title, training curves, recipe.

    Returns:
        The file.

    Raises:
        UsageError: when no evaluation is given.
    """
    together = [evaluations] if isinstance(evaluations, Evaluation) else list(evaluations)
    if not together:
        raise UsageError("a report needs at least one evaluation")
    html = render(together, extras or ReportExtras())
    with atomic_path(Path(out_html)) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return Path(out_html)


def render(evaluations: Sequence[Evaluation], extras: ReportExtras) -> str:
    """Return the page."""
    evaluation, facts = evaluations[0], evaluations[0].facts
    environment = Environment(
        loader=PackageLoader("veridical.reports"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["svg"] = Markup  # made in svg.py, which escapes all text
    template = environment.get_template("report.html.j2")
    return template.render(
        title=extras.title or facts.title or content.UNTITLED,
        facts=facts,
        test_sets=evaluation.test_sets,
        reasons=[content.typeset(reason) for reason in facts.decision.reasons],
        decision_css=content.READY[facts.decision.ready],
        tiles=content.tiles(evaluation),
        headline=content.headline_table(evaluation),
        curves=_curves(evaluation),
        modality=Plot("AUC by modality", plots.modality_plot(evaluation)),
        contributions=content.contribution_table(evaluation),
        breakdowns=content.breakdown_plots(evaluation),
        matrix=content.matrix_table(evaluations),
        gaps=content.gap_table(evaluation),
        temperatures=content.temperatures(evaluation),
        calibration=content.calibration_table(evaluation),
        reliability=[
            Plot(name, plots.reliability_plot(evaluation, name, split)) for name, split in evaluation.test_sets
        ],
        histograms=[Plot(name, plots.histogram_plot(evaluation, name, split)) for name, split in evaluation.test_sets],
        decisions=content.decision_tables(evaluation),
        abstention=content.abstention_table(evaluation),
        aggregations=content.aggregation_table(evaluation),
        risks=details.risk_tables(evaluation),
        outcomes=content.outcome_table(evaluation),
        failures=[(dataset, details.failure_rows(evaluation, dataset)) for dataset, _ in evaluation.test_sets],
        coverage=content.coverage_table(evaluation),
        training=plots.training_plots(extras.training),
        conditions=content.condition_names(evaluation),
        recipe=content.pairs(extras.settings),
        run_facts=list(extras.facts.items()),
        settings=content.pairs(facts.settings.model_dump(mode="json")),
        fingerprints=[content.pairs(asdict(item.facts.fingerprints)) for item in evaluations],
        versions=content.pairs(facts.versions),
        statistics=details.statistics_tables(evaluation),
        localisation=details.localisation_table(evaluation),
        modality_calibration=details.modality_calibration_table(evaluation),
    )


def _curves(evaluation: Evaluation) -> list[Plot]:
    legend, missing = content.legend(evaluation), plots.missing_curves(evaluation)
    band = "Bands: 95 % intervals of the TPR over leak groups, pointwise."
    axes = "Both error rates on normal deviate axes; dashed: equal error rate and, where a curve comes near it, chance."
    return [
        Plot("ROC", plots.roc_plot(evaluation), legend, f"{band} {missing}".strip()),
        Plot("DET", plots.det_plot(evaluation), legend, f"{axes} {missing}".strip()),
    ]
