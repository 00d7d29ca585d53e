"""The audio-visual detector model: frames and audio of a clip in, three logits out (video, audio, both)."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from veridical.errors import UsageError
from veridical.models.audio import AudioEncoderSettings, build_audio_encoder
from veridical.models.fusion import CrossModalAttention, FusionSettings
from veridical.models.lip_sync import LipSync, LipSyncSettings
from veridical.models.temporal import TemporalEncoder, TemporalEncoderSettings
from veridical.models.video import VideoEncoder, VideoEncoderSettings
from veridical.settings import Settings

# B clips, T frames, C colours, H height, W width, S samples, A audio steps, F backbone features, D features,
# M mouth crops, N flow statistics, L time shifts


Modality = Literal["video", "audio"]


class ModelSettings(Settings):
    """The parts of the detector model."""

    video: VideoEncoderSettings = VideoEncoderSettings()
    temporal: TemporalEncoderSettings = TemporalEncoderSettings()
    audio: AudioEncoderSettings = AudioEncoderSettings()
    fusion: FusionSettings = FusionSettings()
    lip_sync: LipSyncSettings | None = None
    """A branch that compares lips and speech in mouth crops; None leaves it out. In a recipe `inputs.mouths` follows from it."""
    flow_statistics: int = Field(0, ge=0)
    """Motion statistics per frame as well as the backbone's features, 0 for none. In a recipe it follows from `inputs.flow`."""
    frame_head: bool = False
    """A head with a logit for each frame, trained on pseudo-labels. In a recipe it follows from `losses.frame`."""
    audio_width: int = 512
    """Size of an audio step after projection."""
    head_width: int = 40
    """Hidden size of each head."""
    head_dropout: float = 0.2


class Features(NamedTuple):
    """Output of the (usually frozen) early parts: all that the trainable parts need."""

    video: Tensor
    """(B, T, F) backbone features."""
    audio: Tensor
    """(B, A, E) hidden state after the frozen audio blocks."""
    has_video: Tensor
    """(B,) bool; False masks the video."""
    has_audio: Tensor
    """(B,) bool; False masks the audio: missing, near-silent, or too little speech."""
    mouths: Tensor | None = None
    """(B, M, H, W) uint8 grey mouth crops, for the lip-sync branch."""
    mel: Tensor | None = None
    """(B, A, N) spectrum of the audio, for the lip-sync branch."""
    flow: Tensor | None = None
    """(B, T, N) float32 motion statistics."""

    def masked(self, *, video: Tensor | None = None, audio: Tensor | None = None) -> Features:
        """Return features with more clips masked; True in the (B,) arguments masks that modality."""
        return self._replace(
            has_video=self.has_video if video is None else self.has_video & ~video,
            has_audio=self.has_audio if audio is None else self.has_audio & ~audio,
        )

    def to(self, device: torch.device) -> Features:
        """Return the features on a device."""
        return Features(*(None if value is None else value.to(device) for value in self))  # type: ignore[arg-type]


class DetectorOutput(NamedTuple):
    """Raw logits (higher = more fake), and the embeddings that losses need."""

    logit: Tensor
    """(B,) video and audio together."""
    video_logit: Tensor
    """(B,) video alone; meaningless where has_video is False."""
    audio_logit: Tensor
    """(B,) audio alone; meaningless where has_audio is False."""
    frame_embeddings: Tensor
    """(B, T, D) of the temporal encoder, before pooling."""
    frame_logits: Tensor | None = None
    """(B, T) of the frame head."""
    sync_profile: Tensor | None = None
    """(B, L) how well lips and speech match at each time shift, 0 in the middle; meaningless where a modality is masked."""
    head_logits: tuple[Tensor, Tensor] | None = None
    """Logits of video and of audio whose gradient reaches the encoders, whatever `follow` is."""


class DetectorModel(nn.Module):
    """EfficientNet-like frames, temporal encoder, speech encoder, cross-modal attention, three heads.

    Args:
        settings: The parts.
        load_weights: False builds the architecture only, for a checkpoint to be loaded.
    """

    def __init__(self, settings: ModelSettings, load_weights: bool = True) -> None:
        super().__init__()
        self.settings = settings
        self.video = VideoEncoder(settings.video, load_weights)
        self.temporal = TemporalEncoder(self.video.num_features, settings.temporal, settings.flow_statistics)
        self.audio = build_audio_encoder(settings.audio, load_weights)
        self.audio_projection = nn.Sequential(
            nn.LayerNorm(self.audio.num_features), nn.Linear(self.audio.num_features, settings.audio_width)
        )
        self.fusion = CrossModalAttention(
            settings.temporal.width, settings.temporal.output, settings.audio_width, settings.fusion
        )
        self.video_head = _head(settings.temporal.output, settings)
        self.audio_head = _head(settings.audio_width, settings)
        self.frame_head = nn.Linear(settings.temporal.width, 1) if settings.frame_head else None
        self.lip_sync = LipSync(settings.lip_sync) if settings.lip_sync else None
        sync_width = settings.lip_sync.width if settings.lip_sync else 0
        self.head = _head(settings.temporal.output + settings.fusion.width + sync_width, settings)

    def features(
        self,
        frames_BTCHW: Tensor,
        samples_BS: Tensor,
        has_audio_B: Tensor,
        only: Modality | None = None,
        *,
        mouths: Tensor | None = None,
        flow: Tensor | None = None,
    ) -> Features:
        """Run the early parts: the image backbone and the frozen audio blocks.

        Args:
            frames_BTCHW: uint8 RGB faces.
            samples_BS: Audio in [-1, 1], zeros where there is none.
            has_audio_B: False where the audio must not be used.
            only: Leave the other modality out; its features are empty (B, 0, 0).
            mouths: (B, M, H, W) uint8, where the model has a lip-sync branch.
            flow: (B, T, N), where the model uses motion statistics.

        Raises:
            UsageError: when the model needs mouth crops or motion statistics and gets none.
        """
        for name, needed, given in (
            ("mouths", self.lip_sync is not None, mouths),
            ("flow", self.settings.flow_statistics > 0, flow),
        ):
            if needed and given is None:
                raise UsageError(f"this model needs {name}; prepare the clips with `--set {name}=true`")
        has_video_B = torch.ones(len(frames_BTCHW), dtype=torch.bool, device=frames_BTCHW.device)
        if self.settings.audio.kind == "none":
            has_audio_B = torch.zeros_like(has_audio_B)
        nothing = samples_BS.new_zeros(len(samples_BS), 0, 0)
        video = nothing if only == "audio" else self.video(frames_BTCHW)
        audio = nothing if only == "video" else self._hidden_audio(samples_BS, has_audio_B)
        if self.lip_sync is None:
            return Features(video, audio, has_video_B, has_audio_B, flow=flow)
        return Features(video, audio, has_video_B, has_audio_B, mouths, self.lip_sync.log_mel(samples_BS), flow)

    def _hidden_audio(self, samples_BS: Tensor, has_audio_B: Tensor) -> Tensor:
        """Encode the clips with audio; the others get zeros, which are masked later."""
        if has_audio_B.all():
            return self.audio.frozen_part(samples_BS)
        audible = samples_BS[has_audio_B] if has_audio_B.any() else samples_BS[:1]
        hidden = self.audio.frozen_part(audible)
        result = hidden.new_zeros(len(samples_BS), *hidden.shape[1:])
        if has_audio_B.any():
            result[has_audio_B] = hidden
        return result

    def forward(self, features: Features, follow: bool = False, only: Modality | None = None) -> DetectorOutput:
        """Return the logits of clips.

        Args:
            features: From `features`, now or cached from an earlier run of the frozen parts.
            follow: True feeds the single-modality heads detached inputs: during joint training they keep step with the encoders
                without adding a term to what the encoders learn.
            only: Use one modality and compute nothing else: `logit` and both single logits are that head's; without video
                the frame embeddings are empty.
        """
        if only == "audio":
            logit = self.audio_head(self._projected_audio(features).mean(1)).squeeze(1)
            return DetectorOutput(logit, logit, logit, logit.new_zeros(len(logit), 0, 0))
        frames_BTD, clip_BP = self.temporal(features.video, features.flow)
        frame_logits = None if self.frame_head is None else self.frame_head(frames_BTD).squeeze(2)
        if only == "video":
            logit = self.video_head(clip_BP).squeeze(1)
            return DetectorOutput(logit, logit, logit, frames_BTD, frame_logits)
        audio_BAE = self._projected_audio(features)
        joint = self.fusion(frames_BTD, clip_BP, audio_BAE, features.has_video, features.has_audio)
        profile = None
        if self.lip_sync is not None:
            profile, in_step = self.lip_sync(features.mouths, features.mel, features.has_video & features.has_audio)
            joint = torch.cat([joint, in_step], 1)
        head_logits = self._head_logits(clip_BP, audio_BAE.mean(1))
        video_logit, audio_logit = (
            self._head_logits(clip_BP.detach(), audio_BAE.mean(1).detach()) if follow else head_logits
        )
        logit = self.head(joint).squeeze(1)
        return DetectorOutput(logit, video_logit, audio_logit, frames_BTD, frame_logits, profile, head_logits)

    def _projected_audio(self, features: Features) -> Tensor:
        projected: Tensor = self.audio_projection(self.audio(features.audio))
        return projected

    def _head_logits(self, clip_BP: Tensor, audio_BE: Tensor) -> tuple[Tensor, Tensor]:
        return self.video_head(clip_BP).squeeze(1), self.audio_head(audio_BE).squeeze(1)


def _head(width: int, settings: ModelSettings) -> nn.Module:
    return nn.Sequential(
        nn.Dropout(settings.head_dropout),
        nn.Linear(width, settings.head_width),
        nn.GELU(),
        nn.Linear(settings.head_width, 1),
    )
