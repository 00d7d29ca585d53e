"""Contracts over the encoders and the detector: finite, differentiable, masked means unheard, frozen means frozen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import HubertModel, Wav2Vec2Model, WavLMModel
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from veridical import weights
from veridical.errors import MissingWeightsError, UsageError
from veridical.models import DetectorModel, ModelSettings, summarise
from veridical.models.audio import AUDIO_ENCODERS, AudioEncoderSettings, build_audio_encoder
from veridical.models.freezing import set_modes, set_trainable, trainable_names
from veridical.models.lip_sync import LipSync, LipSyncSettings
from veridical.models.temporal import TEMPORAL_BODIES, TemporalEncoder, TemporalEncoderSettings
from veridical.models.video import VideoEncoder, VideoEncoderSettings
from veridical.models.whisper_weights import read_whisper_encoder
from veridical.settings import parse_settings

TINY_TRANSFORMER = {
    "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 48,
    "conv_dim": [16, 16], "conv_stride": [16, 20], "conv_kernel": [16, 20], "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2,
}  # fmt: skip
TINY_CONFIG: dict[str, dict[str, Any]] = {
    "wav2vec2": TINY_TRANSFORMER,
    "hubert": TINY_TRANSFORMER,
    "wavlm": {**TINY_TRANSFORMER, "num_buckets": 32},
    "whisper": {"d_model": 32, "encoder_layers": 3, "encoder_attention_heads": 2, "encoder_ffn_dim": 48},
}


def tiny_settings(kind: str = "whisper", **changes: Any) -> ModelSettings:
    values = {
        "video": {"backbone": "test_efficientnet", "weights": "random", "input_size": 64, "late_blocks": 1},
        "temporal": {"width": 16, "output": 48},
        "audio": {"kind": kind, "weights": "random", "config": TINY_CONFIG[kind], "trainable_blocks": 1},
        "fusion": {"width": 16, "heads": 2},
        "audio_width": 24,
    }
    return parse_settings(ModelSettings, {**values, **changes}, "test")


def batch(size: int = 4) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.manual_seed(0)
    frames = torch.randint(0, 256, (size, 5, 3, 64, 64), dtype=torch.uint8, generator=generator)
    samples = torch.randn(size, 16000, generator=generator) * 0.1
    has_audio = torch.arange(size) % 2 == 0
    return frames, samples, has_audio


@pytest.fixture(params=[kind for kind in AUDIO_ENCODERS if kind != "none"])
def detector(request: pytest.FixtureRequest) -> DetectorModel:
    torch.manual_seed(0)
    return DetectorModel(tiny_settings(request.param)).eval()


def test_without_an_audio_encoder_audio_changes_nothing() -> None:
    audio = {"kind": "none", "weights": "random", "trainable_blocks": 0}
    deaf = DetectorModel(tiny_settings(audio=audio)).eval()
    frames, samples, _ = batch()
    with torch.no_grad():
        features = deaf.features(frames, samples, torch.ones(4, dtype=torch.bool))
        other = deaf.features(frames, -samples, torch.zeros(4, dtype=torch.bool))
        assert not features.has_audio.any()
        assert torch.equal(deaf(features).logit, deaf(other).logit)
    with pytest.raises(UsageError, match="4 of 0 blocks"):
        DetectorModel(tiny_settings(audio={**audio, "trainable_blocks": 4}))


def test_every_trainable_parameter_gets_a_finite_gradient(detector: DetectorModel) -> None:
    set_trainable(detector.audio, False)
    for block in detector.audio.blocks[detector.audio.cut :]:
        set_trainable(block, True)
    output = detector(detector.features(*batch()))
    (output.logit.sum() + output.video_logit.sum() + output.audio_logit.sum()).backward()
    for name, parameter in detector.named_parameters():
        if parameter.requires_grad and name != "fusion.null_frame" and name != "fusion.null_clip":
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name


def test_null_tokens_of_the_video_learn_when_it_is_masked(detector: DetectorModel) -> None:
    features = detector.features(*batch())
    detector(features.masked(video=torch.ones(4, dtype=torch.bool))).logit.sum().backward()
    assert detector.fusion.null_frame.grad.abs().sum() > 0
    assert detector.fusion.null_clip.grad.abs().sum() > 0


def test_masked_modalities_change_nothing(detector: DetectorModel) -> None:
    frames, samples, _ = batch()
    none, both = torch.zeros(4, dtype=torch.bool), torch.ones(4, dtype=torch.bool)
    with torch.no_grad():
        silent = detector(detector.features(frames, samples, none)).logit
        other = detector(detector.features(frames, samples.flip(0) * 3, none)).logit
        assert torch.equal(silent, other)
        heard = detector(detector.features(frames, samples, both)).logit
        assert not torch.allclose(silent, heard)
        unseen = [
            detector(detector.features(shown, samples, both).masked(video=both)).logit
            for shown in (frames, 255 - frames)
        ]
        assert torch.equal(*unseen)
        assert torch.isfinite(detector(detector.features(frames, samples, none).masked(video=both)).logit).all()


def test_clips_do_not_influence_each_other(detector: DetectorModel) -> None:
    frames, samples, has_audio = batch()
    with torch.no_grad():
        together = detector(detector.features(frames, samples, has_audio))
        for i in range(4):
            alone = detector(detector.features(frames[i : i + 1], samples[i : i + 1], has_audio[i : i + 1]))
            torch.testing.assert_close(alone.logit, together.logit[i : i + 1], rtol=1e-4, atol=1e-5)


def test_one_modality_alone_gives_the_logit_that_it_gives_beside_the_other(detector: DetectorModel) -> None:
    inputs = batch()
    whole = detector(detector.features(*inputs))
    video = detector(detector.features(*inputs, only="video"), only="video")
    audio = detector(detector.features(*inputs, only="audio"), only="audio")
    assert torch.equal(video.logit, whole.video_logit)
    assert torch.equal(video.frame_embeddings, whole.frame_embeddings)
    assert torch.equal(audio.logit, whole.audio_logit)


def test_following_heads_teach_the_encoders_nothing(detector: DetectorModel) -> None:
    output = detector(detector.features(*batch()), follow=True)
    (output.video_logit.sum() + output.audio_logit.sum()).backward()
    with_gradient = {
        name.split(".")[0] for name, parameter in detector.named_parameters() if parameter.grad is not None
    }
    assert with_gradient == {"video_head", "audio_head"}


@pytest.mark.parametrize(
    ("kind", "model"), [("wav2vec2", Wav2Vec2Model), ("hubert", HubertModel), ("wavlm", WavLMModel)]
)
@pytest.mark.parametrize("stable", [False, True])
def test_the_cut_stack_equals_the_library(kind: str, model: Any, stable: bool) -> None:
    config = {**TINY_TRANSFORMER, "do_stable_layer_norm": stable, "feat_extract_norm": "layer" if stable else "group"}
    torch.manual_seed(0)
    settings = AudioEncoderSettings(kind=kind, weights="random", config=config, trainable_blocks=1)
    encoder = build_audio_encoder(settings).eval()
    torch.manual_seed(0)
    reference = model(model.config_class(**config)).eval()
    samples = torch.randn(2, 16000)
    normalised = (samples - samples.mean(1, keepdim=True)) / torch.sqrt(
        samples.var(1, keepdim=True, unbiased=False) + 1e-7
    )
    with torch.no_grad():
        torch.testing.assert_close(
            encoder(encoder.frozen_part(samples)), reference(normalised).last_hidden_state, rtol=1e-4, atol=1e-5
        )


def test_whisper_equals_the_library() -> None:
    settings = AudioEncoderSettings(kind="whisper", weights="whisper_tiny_en", trainable_blocks=2)
    encoder = build_audio_encoder(settings).eval()
    from transformers import WhisperConfig

    sizes = {"d_model": 384, "encoder_layers": 4, "encoder_attention_heads": 6, "encoder_ffn_dim": 1536}
    reference = WhisperEncoder(WhisperConfig(**sizes, max_source_positions=50)).eval()
    reference.load_state_dict(read_whisper_encoder(weights.locate("whisper_tiny_en"), 50))
    samples = torch.randn(2, 16000) * 0.1
    with torch.no_grad():
        mel = encoder.log_mel(samples)
        assert mel.shape == (2, 80, 100)
        torch.testing.assert_close(
            encoder(encoder.frozen_part(samples)), reference(mel).last_hidden_state, rtol=1e-4, atol=1e-4
        )


def test_log_mel_equals_the_library() -> None:
    from transformers import WhisperFeatureExtractor

    encoder = build_audio_encoder(AudioEncoderSettings(kind="whisper", weights="random"))
    samples = torch.randn(1, 16000) * 0.1
    extractor = WhisperFeatureExtractor(chunk_length=1)
    reference = extractor(samples[0].numpy(), sampling_rate=16000, return_tensors="pt").input_features
    torch.testing.assert_close(encoder.log_mel(samples), reference, rtol=1e-3, atol=1e-3)


def test_frozen_parts_stay_in_evaluation_mode(detector: DetectorModel) -> None:
    set_trainable(detector, False)
    set_trainable(detector.temporal, True)
    for module in detector.video.late_blocks():
        set_trainable(module, True)
    set_modes(detector, training=True)
    assert detector.temporal.training
    assert not detector.audio.training
    assert not any(module.training for module in detector.audio.modules())
    norms = [module for module in detector.modules() if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)]
    assert norms
    assert not any(norm.training for norm in norms), "BatchNorm must not move, in open blocks either"
    before = {name: value.clone() for name, value in detector.video.state_dict().items()}
    detector.features(*batch())
    assert all(torch.equal(before[name], value) for name, value in detector.video.state_dict().items())
    names = trainable_names(detector)
    assert any(name.startswith("video.backbone.blocks") for name in names)
    assert all(name.startswith(("temporal", "video.backbone")) for name in names)


BRANCHES: dict[str, Any] = {
    "flow_statistics": 6,
    "frame_head": True,
    "lip_sync": {"width": 12, "channels": 4, "max_shift": 3},
}


@pytest.fixture(params=list(TEMPORAL_BODIES))
def branched(request: pytest.FixtureRequest) -> DetectorModel:
    torch.manual_seed(0)
    temporal = {"kind": request.param, "width": 16, "output": 48, "heads": 2}
    return DetectorModel(tiny_settings(temporal=temporal, **BRANCHES)).eval()


def extras(size: int = 4) -> dict[str, torch.Tensor]:
    generator = torch.manual_seed(1)
    mouths = torch.randint(0, 256, (size, 25, 96, 96), dtype=torch.uint8, generator=generator)
    return {"mouths": mouths, "flow": torch.randn(size, 5, 6, generator=generator) * 30}


def test_every_parameter_of_the_branches_gets_a_finite_gradient(branched: DetectorModel) -> None:
    set_trainable(branched.audio, False)
    set_trainable(branched.video, False)
    for module in branched.video.late_blocks():
        set_trainable(module, True)
    features = branched.features(*batch(), **extras())
    assert features.to(torch.device("cpu")).flow is features.flow
    for seen in (features, features.masked(video=torch.ones(4, dtype=torch.bool))):
        output = branched(seen)
        assert output.frame_logits is not None
        assert output.frame_logits.shape == (4, 5)
        assert output.sync_profile is not None
        assert output.sync_profile.shape == (4, 7)
        logits = (output.logit, output.video_logit, output.audio_logit, output.frame_logits)
        torch.cat([value.flatten() for value in logits]).sum().backward(retain_graph=True)
    found = {name for name, parameter in branched.named_parameters() if parameter.requires_grad}
    assert any(name.startswith("lip_sync") for name in found)
    assert any(name.startswith("video.backbone") for name in found)
    for name, parameter in branched.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name


def test_branches_matter_where_both_modalities_are_there(branched: DetectorModel) -> None:
    inputs, more = batch(), extras()
    with torch.no_grad():
        plain = branched(branched.features(*inputs, **more)).logit
        other_lips = branched(branched.features(*inputs, **{**more, "mouths": more["mouths"].flip(0)})).logit
        other_flow = branched(branched.features(*inputs, **{**more, "flow": -more["flow"]})).logit
    changed = ~torch.isclose(plain, other_lips, atol=1e-6)
    assert changed.tolist() == inputs[2].tolist(), "lips are compared with speech where there is audio"
    assert not torch.isclose(plain, other_flow, atol=1e-6).any()


def test_branches_ask_for_what_they_need(branched: DetectorModel) -> None:
    with pytest.raises(UsageError, match="needs mouths; prepare the clips with `--set mouths=true`"):
        branched.features(*batch())
    with pytest.raises(UsageError, match="needs flow"):
        branched.features(*batch(), mouths=extras()["mouths"])


def test_parts_of_the_branches_are_counted(branched: DetectorModel) -> None:
    rows = {row.part: row.parameters for row in summarise(branched)}
    assert rows["frame head"] == 17
    assert rows["lip-sync branch"] > 1000
    assert sum(count for part, count in rows.items() if part != "total") == rows["total"]


def test_a_sync_profile_peaks_at_the_planted_shift(monkeypatch: pytest.MonkeyPatch) -> None:
    """With embeddings that are the same signal on both sides, the profile peaks at the shift of the audio."""
    branch = LipSync(LipSyncSettings(width=12, channels=4, max_shift=3))
    signal = torch.nn.functional.normalize(torch.randn(25, 12, generator=torch.manual_seed(0)), dim=-1)
    for shift in (-2, 0, 3):
        monkeypatch.setattr(branch, "_lips", lambda _: signal[None])
        monkeypatch.setattr(branch, "_sound", lambda _, shift=shift: signal.roll(shift, 0)[None])
        profile, _ = branch(torch.zeros(1), torch.zeros(1), torch.ones(1, dtype=torch.bool))
        assert profile.argmax().item() == shift + 3


def talk(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Mouths that open and shut at random, and a spectrum that is louder in some bands when they are open."""
    opening = torch.rand(8, 25, generator=torch.manual_seed(seed))
    mouths = (opening[:, :, None, None] * 200 * torch.ones(48, 48)).to(torch.uint8)
    mouths[..., :20, :] = 90
    return mouths, opening.repeat_interleave(4, 1)[..., None] * torch.linspace(-1, 1, 40)


def test_the_lip_sync_branch_learns_to_tell_shifted_sound() -> None:
    torch.manual_seed(0)
    branch = LipSync(LipSyncSettings(width=16, channels=4, max_shift=3))
    optimiser = torch.optim.AdamW(branch.parameters(), lr=3e-3)
    middle, every = torch.full((8,), 3), torch.ones(8, dtype=torch.bool)
    for step in range(60):
        profile, _ = branch(*talk(step), every)
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(profile, middle).backward()
        optimiser.step()
    with torch.no_grad():
        mouths, mel = talk(99)
        assert (branch(mouths, mel, every)[0].argmax(1) == 3).float().mean() > 0.8
        late, _ = branch(mouths, mel.roll(8, 1), every)
        assert (late.argmax(1) == 5).float().mean() > 0.8, "sound that comes two crops later fits two crops later"


def test_the_lip_sync_branch_does_not_know_where_in_the_clip_it_is() -> None:
    """Otherwise it would find the right shift without looking or listening."""
    torch.manual_seed(0)
    branch = LipSync(LipSyncSettings(width=16, channels=4)).eval()
    mouths, mel = talk(0)
    with torch.no_grad():
        torch.testing.assert_close(
            branch._lips(mouths.roll(-1, 1))[:, :-1], branch._lips(mouths)[:, 1:], rtol=1e-4, atol=1e-5
        )
        torch.testing.assert_close(
            branch._sound(mel.roll(-4, 1))[:, :-1], branch._sound(mel)[:, 1:], rtol=1e-4, atol=1e-5
        )
        samples = torch.randn(2, 16000, generator=torch.manual_seed(1)) * 0.1
        moved = branch._sound(branch.log_mel(samples.roll(-640, 1)))[:, :-1]
        torch.testing.assert_close(moved, branch._sound(branch.log_mel(samples))[:, 1:], rtol=0.05, atol=0.02)
        noise = torch.randint(0, 256, (200, 25, 32, 32), dtype=torch.uint8, generator=torch.manual_seed(2))
        mel = branch.log_mel(torch.randn(200, 16000, generator=torch.manual_seed(3)) * 0.1)
        profile, _ = branch(noise, mel, torch.ones(200, dtype=torch.bool))
    shares = torch.bincount(profile.argmax(1), minlength=11) / 200
    assert shares[5] < 0.3, "noise fits noise nowhere in particular"


@pytest.mark.parametrize("kind", list(TEMPORAL_BODIES))
def test_temporal_encoders(kind: str) -> None:
    encoder = TemporalEncoder(20, TemporalEncoderSettings(kind=kind, width=16, output=30)).eval()
    features = torch.randn(3, 5, 20)
    frames, clip = encoder(features)
    assert frames.shape == (3, 5, 16)
    assert clip.shape == (3, 30)
    reversed_clip = encoder(features.flip(1))[1]
    assert not torch.allclose(clip, reversed_clip, atol=1e-4), "the order of frames must be able to matter"


def test_packaged_image_weights_are_trained_ones() -> None:
    encoder = VideoEncoder(VideoEncoderSettings(backbone="tf_efficientnet_lite0", weights="efficientnet_lite0")).eval()
    found = torch.load(weights.locate("efficientnet_lite0"), weights_only=True)
    assert torch.equal(encoder.backbone.conv_stem.weight, found["_conv_stem.weight"])
    assert torch.equal(encoder.backbone.bn2.running_var, found["_bn1.running_var"])
    assert encoder.mean.flatten()[0].item() == pytest.approx(127 / 255)
    with torch.no_grad():
        assert encoder(torch.zeros(1, 2, 3, 224, 224, dtype=torch.uint8)).shape == (1, 2, 1280)


def test_uint8_and_float_frames_agree() -> None:
    encoder = VideoEncoder(VideoEncoderSettings(backbone="test_efficientnet", weights="random")).eval()
    frames = batch(1)[0]
    with torch.no_grad():
        torch.testing.assert_close(encoder(frames), encoder(frames.float() / 255))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"video": {"backbone": "efficentnet_b3"}}, UsageError, "not a timm model"),
        (
            {"video": {"backbone": "test_efficientnet", "weights": "nowhere.pth"}},
            MissingWeightsError,
            "no file nowhere.pth",
        ),
        ({"audio": {"kind": "whisper", "weights": "nowhere.bin"}}, MissingWeightsError, "no file nowhere.bin"),
        ({"audio": {"kind": "whisper", "weights": "random", "trainable_blocks": 9}}, UsageError, "9 of 4 blocks"),
        (
            {"video": {"backbone": "test_efficientnet", "weights": "random", "late_blocks": 99}},
            UsageError,
            "cannot open 99 late blocks",
        ),
    ],
)
def test_unusable_settings(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        DetectorModel(tiny_settings(**changes))


def test_missing_hub_weights_say_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = AudioEncoderSettings(kind="wav2vec2", weights=str(tmp_path / "nothing"))
    with pytest.raises(MissingWeightsError, match=r"put config\.json and model\.safetensors into a folder"):
        build_audio_encoder(settings)


def test_damaged_whisper_file(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    for content in (b"", b"garbage" * 100):
        path.write_bytes(content)
        with pytest.raises(MissingWeightsError, match="is not a CTranslate2 Whisper model"):
            read_whisper_encoder(path, 50)


def test_the_contract_model_is_built_summarised_and_stepped() -> None:
    torch.manual_seed(0)
    settings = parse_settings(
        ModelSettings, {"video": {"weights": "random"}, "audio": {"weights": "random"}}, "contract"
    )
    model = DetectorModel(settings)
    rows = {row.part: row for row in summarise(model)}
    assert rows["video backbone"].parameters == 10_696_232
    assert rows["audio encoder"].parameters == pytest.approx(94.4e6, rel=0.01)
    assert rows["total"].expected_millions == 108.0
    assert rows["total"].parameters == pytest.approx(108e6, rel=0.02)
    assert sum(row.parameters for part, row in rows.items() if part != "total") == rows["total"].parameters
    set_trainable(model.video, False)
    set_trainable(model.audio, False)
    set_modes(model, training=True)
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    frames = torch.randint(0, 256, (2, 5, 3, 224, 224), dtype=torch.uint8)
    with torch.no_grad():
        features = model.features(frames, torch.randn(2, 16000) * 0.1, torch.tensor([True, True]))
    assert features.video.shape == (2, 5, 1536)
    assert features.audio.shape == (2, 49, 768)
    losses = []
    for _ in range(3):
        optimiser.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(model(features).logit, torch.tensor([0.0, 1.0]))
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
