"""What a clip may hold beyond face crops and audio, each switched on by a setting of the same name when the store is made."""

from __future__ import annotations

import itertools
from typing import Literal, get_args

Content = Literal["mouths", "flow", "dense_landmarks"]
CONTENTS: tuple[Content, ...] = get_args(Content)

MOUTH_FPS = 25
"""Mouth crops per second of presentation time."""
MOUTH_SIZE = 96
"""Side of a mouth crop in pixels."""
NUM_DENSE_LANDMARKS = 468

FLOW_REGIONS = ("face", "eyes", "mouth", "surround")
"""Places of the aligned crop: the ellipse of the face, eyes with brows, mouth with chin, and what lies outside the ellipse."""
FLOW_MEASURES = ("mean_x", "mean_y", "mean_length", "std_length", "p95_length", "mean_gradient")
FLOW_STATISTICS = tuple(f"{region}_{measure}" for region, measure in itertools.product(FLOW_REGIONS, FLOW_MEASURES))
"""Names of the F = 24 flow statistics of one frame, in percent of the crop's side moved in 1/25 s.

`mean_x` (to the right) and `mean_y` (down) are the average movement of a region, `mean_length`, `std_length` and `p95_length`
describe how far its points move, `mean_gradient` is the mean length of the flow's spatial derivative (percent of the side per
percent of the side): how unlike neighbouring points move.

All regions are alike on both sides of the middle, so that in a mirror `mean_x` changes its sign and nothing else changes."""
