"""Lip-sync branch: do the lips move with the sound? Mouth crops at 25 a second against the speech encoder's steps.

Both are embedded at 25 steps a second and compared at several time shifts, as in SyncNet (Chung and Zisserman 2016, "Out of time:
automated lip sync in the wild"). Five faces a second cannot see a shift of .2 s; this branch is what can. Departures: sound comes
from the detector's own speech encoder; the other shifts of the same clip are the negatives, so no speaker or room can help; what
is handed on is the whole profile over shifts and not one distance.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from veridical.settings import Settings

# B clips, M mouth crops, A audio steps, D features, L time shifts, E audio width, F output width


class LipSyncSettings(Settings):
    """The lip-sync branch."""

    width: int = Field(64, ge=1)
    """Size D of the embeddings that are compared, and F of what is handed to the head."""
    channels: int = Field(16, ge=1)
    """Feature maps of the first convolution; doubled twice."""
    max_shift: int = Field(5, ge=1)
    """Time shifts that are compared, either way, in mouth crops: 5 is .2 s."""

    @property
    def num_shifts(self) -> int:
        """L: shifts in a profile; the middle one is none."""
        return 2 * self.max_shift + 1


class LipSync(nn.Module):
    """Mouth crops and audio steps to a profile over time shifts and a vector for the head."""

    def __init__(self, audio_width: int, settings: LipSyncSettings) -> None:
        super().__init__()
        self.max_shift = settings.max_shift
        c, d = settings.channels, settings.width
        self.mouth = nn.Sequential(
            nn.Conv3d(1, c, (5, 7, 7), stride=(1, 4, 4), padding=(2, 3, 3)),
            nn.GroupNorm(1, c),
            nn.GELU(),
            nn.Conv3d(c, 2 * c, (1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1)),
            nn.GroupNorm(1, 2 * c),
            nn.GELU(),
            nn.Conv3d(2 * c, 4 * c, (1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1)),
            nn.GELU(),
        )
        self.mouth_out = nn.Linear(4 * c * 3 * 3, d)
        self.sound = nn.Sequential(nn.Conv1d(audio_width, d, 5, padding=2), nn.GELU(), nn.Conv1d(d, d, 1))
        self.log_scale = nn.Parameter(torch.tensor(2.0))
        self.out = nn.Linear(settings.num_shifts + d, d)
        self.null = nn.Parameter(torch.randn(1, d) * 0.02)

    def forward(self, mouths_BMHW: Tensor, audio_BAE: Tensor, applies_B: Tensor) -> tuple[Tensor, Tensor]:
        """Compare lips and sound.

        Args:
            mouths_BMHW: uint8 grey crops, 25 a second.
            audio_BAE: Steps of the speech encoder over the same window.
            applies_B: False where picture or sound is hidden; the vector is then a learned null.

        Returns:
            The profile (B, L): scaled similarity when the sound is taken that many crops later, the middle one as it is; and the
            vector (B, F).
        """
        lips_BMD = nn.functional.normalize(self._lips(mouths_BMHW), dim=-1)
        sound_BDM = nn.functional.interpolate(
            self.sound(audio_BAE.transpose(1, 2)), size=lips_BMD.shape[1], mode="linear", align_corners=False
        )
        sound_BMD = nn.functional.normalize(sound_BDM.transpose(1, 2), dim=-1)
        similar_BMM = lips_BMD @ sound_BMD.transpose(1, 2)
        shifts = range(-self.max_shift, self.max_shift + 1)
        profile_BL = torch.stack([similar_BMM.diagonal(shift, 1, 2).mean(-1) for shift in shifts], 1)
        profile_BL = profile_BL * self.log_scale.exp()
        vector_BF = self.out(torch.cat([profile_BL, (lips_BMD * sound_BMD).mean(1)], 1))
        return profile_BL, torch.where(applies_B[:, None], nn.functional.gelu(vector_BF), self.null)

    def _lips(self, mouths_BMHW: Tensor) -> Tensor:
        """Embed each crop with its neighbours in time (B, M, D); light and contrast of a clip are evened out."""
        x = mouths_BMHW.to(self.log_scale.dtype)
        x = (x - x.mean((1, 2, 3), keepdim=True)) / (x.std((1, 2, 3), keepdim=True) + 1.0)
        maps_BCMHW = self.mouth(x[:, None])
        places = nn.functional.adaptive_avg_pool3d(maps_BCMHW, (maps_BCMHW.shape[2], 3, 3))
        embedded: Tensor = self.mouth_out(places.permute(0, 2, 1, 3, 4).flatten(2))
        return embedded


def sync_score(profile_BL: Tensor) -> Tensor:
    """Return how much better no shift fits than the best shifted sound (B,): above 0 in step, below 0 out of step."""
    middle = profile_BL.shape[1] // 2
    others = torch.cat([profile_BL[:, :middle], profile_BL[:, middle + 1 :]], 1)
    return profile_BL[:, middle] - others.amax(1)
