"""RetinaFace's decoding against its definition, and the whole way through an ONNX file that finds blue patches."""

from __future__ import annotations

import hashlib
import urllib.error
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.faces.small_onnx import BIASES, BOX, POINTS, tiny_retinaface

from veridical import weights
from veridical.artefacts import Manifest, Video
from veridical.clips import ClipStore, StoreSettings
from veridical.errors import ArtefactError, MissingWeightsError, UsageError
from veridical.faces import RetinaFaceDetector
from veridical.faces.retinaface import ANCHORS, decode, num_anchors
from veridical.preparation import Tools, prepare


def encoded(box: np.ndarray, points: np.ndarray, centre: np.ndarray, side: float) -> tuple[np.ndarray, np.ndarray]:
    """The network's numbers for a face, by the paper's definition."""
    middle, size = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
    return (
        np.concatenate([(middle - centre) / (0.1 * side), np.log(size / side) / 0.2]),
        ((points - centre) / (0.1 * side)).ravel(),
    )


@given(place=st.integers(0, 16799), seed=st.integers(0, 1000))
def test_decoding_undoes_the_definition(place, seed):
    rng = np.random.default_rng(seed)
    number, centre, side = place, None, 0
    for stride, sides in ANCHORS:
        count = (640 // stride) ** 2 * 2
        if number < count:
            row, column = divmod(number // 2, 640 // stride)
            centre, side = np.array([column + 0.5, row + 0.5]) * stride, sides[number % 2]
            break
        number -= count
    corner = centre + rng.uniform(-1, 0, 2) * side
    box = np.concatenate([corner, corner + rng.uniform(0.5, 2, 2) * side])
    points = rng.uniform(box[:2], box[2:], (5, 2))
    boxes, scores, landmarks = np.zeros((16800, 4)), np.zeros(16800), np.zeros((16800, 10))
    boxes[place], landmarks[place] = encoded(box, points, centre, side)
    scores[place] = 0.97
    (face,) = decode(boxes, scores, landmarks, (640, 640), 0.95)
    np.testing.assert_allclose(face.box, box, atol=0.01)
    np.testing.assert_allclose(face.landmarks, points, atol=0.01)
    assert face.score == pytest.approx(0.97)
    assert decode(boxes, scores, landmarks, (640, 640), 0.975) == []


def test_number_of_anchors_of_the_public_networks():
    assert num_anchors((640, 640)) == 16800
    assert num_anchors((320, 192)) == 2 * (40 * 24 + 20 * 12 + 10 * 6)


@pytest.fixture(params=[None, (640, 640), (320, 192)])
def network_file(request, tmp_path):
    path = tmp_path / "tiny.onnx"
    path.write_bytes(tiny_retinaface(request.param))
    return path


def patched(height: int, width: int, *corners: tuple[int, int], side: int = 16, colour=(0, 0, 255)) -> np.ndarray:
    image = np.zeros((height, width, 3), np.uint8)
    for x, y in corners:
        image[y : y + side, x : x + side] = colour
    return image


def expected(x: float, y: float, anchor: float, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """What the tiny network says of a patch whose middle in network pixels is (x, y)."""
    middle = np.array([x, y]) + np.array(BOX[:2]) * 0.1 * anchor
    half = anchor * np.exp(0.2 * np.array(BOX[2:])) / 2
    points = np.array([x, y]) + np.array(POINTS).reshape(5, 2) * 0.1 * anchor
    return np.concatenate([middle - half, middle + half]) / scale - 0.5, points / scale - 0.5


def test_a_blue_patch_is_found_where_it_is(network_file):
    detector = RetinaFaceDetector(weights_file=str(network_file))
    (face,) = detector.detect(patched(192, 320, (160, 96), side=16 if detector._size == (320, 192) else 8))
    scale = 1.0 if detector._size == (320, 192) else 2.0
    box, points = expected((160 * scale) + 8, (96 * scale) + 8, 64, scale)
    np.testing.assert_allclose(face.box, box, atol=0.1)
    np.testing.assert_allclose(face.landmarks, points, atol=0.1)
    assert face.score == pytest.approx(1 / (1 + np.exp(-(0.1 * (255 - 104) - 9 + BIASES[1][0]))), abs=0.01)


def test_other_colours_sizes_and_several_patches(tmp_path):
    path = tmp_path / "tiny.onnx"
    path.write_bytes(tiny_retinaface())
    detector = RetinaFaceDetector(weights_file=str(path))
    assert detector.detect(patched(480, 640, (320, 96), colour=(255, 0, 0))) == []
    assert detector.detect(np.zeros((45, 77, 3), np.uint8)) == []
    faces = detector.detect(patched(480, 640, (64, 96), (320, 320), (560, 400)))
    assert sorted(round(float(face.box[[0, 2]].mean())) for face in faces) == [78, 334, 574]
    (small,) = detector.detect(patched(480, 640, (64, 96)))
    (large,) = detector.detect(patched(960, 1280, (128, 192), side=32))
    np.testing.assert_allclose(large.box, (small.box + 0.5) * 2 - 0.5, atol=0.1)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"not a network", "not an ONNX file"),
        (tiny_retinaface(landmarks=False), r"not a RetinaFace network; expected outputs .*\(1, \d+, 10\), got"),
        (tiny_retinaface(probabilities=False), "export the network with its softmax"),
    ],
)
def test_other_files_are_refused(tmp_path, content, said):
    path = tmp_path / "other.onnx"
    path.write_bytes(content)
    with pytest.raises(ArtefactError, match=said):
        RetinaFaceDetector(weights_file=str(path)).detect(patched(192, 320, (160, 96)))


def test_missing_files_say_what_to_put_where(tmp_path, monkeypatch):
    def offline(*_, **__):
        raise urllib.error.URLError("no network here")

    monkeypatch.setattr(weights.urllib.request, "urlopen", offline)
    monkeypatch.setenv("VERIDICAL_CACHE", str(tmp_path))
    with pytest.raises(MissingWeightsError, match="no network here") as info:
        RetinaFaceDetector()
    place = tmp_path / "weights" / "retinaface_mv2.onnx"
    assert f"put the file https://github.com/yakhyo/uniface/releases/download/weights/{place.name} at {place}" in str(
        info.value
    )
    with pytest.raises(MissingWeightsError, match="no such file, nor weights of this name"):
        RetinaFaceDetector(weights_file=str(tmp_path / "gone.onnx"))
    place.parent.mkdir()
    place.write_bytes(tiny_retinaface())
    own = replace(weights.WEIGHTS["retinaface_mv2"], sha256=hashlib.sha256(place.read_bytes()).hexdigest())
    monkeypatch.setitem(weights.WEIGHTS, "retinaface_mv2", own)
    assert RetinaFaceDetector().detect(patched(480, 640, (64, 96)))


def test_a_download_is_checked(tmp_path, monkeypatch):
    class Answer:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def read(self):
            return b"something else"

    monkeypatch.setattr(weights.urllib.request, "urlopen", lambda *_, **__: Answer())
    monkeypatch.setenv("VERIDICAL_CACHE", str(tmp_path))
    with pytest.raises(MissingWeightsError, match="checksum"):
        weights.locate("retinaface_r50")
    assert not weights.is_cached("retinaface_r50")


def test_the_setting_of_prepare(tmp_path):
    path = tmp_path / "tiny.onnx"
    path.write_bytes(tiny_retinaface())
    settings = StoreSettings(detector="retinaface", detector_weights=str(path))
    assert settings.detector_threshold == 0.95
    assert StoreSettings().detector_threshold == 0.5
    assert StoreSettings(detector="retinaface", detector_threshold=0.7).detector_threshold == 0.7
    assert StoreSettings.model_validate(settings.model_dump()) == settings
    assert len(Tools(settings).detector_for_video().detect(patched(480, 640, (64, 96)))) == 1
    with pytest.raises(ValueError, match="detector_weights needs detector=retinaface"):
        StoreSettings(detector_weights=str(path))
    with pytest.raises(UsageError, match="threshold"):
        RetinaFaceDetector(1.5, weights_file=str(path))


def test_a_store_knows_the_file_that_found_its_faces(tmp_path):
    path, video, store = tmp_path / "tiny.onnx", tmp_path / "empty.mp4", tmp_path / "store"
    path.write_bytes(tiny_retinaface())
    video.write_bytes(b"")
    manifest = Manifest.from_videos([Video(dataset="d", video_id="v", path=str(video), label=0)])
    settings = StoreSettings(detector="retinaface", detector_weights=str(path))
    prepare(manifest, store, settings, workers=0)
    checksum = hashlib.sha256(tiny_retinaface()).hexdigest()
    assert ClipStore.open(store).settings.detector_sha256 == checksum
    prepare(manifest, store, workers=0)
    path.write_bytes(tiny_retinaface() + b"\0")
    for asked in (None, ClipStore.open(store).settings):
        with pytest.raises(UsageError, match="not the file that detected the faces of this store"):
            prepare(manifest, store, asked, workers=0)
    with pytest.raises(UsageError, match=f"detector_sha256: '{checksum}' there"):
        prepare(manifest, store, settings, workers=0)
    with pytest.raises(UsageError, match="not the file that detected the faces of this store"):
        Tools(ClipStore.open(store).settings).load()
    with pytest.raises(ValueError, match="detector_sha256 needs detector=retinaface"):
        StoreSettings(detector_sha256=checksum)


def test_a_file_that_is_no_network_leaves_no_store(tmp_path):
    path = tmp_path / "other.onnx"
    path.write_bytes(b"not a network")
    manifest = Manifest.from_videos([Video(dataset="d", video_id="v", path="v.mp4", label=0)])
    with pytest.raises(ArtefactError, match="not an ONNX file"):
        prepare(manifest, tmp_path / "store", StoreSettings(detector="retinaface", detector_weights=str(path)))
    assert not (tmp_path / "store").exists()
