"""Whether the clips of a store are what a model takes in: one check, for training and for every later use."""

from __future__ import annotations

from typing import Any

from veridical.clips.inputs import InputSettings
from veridical.clips.settings import StoreSettings
from veridical.clips.store import ClipStore
from veridical.errors import UsageError

GIVEN_BY_INPUTS = ("fps", "window_s", "crop_size", "crop_scale")
LEARNED = ("jpeg_quality", "detector", "detector_sha256", "speech_threshold", "silence_dbfs")
"""Facts that a model gets used to and that its inputs do not name: how pictures were compressed, by whose landmarks they were
aligned, and what counted as speech. Other facts of a store say which windows are in it, not what a clip is."""


def check_fit(store: ClipStore, inputs: InputSettings, learned_from: StoreSettings | None = None) -> None:
    """Refuse a store whose clips differ from what a model takes in.

    Args:
        store: The clips.
        inputs: What the model takes in.
        learned_from: Facts of the store that the model learned from; None for a model that is about to learn from this one.

    Raises:
        UsageError: naming each fact that differs, what was found and what is wanted, and what to do.
    """
    found = store.settings
    wanted: dict[str, Any] = {name: getattr(inputs, name) for name in GIVEN_BY_INPUTS}
    wanted |= dict.fromkeys(inputs.contents, True)
    if learned_from is not None:
        wanted |= {name: value for name in LEARNED if (value := getattr(learned_from, name)) != ""}
    differing = {name: value for name, value in wanted.items() if getattr(found, name) != value}
    if not differing:
        return
    facts = "; ".join(
        f"{name}: found {_said(getattr(found, name))}, wanted {_said(value)}" for name, value in differing.items()
    )
    assignments = " ".join(f"--set {name}={_said(value)}" for name, value in differing.items())
    instead = "use a model that learned from such clips"
    if learned_from is None:
        instead = "change " + ", ".join(f"inputs.{name}" for name in differing) + " in the recipe"
    raise UsageError(
        f"{store.path}: its clips are not what the model takes in ({facts}); prepare the videos into another store with "
        f"`{assignments}`, or {instead}"
    )


def _said(value: Any) -> str:
    """Return a value as `--set` takes it."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
