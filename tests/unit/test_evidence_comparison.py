"""A picture against a reference: planted shifts, sizes, turns, exposures and local changes."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter
from synthetic import made_once
from typer.testing import CliRunner

from napari_safire import forensics
from napari_safire.cli import app
from napari_safire.errors import Cancelled, ImageReadError
from napari_safire.forensics import tiles
from napari_safire.forensics.comparison.registration import placed, register, robust_fit
from napari_safire.forensics.picture import Picture

CHANGED = np.s_[150:200, 240:300]


@made_once
def scene(seed: int = 0, shape: tuple[int, int] = (400, 520)) -> np.ndarray:
    """Flat shapes with corners, light that changes slowly, noise: (H, W, 3) uint8."""
    rng = np.random.default_rng(seed)
    values = gaussian_filter(rng.normal(size=(*shape, 3)), (40, 40, 0)) * 2000
    for _ in range(160):
        top, left = (int(rng.integers(0, n - 20)) for n in shape)
        height, width = rng.integers(8, 60, 2)
        values[top : top + height, left : left + width] += rng.normal(scale=35, size=3)
    values = gaussian_filter(values, (0.8, 0.8, 0)) + rng.normal(scale=2, size=values.shape)
    return np.clip(128 + values, 5, 250).astype(np.uint8)


BASE = scene()


def changed(pixels: np.ndarray) -> np.ndarray:
    pixels = pixels.copy()
    pixels[CHANGED] = pixels[40:90, 30:90][:, ::-1]
    return pixels


def saved(pixels: np.ndarray, quality: int = 85) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="JPEG", quality=quality)
    return np.asarray(Image.open(file))


def compared(pixels: np.ndarray, reference: object = None) -> forensics.EvidenceView:
    reference = BASE if reference is None else reference
    return forensics.views(pixels)["comparison"].with_parameters(reference=reference)


def rows_of(view: forensics.EvidenceView) -> dict[str, str]:
    return {row.name: row.value for row in view.result.table}


def similarity(zoom: float, turn: float, shape: tuple[int, int], out: tuple[int, int]):
    """Matrix (row, column, 1) of a picture of shape `out` to one of `shape`, middle to middle."""
    angle = np.radians(turn)
    linear = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) / zoom
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = (np.array(shape) - 1) / 2 - linear @ ((np.array(out) - 1) / 2)
    return matrix


def transformed(pixels: np.ndarray, matrix: np.ndarray, out: tuple[int, int]) -> np.ndarray:
    coefficients = (
        matrix[1, 1], matrix[1, 0], matrix[1, 2] + 0.5 - (matrix[1, 0] + matrix[1, 1]) / 2,
        matrix[0, 1], matrix[0, 0], matrix[0, 2] + 0.5 - (matrix[0, 0] + matrix[0, 1]) / 2,
    )  # fmt: skip
    image = Image.fromarray(pixels)
    size = out[1], out[0]
    return np.asarray(
        image.transform(size, Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC)
    )


def test_without_a_reference_it_does_not_apply():
    view = forensics.views(BASE)["comparison"]
    assert view.why_not == "not applicable: no reference is given"
    assert view.with_parameters(reference=BASE).applicable
    assert view.score is None


def test_the_same_pixels_are_told():
    view = compared(BASE.copy())
    assert view.finding == "the same pixels as in the reference"
    assert view.score == 0
    assert view.result.regions is None
    assert rows_of(view)["Same pixels"] == "100.0 % of what both show"
    assert np.nanmax(view.result.map.values) == 0


@pytest.mark.parametrize("quality", [None, 90, 70])
def test_a_local_change_is_found_after_a_cut(quality):
    picture = changed(BASE)[37:, 53:]
    view = compared(picture if quality is None else saved(picture, quality))
    rows = rows_of(view)
    assert view.finding == "the same scene; 1 region differs"
    assert rows["Begins at"] == "row 37.0, column 53.0 of the reference"
    expected = 100 * (1 - picture.shape[0] * picture.shape[1] / (400 * 520))
    assert float(rows["Reference that is missing"][:-2]) == pytest.approx(expected, abs=0.1)
    truth = np.zeros((400, 520), bool)
    truth[CHANGED] = True
    truth = truth[37:, 53:]
    found = view.result.regions
    assert (found & truth).sum() / (found | truth).sum() > 0.7
    assert view.score == pytest.approx(100 * truth.mean(), rel=0.3)
    if quality is None:
        assert rows["Same pixels"] == f"{100 * (1 - truth.mean()):.1f} % of what both show"


@pytest.mark.parametrize(("gain", "offset"), [(1.0, 0.0), (0.8, 12.0), (1.1, -9.0)])
def test_an_exposure_is_told_and_taken_out(gain, offset):
    exposed = np.clip(np.rint(changed(BASE) * gain + offset), 0, 255).astype(np.uint8)
    view = compared(exposed)
    assert view.finding == "the same scene; 1 region differs"
    told = rows_of(view)["Red, green, blue"].split(", ")
    for channel in told:
        _, found_gain, found_offset = channel.split()
        assert float(found_gain) == pytest.approx(gain, abs=0.02)
        assert float(found_offset) == pytest.approx(offset, abs=2)


@pytest.mark.parametrize(("zoom", "turn"), [(0.7, 0), (0.85, -31), (1.2, 90)])
def test_a_size_and_a_turn_are_told_and_taken_out(zoom, turn):
    out = (280, 300)
    matrix = similarity(zoom, turn, BASE.shape[:2], out)
    view = compared(saved(transformed(changed(BASE), matrix, out), 92))
    found = register(view.picture, Picture.of_pixels(BASE))
    corners = np.array([[0.0, 0], [0, 299], [279, 0], [279, 299]])
    assert np.abs(placed(found.matrix, corners) - placed(matrix, corners)).max() < 0.3
    rows = rows_of(view)
    assert float(rows["Size"].split()[1]) == pytest.approx(zoom, abs=2e-3)
    assert float(rows["Turned"].split("°")[0]) == pytest.approx(turn, abs=0.1)
    assert view.finding == "the same scene; 1 region differs"
    middle = placed(np.linalg.inv(matrix), np.array([174.5, 269.5])).astype(int)
    assert view.result.regions[tuple(middle)]


def test_nothing_is_invented_where_pixels_were_interpolated():
    matrix = similarity(0.9, 20, BASE.shape[:2], (300, 300))
    untouched = compared(saved(transformed(BASE, matrix, (300, 300)), 92))
    assert untouched.finding == "the same scene; nothing stands out against the reference"


def test_a_mirrored_picture_is_found():
    view = compared(changed(BASE)[:, ::-1])
    assert rows_of(view)["Mirrored"] == "left to right"
    assert view.result.regions[175, 519 - 270]
    assert view.finding == "the same scene; 1 region differs"


def test_another_scene_is_not_compared():
    for other in (scene(1), np.full((200, 300, 3), 90, np.uint8)):
        view = compared(other)
        assert view.finding == "no part of the reference was found in the picture"
        assert view.score is None
        assert view.result.map is None


def test_strips_do_not_show_in_a_comparison(monkeypatch):
    matrix = similarity(0.9, 5, BASE.shape[:2], (200, 220))
    picture = Picture.of_pixels(transformed(changed(BASE), matrix, (200, 220)))
    function = forensics.views(picture)["comparison"].view.function
    whole = function(picture, reference=Picture.of_pixels(BASE)).map.values
    monkeypatch.setattr(tiles, "STRIP_PIXELS", 5000)
    parts = function(picture, reference=Picture.of_pixels(BASE)).map.values
    assert np.allclose(parts, whole, atol=1e-2, equal_nan=True)


def test_a_comparison_can_be_stopped():
    asked: list[int] = []
    with pytest.raises(Cancelled):
        compared(changed(BASE)[1:]).compute(cancel=lambda: len(asked) > 3 or asked.append(1))


def test_a_reference_is_a_path_pixels_or_a_picture(tmp_path):
    path = tmp_path / "reference.png"
    Image.fromarray(BASE).save(path)
    for reference in (path, str(path), BASE, Picture.read(path)):
        assert compared(BASE, reference).finding == "the same pixels as in the reference"
    Image.fromarray(changed(BASE)).save(path)
    assert compared(BASE, path).finding == "the same scene; 1 region differs", "read anew"
    with pytest.raises(ImageReadError):
        _ = compared(BASE, tmp_path / "missing.png").result


def test_the_command_compares_with_a_reference(tmp_path):
    paths = tmp_path / "picture.png", tmp_path / "reference.png"
    for path, pixels in zip(paths, (changed(BASE), BASE), strict=True):
        Image.fromarray(pixels).save(path)
    command = ["evidence", str(paths[0]), "--view", "comparison", "-o", str(tmp_path / "out")]
    done = CliRunner().invoke(app, [*command, "--reference", str(paths[1])])
    assert done.exit_code == 0, done.output
    assert "comparison: the same scene; 1 region differs" in done.output
    record = json.loads((tmp_path / "out" / "picture.png_evidence.json").read_text())
    assert record["views"][0]["parameters"]["reference"]["image"] == "reference.png"
    without = CliRunner().invoke(app, command)
    assert without.exit_code == 2
    assert "needs another picture: give it with --reference PATH" in without.output
    both = CliRunner().invoke(app, [*command, "--view", "gradient"])
    assert both.exit_code == 2
    missing = CliRunner().invoke(app, [*command, "--reference", str(tmp_path / "no.png")])
    assert missing.exit_code == 1


def test_a_robust_fit_leaves_out_what_lies_far_off():
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 100, 500)
    y = 1.3 * x + 4 + rng.normal(size=500)
    y[:150] = rng.uniform(0, 255, 150)
    found = robust_fit(np.column_stack([x, np.ones(500)]), y)
    assert found == pytest.approx([1.3, 4], abs=0.3)
