"""Alignment is the least-squares similarity: exact on transformed templates, invertible, without aliasing or shift."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veridical.faces import align_face, invert, similarity, template, transform_points

offsets = st.lists(st.tuples(st.floats(-20, 20), st.floats(-20, 20)), min_size=5, max_size=5).map(np.array)
points = st.tuples(offsets, st.floats(0.3, 5), st.floats(-500, 500)).map(
    lambda drawn: (template(256, 1.3) + drawn[0]) * drawn[1] + drawn[2]
)
"""Five points that never coincide."""


@settings(deadline=None)
@given(angle=st.floats(-3, 3), scale=st.floats(0.05, 20), x=st.floats(-900, 900), y=st.floats(-900, 900))
def test_a_similarity_is_recovered_exactly(angle: float, scale: float, x: float, y: float) -> None:
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    source = template(256, 1.3)
    matrix = similarity(source, source @ linear.T + [x, y])
    np.testing.assert_allclose(matrix, np.hstack([linear, [[x], [y]]]), atol=1e-6 * max(scale, 1) * 1000)


@settings(deadline=None)
@given(source=points, nudge=st.tuples(*[st.floats(-0.2, 0.2)] * 4))
def test_no_other_similarity_is_nearer(source: np.ndarray, nudge: tuple[float, ...]) -> None:
    target = template(256, 1.3)
    matrix = similarity(source, target)
    error = np.sum((source @ matrix[:, :2].T + matrix[:, 2] - target) ** 2)
    a, b = matrix[0, 0] + nudge[0] * 0.01, matrix[1, 0] + nudge[1] * 0.01
    other = np.array([[a, -b, matrix[0, 2] + nudge[2]], [b, a, matrix[1, 2] + nudge[3]]])
    assert np.sum((source @ other[:, :2].T + other[:, 2] - target) ** 2) >= error - 1e-6 * (1 + error)


@settings(deadline=None)
@given(source=points, probe=points)
def test_inversion_undoes(source: np.ndarray, probe: np.ndarray) -> None:
    matrix = similarity(source, template(256, 1.3))
    back = transform_points(invert(matrix), transform_points(matrix, probe))
    np.testing.assert_allclose(back, probe, atol=0.05)


@functools.cache
def gradient(width: int, height: int) -> np.ndarray:
    """Red is x, green is y, scaled to 0–250: an image whose colours give the position."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 250 / width, y * 250 / height, np.zeros_like(x)], axis=2).round().astype(np.uint8)


@settings(max_examples=15, deadline=None)
@given(width=st.sampled_from([250, 1000, 2500]), face=st.floats(0.1, 0.6), angle=st.floats(-0.6, 0.6))
def test_the_crop_shows_what_the_matrix_says(width: int, face: float, angle: float) -> None:
    """Also for big faces, which are shrunk first: position read from the colours against position from the matrix."""
    image = gradient(width, width)
    linear = face * width / 256 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    landmarks = (template(256, 1.3) - 127.5) @ linear.T + width / 2
    crop, matrix = align_face(image, landmarks)
    assert crop.shape == (256, 256, 3)
    assert crop.dtype == np.uint8
    np.testing.assert_allclose(transform_points(matrix, landmarks), template(256, 1.3), atol=1e-2)
    for x, y in ((128, 128), (60, 90), (200, 190)):
        expected = transform_points(invert(matrix), [x, y]) * 250 / width
        np.testing.assert_allclose(crop[y, x, :2], expected, atol=1.6)


@pytest.mark.parametrize("shrink", [1.0, 1.9, 2.5, 3.7, 8.0])
def test_shrinking_shifts_nothing(shrink: float) -> None:
    """The middle of a disc is where the matrix says, to a fiftieth of a pixel of the crop, however big the face."""
    side = round(300 * shrink)
    y, x = np.mgrid[:side, :side]
    centre = np.array([0.47, 0.55]) * side
    disc = np.clip(20 * shrink - np.hypot(x - centre[0], y - centre[1]) + 0.5, 0, 1) * 255
    image = np.repeat(disc.astype(np.uint8)[..., None], 3, axis=2)
    crop, matrix = align_face(image, (template(256, 1.3) - 127.5) * shrink + side / 2)
    weight = crop[..., 0].astype(float)
    rows, columns = np.mgrid[:256, :256]
    centroid = np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()
    np.testing.assert_allclose(centroid, transform_points(matrix, centre), atol=0.02)


def test_big_faces_do_not_alias() -> None:
    """A one-pixel checkerboard shrunk eight times is even grey, not a moiré pattern."""
    y, x = np.mgrid[:2048, :2048]
    board = np.repeat((((x + y) % 2) * 255).astype(np.uint8)[..., None], 3, axis=2)
    crop, _ = align_face(board, (template(256, 1.3) - 127.5) * 8 + 1024)
    assert np.abs(crop[8:-8, 8:-8].astype(int) - 127).max() < 12


def test_margin_grows_with_scale() -> None:
    landmarks = template(256, 1.0) + 300
    tight, wide = (align_face(np.zeros((900, 900, 3), np.uint8), landmarks, scale=s)[1] for s in (1.0, 1.6))
    assert tight[0, 0] / wide[0, 0] == pytest.approx(1.6)
    for matrix in (tight, wide):
        np.testing.assert_allclose(transform_points(matrix, [427.5, 427.5]), [127.5, 127.5], atol=1e-3)


def test_beyond_the_image_is_black() -> None:
    crop, _ = align_face(np.full((100, 100, 3), 200, np.uint8), template(100, 1.3) + 60)
    assert (crop[-20:, -20:] == 0).all()
    assert (crop[20, 20] == 200).all()


@pytest.mark.parametrize(
    "landmarks", [np.zeros((5, 2)), np.full((5, 2), np.nan), np.zeros((4, 2)), np.full((5, 2), np.inf)]
)
def test_impossible_landmarks_are_refused(landmarks: np.ndarray) -> None:
    with pytest.raises(ValueError, match="landmarks"):
        align_face(np.zeros((9, 9, 3), np.uint8), landmarks)
