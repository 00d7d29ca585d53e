"""One self-contained HTML page: opens offline, prints well, reads on a phone; no script, no request to anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from veridical.artefacts import atomic_path
from veridical.errors import UsageError
from veridical.reports import content, details, plots
from veridical.reports.plots import Picture
from veridical.reports.source import ReportExtras, Source, read_source


def write_report(
    folders: Path | Sequence[Path], out_html: Path, *, extras: ReportExtras | Mapping[str, Any] | None = None
) -> Path:
    """Write the report of one evaluation, or of several side by side (the first in full, all in the cross-corpus matrix).

    Args:
        folders: Evaluation folders.
        out_html: File to write.
        extras: Training curves, recipe; a mapping with the fields of `ReportExtras` will do.

    Returns:
        The file.

    Raises:
        ArtefactError: when a folder is not an evaluation.
        UsageError: when no folder is given, or a key of `extras` is not known.
    """
    paths = [Path(folders)] if isinstance(folders, str | Path) else [Path(folder) for folder in folders]
    if not paths:
        raise UsageError("a report needs at least one evaluation folder")
    html = render([read_source(path) for path in paths], _extras(extras))
    with atomic_path(Path(out_html)) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return Path(out_html)


def _extras(extras: ReportExtras | Mapping[str, Any] | None) -> ReportExtras:
    if isinstance(extras, ReportExtras):
        return extras
    known = set(ReportExtras.__dataclass_fields__)
    unknown = set(extras or {}) - known
    if unknown:
        raise UsageError(f"report extras: {sorted(unknown)} not known; valid: {', '.join(sorted(known))}")
    return ReportExtras(**dict(extras or {}))


def render(sources: Sequence[Source], extras: ReportExtras) -> str:
    """Return the page."""
    source = sources[0]
    environment = Environment(
        loader=PackageLoader("veridical.reports"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["svg"] = Markup  # made in svg.py, which escapes all text
    facts = source.facts
    template = environment.get_template("report.html.j2")
    return template.render(
        title=extras.title or facts.get("title") or "Evaluation",
        source=source,
        ready=facts["decision"]["ready"],
        reasons=[content.typeset(reason) for reason in facts["decision"]["reasons"]],
        decision_css=content.READY[facts["decision"]["ready"]],
        tiles=content.tiles(source),
        legend=content.legend(source),
        headline=content.headline_table(source),
        curves=_curves(source),
        modality=Picture("AUC by modality", plots.modality_plot(source)),
        contributions=content.contribution_table(source),
        breakdowns=content.breakdown_pictures(source),
        matrix=content.matrix_table(sources),
        gaps=content.gap_table(source),
        calibration=content.calibration_table(source),
        reliability=[Picture(name, plots.reliability_plot(source, name, split)) for name, split in source.judged],
        histograms=[Picture(name, plots.histogram_plot(source, name, split)) for name, split in source.judged],
        decisions=content.decision_tables(source),
        abstention=content.abstention_table(source),
        aggregations=content.aggregation_table(source),
        risks=details.risk_tables(source),
        outcomes=content.outcome_table(source),
        failures=[(dataset, details.failure_rows(source, dataset)) for dataset, _ in source.judged],
        common=facts["failures_in_common"],
        coverage=content.coverage_table(source),
        training=plots.training_plots(extras.training),
        conditions=content.condition_names(source),
        recipe=content.flat(extras.settings),
        run_facts=list(extras.facts.items()),
        settings=content.flat(facts["settings"]),
        fingerprints=[(item.name, content.flat(item.facts["fingerprints"])) for item in sources],
        versions=content.flat(facts["versions"]),
        warnings=facts["warnings"],
        remarks=facts["remarks"],
        statistics=details.statistics_tables(source),
        localisation=details.localisation_table(source),
        modality_calibration=details.modality_calibration_table(source),
        looks=facts["looks_at_test"],
    )


def _curves(source: Source) -> list[Picture]:
    legend, missing = content.legend(source), plots.missing_curves(source)
    band = "Bands: 95 % of bootstrap replicates over leak groups, point by point."
    axes = "Both error rates on normal deviate axes; dashed: equal error rate, and chance where a curve comes near it."
    return [
        Picture("ROC", plots.roc_plot(source), legend, f"{band} {missing}".strip()),
        Picture("DET", plots.det_plot(source), legend, f"{axes} {missing}".strip()),
    ]
