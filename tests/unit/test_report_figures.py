"""Figures of a report: what they show, how large they are, what is said where nothing is drawn."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from review_cases import SHAPE, SmallAnalysis, finding, small_analysis, small_labels, small_picture

from napari_safire.forgery import ForgeryMap
from napari_safire.palette import GLOW, source_colour
from napari_safire.review.report import drawing
from napari_safire.review.report.document import window_of
from napari_safire.review.report.figures import Figure, make_figures
from napari_safire.review.values import Viewport


@pytest.fixture(scope="module")
def analysis(tmp_path_factory: pytest.TempPathFactory) -> SmallAnalysis:
    return small_analysis(small_picture(tmp_path_factory.mktemp("figures") / "photo.png"))


def pixels(figure: Figure) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(figure.data)).convert("RGB"))


def by_id(figures: tuple[Figure, ...]) -> dict[str, Figure]:
    return {figure.id: figure for figure in figures}


def test_sources_are_outlined_on_their_own_side_and_numbered() -> None:
    rgb = np.full((400, 600, 3), 128, np.uint8)
    labels = np.zeros((400, 600), np.uint8)
    labels[100:300, 200:400] = 3
    drawn = drawing.contours(rgb, labels)
    assert tuple(drawn[50, 50]) == (128, 128, 128)
    assert tuple(drawn[102, 300]) == source_colour(3)
    assert tuple(drawn[97, 300]) == source_colour(0)
    assert tuple(drawn[99, 300]) == (255, 255, 255)
    ground = np.all(drawn[180:220, 280:320] == source_colour(3), axis=-1)
    assert ground.sum() > 100  # behind the number 4, in the middle of its source


def test_a_map_glows_where_it_is_high_and_has_its_scale() -> None:
    rgb, heatmap = np.full((300, 400, 3), 100, np.uint8), np.zeros((300, 400), np.float32)
    heatmap[:, 200:] = 1
    glowing = drawing.forgery_map(rgb, ForgeryMap(heatmap, 0.9, "forged", ""))
    muted = drawing.forgery_map(rgb, ForgeryMap(heatmap, 0.1, "no forgery found", ""))
    assert glowing.shape[0] > 300
    assert np.abs(glowing[100, 300].astype(int) - GLOW).max() < 30
    assert np.abs(muted[100, 300].astype(int) - GLOW).max() > 60
    assert np.abs(glowing[100, 100].astype(int) - 100).max() <= 1


@given(height=st.integers(1, 30_000), width=st.integers(1, 30_000), longest=st.integers(100, 1_600))
@settings(max_examples=50, deadline=None)
def test_no_figure_is_larger_than_asked(height: int, width: int, longest: int) -> None:
    size = drawing.fitted_size((height, width), longest)
    assert max(size) <= max(longest, 1)
    assert min(size) >= 1
    if max(height, width) <= longest:
        assert size[0] % height == size[1] % width == 0


@given(
    row=st.floats(-200, 200), col=st.floats(-200, 200),
    height=st.floats(0.01, 500), width=st.floats(0.01, 500),
)  # fmt: skip
@settings(max_examples=50, deadline=None)
def test_a_viewport_becomes_whole_pixels_of_the_picture(
    row: float, col: float, height: float, width: float
) -> None:
    window = window_of(Viewport(row, col, height, width), SHAPE)
    if window is None:
        assert row >= SHAPE[0] or col >= SHAPE[1] or row + height <= 0 or col + width <= 0
    else:
        top, left, bottom, right = window
        assert 0 <= top < bottom <= SHAPE[0]
        assert 0 <= left < right <= SHAPE[1]


def test_a_finding_shows_where_it_lies_the_picture_and_the_view(analysis: SmallAnalysis) -> None:
    cut = Viewport(10, 40, 30, 50)
    given = [
        finding(1, view="noise level", parameters={"cell": 16}, viewport=cut),
        finding(2, view="partition", viewport=cut),
        finding(3, view="forgery map"),
        finding(4, viewport=cut),
        finding(5, view="uncertainty", viewport=cut),
        finding(6, view="double compression", viewport=cut),
        finding(7, view="noise level", parameters={"size": 1}, viewport=cut),
        finding(8, view="no such view", viewport=cut),
        finding(9, viewport=Viewport(500, 500, 10, 10)),
        finding(10),
        finding(11, view="metadata"),
        finding(12, view="comparison", parameters={"reference": "/etc/hostname"}, viewport=cut),
        finding(13, view="votes", viewport=cut),
    ]
    made = by_id(make_figures(analysis, given))
    assert [name for name in made if name.startswith("finding")] == [
        f"finding-{n}" for n in (*range(1, 9), 12, 13)
    ]
    first = made["finding-1"]
    assert "rows 10 to 39, columns 40 to 89" in first.caption
    assert "the whole, the picture there, the view" in first.caption
    assert "Texture counts as noise" in first.caveat
    shown = analysis.views["noise level"].with_parameters(cell=16).result.map
    assert shown is not None
    assert f"{shown.limits[1]:.3g}" in first.caption
    assert "all of it" in made["finding-3"].caption
    assert "the fuller the colour, the nearer to 1" in made["finding-3"].caption
    assert made["view-noise-level"].caption.endswith("Brighter: noisier, -2 to 2 log2.")
    assert made["finding-4"].caveat == ""
    for number, why in (
        (5, "there is no partition"), (6, "not applicable: a PNG file"),
        (7, "has no parameter 'size'"), (8, "no view is called 'no such view'"),
        (12, "is not opened"), (13, "there are no votes"),
    ):  # fmt: skip
        caption = made[f"finding-{number}"].caption
        assert "The view is not drawn: " in caption
        assert why in caption


def test_many_findings_are_drawn_smaller_and_the_same_again(analysis: SmallAnalysis) -> None:
    given = [
        finding(n, view="forgery map", viewport=Viewport(0, n, 40, 40 + n)) for n in range(1, 41)
    ]
    made = make_figures(analysis, given)
    assert [figure.id for figure in made[3:43]] == [f"finding-{n}" for n in range(1, 41)]
    assert sum(pixels(figure).size // 3 for figure in made[3:43]) <= 13_000_000
    assert make_figures(analysis, given[:2])[:3] == made[:3]


def test_heavy_figures_are_jpegs_and_maps_are_kept_exactly() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (400, 400, 3), np.uint8)
    assert drawing.encoded(noise).startswith(b"\xff\xd8")
    flat = np.zeros((400, 400, 3), np.uint8)
    flat[:, 200:] = 77
    found = Image.open(io.BytesIO(drawing.encoded(flat)))
    assert found.format == "PNG"
    assert np.array_equal(np.asarray(found), flat)


def test_a_picture_without_pixels_has_no_figures(tmp_path: Path, analysis: SmallAnalysis) -> None:
    blind = replace(analysis.picture, why_no_pixels="its pixels cannot be read")
    assert make_figures(replace(analysis, picture=blind), [finding(1)]) == ()


def test_labels_of_one_pixel_are_drawn() -> None:
    drawn = drawing.contours(np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1), np.uint8))
    assert drawn.shape == (320, 320, 3)
    assert small_labels().max() == 1
