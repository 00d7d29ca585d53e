"""Audio encoders on raw 16 kHz audio: an embedding, then a stack of transformer blocks of which the early ones stay frozen.

wav2vec 2.0: Baevski et al. 2020, arXiv:2006.11477; HuBERT: Hsu et al. 2021, arXiv:2106.07447; WavLM: Chen et al. 2022,
arXiv:2110.13900; Whisper: Radford et al. 2022, arXiv:2212.04356 (its encoder alone, positions cut to the window). Departures: no
SpecAugment, no layerdrop (both are on by default in the library); the stack can be cut after the frozen blocks, so that their
output can be computed once and cached.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from veridical import weights
from veridical.errors import MissingWeightsError, UsageError, unknown_name
from veridical.models.dropout import with_cheap_dropout
from veridical.models.whisper_weights import read_whisper_encoder
from veridical.settings import Settings

# B clips, S samples, A audio steps, D features, M mel bands


class AudioEncoderSettings(Settings):
    """The speech encoder."""

    kind: Literal["wav2vec2", "hubert", "wavlm", "whisper", "none"] = "wav2vec2"
    """Family of the encoder; `none` for corpora without audio."""
    weights: str = "facebook/wav2vec2-base"
    """A hub name, a local folder or file, packaged weights (`whisper_tiny_en`), or `random`."""
    config: dict[str, Any] = Field(default_factory=dict)
    """Changes to the library's configuration (sizes), for `random` weights."""
    trainable_blocks: int = Field(4, ge=0)
    """Number of last transformer blocks that can be fine-tuned; all earlier ones stay frozen."""
    window_s: float = 1.0
    """Length of a clip in seconds; sets the number of positions of Whisper. In a recipe it follows from `inputs.window_s`."""


class AudioEncoder(nn.Module):
    """Base of the families; each provides `embed`, `blocks` and `final`."""

    blocks: nn.ModuleList
    num_features: int

    def __init__(self, trainable_blocks: int) -> None:
        super().__init__()
        self.trainable_blocks = trainable_blocks

    def check_blocks(self) -> None:
        """Refuse to train more blocks than there are."""
        if not 0 <= self.trainable_blocks <= len(self.blocks):
            raise UsageError(
                f"audio.trainable_blocks: {self.trainable_blocks} of {len(self.blocks)} blocks cannot be trained"
            )

    @property
    def cut(self) -> int:
        """Number of early blocks that stay frozen."""
        return len(self.blocks) - self.trainable_blocks

    def embed(self, samples_BS: Tensor) -> Tensor:
        """Return the input of the first block (B, A, D)."""
        raise NotImplementedError

    def final(self, hidden_BAD: Tensor) -> Tensor:
        """Apply what follows the last block."""
        return hidden_BAD

    def frozen_part(self, samples_BS: Tensor) -> Tensor:
        """Return the hidden state (B, A, D) after the frozen blocks."""
        return self._run(range(self.cut), self.embed(samples_BS))

    def forward(self, hidden_BAD: Tensor) -> Tensor:
        """Run the trainable blocks on what `frozen_part` returned; (B, A, D)."""
        return self.final(self._run(range(self.cut, len(self.blocks)), hidden_BAD))

    def _run(self, numbers: range, hidden_BAD: Tensor) -> Tensor:
        for number in numbers:
            hidden_BAD = _tensor(self.blocks[number](hidden_BAD, attention_mask=None))
        return hidden_BAD


def _tensor(output: Any) -> Tensor:
    tensor: Tensor = output[0] if isinstance(output, tuple) else output
    return tensor


class Wav2Vec2Family(AudioEncoder):
    """wav2vec 2.0 and HuBERT: convolutions on the waveform, then post-norm or pre-norm blocks."""

    def __init__(self, model: Any, trainable_blocks: int) -> None:
        super().__init__(trainable_blocks)
        self.feature_extractor = model.feature_extractor
        self.feature_projection = model.feature_projection
        self.position = model.encoder.pos_conv_embed
        self.norm = model.encoder.layer_norm
        self.blocks = model.encoder.layers
        self.pre_norm = bool(model.config.do_stable_layer_norm)
        self.num_features = int(model.config.hidden_size)

    def embed(self, samples_BS: Tensor) -> Tensor:
        """Return the input of the first block (B, A, D); samples have zero mean and unit variance per clip, as in pretraining."""
        centred = samples_BS - samples_BS.mean(1, keepdim=True)
        normalised = centred / torch.sqrt(samples_BS.var(1, keepdim=True, unbiased=False) + 1e-7)
        projected = self.feature_projection(self.feature_extractor(normalised).transpose(1, 2))
        hidden = projected[0] if isinstance(projected, tuple) else projected
        hidden = hidden + self.position(hidden)
        start: Tensor = hidden if self.pre_norm else self.norm(hidden)
        return start

    def final(self, hidden_BAD: Tensor) -> Tensor:
        """Normalise after the last block where the blocks do not."""
        return self.norm(hidden_BAD) if self.pre_norm else hidden_BAD


class WavLMFamily(Wav2Vec2Family):
    """WavLM: as wav2vec 2.0, with relative positions whose weights are in the first block."""

    def _run(self, numbers: range, hidden_BAD: Tensor) -> Tensor:
        b, a = hidden_BAD.shape[:2]
        bias = self.blocks[0].get_submodule("attention").compute_bias(a, a)  # type: ignore[operator]
        bias = bias.repeat(b, 1, 1)  # (B x heads, A, A), the heads of a clip next to each other
        for number in numbers:
            hidden_BAD = _tensor(self.blocks[number](hidden_BAD, attention_mask=None, position_bias=bias))
        return hidden_BAD


class WhisperFamily(AudioEncoder):
    """Whisper's encoder: log-mel spectrogram, two convolutions, pre-norm blocks."""

    mel_filters: Tensor
    window: Tensor

    def __init__(self, encoder: Any, trainable_blocks: int) -> None:
        super().__init__(trainable_blocks)
        from transformers.audio_utils import mel_filter_bank

        self.conv1, self.conv2 = encoder.conv1, encoder.conv2
        self.position = encoder.embed_positions
        self.blocks = encoder.layers
        self.norm = encoder.layer_norm
        self.num_features = int(encoder.config.d_model)
        filters = mel_filter_bank(
            201, encoder.config.num_mel_bins, 0.0, 8000.0, 16000, norm="slaney", mel_scale="slaney"
        )
        self.register_buffer("mel_filters", torch.tensor(filters, dtype=torch.float32), persistent=False)
        self.register_buffer("window", torch.hann_window(400), persistent=False)

    def log_mel(self, samples_BS: Tensor) -> Tensor:
        """Return the log-mel spectrogram (B, M, frames of 10 ms), scaled as in the paper's code: within 8 decades of the peak."""
        spectrum = torch.stft(samples_BS.float(), 400, 160, window=self.window, return_complex=True)[..., :-1]
        mel_BMA = torch.einsum("bfa,fm->bma", spectrum.abs() ** 2, self.mel_filters).clamp_min(1e-10).log10()
        floor = mel_BMA.amax((1, 2), keepdim=True) - 8.0
        return (torch.maximum(mel_BMA, floor) + 4.0) / 4.0

    def embed(self, samples_BS: Tensor) -> Tensor:
        """Return the input of the first block (B, A, D), 50 steps a second."""
        x = self.log_mel(samples_BS).to(self.conv1.weight.dtype)
        x = nn.functional.gelu(self.conv2(nn.functional.gelu(self.conv1(x)))).transpose(1, 2)
        hidden: Tensor = x + self.position.weight[: x.shape[1]]
        return hidden

    def final(self, hidden_BAD: Tensor) -> Tensor:
        """Normalise after the last block."""
        normed: Tensor = self.norm(hidden_BAD)
        return normed


class NoAudio(AudioEncoder):
    """No audio: one step of zeros per clip, which is never attended to."""

    def __init__(self, trainable_blocks: int) -> None:
        super().__init__(trainable_blocks)
        self.blocks, self.num_features = nn.ModuleList(), 1

    def embed(self, samples_BS: Tensor) -> Tensor:
        """Return zeros (B, 1, 1)."""
        return samples_BS.new_zeros(len(samples_BS), 1, 1)


def build_audio_encoder(settings: AudioEncoderSettings, load_weights: bool = True) -> AudioEncoder:
    """Build an audio encoder.

    Args:
        settings: Family, weights, cut.
        load_weights: False builds the architecture only.

    Raises:
        MissingWeightsError: when the weights are not available.
        UsageError: when more blocks are to be trained than the encoder has.
    """
    if settings.kind not in AUDIO_ENCODERS:
        raise unknown_name("audio encoder", settings.kind, AUDIO_ENCODERS)
    encoder = AUDIO_ENCODERS[settings.kind](settings, load_weights)
    encoder.check_blocks()
    with_cheap_dropout(encoder.blocks)
    return encoder


_REGULAR = {"apply_spec_augment": False, "layerdrop": 0.0}
_AS_PUBLISHED = {"activation_dropout": 0.0}
"""Differences of the library's defaults from what the base models were pretrained with (fairseq's configurations)."""


def _build_wav2vec2(settings: AudioEncoderSettings, load: bool) -> AudioEncoder:
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    from veridical.models.attention import with_cheap_attention

    model = _hugging_face(Wav2Vec2Model, Wav2Vec2Config, settings, load)
    with_cheap_attention(model)
    return Wav2Vec2Family(model, settings.trainable_blocks)


def _build_hubert(settings: AudioEncoderSettings, load: bool) -> AudioEncoder:
    from transformers import HubertConfig, HubertModel

    from veridical.models.attention import with_cheap_attention

    model = _hugging_face(HubertModel, HubertConfig, settings, load)
    with_cheap_attention(model)
    return Wav2Vec2Family(model, settings.trainable_blocks)


def _build_wavlm(settings: AudioEncoderSettings, load: bool) -> AudioEncoder:
    from transformers import WavLMConfig, WavLMModel

    return WavLMFamily(_hugging_face(WavLMModel, WavLMConfig, settings, load), settings.trainable_blocks)


def _hugging_face(model: Any, config: Any, settings: AudioEncoderSettings, load: bool) -> Any:
    # The defaults of the configuration classes are the sizes of the "base" models.
    if not load or settings.weights == "random":
        return model(config(**{**_REGULAR, **_AS_PUBLISHED, **settings.config}))
    try:
        with weights.model_hub(settings.weights):
            return model.from_pretrained(settings.weights, **_REGULAR, **settings.config)
    except (OSError, MissingWeightsError) as error:
        raise MissingWeightsError(
            f"audio.weights {settings.weights!r} are not available ({str(error).splitlines()[0][:120]}); put config.json and "
            "model.safetensors into a folder and name that folder in audio.weights, or use `random`"
        ) from error


def _build_whisper(settings: AudioEncoderSettings, load: bool) -> AudioEncoder:
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    positions = round(settings.window_s * 50)
    tiny = {"d_model": 384, "encoder_layers": 4, "encoder_attention_heads": 6, "encoder_ffn_dim": 1536}
    sizes = {**tiny, **settings.config, "max_source_positions": positions, "encoder_layerdrop": 0.0}
    encoder = WhisperEncoder(WhisperConfig(**sizes))
    if load and settings.weights != "random":
        path = weights.locate(settings.weights) if settings.weights in weights.WEIGHTS else Path(settings.weights)
        if not path.is_file():
            raise MissingWeightsError(
                f"audio.weights: no file {path}; valid: random, a CTranslate2 file, {', '.join(weights.WEIGHTS)}"
            )
        encoder.load_state_dict(read_whisper_encoder(path, positions))
    return WhisperFamily(encoder, settings.trainable_blocks)


AUDIO_ENCODERS: dict[str, Callable[[AudioEncoderSettings, bool], AudioEncoder]] = {
    "wav2vec2": _build_wav2vec2,
    "hubert": _build_hubert,
    "wavlm": _build_wavlm,
    "whisper": _build_whisper,
    "none": lambda settings, load: NoAudio(settings.trainable_blocks),
}
