"""Degradations: what they do to a picture, and that nothing but picture and name decides it."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic import photograph

from napari_safire.images.masks import resize_nearest
from napari_safire.synthesis.degradations import GRID, KINDS, NONE, Degradation, degrade


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return photograph(3, (120, 160))


def by(name: str, pixels: np.ndarray, key: str = "") -> np.ndarray:
    return degrade(pixels, Degradation.parse(name), key=key)


def distance(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.abs(first.astype(float) - second).mean())


@pytest.mark.parametrize("degradation", GRID, ids=lambda d: d.name)
def test_every_degradation_of_the_grid(degradation: Degradation, picture: np.ndarray) -> None:
    before = picture.copy()
    out = degrade(picture, degradation, key="x")
    assert out.dtype == np.uint8
    factor = degradation.strength if degradation.kind == "resize" else 1
    assert out.shape == (round(120 * factor), round(160 * factor), 3)
    assert np.array_equal(picture, before)
    assert np.array_equal(out, degrade(picture, degradation, key="x"))
    assert Degradation.parse(degradation.name) == degradation


def test_none_changes_nothing(picture: np.ndarray) -> None:
    assert degrade(picture, NONE) is picture
    assert GRID[0] is NONE
    deep = np.zeros((4, 5), np.uint16)  # nothing to convert where nothing is done
    assert degrade(deep, NONE) is deep


@pytest.mark.parametrize(
    ("weaker", "stronger"),
    [
        ("blur-3", "blur-19"),
        ("noise-3", "noise-23"),
        ("jpeg-90", "jpeg-50"),
        ("gamma-1.25", "gamma-2"),
        ("gamma-0.75", "gamma-0.5"),
    ],
)
def test_stronger_is_further_away(weaker: str, stronger: str, picture: np.ndarray) -> None:
    assert 0 < distance(by(weaker, picture), picture) < distance(by(stronger, picture), picture)


def test_noise_has_the_named_deviation_and_its_own_draw() -> None:
    grey = np.full((200, 200, 3), 128, np.uint8)
    noisy = by("noise-11", grey, "a")
    assert noisy.std() == pytest.approx(11, rel=0.03)
    assert noisy.mean() == pytest.approx(128, abs=0.3)
    assert not np.array_equal(noisy, by("noise-11", grey, "b"))


def test_blur_keeps_means_and_reaches_as_far_as_its_kernel() -> None:
    point = np.zeros((41, 41, 3), np.uint8)
    point[20, 20] = 255
    out = by("blur-7", point)
    reached = np.flatnonzero(out[20, :, 0])
    assert (reached.min(), reached.max()) == (17, 23)
    assert np.array_equal(out, out[::-1, ::-1])


def test_gamma_brightens_above_one_and_keeps_the_ends() -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    assert (by("gamma-2", ramp) >= ramp).all()
    assert (by("gamma-0.5", ramp) <= ramp).all()
    assert by("gamma-2", ramp)[0, [0, 255], 0].tolist() == [0, 255]


def test_social_imitation_never_enlarges() -> None:
    large = photograph(1, (40, 2400))
    assert by("social-1080", large).shape == (18, 1080, 3)
    assert by("social-2048", large).shape == (34, 2048, 3)
    small = photograph(1, (40, 60))
    assert by("social-1080", small).shape == small.shape


@pytest.mark.parametrize(
    "name",
    ["", "jpeg", "jpeg-", "jpeg-0", "jpeg-101", "jpeg-70.5", "blur-4", "blur-1", "noise-0",
     "noise-200", "gamma-0", "gamma--1", "resize-0.01", "social-1000", "haze-3", "none-1",
     "JPEG-75", "jpeg-nan"],
)  # fmt: skip
def test_names_and_strengths_that_are_none(name: str) -> None:
    with pytest.raises(ValueError, match=r": |no strength|Unknown"):
        Degradation.parse(name)


def test_strengths_that_are_no_numbers() -> None:
    for kind in KINDS:
        with pytest.raises(ValueError, match="cannot have the strength"):
            Degradation(kind, float("nan"))


def test_other_pictures_are_refused(picture: np.ndarray) -> None:
    for wrong in (picture[..., 0], picture.astype(float), np.zeros((3, 4, 4), np.uint8)):
        with pytest.raises(TypeError, match="convert it first"):
            by("jpeg-75", wrong)
    with pytest.raises(ValueError, match="no pixel left"):
        by("resize-0.05", picture[:5])


def test_masks_are_resized_without_new_values() -> None:
    mask = np.arange(12).reshape(3, 4)
    assert np.array_equal(resize_nearest(mask, (6, 8)), mask.repeat(2, 0).repeat(2, 1))
    assert set(np.unique(resize_nearest(mask, (2, 3)))) <= set(range(12))
    assert resize_nearest(mask, (3, 4)) is mask


def test_the_grid_has_the_published_strengths() -> None:
    """Those that SAFIRE's published robustness test accepts, but for gamma 1, which is "none"."""
    strengths = {name: set(kind.usual) for name, kind in KINDS.items()}
    assert strengths["blur"] == set(range(3, 20, 4))
    assert strengths["noise"] == set(range(3, 24, 4))
    assert strengths["jpeg"] == set(range(50, 101, 10))
    assert strengths["gamma"] == {0.7, 0.85, 1.15, 1.3}
