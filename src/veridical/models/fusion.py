"""Cross-modal attention: each video frame attends to the audio of the same clip.

Departures from plain multi-head attention (Vaswani et al. 2017, arXiv:1706.03762): a learned null token stands next to the audio
keys and others replace missing video, because attention over nothing is NaN, and zeros would make absence a feature by accident.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from veridical.settings import Settings

# B clips, T frames, A audio steps, D frame embedding, E audio features, F fusion width, P clip vector


class FusionSettings(Settings):
    """Cross-modal attention between video and audio."""

    width: int = 512
    """Size F of queries, keys and values."""
    heads: int = 4
    dropout: float = 0.1


class CrossModalAttention(nn.Module):
    """Attention with video queries and audio keys and values."""

    def __init__(self, frame_width: int, clip_width: int, audio_width: int, settings: FusionSettings) -> None:
        super().__init__()
        self.query = nn.Linear(frame_width, settings.width)
        self.null_audio = nn.Parameter(torch.randn(1, 1, audio_width) * 0.02)
        self.null_frame = nn.Parameter(torch.randn(1, 1, frame_width) * 0.02)
        self.null_clip = nn.Parameter(torch.randn(1, clip_width) * 0.02)
        self.attention = nn.MultiheadAttention(
            settings.width,
            settings.heads,
            dropout=settings.dropout,
            batch_first=True,
            kdim=audio_width,
            vdim=audio_width,
        )
        self.norm = nn.LayerNorm(settings.width)

    def forward(
        self, frames_BTD: Tensor, clip_BP: Tensor, audio_BAE: Tensor, has_video_B: Tensor, has_audio_B: Tensor
    ) -> Tensor:
        """Return the joint vector (B, P + F): the clip's vector, and the mean of its frames after attention."""
        b, a = audio_BAE.shape[:2]
        frames_BTD = torch.where(has_video_B[:, None, None], frames_BTD, self.null_frame)
        clip_BP = torch.where(has_video_B[:, None], clip_BP, self.null_clip)
        keys = torch.cat([self.null_audio.expand(b, -1, -1), audio_BAE], 1)
        ignored = torch.zeros(b, a + 1, dtype=torch.bool, device=keys.device)
        ignored[:, 1:] = ~has_audio_B[:, None]
        query_BTF = self.query(frames_BTD)
        attended_BTF, _ = self.attention(query_BTF, keys, keys, key_padding_mask=ignored, need_weights=False)
        return torch.cat([clip_BP, self.norm(query_BTF + attended_BTF).mean(1)], 1)
