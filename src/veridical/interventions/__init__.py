"""Interventions: deliberate changes of clips, recordings and manifests: controls, planted shortcuts, degradations. No torch."""

from veridical.interventions.catalogue import (
    INTERVENTIONS,
    find_intervention,
    parse_intervention,
    parse_interventions,
)
from veridical.interventions.intervention import AppliedIntervention, Intervention, Kind
from veridical.interventions.shortcuts import Recording
from veridical.interventions.worlds import (
    SHORTCUTS,
    WORLDS,
    WorldSettings,
    plant,
    plant_in_manifest,
    plant_in_recording,
)

__all__ = [
    "INTERVENTIONS",
    "SHORTCUTS",
    "WORLDS",
    "AppliedIntervention",
    "Intervention",
    "Kind",
    "Recording",
    "WorldSettings",
    "find_intervention",
    "parse_intervention",
    "parse_interventions",
    "plant",
    "plant_in_manifest",
    "plant_in_recording",
]
