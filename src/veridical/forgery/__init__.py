"""Forgeries: pure functions on arrays, and `forge`, which applies them to the videos of a manifest."""

from veridical.forgery.catalogue import FORGERIES
from veridical.forgery.files import ForgeReport, forge
from veridical.forgery.footage import Footage, Forged, Forgery
from veridical.forgery.reading import read_footage

__all__ = ["FORGERIES", "Footage", "ForgeReport", "Forged", "Forgery", "forge", "read_footage"]
