"""The pages that map the strategy to the code name only what exists, with the defaults it has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from veridical.cli.main import COMMANDS
from veridical.clips import StoreSettings
from veridical.evaluation import EvaluationSettings
from veridical.pipeline import evaluation_settings
from veridical.training import Recipe, read_recipe

ROOT = Path(__file__).parents[2]
WHERE = {"recipe": Recipe(), "prepare": StoreSettings(), "evaluation": EvaluationSettings()}


def value_of(settings: BaseModel, name: str) -> Any:
    value: Any = settings
    for part in name.split("."):
        if part not in type(value).model_fields:
            raise KeyError(
                f"{name}: {type(value).__name__} has no {part}; it has {', '.join(type(value).model_fields)}"
            )
        value = getattr(value, part)
    return value


def rows(page: str) -> list[list[str]]:
    lines = (ROOT / "docs" / page).read_text(encoding="utf-8").splitlines()
    return [[cell.strip() for cell in line.strip()[1:-1].split("|")] for line in lines if line.startswith("| ")]


def plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def test_decisions_are_settings_with_their_defaults() -> None:
    found = [row for row in rows("decisions.md") if row[0].isdigit()]
    assert [int(row[0]) for row in found] == list(range(1, 16))
    for number, _, where, setting, default, why in found:
        value = value_of(WHERE[where], setting.strip("`"))
        if setting != "`stages`":
            assert plain(value) == yaml.safe_load(default.strip("`")), f"decision {number}: {setting}"
        assert len(why) > 80


def test_decisions_about_the_evaluation_are_set_by_evaluate_and_by_a_recipe() -> None:
    names = [setting.strip("`") for row in rows("decisions.md") if row[2:3] == ["evaluation"] for setting in row[3:4]]
    assert len(names) == 4
    assert "--set" in (ROOT / "tests" / "cli" / "goldens" / "help-evaluate.txt").read_text()
    for name in names:
        default = value_of(EvaluationSettings(), name)
        other = [0.2] if isinstance(default, tuple) else default * 2
        assert plain(value_of(evaluation_settings("", {}, [f"{name}={other}"]), name)) == other
        assert plain(value_of(read_recipe("contract-v1", [f"evaluation.{name}={other}"]).evaluation, name)) == other


def test_an_unknown_setting_would_be_seen() -> None:
    with pytest.raises(KeyError, match=r"losses\.tempral: LossSettings has no tempral"):
        value_of(Recipe(), "losses.tempral")


STATES = ("as asked", "differs: ", "more than asked", "not yet")


def test_every_line_of_the_strategy_names_what_exists() -> None:
    lines = [row for row in rows("strategy.md") if row[0] != "required"]
    assert len(lines) > 110
    assert len({row[0] for row in lines}) == len(lines), "no line stands twice"
    for asked, command, settings, test, remark in lines:
        assert remark.startswith(STATES), asked
        assert not remark.startswith("differs: ") or len(remark) > 40, f"{asked}: why"
        names = re.findall(r"`veridical (\w+)", command)
        assert names or not command, asked
        assert set(names) <= set(COMMANDS), asked
        for setting in re.findall(r"`([\w.]+)`", settings):
            owners = [where for where in WHERE.values() if type(where).model_fields.get(setting.split(".")[0])]
            assert owners, f"{asked}: {setting}"
            value_of(owners[0], setting)
        tests = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", test)
        assert len(tests) == (0 if remark.startswith("not yet") else 1), f"{asked}: a test, or not yet"
        for path, name in tests:
            source = (ROOT / path).read_text(encoding="utf-8")
            assert re.search(rf"^def {name}\(", source, re.MULTILINE), f"{asked}: {path}::{name}"


def test_every_line_of_the_strategy_is_there() -> None:
    """What each section asks for, by the words that the strategy uses."""
    page = (ROOT / "docs" / "strategy.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## (\S+?)\.? .*?\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))
    for section, words in WORDS.items():
        missing = [word for word in words.split(" · ") if word not in sections[section]]
        assert not missing, f"{section}: {missing}"


WORDS = {
    "I": "c23 · 331 · Face2Face · NeuralTextures · 265 / 33 / 33 · stratified · Celeb-DF · never in training · DFDC · balanced ·"
    " class weights · hard-example · diversity matrix",
    "II": "video level · frame level, hard · soft · 5 frames · weak and strong",
    "III": "pretraining · stage 1 · stage 2 · stage 3 · 8 of 12 · joint end to end · 1.5 × · late blocks at 1e-5 · AdamW ·"
    " cosine · batch 32 · clipping · checkpoint · patience 3 · NaN · colour jitter · 224 crop · flip · blur · time shift ·"
    " noise · rotation · perspective · elastic · pitch · stretch · emphasis · mixed compression · CutMix · Mixup · SpecAugment",
    "IV": "1.0 segment · smoothing .05 · L_video · L_temporal · by class · L1 · entropy · focal · sweeps",
    "V": "AUC · EER · average precision · accuracy · ECE · 95 % TPR · .5 .6 .7 · optimised · sign-off · 10 points · ablation"
    " · worst · saliency",
    "VI": "generator overfitting · compression shortcut · audio-only leakage · VAD · jitter · demographic · overconfidence ·"
    " corpora differ",
    "VII": "5 fps · splits · statistics · EfficientNet-B3 · parameter counts · three-term · plan fit · per epoch · final report ·"
    " ready for phase 2",
    "VIII": "fifteen · H.265 · saliency",
    "IX": "beside what was measured",
    "The": "1536 · 2048 · transformer · wav2vec2 · 4 heads · dropout .2 · modality dropout · Farneback · .95 · 5-point"
    " · single face · temperature · Grad-CAM · anomalies · agreement · ensembles · MC dropout · lip-sync"
    " · FGSM · asynchronous · 30-second",
}
