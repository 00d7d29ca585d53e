"""The catalogue of interventions, and how their names are read."""

from __future__ import annotations

import math
from collections.abc import Iterable

from veridical.errors import UsageError, unknown_name
from veridical.interventions import controls, degradations, shortcuts
from veridical.interventions.intervention import CONDITION_PREFIX, AppliedIntervention, Intervention

ALL_CONTROLS = "all"
"""Stands for every control at its usual strengths."""

INTERVENTIONS: dict[str, Intervention] = {
    "shuffle": Intervention("shuffle", "control", "frame order", on_clip=controls.shuffled),
    "reverse": Intervention("reverse", "control", "frame order", on_clip=controls.reversed_in_time),
    "freeze": Intervention("freeze", "control", "frame order", on_clip=controls.frozen),
    "drop_sound": Intervention("drop_sound", "control", "audio", on_clip=controls.without_audio),
    "silence": Intervention("silence", "control", "audio", on_clip=controls.silenced),
    "swap_sound": Intervention(
        "swap_sound", "control", "audio", on_clip=controls.with_audio_of_partner, needs_partner=True
    ),
    "shift_sound": Intervention(
        "shift_sound",
        "control",
        "synchrony",
        on_clip=controls.desynchronised,
        strengths=(0.2, 0.5),
        strength_unit="SECONDS",
    ),
    "h264": Intervention(
        "h264",
        "degradation",
        "compression",
        on_clip=degradations.h264_clip,
        strengths=degradations.H264_CRFS,
        strength_unit="CRF",
    ),
    "audio_presence": Intervention(
        "audio_presence", "shortcut", "presence of audio", on_recording=shortcuts.without_audio
    ),
    "leading_silence": Intervention(
        "leading_silence", "shortcut", "onset of sound", on_recording=shortcuts.with_leading_silence
    ),
    "codec": Intervention("codec", "shortcut", "codec", on_recording=shortcuts.in_another_codec),
    "bitrate": Intervention("bitrate", "shortcut", "bitrate", on_recording=shortcuts.with_low_bitrate),
    "pixel_format": Intervention(
        "pixel_format", "shortcut", "pixel format", on_recording=shortcuts.in_another_pixel_format
    ),
    "frame_rate": Intervention("frame_rate", "shortcut", "frame rate", on_recording=shortcuts.at_another_rate),
    "resolution": Intervention("resolution", "shortcut", "resolution", on_recording=shortcuts.at_another_resolution),
    "duration": Intervention("duration", "shortcut", "duration", on_recording=shortcuts.shorter),
    "brightness": Intervention("brightness", "shortcut", "brightness", on_recording=shortcuts.brighter),
    "loudness": Intervention("loudness", "shortcut", "loudness", on_recording=shortcuts.quieter),
    "watermark": Intervention("watermark", "shortcut", "watermark", on_recording=shortcuts.with_watermark),
    "crop_scale": Intervention("crop_scale", "shortcut", "size of the face", on_recording=shortcuts.nearer),
    "lost_faces": Intervention("lost_faces", "shortcut", "missed faces", on_recording=shortcuts.with_lost_faces),
    "duplicates": Intervention("duplicates", "shortcut", "videos in two splits", on_manifest=shortcuts.with_duplicates),
    "identity_overlap": Intervention(
        "identity_overlap", "shortcut", "identities in two splits", on_manifest=shortcuts.with_shared_identities
    ),
    "missing_generator": Intervention(
        "missing_generator", "shortcut", "absent generator", on_manifest=shortcuts.without_a_generator
    ),
}
"""All interventions by name; the next one is a function and a line here."""


def parse_interventions(names: Iterable[str]) -> tuple[AppliedIntervention, ...]:
    """Read interventions of clips as a user names them, each once; `all` stands for every control.

    Raises:
        UsageError: as `parse_intervention`.
    """
    applied: list[AppliedIntervention] = []
    for name in names:
        if name == ALL_CONTROLS:
            applied += [one for item in INTERVENTIONS.values() if item.kind == "control" for one in item.applied()]
        else:
            applied.append(parse_intervention(name))
    return tuple(dict.fromkeys(applied))


def parse_intervention(text: str) -> AppliedIntervention:
    """Read an intervention of clips: `shuffle`, `shift_sound:0.2`, or a condition such as `control:shift_sound:0.2`.

    Raises:
        UsageError: when there is none of the name that acts on clips, or its strength is missing, wrong or not wanted.
    """
    name, colon, strength = _without_prefix(text).partition(":")
    item = INTERVENTIONS.get(name)
    if item is None or item.on_clip is None:
        valid = [item.usage for item in INTERVENTIONS.values() if item.on_clip is not None]
        raise unknown_name("intervention", name, valid)
    if not item.strengths:
        if colon:
            raise UsageError(f"{text}: {name} takes no strength; write {item.usage}")
        return AppliedIntervention(item)
    return AppliedIntervention(item, _strength(text, strength, item))


def find_intervention(condition: str) -> Intervention | None:
    """Return the intervention behind a condition of a score table; None for `joint`, heads and unknown names."""
    prefix, _, rest = condition.partition(":")
    item = INTERVENTIONS.get(rest.partition(":")[0])
    return item if item is not None and CONDITION_PREFIX[item.kind] == prefix else None


def _without_prefix(text: str) -> str:
    prefix, colon, rest = text.partition(":")
    return rest if colon and prefix in CONDITION_PREFIX.values() else text


def _strength(text: str, given: str, item: Intervention) -> float:
    try:
        strength = float(given)
    except ValueError:
        strength = math.nan
    if not strength or not math.isfinite(strength):
        raise UsageError(f"{text}: expected {item.usage}, for example {item.name}:{item.strengths[0]:g}")
    return strength
