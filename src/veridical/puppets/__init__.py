"""Synthetic talking heads with speech: corpora that need no download and show nobody's face, and the project's test bench."""

from veridical.puppets.casting import FAMILIES, sample_identity
from veridical.puppets.clip import FPS, PuppetClip, render_clip, render_puppet
from veridical.puppets.corpus import render_corpus, sample_person
from veridical.puppets.espeak import speech_available
from veridical.puppets.identity import Identity
from veridical.puppets.motion import perform
from veridical.puppets.renderer import Renderer
from veridical.puppets.scene import Scene, SceneSettings
from veridical.puppets.truth import Truth

__all__ = [
    "FAMILIES",
    "FPS",
    "Identity",
    "PuppetClip",
    "Renderer",
    "Scene",
    "SceneSettings",
    "Truth",
    "perform",
    "render_clip",
    "render_corpus",
    "render_puppet",
    "sample_identity",
    "sample_person",
    "speech_available",
]
