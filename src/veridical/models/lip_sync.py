"""Lip-sync branch: do the lips move with the speech? Mouth crops at 25 fps against the spectrum of the audio.

Both are embedded in windows of five crops, 0.2 s, and compared at several time shifts, as in SyncNet (Chung and Zisserman 2016,
"Out of time: automated lip sync in the wild"). At five frames a second a shift of 0.2 s is invisible; this branch can see it.
Departures: the other shifts of the same clip are the negatives, so that speaker and room cannot help; the whole profile over
shifts is passed on, not one distance. Neither embedding may encode its position in the clip, or shifts could be told by that
alone: convolutions have no padding, and the audio enters as a spectrum of its own, not from a speech encoder with positions.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from veridical.settings import Settings

# B clips, M mouth crops, A spectrum steps (4 a crop), N mel bands, S samples, D features, L time shifts, F output width

MEL_BANDS = 40
WINDOW = 5
"""Crops per embedding."""
STEPS_PER_CROP = 4


class LipSyncSettings(Settings):
    """The lip-sync branch."""

    width: int = Field(64, ge=1)
    """Size D of the embeddings that are compared, and F of the vector for the head."""
    channels: int = Field(16, ge=1)
    """Feature maps of the first convolution; doubled twice."""
    max_shift: int = Field(5, ge=1)
    """Largest time shift in either direction, in mouth crops: 5 is 0.2 s."""

    @property
    def num_shifts(self) -> int:
        """L: shifts in a profile, 0 in the middle."""
        return 2 * self.max_shift + 1


class LipSync(nn.Module):
    """Compares lips and speech: a profile over time shifts, and a vector for the head."""

    filters: Tensor
    taper: Tensor

    def __init__(self, settings: LipSyncSettings) -> None:
        super().__init__()
        from transformers.audio_utils import mel_filter_bank

        self.max_shift = settings.max_shift
        c, d = settings.channels, settings.width
        self.mouth = nn.Sequential(
            nn.Conv3d(1, c, (WINDOW, 7, 7), stride=(1, 4, 4), padding=(0, 3, 3)),
            nn.GELU(),
            nn.Conv3d(c, 2 * c, (1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1)),
            nn.GELU(),
            nn.Conv3d(2 * c, 4 * c, (1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1)),
            nn.GELU(),
        )
        self.mouth_out = nn.Linear(4 * c * 3 * 3, d)
        self.sound = nn.Sequential(
            nn.Conv1d(MEL_BANDS, 2 * d, WINDOW * STEPS_PER_CROP, stride=STEPS_PER_CROP),
            nn.GELU(),
            nn.Conv1d(2 * d, d, 1),
        )
        self.log_scale = nn.Parameter(torch.tensor(2.0))
        self.out = nn.Linear(settings.num_shifts + d, d)
        self.null = nn.Parameter(torch.randn(1, d) * 0.02)
        filters = mel_filter_bank(201, MEL_BANDS, 60.0, 7600.0, 16000, norm="slaney", mel_scale="slaney")
        self.register_buffer("filters", torch.tensor(filters, dtype=torch.float32), persistent=False)
        self.register_buffer("taper", torch.hann_window(400), persistent=False)

    def log_mel(self, samples_BS: Tensor) -> Tensor:
        """Return the log-mel spectrum (B, A, N) in steps of 10 ms, of zero mean and unit deviation in each clip."""
        spectrum = torch.stft(samples_BS.float(), 400, 160, window=self.taper, return_complex=True)[..., :-1]
        mel_BAN = torch.einsum("bfa,fn->ban", spectrum.abs() ** 2, self.filters).clamp_min(1e-10).log10()
        return (mel_BAN - mel_BAN.mean((1, 2), keepdim=True)) / (mel_BAN.std((1, 2), keepdim=True) + 1e-3)

    def forward(self, mouths_BMHW: Tensor, mel_BAN: Tensor, applies_B: Tensor) -> tuple[Tensor, Tensor]:
        """Compare lips and speech.

        Args:
            mouths_BMHW: uint8 grey crops, 25 a second.
            mel_BAN: From `log_mel`, of the same clip.
            applies_B: False where a modality is masked; the vector is then a learned null.

        Returns:
            The profile (B, L), the scaled similarity when the audio is taken that many crops later, unshifted in the middle; and
            the vector (B, F).
        """
        lips_BMD = nn.functional.normalize(self._lips(mouths_BMHW), dim=-1)
        sound_BMD = nn.functional.normalize(self._sound(mel_BAN), dim=-1)
        similar_BMM = lips_BMD @ sound_BMD.transpose(1, 2)
        shifts = range(-self.max_shift, self.max_shift + 1)
        profile_BL = torch.stack([similar_BMM.diagonal(shift, 1, 2).mean(-1) for shift in shifts], 1)
        profile_BL = profile_BL * self.log_scale.exp()
        vector_BF = self.out(torch.cat([profile_BL, (lips_BMD * sound_BMD).mean(1)], 1))
        return profile_BL, torch.where(applies_B[:, None], nn.functional.gelu(vector_BF), self.null)

    def _sound(self, mel_BAN: Tensor) -> Tensor:
        """Embed each 0.2 s of audio (B, M - 6, D), without the outermost, in which the edge of the spectrum shows."""
        embedded: Tensor = self.sound(mel_BAN.transpose(1, 2)).transpose(1, 2)
        return embedded[:, 1:-1]

    def _lips(self, mouths_BMHW: Tensor) -> Tensor:
        """Embed each five crops (B, M - 6, D), without the outermost; brightness and contrast are normalised per clip."""
        x = mouths_BMHW.to(self.log_scale.dtype)
        x = (x - x.mean((1, 2, 3), keepdim=True)) / (x.std((1, 2, 3), keepdim=True) + 1.0)
        maps_BCMHW = self.mouth(x[:, None])
        places = nn.functional.adaptive_avg_pool3d(maps_BCMHW, (maps_BCMHW.shape[2], 3, 3))
        embedded: Tensor = self.mouth_out(places.permute(0, 2, 1, 3, 4).flatten(2))
        return embedded[:, 1:-1]
