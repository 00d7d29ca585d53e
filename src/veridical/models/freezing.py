"""Freezing: no gradient, and evaluation mode whatever `train()` says, for BatchNorm in open blocks too."""

from __future__ import annotations

from torch import nn

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def set_trainable(module: nn.Module, trainable: bool) -> None:
    """Open or freeze every parameter of a module."""
    for parameter in module.parameters():
        parameter.requires_grad_(trainable)


def set_modes(model: nn.Module, training: bool) -> None:
    """Put modules with trainable parameters into training mode and everything else into evaluation mode.

    A module is frozen when it has parameters and none of them is trainable. BatchNorm stays in evaluation mode even in open
    blocks: with a few videos per batch its running statistics would drift away from the pretrained ones.
    """
    parameters = list(model.parameters())
    frozen = bool(parameters) and not any(parameter.requires_grad for parameter in parameters)
    if not training or frozen or isinstance(model, BATCH_NORMS):
        model.eval()
        return
    model.training = True
    for child in model.children():
        set_modes(child, training)


def trainable_names(model: nn.Module) -> list[str]:
    """Return the names of all trainable parameters, in order."""
    return [name for name, parameter in model.named_parameters() if parameter.requires_grad]
