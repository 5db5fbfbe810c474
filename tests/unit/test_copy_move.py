"""Copies that were planted are found and linked; what only looks alike is not."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import affine_transform, gaussian_filter, shift
from synthetic import made_once

from napari_safire import forensics
from napari_safire.errors import Cancelled
from napari_safire.forensics.copy_move.alignment import aligned, evened, find_shifts
from napari_safire.forensics.copy_move.descriptors import describe, orientations
from napari_safire.forensics.copy_move.geometry import Move, find_moves, moved
from napari_safire.forensics.copy_move.keypoints import (
    Matches,
    _largest,
    find_keypoints,
    match_keypoints,
)
from napari_safire.forensics.copy_move.scale_space import (
    blurred,
    find_extrema,
    octaves,
    sigma_of,
)
from napari_safire.forensics.copy_move.scoring import (
    CALLED,
    DRAWN,
    INPUTS,
    WEIGHTS,
    drawn,
    log_odds,
    score_of,
)
from napari_safire.forensics.copy_move.search import candidates
from napari_safire.forensics.copy_move.verification import Traits
from napari_safire.forensics.picture import LUMINANCE

SHAPE = (352, 448)


@made_once
def scene(seed: int, shape: tuple[int, int] = SHAPE, contrast: float = 40.0) -> np.ndarray:
    """Shapes of all sizes with the noise of a sensor."""
    rng = np.random.default_rng(seed)
    shapes = sum(gaussian_filter(rng.normal(size=shape), s) * s**1.6 for s in (1, 2, 4, 8, 16, 32))
    grey = 128 + contrast * (shapes - shapes.mean()) / shapes.std()
    channels = [grey + rng.normal(scale=1.5, size=shape) for _ in range(3)]
    return np.clip(np.rint(np.stack(channels, axis=-1)), 0, 255).astype(np.uint8)


@made_once
def smooth_scene(seed: int, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """A sky: slow changes of brightness and the noise of a sensor, correlated as by demosaicing."""
    rng = np.random.default_rng(seed)
    slope = np.linspace(120, 190, shape[0])[:, None]
    noise = gaussian_filter(rng.normal(size=shape), 0.7)
    grey = slope + gaussian_filter(rng.normal(size=shape), 40) * 300 + 1.8 * noise / noise.std()
    return np.clip(np.rint(np.repeat(grey[..., None], 3, axis=-1)), 0, 255).astype(np.uint8)


def similarity(turn: float, zoom: float, start: tuple[float, float], end: tuple[float, float]):
    """Affine map that sends a place to another one, turned anticlockwise and resized."""
    angle = np.radians(turn)
    linear = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.column_stack([linear, np.asarray(end) - linear @ np.asarray(start)])


def pasted(
    pixels: np.ndarray, affine: np.ndarray, end: tuple[float, float], radius: float
) -> tuple[np.ndarray, np.ndarray]:
    """Copy what a map brings into a disc; give the picture and the mask of both ends."""
    rows, cols = np.mgrid[: pixels.shape[0], : pixels.shape[1]]
    disc = np.hypot(rows - end[0], cols - end[1]) < radius
    back = np.linalg.inv(affine[:, :2])
    brought = [
        affine_transform(pixels[..., c].astype(float), back, -back @ affine[:, 2], order=3)
        for c in range(3)
    ]
    made = np.where(disc[..., None], np.stack(brought, axis=-1), pixels)
    start = moved(np.column_stack([back, -back @ affine[:, 2]]), np.array([end], float))[0]
    zoom = np.sqrt(np.linalg.det(affine[:, :2]))
    both = disc | (np.hypot(rows - start[0], cols - start[1]) < radius / zoom)
    return np.clip(np.rint(made), 0, 255).astype(np.uint8), both


def jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="JPEG", quality=quality)
    return np.array(Image.open(file).convert("RGB"))


def view_of(pixels: np.ndarray) -> forensics.EvidenceView:
    return forensics.views(pixels)["copy-move"]


def overlap(found: np.ndarray | None, truth: np.ndarray) -> float:
    assert found is not None
    return float((found & truth).sum() / (found | truth).sum())


START, END, RADIUS = (110.0, 110.0), (235.0, 320.0), 62.0


# ---------------------------------------------------------------- copies


@pytest.mark.parametrize("kind", [scene, smooth_scene])
@pytest.mark.parametrize(("turn", "zoom"), [(0, 1.0), (30, 1.2), (170, 0.85)])
def test_a_copy_is_found_at_both_ends(kind, turn, zoom):
    affine = similarity(turn, zoom, START, END)
    picture, truth = pasted(kind(1), affine, END, RADIUS)
    view = view_of(picture)
    assert view.score > 2
    assert overlap(view.result.regions, truth) > 0.7
    pair = view.result.table[0].value
    assert f"{zoom:.2f}" in pair or f"{1 / zoom:.2f}" in pair
    said = abs(int(pair.split("turned ")[1].rstrip("°")))
    assert said == pytest.approx(abs(turn), abs=1)


def test_a_copy_survives_jpeg_80():
    picture, truth = pasted(scene(2), similarity(0, 1.0, START, (234.0, 321.0)), END, RADIUS)
    view = view_of(jpeg(picture, 80))
    assert view.score > 1
    assert overlap(view.result.regions, truth) > 0.5


def test_several_copies_of_one_region_are_all_marked():
    picture, truth = scene(3), np.zeros(SHAPE, bool)
    for end in ((100.0, 370.0), (280.0, 370.0), (285.0, 200.0)):
        affine = similarity(15 if end[0] > 282 else 0, 1.0, (90.0, 100.0), end)
        picture, both = pasted(picture, affine, end, 55)
        truth |= both
    view = view_of(picture)
    assert view.score > 2
    assert view.result.links.groups.max() >= 3
    assert overlap(view.result.regions, truth) > 0.7


def test_links_lead_from_one_end_to_the_other():
    affine = similarity(30, 1.2, START, END)
    picture, _ = pasted(scene(4), affine, END, RADIUS)
    links = view_of(picture).result.links
    first = links.groups == 1
    starts, ends = links.starts[first], links.ends[first]
    forth = np.linalg.norm(moved(affine, starts) - ends, axis=1)
    against = np.linalg.norm(moved(affine, ends) - starts, axis=1)
    assert min(np.median(forth), np.median(against)) < 1.0


def test_large_pictures_are_searched_smaller_and_marked_at_their_own_size():
    affine = similarity(0, 1.0, START, (236.0, 321.0))
    picture, truth = pasted(scene(5), affine, END, RADIUS)
    result = view_of(picture).with_parameters(megapixels=0.1).compute()
    assert result.regions.shape == SHAPE
    assert overlap(result.regions, truth) > 0.6
    first = result.links.groups == 1
    off = result.links.ends[first] - result.links.starts[first]
    assert np.abs(np.abs(off).mean(axis=0) - (126, 211)).max() < 2


# ---------------------------------------------------------------- what only looks alike


def facade(seed: int) -> np.ndarray:
    """Windows alike in shape, each photographed with light and noise of its own."""
    rng = np.random.default_rng(seed)
    wall = np.tile(scene(seed, (64, 64)).astype(float), (6, 7, 1))[: SHAPE[0], : SHAPE[1]]
    seen = 0.6 * wall + 0.4 * scene(seed + 50) + rng.normal(scale=4, size=wall.shape)
    return np.clip(seen, 0, 255).astype(np.uint8)


def tiles(seed: int, size: tuple[int, int] = (48, 48), joint: int = 4) -> np.ndarray:
    """Tiles or bricks with joints, of like but not the same grain."""
    rng = np.random.default_rng(seed)
    wall = 150 + 8 * gaussian_filter(rng.normal(size=SHAPE), 2) / 0.14
    for row in range(0, SHAPE[0], size[0]):
        wall[row : row + joint] = 95
        for col in range(row // size[0] % 2 * size[1] // 2, SHAPE[1], size[1]):
            wall[row : row + size[0], col : col + joint] = 95
            wall[row + joint : row + size[0], col + joint : col + size[1]] += rng.normal(0, 6)
    noisy = gaussian_filter(wall, 0.8)[..., None] + rng.normal(scale=2, size=(*SHAPE, 3))
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def bricks(seed: int) -> np.ndarray:
    return tiles(seed, (24, 64), 3)


def page(seed: int, *, printed: bool = False) -> np.ndarray:
    """Text as a screen shows it to the pixel, or as a camera sees it in print."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (SHAPE[1], SHAPE[0]), (255, 255, 255))
    draw = ImageDraw.Draw(image)
    words = [
        "the",
        "region",
        "was",
        "copied",
        "from",
        "another",
        "place",
        "of",
        "this",
        "picture",
        "and",
        "saved",
        "again",
    ]
    for row in range(8, SHAPE[0] - 16, 20):
        line = " ".join(rng.choice(words, 12))
        draw.text((10, row), line, font=ImageFont.load_default(size=14), fill=(20, 20, 20))
    if not printed:
        return np.asarray(image)
    grey = np.asarray(image.rotate(1.3, Image.Resampling.BICUBIC, fillcolor=(255, 255, 255)))
    seen = gaussian_filter(grey.astype(float), (0.8, 0.8, 0)) * 0.75 + 20
    return np.clip(seen + rng.normal(scale=2, size=seen.shape), 0, 255).astype(np.uint8)


def screenshot(seed: int) -> np.ndarray:
    """A window with the same buttons, rows and icons again and again."""
    picture = page(seed).copy()
    rng = np.random.default_rng(seed)
    icon = rng.integers(0, 2, (12, 12, 1)).repeat(3, axis=0).repeat(3, axis=1) * [90, 60, 200]
    for row in range(20, SHAPE[0] - 40, 60):
        for col in range(20, SHAPE[1] - 40, 96):
            picture[row : row + 40, col - 4 : col + 80] = (235, 238, 245)
            picture[row + 2 : row + 38, col : col + 36] = icon
    return picture


def printed(seed: int) -> np.ndarray:
    return page(seed, printed=True)


@pytest.mark.parametrize(
    "kind", [scene, smooth_scene, facade, tiles, bricks, page, printed, screenshot]
)
def test_what_only_looks_alike_is_no_copy(kind):
    view = view_of(kind(1))
    assert view.score < score_of(CALLED)
    assert view.result.links is None
    assert view.result.regions is None
    assert view.result.finding == "no region is shown twice"


@pytest.mark.parametrize(
    "pixels", [np.zeros((64, 64), np.uint8), np.full((64, 200, 3), 255, np.uint8)]
)
def test_a_picture_without_anything_on_it_has_no_copies(pixels):
    view = view_of(pixels)
    assert view.score == 0
    assert view.result.links is None


def test_a_search_can_be_followed_and_stopped():
    stages: list[str] = []
    candidates((scene(6) @ LUMINANCE), progress=lambda *said: stages.append(said[2]))
    assert {"finding keypoints", "matching keypoints", "grouping matches"} <= set(stages)
    with pytest.raises(Cancelled):
        candidates((scene(6) @ LUMINANCE), cancel=lambda: "matching keypoints" in stages)


# ---------------------------------------------------------------- the score


def test_more_that_speaks_for_a_copy_never_lowers_its_odds():
    assert set(WEIGHTS) <= set(INPUTS)
    assert all(weight * INPUTS[name] > 0 for name, weight in WEIGHTS.items())
    weak = {"matches": 0.7, "alone": 0.5, "fine": 0.6, "coarse": 0.6, "distance": 2.0}
    strong = {"matches": 1.5, "alone": 1.0, "fine": 0.9, "coarse": 0.9, "distance": 2.2}
    for name, value in strong.items():
        assert log_odds(Traits(**weak | {name: value})) >= log_odds(Traits(**weak))
    assert log_odds(Traits(**strong, difference=0.1)) > 3 > -3 > log_odds(Traits(**weak))


def test_drawn_things_lose_what_repeating_to_the_pixel_would_say():
    same = {"matches": 1.5, "alone": 1.0, "fine": 1.0, "coarse": 1.0, "difference": 0.0}
    text = Traits(**same, flat=0.4, two_tone=0.9, resembling=0.9)
    sky = Traits(**same, flat=0.4, two_tone=0.5, resembling=0.1)
    assert drawn(text) == 1
    assert drawn(sky) == 0
    assert log_odds(text) < log_odds(sky) + DRAWN


@given(st.floats(-50, 50), st.floats(0.01, 5))
def test_a_score_rises_smoothly_with_the_odds(odds, more):
    assert 0 <= score_of(odds) < score_of(odds + more) <= score_of(odds) + more + 1e-9


# ---------------------------------------------------------------- its parts


def blob(shape: tuple[int, int], row: float, col: float, sigma: float) -> np.ndarray:
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    return (100 * np.exp(-((rows - row) ** 2 + (cols - col) ** 2) / (2 * sigma**2))).astype("f4")


@settings(max_examples=15, deadline=None)
@given(
    st.floats(30, 60),
    st.floats(30, 90),
    st.sampled_from([2.6, 3.0, 3.4]),
    st.sampled_from([1.0, 1.6, 2.0]),
)
def test_a_blob_is_a_keypoint_at_its_place_and_size(row, col, sigma, zoom):
    pyramid = octaves(blob((96, 128), row, col, sigma), zoom=zoom)
    found = find_extrema(pyramid, 1.0)
    best = int(np.argmax(found.contrast))
    step = pyramid[found.octave[best]].step
    assert step * found.rows[best] == pytest.approx(row, abs=0.4)
    assert step * found.cols[best] == pytest.approx(col, abs=0.4)
    assert step * sigma_of(found.levels)[best] == pytest.approx(sigma, rel=0.25)


def test_a_turned_picture_has_the_same_descriptors():
    grey = gaussian_filter(scene(7, (160, 160))[..., 0].astype("f4"), 1.0)
    pyramids = [octaves(image, zoom=1.0) for image in (grey, np.ascontiguousarray(np.rot90(grey)))]
    described = []
    for pyramid in pyramids:
        found = find_extrema(pyramid, 1.0)
        found = found.take(np.nonzero(found.octave == 0)[0])
        numbers, angles = orientations(pyramid, found)
        described.append(describe(pyramid, found.take(numbers), angles))
    assert np.allclose(np.linalg.norm(described[0], axis=1), 1, atol=1e-4)
    best = (described[0] @ described[1].T).max(axis=1)
    assert np.mean(best > 0.98) > 0.8


def test_keypoints_are_spread_over_smooth_places_too():
    picture = smooth_scene(8).copy()
    picture[:, :256] = scene(8)[:, :256]
    places = find_keypoints(picture @ LUMINANCE).places
    assert (places[:, 1] > 270).sum() > 0.25 * len(places)


@settings(max_examples=20, deadline=None)
@given(
    st.integers(0, 2**31),
    st.floats(-180, 180),
    st.floats(0.5, 2.0),
    st.integers(6, 40),
    st.integers(0, 60),
)
def test_matches_that_move_together_are_grouped(seed, turn, zoom, together, noise):
    rng = np.random.default_rng(seed)
    affine = similarity(turn, zoom, (100, 100), (600, 700))
    starts = rng.uniform(50, 150, (together, 2))
    strays = rng.uniform(0, 1000, (2, noise, 2))
    matches = Matches(
        np.concatenate([starts, strays[0]]),
        np.concatenate([moved(affine, starts), strays[1]]),
        np.r_[np.full(together, -np.radians(turn)), rng.uniform(-3, 3, noise)],
        np.r_[np.full(together, zoom), rng.uniform(0.5, 2, noise)],
    )
    best = find_moves(matches)[0]
    affine_found = best.affine if best.starts[0, 0] < 200 else best.inverse()
    assert len(best) >= together - 2
    assert np.abs(moved(affine_found, starts) - moved(affine, starts)).max() < 3


@settings(max_examples=10, deadline=None)
@given(st.floats(-1.2, 1.2), st.floats(-1.2, 1.2), st.floats(-0.01, 0.01))
def test_a_map_is_made_exact_by_the_pixels(down, right, turn):
    fine = evened(scene(9, (200, 300))[..., 0].astype("f4"), 1.5)
    image = gaussian_filter(fine, 0.7)
    image[:, 150:] = shift(image[:, :150], (0.4, 0.3), order=3, mode="nearest")
    places = np.argwhere(np.ones((60, 60), bool)) + np.array([60, 40])
    rough = np.array([[1.0, -turn, down], [turn, 1.0, 150 + right]])
    rough[:, 2] -= rough[:, :2] @ (90, 70) - (90, 70)
    exact = aligned(image, rough, places)
    reached = moved(exact, places.astype(float)) - places
    assert np.abs(reached - (0.4, 150.3)).max() < 0.15


@pytest.mark.parametrize(("down", "right"), [(0, 90), (57, -131), (120, 0), (33, 40)])
def test_a_shift_of_a_smooth_region_is_a_peak(down, right):
    grey = smooth_scene(10)[..., 0].astype("f4")
    end = (slice(60 + down, 160 + down), slice(180 + right, 300 + right))
    grey[end] = grey[60:160, 180:300].copy()
    found, height = find_shifts(evened(grey))[0]
    assert tuple(found) == (down, right)
    assert height > 8


def test_untouched_noise_has_no_shift():
    assert find_shifts(evened(smooth_scene(11)[..., 0].astype("f4"))) == []


def test_a_move_and_its_inverse_lead_back():
    places = np.random.default_rng(0).uniform(0, 500, (20, 2))
    move = Move(similarity(25, 1.3, (10, 20), (200, 100)), places, places)
    assert np.allclose(moved(move.inverse(), moved(move.affine, places)), places)
    assert move.zoom == pytest.approx(1.3)
    assert move.turn == pytest.approx(25)


def test_few_keypoints_have_no_matches():
    assert len(match_keypoints(find_keypoints(blob((64, 64), 30, 30, 3)))) == 0


@pytest.mark.parametrize(("shape", "sigma"), [((24, 31), 1.2), ((300, 2000), 3.0), ((900, 64), 2)])
def test_a_picture_is_blurred_as_scipy_does_it(shape, sigma):
    image = np.random.default_rng(3).uniform(0, 255, shape).astype(np.float32)
    expected = gaussian_filter(image, sigma, truncate=3.0)
    np.testing.assert_allclose(blurred(image, sigma, 3.0), expected, atol=1e-4)
    into = np.empty_like(image)
    assert blurred(image, sigma, 3.0, into) is into
    np.testing.assert_allclose(into, expected, atol=1e-4)


def test_the_largest_of_each_row_are_found_by_groups():
    cosines = np.random.default_rng(4).uniform(-1, 1, (40, 320)).astype(np.float32)
    cosines[7] = 0.1  # nothing that is alike
    rows, columns, values = _largest(cosines, 7)
    np.testing.assert_array_equal(rows, [row for row in range(40) if row != 7])
    expected = np.argsort(-cosines[rows], axis=1)[:, :7]
    np.testing.assert_array_equal(columns, expected)
    np.testing.assert_array_equal(values, np.take_along_axis(cosines[rows], expected, axis=1))
