"""The whole job: a foreign detector or its scores on a store, from the command line and from Python."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pytest
from tests.evaluation.worlds import World
from typer.testing import CliRunner

import veridical as vd
from veridical.artefacts import Manifest, Video
from veridical.cli.main import build_app
from veridical.clips import Clip, ClipStore, ClipWriter, LedgerEntry, StoreSettings
from veridical.errors import VeridicalError
from veridical.evaluation import Evaluation, EvaluationSettings
from veridical.pipeline import evaluation_folder, evaluation_settings, splits_to_score
from veridical.training import Run, read_recipe

EXAMPLE = Path(__file__).parents[1] / "examples" / "wrap_python.py"
SIZE = 64


def clip(video: Video, second: int) -> Clip:
    """A face of noise; smoother for fakes, as the example detector supposes."""
    rng = np.random.default_rng([second, sum(map(ord, video.video_id))])
    frames = rng.integers(0, 256, (5, SIZE, SIZE, 3), dtype=np.uint8)
    if video.label:
        frames = np.stack([cv2.GaussianBlur(frame, (0, 0), 2) for frame in frames])
    box = np.tile(np.array([[10, 10, 90, 90]], np.float32), (5, 1))
    sound = rng.normal(0, 3000, 16000).astype(np.int16)
    return Clip(
        video.video_id, float(second), frames, box, np.zeros((5, 5, 2), np.float32), np.ones(5, np.float32), sound,
        np.ones(50, bool),
    )  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    videos = [
        Video("d", f"{person:02d}-{kind}", "x", label=int(kind == "fake"), visual_label=int(kind == "fake"), audio_label=0,
              generator="Blur" if kind == "fake" else None, identities=(str(person),), group=str(person), has_audio=True,
              compression="c23", split="val" if person < 4 else "test")
        for person in range(16) for kind in ("real", "fake")
    ]  # fmt: skip
    path = tmp_path_factory.mktemp("s") / "store"
    ClipStore.create(path, StoreSettings(crop_size=SIZE), Manifest.from_videos(videos))
    with ClipWriter(path) as writer:
        for video in videos[:-1]:
            writer.add(LedgerEntry(video.video_id, "ok", num_clips=2), [clip(video, second) for second in range(2)])
        writer.add(LedgerEntry(videos[-1].video_id, "no_face", reason="no face in 10 frames"), [])
    return path


def test_the_python_example_from_end_to_end(store: Path, tmp_path: Path) -> None:
    out = tmp_path / "verdict"
    arguments = ["evaluate", "--detector", f"{EXAMPLE}:score", "--on", str(store), "-o", str(out), "--replicates", "50"]
    result = CliRunner().invoke(build_app(), [*arguments, "--control", "reverse", "--prevalence", "0.1"])
    assert result.exit_code == 0, result.output
    metrics = pd.read_csv(out / "metrics.csv", keep_default_na=False)
    auc = metrics.query("metric == 'auc' and split == 'test' and level == 'video' and slice == ''")
    assert float(auc[auc["condition"] == "joint"]["value"].iloc[0]) == 1.0
    risks = pd.read_csv(out / "risks.csv").set_index("risk")
    assert risks.loc["light, blur and loudness (d)", "verdict"] == "FLAG", "blur is all that tells these fakes"
    assert risks.loc["frame order ignored: reverse (d)", "verdict"] == "FLAG"
    silence = risks.loc["leading silence (d)"]
    assert (silence["verdict"], silence["crossed"]) == ("UNDECIDED", False), "so few people show nothing either way"
    facts = json.loads((out / "evaluation.json").read_text())
    assert next(item for item in facts["coverage"] if item["split"] == "test")["fake_without_score"] == 1
    images = json.loads((out / "thumbnails.json").read_text())
    worst = facts["failures"][0]["video_id"]
    image = cv2.imdecode(np.frombuffer(base64.b64decode(images[worst]), np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (112, 112, 3)
    page = (out / "report.html").read_text()
    assert images[worst] in page
    assert "<h2>The data</h2>" in page
    assert "Blur" in page
    held = json.loads((out / "statistics.json").read_text())
    assert [entry["name"] for entry in held] == ["d"]
    assert facts["settings"]["prevalence"] == 0.1
    videos = pd.read_parquet(out / "videos.parquet")
    assert videos["p_fake_in_use"].between(0, 1).all()


def test_scores_with_their_store_have_thumbnails_too(store: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    videos = ClipStore.open(store).manifest().frame(["video_id"])
    videos.assign(logit=rng.normal(size=len(videos))).to_csv(tmp_path / "theirs.csv", index=False)
    arguments = ["evaluate", "--scores", str(tmp_path / "theirs.csv"), "--on", str(store), "-o", str(tmp_path / "v")]
    result = CliRunner().invoke(build_app(), [*arguments, "--replicates", "50"])
    assert result.exit_code == 0, result.output
    assert len(json.loads((tmp_path / "v" / "thumbnails.json").read_text())) >= 9
    result = CliRunner().invoke(build_app(), [*arguments, "--intervention", "shuffle"])
    assert result.exit_code == 2
    assert "--intervention goes with a run or --detector" in result.output


def test_a_corpus_without_splits_beside_one_with_splits_is_scored_whole() -> None:
    videos = [Video("a", "a/1", "1.mp4", 0, split="train"), Video("a", "a/2", "2.mp4", 1, split="test")]
    labels = Manifest.from_videos([*videos, Video("b", "b/1", "3.mp4", 1)])

    def splits(video_id: str) -> tuple[str, ...]:
        return splits_to_score(SimpleNamespace(index=lambda: pd.DataFrame({"video_id": [video_id]})), labels)

    assert splits("a/1") == ("val", "test")
    assert splits("b/1") == ()


def test_the_whole_job_from_python(tmp_path: Path) -> None:
    scores, manifest = World(splits={"val": 20, "test": 20}).build(0)
    settings = EvaluationSettings(replicates=50)
    evaluation = vd.judge(scores, manifest=manifest, output=tmp_path / "e", settings=settings, title="from Python")
    assert evaluation.facts == Evaluation.read(tmp_path / "e").facts
    assert evaluation.facts.looks_at_test == 1
    assert list(evaluation.attachments.statistics) == ["A"]
    assert {path.name for path in (tmp_path / "e").iterdir()} == {
        "metrics.csv", "risks.csv", "evaluation.json", "curves.json", "videos.parquet", "statistics.json", "looks.jsonl",
        "report.html", "model_card.md",
    }  # fmt: skip
    assert "from Python" in (tmp_path / "e" / "report.html").read_text()


def test_the_model_folder_of_a_run_is_evaluated_into_the_run(tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "model").mkdir(parents=True)
    (run / "model" / "model.json").touch()
    assert evaluation_folder(run, None) == run / "evaluation" / "default"
    assert evaluation_folder(run / "model", None) == run / "evaluation" / "default"
    assert evaluation_folder(run / "model", tmp_path / "e") == tmp_path / "e"
    alone = (run / "model").rename(tmp_path / "copied")
    assert evaluation_folder(alone, None) == alone / "evaluation" / "default"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"output": "other"}, "holds files and is not an evaluation"),
        ({"output": "file/e"}, "is not a folder that you may write into"),
        ({"output": None}, "say where to write"),
        ({"settings": EvaluationSettings(reference="dd")}, "unknown data set 'dd'; did you mean 'd'"),
        ({"stores": ()}, "nothing to score"),
        ({"interventions": ["shufle"]}, "did you mean 'shuffle'"),
    ],
)
def test_what_is_wrong_is_refused_before_anything_is_scored(
    change: dict[str, object], message: str, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*arguments: object, **options: object) -> None:
        raise AssertionError("scored")

    monkeypatch.setattr("veridical.inference.score_store", never)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").touch()
    arguments = {"stores": [store], "output": "e", **change}
    with pytest.raises(VeridicalError, match=message):
        vd.judge(f"{EXAMPLE}:score", **arguments)
    assert not (tmp_path / "e").exists()


def _csv(path: Path, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    rows = [
        f"v{n},{n % 2},{rng.normal() + n % 2:.3f},{'val' if n < 24 else 'test'},{'fair' if n % 2 else ''}\n"
        for n in range(48)
    ]
    path.write_text("video_id,label,logit,split,generator\n" + "".join(rows))
    return path


def _evaluate(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(build_app(), ["evaluate", *map(str, arguments)])
    return result.exit_code, " ".join(result.stderr.split())


def test_every_decision_of_an_evaluation_is_set_from_the_command_line(tmp_path: Path) -> None:
    changes = {
        "probability_thresholds": [0.2, 0.9], "worst_videos": 3, "ece_bins": 4, "replicates": 60,
        "thresholds.ece": 0.5, "thresholds.generator_spread": 0.01,
    }  # fmt: skip
    assignments = [item for name, value in changes.items() for item in ("--set", f"{name}={value}")]
    code, errors = _evaluate("--scores", _csv(tmp_path / "s.csv"), "-o", tmp_path / "e", *assignments)
    assert code == 0, errors
    judged = Evaluation.read(tmp_path / "e")
    points = {str(point) for point in judged.metrics["operating_point"]}
    assert {"0.2", "0.9"} <= points
    assert "0.5" not in points
    assert judged.facts.settings.ece_bins == 4
    assert len(judged.facts.failures) <= 3
    risk = judged.risks[judged.risks["risk"].str.contains("calibrat|confiden")]
    assert set(risk["threshold"]) == {0.5}


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("ece_bin=4", "--set ece_bin=4: unknown setting 'ece_bin'; did you mean 'ece_bins'"),
        ("thresholds.spread=1", "--set thresholds.spread=1: unknown setting 'spread'"),
        ("worst_videos=-1", "--set worst_videos=-1: worst_videos: Input should be greater than or equal to 0"),
        ("worst_videos", "--set worst_videos: expected KEY=VALUE"),
    ],
)
def test_a_wrong_setting_of_an_evaluation_is_named(tmp_path: Path, assignment: str, words: str) -> None:
    code, errors = _evaluate("--scores", _csv(tmp_path / "s.csv"), "-o", tmp_path / "e", "--set", assignment)
    assert code == 2
    assert words in errors
    assert not (tmp_path / "e").exists()


def test_a_run_is_judged_as_its_recipe_says_and_options_come_on_top(tmp_path: Path) -> None:
    changes = ["evaluation.worst_videos=3", "evaluation.thresholds.corpus_gap=0.05"]
    Run(tmp_path / "run").start(read_recipe("small", changes), "data")
    settings = evaluation_settings(tmp_path / "run", {"replicates": 70}, ["thresholds.ece=0.1"])
    assert (settings.worst_videos, settings.replicates) == (3, 70)
    assert (settings.thresholds.corpus_gap, settings.thresholds.ece) == (0.05, 0.1)
    assert "window_s" not in settings.model_fields_set, "the clips say how long they are"
    assert evaluation_settings("module:detector") == EvaluationSettings()
    with pytest.raises(VeridicalError, match=r"--set evaluation\.worst=3: unknown setting 'worst'"):
        read_recipe("small", ["evaluation.worst=3"])


def test_the_evaluation_of_another_detector_is_not_overwritten(tmp_path: Path) -> None:
    first, second = _csv(tmp_path / "a.csv"), _csv(tmp_path / "b.csv", seed=1)
    out = tmp_path / "e"
    assert _evaluate("--scores", first, "-o", out, "--replicates", 50)[0] == 0
    before = {path: path.read_bytes() for path in out.iterdir()}
    code, errors = _evaluate("--scores", second, "-o", out, "--replicates", 50)
    assert code == 2
    assert f"holds the evaluation of {first}, not of {second}; choose another folder" in errors
    assert before == {path: path.read_bytes() for path in out.iterdir()}
    (tmp_path / "moved").mkdir()
    for name in ("a.csv", "e"):
        (tmp_path / name).rename(tmp_path / "moved" / name)
    moved = tmp_path / "moved"
    assert _evaluate("--scores", moved / "a.csv", "-o", moved / "e", "--replicates", 50) == (0, ""), (
        "the same, elsewhere"
    )
