"""Interventions: what is done to a clip, a recording or a list of videos on purpose, to see what a detector or an audit says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from veridical.artefacts import Manifest
from veridical.clips import Clip
from veridical.errors import UsageError
from veridical.interventions.shortcuts import Recording

Kind = Literal["control", "shortcut", "degradation"]
CONDITION_PREFIX: dict[Kind, str] = {"control": "control", "shortcut": "shortcut", "degradation": "degrade"}
"""Kind → first part of the condition's name in a score table."""

ClipChange = Callable[[Clip, Clip | None, float | None], Clip]
"""(clip, partner, strength) → clip; the partner is a clip of another video."""
RecordingChange = Callable[[Recording, np.random.Generator], Recording]
ManifestChange = Callable[[Manifest, np.random.Generator], Manifest]


@dataclass(frozen=True)
class Intervention:
    """A named change; exactly what it acts on has a function."""

    name: str
    kind: Kind
    """`control` destroys a cue, `shortcut` plants one in one class, `degradation` lowers quality as transmission does."""
    cue: str
    """The cue that it destroys, plants or weakens, for example `frame order`."""
    on_clip: ClipChange | None = None
    on_recording: RecordingChange | None = None
    on_manifest: ManifestChange | None = None
    needs_partner: bool = False
    """It needs a clip of another video as well."""
    strengths: tuple[float, ...] = ()
    """The usual strengths; empty for a change that has none."""
    strength_unit: str = ""
    """What a strength is, as it is shown in help and errors: `SECONDS`, `CRF`."""

    @property
    def usage(self) -> str:
        """How it is named on the command line: `shuffle`, `shift_sound:SECONDS`."""
        return f"{self.name}:{self.strength_unit}" if self.strengths else self.name

    def applied(self) -> tuple[AppliedIntervention, ...]:
        """Return it at each of its usual strengths."""
        return tuple(AppliedIntervention(self, strength) for strength in self.strengths or (None,))


@dataclass(frozen=True)
class AppliedIntervention:
    """An intervention of clips at one strength."""

    intervention: Intervention
    strength: float | None = None

    @property
    def condition(self) -> str:
        """Name of the condition in a score table, for example `control:shift_sound:0.2`."""
        parts = (CONDITION_PREFIX[self.intervention.kind], self.intervention.name)
        return ":".join(parts if self.strength is None else (*parts, f"{self.strength:g}"))

    def apply(self, clip: Clip, partner: Clip | None = None) -> Clip:
        """Return the changed clip.

        Args:
            clip: The clip that will be scored; it is not changed.
            partner: A clip of another video, for interventions that need one.

        Raises:
            UsageError: when the intervention does not act on clips, or the strength does not suit the clip.
        """
        if self.intervention.on_clip is None:
            raise UsageError(f"{self.intervention.name}: does not act on stored clips")
        return self.intervention.on_clip(clip, partner, self.strength)
