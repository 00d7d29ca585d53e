"""The detector of synthetic speech: what must not matter does not, what cannot be scored says why, files and command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.io.wavfile
import torch
from typer.testing import CliRunner

from veridical.cli.main import build_app
from veridical.errors import ArtefactError, UsageError
from veridical.inference import Unpredicted
from veridical.puppets import speech_available
from veridical.puppets.speech import dry_speech, sample_voice
from veridical.speech import (
    SpeechPrediction,
    SyntheticSpeechDetector,
    find_recordings,
    load_speech_detector,
    predict_speech,
)
from veridical.speech.detector import STARTER
from veridical.speech.encoder import SpeechEncoder, dequantised
from veridical.speech.windows import RATE_HZ, active_windows

needs_voice = pytest.mark.skipif(not speech_available(), reason="espeakng-loader is not installed")
TEXT = "a small boat left the harbour before the morning wind had come up over the hills and the old town was quiet"


@pytest.fixture(scope="module")
def detector() -> SyntheticSpeechDetector:
    return load_speech_detector()


@pytest.fixture(scope="module")
def voice() -> np.ndarray:
    samples, _ = dry_speech(sample_voice(0, "a", low=True), TEXT)
    return samples.astype(np.float32)


def write(path: Path, samples: np.ndarray) -> Path:
    scipy.io.wavfile.write(path, RATE_HZ, np.round(samples * 32767).astype(np.int16))
    return path


@needs_voice
def test_loudness_and_silence_around_the_voice_tell_nothing(
    detector: SyntheticSpeechDetector, voice: np.ndarray
) -> None:
    voice = voice[: 2 * RATE_HZ]
    plain = detector.score(voice)
    quiet = detector.score(voice * np.float32(0.2))
    padded = detector.score(
        np.concatenate([np.zeros(RATE_HZ // 2, np.float32), voice, np.zeros(RATE_HZ // 5, np.float32)])
    )
    assert len(plain) == 1
    assert quiet[0].logit == pytest.approx(plain[0].logit, abs=0.02)
    assert padded[0].logit == pytest.approx(plain[0].logit, abs=0.3)
    assert padded[0].start_s - plain[0].start_s == pytest.approx(0.5, abs=0.06)
    assert detector.score(voice) == plain, "the same recording has the same score"


@needs_voice
def test_a_synthetic_voice_and_what_is_said_of_it(
    detector: SyntheticSpeechDetector, voice: np.ndarray, tmp_path: Path
) -> None:
    prediction = detector.predict(write(tmp_path / "voice.wav", voice))
    assert 0 < prediction.p_fake < 1
    assert prediction.is_called_synthetic == (prediction.p_fake >= detector.facts.threshold)
    assert prediction.logit == pytest.approx(np.mean([window.logit for window in prediction.windows]))
    assert prediction.duration_s == pytest.approx(len(voice) / RATE_HZ)
    assert 2 < prediction.speech_s <= prediction.duration_s + 0.02
    assert prediction.as_json()["video"] == "not scored"


def test_windows_are_the_active_ones_in_order_of_time() -> None:
    rng = np.random.default_rng(0)
    samples = 1e-4 * rng.standard_normal(40 * RATE_HZ)
    for start_s in (4, 10, 31):
        samples[start_s * RATE_HZ : (start_s + 3) * RATE_HZ] += 0.1 * rng.standard_normal(3 * RATE_HZ)
    windows = active_windows(samples.astype(np.float32), 3.0, 3)
    starts = [window.start_s for window in windows]
    assert starts == sorted(starts)
    assert len(windows) == 3
    assert all(min(abs(start - loud) for loud in (4, 10, 31)) < 3 for start in starts)
    for window in windows:
        assert len(window.samples) <= 3 * RATE_HZ
        assert np.sqrt(np.mean(window.samples.astype(float) ** 2)) <= 0.06
    assert len(active_windows(samples[: 4 * RATE_HZ].astype(np.float32), 3.0, 8)) == 1


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (np.zeros(3 * RATE_HZ), "0.0 s of speech, at least 0.9 s are needed"),
        (0.3 * np.sin(np.arange(3 * RATE_HZ) * 0.2), "0.0 s of speech"),
        (0.1 * np.random.default_rng(0).standard_normal(3 * RATE_HZ), "of speech, at least"),
        (np.zeros(10), "0.0 s of speech"),
    ],
)
def test_what_holds_no_speech_is_not_scored(
    detector: SyntheticSpeechDetector, samples: np.ndarray, words: str, tmp_path: Path
) -> None:
    (result,) = predict_speech(detector, [write(tmp_path / "a.wav", samples)])
    assert isinstance(result, Unpredicted)
    assert result.status == "too_short"
    assert words in result.reason


@needs_voice
def test_one_bad_file_does_not_stop_the_others(
    detector: SyntheticSpeechDetector, voice: np.ndarray, tmp_path: Path
) -> None:
    write(tmp_path / "b.wav", voice)
    (tmp_path / "a.mp3").write_bytes(b"no sound")
    (tmp_path / "notes.txt").write_text("left out")
    recordings = find_recordings([tmp_path, tmp_path / "b.wav"])
    assert [path.name for path in recordings] == ["a.mp3", "b.wav"]
    bad, good = predict_speech(detector, recordings)
    assert isinstance(bad, Unpredicted)
    assert bad.status == "unreadable"
    assert isinstance(good, SpeechPrediction)
    with pytest.raises(UsageError, match="no such file"):
        find_recordings([tmp_path / "c.wav"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="without sound files or videos"):
        find_recordings([tmp_path / "empty"])


def test_damaged_detectors_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match=r"speech\.json: not found"):
        load_speech_detector(tmp_path)
    values = json.loads((STARTER / "speech.json").read_text())
    (tmp_path / "speech.json").write_text(json.dumps({**values, "schema_version": 99}))
    (tmp_path / "speech.safetensors").write_bytes((STARTER / "speech.safetensors").read_bytes())
    with pytest.raises(ArtefactError, match="schema version 1"):
        load_speech_detector(tmp_path)
    (tmp_path / "speech.safetensors").write_bytes(b"x" * 100)
    with pytest.raises(ArtefactError, match="holds no detector"):
        load_speech_detector(tmp_path)


def test_matrices_come_back_from_int8_within_half_a_step() -> None:
    matrix = torch.randn(5, 7, generator=torch.Generator().manual_seed(0))
    scale = (matrix.abs().amax(1) / 127).half()
    stored = {
        "a": (matrix / scale.float()[:, None]).round().to(torch.int8),
        "a.scale": scale,
        "b": torch.ones(3).half(),
    }
    weights = dequantised(stored)
    assert set(weights) == {"a", "b"}
    assert ((weights["a"] - matrix).abs() <= scale.float()[:, None] * 0.51).all()
    assert weights["b"].dtype == torch.float32


def test_the_encoder_gives_a_state_after_each_part_fifty_times_a_second() -> None:
    states = SpeechEncoder(2)(torch.zeros(1, 2 * RATE_HZ))
    assert [tuple(state.shape) for state in states] == [(1, 100, 384)] * 3
    assert all(torch.isfinite(state).all() for state in states)


@needs_voice
def test_the_command_scores_voices_without_a_model(voice: np.ndarray, tmp_path: Path) -> None:
    path = write(tmp_path / "voice.wav", voice)
    plain = CliRunner().invoke(build_app(), ["predict", str(path)])
    assert plain.exit_code == 0, plain.output
    assert "p(synthetic)" in plain.output
    assert "no proof" in plain.output
    assert "video: not scored" in plain.output
    found = CliRunner().invoke(build_app(), ["predict", str(path), "--json"])
    (values,) = json.loads(found.stdout)
    assert values["status"] == "ok"
    assert {"p_fake", "windows", "operating_point", "worth", "limits", "model_version"} <= set(values)
    write(tmp_path / "silence.wav", np.zeros(RATE_HZ))
    assert CliRunner().invoke(build_app(), ["predict", str(tmp_path)]).exit_code == 1
