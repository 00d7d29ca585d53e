import numpy as np
import pytest

from veridical.clips import StoreSettings
from veridical.faces import Face
from veridical.preparation.crops import CropKeeper


class Nobody:
    def detect(self, image: np.ndarray) -> list[Face]:
        return []


@pytest.mark.parametrize(
    ("width", "height"), [(1920, 1080), (944, 500), (1001, 703), (700, 1999), (2560, 101), (640, 480)]
)
def test_places_in_the_view_are_places_in_the_frame(width: int, height: int) -> None:
    keeper = CropKeeper(Nobody(), StoreSettings())
    x, y = 0.8 * width, 0.7 * height
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    spread = 0.04 * max(width, height)
    blob = 255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * spread**2))
    view = keeper.view(np.repeat(blob[..., None], 3, axis=2).astype(np.uint8))
    assert max(view.shape) <= 640
    if max(width, height) > 640:
        assert view.shape[0] % 4 == view.shape[1] % 4 == 0, "to be halved twice"
    weight = view[..., 0].astype(float)
    seen = [(weight * place).sum() / weight.sum() for place in np.indices(weight.shape)[::-1]]
    was = [(np.floor(blob) * place).sum() / np.floor(blob).sum() for place in (columns, rows)]
    np.testing.assert_allclose(keeper.in_frame(np.array(seen, np.float32)), was, atol=0.25)
    keeper.close()
