"""Synthetic talking heads with speech: corpora that need no download and show nobody's face, and the project's test bench."""

from veridical.puppets.casting import FAMILIES, sample_identity
from veridical.puppets.clip import FPS, PuppetClip, render_clip, render_puppet
from veridical.puppets.corpus import claim, render_corpus, sample_person
from veridical.puppets.espeak import speech_available
from veridical.puppets.identity import Identity
from veridical.puppets.motion import perform
from veridical.puppets.renderer import Renderer
from veridical.puppets.scene import Scene, SceneSettings
from veridical.puppets.shortcuts import SHORTCUTS, Recording, apply_shortcuts
from veridical.puppets.truth import Truth
from veridical.puppets.worlds import MANIFEST_SHORTCUTS, WORLDS, WorldSettings, plant, plant_in_manifest

__all__ = [
    "FAMILIES",
    "FPS",
    "MANIFEST_SHORTCUTS",
    "SHORTCUTS",
    "WORLDS",
    "Identity",
    "PuppetClip",
    "Recording",
    "Renderer",
    "Scene",
    "SceneSettings",
    "Truth",
    "WorldSettings",
    "apply_shortcuts",
    "claim",
    "perform",
    "plant",
    "plant_in_manifest",
    "render_clip",
    "render_corpus",
    "render_puppet",
    "sample_identity",
    "sample_person",
    "speech_available",
]
