"""Foreign detectors: each kind scores a store as a calculation by hand does; what is not declared is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.inference.making import make_store
from tests.inference.onnx_file import colour_model

from veridical.clips import Clip, ClipStore
from veridical.errors import UsageError
from veridical.inference import load_scorer, score_store

EXAMPLES = Path(__file__).parents[2] / "examples"
WEIGHTS = np.array([[1.0, -2.0], [0.5, 0.25], [-1.0, 3.0]], np.float32)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ClipStore:
    sounds = {"a": "speech", "bb": "speech", "ccc": "speech", "dddd": "none"}
    return make_store(tmp_path_factory.mktemp("s"), sounds, splits=("val", "val", "test", "test"), clips=2)


def expected(clip: Clip, size: int, mean: list[float], std: list[float]) -> float:
    """What `colour_model` with `WEIGHTS` says of a clip, by hand: class 1 is the fakes'."""
    logits = []
    for frame in clip.frames:
        how = cv2.INTER_LINEAR if size > len(frame) else cv2.INTER_AREA
        image = (cv2.resize(frame, (size, size), interpolation=how) / 255.0 - mean) / std
        real, fake = image.mean(axis=(0, 1)) @ WEIGHTS
        logits.append(fake - real)
    return float(np.mean(logits))


def test_the_onnx_example(store: ClipStore, tmp_path: Path) -> None:
    shutil.copy(EXAMPLES / "wrap_onnx.yaml", tmp_path)
    (tmp_path / "detector.onnx").write_bytes(colour_model(WEIGHTS, "pixels", "scores"))
    detector = load_scorer(str(tmp_path / "wrap_onnx.yaml"))
    table = score_store(detector, store, store.manifest(), splits=("test",)).frame()
    assert list(table["video_id"]) == ["ccc", "ccc", "dddd", "dddd"]
    assert set(table["condition"]) == {"joint"}
    assert (table["face_size_px"] == 9).all()
    clips = store.take(store.index().query("video_id in ('ccc', 'dddd')")["row"].to_numpy())
    wanted = [expected(clip, 224, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]) for clip in clips]
    assert table["logit"].to_numpy() == pytest.approx(wanted, abs=1e-4)


DECLARED = {
    "kind": "onnx", "file": "m.onnx", "takes": "frame", "frames_input": "x", "size": 32, "output": "y",
    "output_kind": "class_logits", "fake_index": 0,
}  # fmt: skip


def declared(folder: Path, **changes: object) -> str:
    import yaml

    values = {name: value for name, value in {**DECLARED, **changes}.items() if value is not None}
    (folder / "m.onnx").write_bytes(colour_model(WEIGHTS, "x", "y"))
    (folder / "m.yaml").write_text(yaml.safe_dump(values))
    return str(folder / "m.yaml")


def scored(spec: str, clip: Clip) -> float:
    """Return the logit of one clip."""
    return float(load_scorer(spec).logits([clip], ("joint",))["joint"][0])


def test_declared_meaning_is_taken_at_its_word(store: ClipStore, tmp_path: Path) -> None:
    clip = store.take([0])[0]
    plain = scored(declared(tmp_path), clip)
    assert scored(declared(tmp_path, fake_index=1), clip) == pytest.approx(-plain)
    mirrored = scored(declared(tmp_path, colours="BGR"), clip)
    assert mirrored != pytest.approx(plain, abs=1e-3)
    by_frame = [scored(declared(tmp_path, frames_to_clip=how), clip) for how in ("max", "mean", "median")]
    assert by_frame[0] == max(by_frame)
    assert scored(declared(tmp_path, middle_share=0.5), clip) != pytest.approx(plain, abs=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fake_index": None}, "needs fake_index"),
        ({"fake_index": None, "output_kind": "logit"}, r"needs higher_is \(fake or real\)"),
        ({"output": "z"}, "no output 'z'; its outputs are y"),
        ({"frames_input": "pixels"}, r"its inputs are x; the settings feed pixels"),
        ({"layout": "NTCHW"}, "layout NTCHW does not go with takes: frame"),
        ({"sizes": 3}, "unknown setting 'sizes'"),
        ({"picture_input": "x"}, "unknown setting 'picture_input'.*frames_input"),
        ({"kind": "tensorflow"}, "unknown kind .* Valid: huggingface, onnx"),
        ({"file": "other.onnx"}, "other.onnx: no such ONNX file"),
        ({"file": "m.yaml"}, "cannot be loaded as ONNX"),
    ],
)
def test_what_is_not_declared_in_full_is_refused(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_scorer(declared(tmp_path, **changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fake_index": 2}, "fake_index 2 needs more classes than the 2 of the output"),
        ({"fake_index": None, "output_kind": "logit", "higher_is": "fake"}, "declared to give one number, gives 2"),
        ({"output_kind": "class_probabilities"}, "declared to give class_probabilities, gives sums of"),
        ({"layout": "NHWC"}, "Got invalid dimensions"),
    ],
)
def test_what_the_output_belies_is_refused(
    store: ClipStore, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    detector = load_scorer(declared(tmp_path, **changes))
    with pytest.raises(UsageError, match=message):
        score_store(detector, store, store.manifest())


def test_the_hugging_face_example(store: ClipStore, tmp_path: Path) -> None:
    import torch
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    torch.manual_seed(0)
    labels = {0: "Fake", 1: "Real", 2: "Unsure"}
    config = ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=32, patch_size=16,
        id2label=labels, label2id={name: number for number, name in labels.items()}, initializer_range=0.5,
    )  # fmt: skip
    model = ViTForImageClassification(config).eval()
    model.save_pretrained(tmp_path / "fake-or-real")
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path / "fake-or-real")
    shutil.copy(EXAMPLES / "wrap_huggingface.yaml", tmp_path)
    detector = load_scorer(str(tmp_path / "wrap_huggingface.yaml"))
    table = score_store(detector, store, store.manifest()).frame()
    assert len(table) == 8
    clip = store.take([0])[0]
    pixels = ViTImageProcessor(size={"height": 32, "width": 32})(list(clip.frames), return_tensors="pt")
    with torch.inference_mode():
        share = model(**pixels).logits.double().softmax(-1)[:, 0].numpy()
    assert table["logit"][0] == pytest.approx(np.mean(np.log(share / (1 - share))), abs=1e-4)
    text = (tmp_path / "wrap_huggingface.yaml").read_text()
    (tmp_path / "w.yaml").write_text(text.replace("fake_label: Fake ", "fake_label: fake "))
    with pytest.raises(UsageError, match="did you mean 'Fake'"):
        load_scorer(str(tmp_path / "w.yaml"))
    (tmp_path / "w.yaml").write_text(text.replace("model: fake-or-real ", "model: fake-or-reel "))
    with pytest.raises(UsageError, match="fake-or-reel: no such folder; a model on the hub is named OWNER/NAME"):
        load_scorer(str(tmp_path / "w.yaml"))
    (tmp_path / "fake-or-real" / "model.safetensors").unlink()
    with pytest.raises(UsageError, match="cannot be loaded as an image classification model"):
        load_scorer(str(tmp_path / "wrap_huggingface.yaml"))


def test_a_hugging_face_video_model_gets_as_many_frames_as_it_takes(store: ClipStore, tmp_path: Path) -> None:
    import torch
    from transformers import VideoMAEConfig, VideoMAEForVideoClassification, VideoMAEImageProcessor

    torch.manual_seed(0)
    config = VideoMAEConfig(
        image_size=32, patch_size=16, num_frames=8, tubelet_size=2, hidden_size=16, num_hidden_layers=1,
        num_attention_heads=2, intermediate_size=16, id2label={0: "real", 1: "fake"}, label2id={"real": 0, "fake": 1},
    )  # fmt: skip
    VideoMAEForVideoClassification(config).save_pretrained(tmp_path / "v")
    size = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    VideoMAEImageProcessor(**size).save_pretrained(tmp_path / "v")
    (tmp_path / "v.yaml").write_text("kind: huggingface\nmodel: v\nfake_label: fake\ntakes: clip\nnum_frames: 8\n")
    score = scored(str(tmp_path / "v.yaml"), store.take([0])[0])
    assert np.isfinite(score)


def test_the_python_example(store: ClipStore) -> None:
    detector = load_scorer(f"{EXAMPLES / 'wrap_python.py'}:score")
    table = score_store(detector, store, store.manifest(), splits=("val",)).frame()
    assert list(table["video_id"]) == ["a", "a", "bb", "bb"]
    assert table["logit"].nunique() == 4


SOURCE = """
import torch
class Loud:
    def score(self, clip):
        return None if clip.samples is None else torch.tensor(float(abs(clip.samples).mean()))
class Nested:
    inner = Loud()
def broken(clip):
    raise KeyError("weights")
def decision(clip):
    return True
def endless(clip):
    return float("inf")
def nothing(clip):
    return None
number = 3
"""


@pytest.fixture
def source(tmp_path: Path) -> str:
    (tmp_path / "theirs.py").write_text(SOURCE)
    return str(tmp_path / "theirs.py")


@pytest.mark.parametrize("name", ["Loud", "Nested.inner"])
def test_a_python_object_may_decline_a_clip(store: ClipStore, source: str, name: str) -> None:
    table = score_store(load_scorer(f"{source}:{name}"), store, store.manifest()).frame()
    assert table.set_index("video_id")["logit"].isna().to_dict() == {
        "a": False,
        "bb": False,
        "ccc": False,
        "dddd": True,
    }


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("broken", r"clip of 'a' at 0 s: KeyError: 'weights'"),
        ("decision", "expected a finite number .* got True"),
        ("endless", "expected a finite number .* got inf"),
        ("nothing", "gave no score for any of the 8 clips"),
    ],
)
def test_a_python_detector_that_fails_says_where(store: ClipStore, source: str, name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        score_store(load_scorer(f"{source}:{name}"), store, store.manifest())


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "detector.onnx",
            "no such detector; expected a run or its model folder, FILE.py:NAME, MODULE:NAME, or a .yaml",
        ),
        ("missing.py:score", "missing.py: not found"),
        ("{source}:scor", "unknown name in .*scor"),
        ("{source}:number", "is a int; expected a function of a clip"),
        ("no_such_module:score", "No module named"),
        ("missing.yaml", "missing.yaml: cannot be read"),
    ],
)
def test_a_detector_that_is_not_there(source: str, spec: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_scorer(spec.format(source=source))
