"""Views of large and odd pictures: strip by strip, coarse at first, kept in memory."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter, uniform_filter

from napari_safire import forensics
from napari_safire.errors import Cancelled
from napari_safire.forensics import Evidence, EvidenceMap, EvidenceView, NotApplicable, View, tiles
from napari_safire.forensics.cache import RESULTS, ResultCache, fingerprint
from napari_safire.forensics.catalogue import VIEWS
from napari_safire.forensics.coarse import reduced
from napari_safire.forensics.picture import LUMINANCE, Picture, as_rgb
from napari_safire.forensics.tiles import by_strips, sampled, strips

PIXEL_VIEWS = (
    "residual", "high-pass", "gradient", "colour components", "sharpness", "clipping",
    "error level", "ghosts", "noise level", "colour filter",
)  # fmt: skip


def textured(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    """Shapes and noise in colours: (H, W, 3) uint8."""
    rng = np.random.default_rng(seed)
    shapes = gaussian_filter(rng.normal(size=(*shape, 3)), (3, 3, 0)) * 300
    return np.clip(128 + shapes + rng.normal(scale=3, size=(*shape, 3)), 0, 255).astype(np.uint8)


# ---------------------------------------------------------------- strips


@given(
    height=st.integers(1, 400),
    width=st.integers(1, 400),
    overlap=st.integers(0, 40),
    multiple=st.integers(1, 24),
    pixels=st.integers(1, 20_000),
)
def test_strips_hold_each_row_once_and_see_beyond(height, width, overlap, multiple, pixels):
    parts = strips((height, width), overlap=overlap, multiple=multiple, pixels=pixels)
    rows = np.concatenate([np.arange(height)[part.rows] for part in parts])
    assert np.array_equal(rows, np.arange(height))
    for part in parts:
        assert part.rows.start % multiple == part.seen.start % multiple == 0
        assert part.seen.start <= max(0, part.rows.start - overlap)
        assert part.seen.stop >= min(height, part.rows.stop + overlap)
        own = part.rows.stop - part.rows.start
        assert (own - multiple) * width < max(pixels, multiple * width)


@given(
    height=st.integers(1, 90), cell=st.integers(1, 7), pixels=st.integers(1, 900),
    window=st.sampled_from([1, 3, 5, 9]),
)  # fmt: skip
def test_a_map_by_strips_is_the_map_of_the_whole(height, cell, pixels, window):
    values = np.random.default_rng(height).random((height, 11)).astype(np.float32)

    def of_rows(rows: slice) -> np.ndarray:
        return uniform_filter(values[rows], window)[cell // 2 :: cell]

    whole = of_rows(slice(0, height))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiles, "STRIP_PIXELS", pixels)
        found = by_strips(of_rows, values.shape, cell=cell, overlap=window // 2)
    assert found.shape == whole.shape
    assert np.allclose(found, whole, atol=1e-5)


@pytest.mark.parametrize("name", PIXEL_VIEWS)
def test_a_view_by_strips_is_the_view_of_the_whole(monkeypatch, name):
    pixels = textured((203, 150))
    whole = forensics.views(pixels)[name].view.function(Picture.of_pixels(pixels)).map
    monkeypatch.setattr(tiles, "STRIP_PIXELS", 3000)
    RESULTS.clear()  # what the view rests on is kept as well
    parts = forensics.views(pixels)[name].view.function(Picture.of_pixels(pixels)).map
    assert parts.values.shape == whole.values.shape
    assert np.allclose(parts.values, whole.values, atol=2e-3, equal_nan=True)
    assert parts.limits == pytest.approx(whole.limits, rel=1e-3)


@pytest.mark.parametrize("name", PIXEL_VIEWS)
def test_a_view_stops_within_a_strip(monkeypatch, name):
    monkeypatch.setattr(tiles, "STRIP_PIXELS", 3000)
    RESULTS.clear()
    pixels, told = textured((203, 150)), []
    with pytest.raises(Cancelled):
        forensics.views(pixels)[name].compute(
            progress=lambda done, total, stage: told.append(done), cancel=lambda: len(told) >= 2
        )
    assert len(told) == 2


def test_the_high_pass_is_that_of_the_spectrum():
    pixels = textured((101, 91))
    luminance = pixels @ LUMINANCE
    spectrum = np.fft.fftshift(np.fft.fft2(luminance))
    spectrum[25:-25, 23:-23] = 0
    expected = np.abs(np.fft.ifft2(np.fft.ifftshift(spectrum)))
    found = forensics.views(pixels)["high-pass"].result.map.values
    assert np.allclose(found, expected, atol=1e-3)


# ---------------------------------------------------------------- odd pictures


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (20, 3000), (3000, 20), (64, 2000)])
def test_every_view_answers_for_odd_shapes(shape):
    for name, view in forensics.views(textured(shape)).items():
        if not view.applicable:
            assert view.why_not.startswith("not applicable: "), name
            continue
        found = view.result
        if found.map is not None:
            assert found.map.at_size(shape).shape[:2] == shape, name


def test_a_picture_is_not_changed_with_the_array_it_was_made_of():
    pixels = textured((70, 70))
    picture = Picture.of_pixels(pixels)
    before = picture.pixels_sha256
    pixels[:] = 0
    assert Picture(picture.rgb).pixels_sha256 == before
    assert not picture.rgb.flags.writeable


@pytest.mark.parametrize("channels", [(), (1,), (3,), (4,)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_pixels_become_eight_bits_in_three_channels(monkeypatch, channels, dtype):
    monkeypatch.setattr(tiles, "STRIP_PIXELS", 50)
    pixels = np.random.default_rng(0).integers(0, 256, (17, 13, *channels)).astype(dtype)
    if dtype is np.uint16:
        pixels *= 257
    rgb = as_rgb(pixels)
    expected = pixels[..., None] if not channels else pixels[..., :3]
    factor = 257 if dtype is np.uint16 else 1
    assert rgb.dtype == np.uint8
    assert np.array_equal(rgb, np.broadcast_to(expected // factor, (17, 13, 3)))


def test_luminance_of_some_rows_is_that_of_the_whole():
    picture = Picture.of_pixels(textured((70, 30)))
    part = picture.grey(slice(10, 20))
    assert np.array_equal(part, picture.luminance[10:20])
    assert np.shares_memory(picture.grey(slice(10, 20)), picture.luminance)


def test_a_sample_of_a_map_is_small_and_known():
    values = np.full((3000, 2000), 2, np.float32)
    values[::2] = np.nan
    few = sampled(values)
    assert few.size <= 1_000_000
    assert (few == 2).all()


# ---------------------------------------------------------------- coarse

COARSE_VIEWS = tuple(view.name for view in VIEWS if view.square)


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A JPEG of 1.8 megapixels, noisier in its right third, and its path."""
    pixels = textured((1201, 1503)).astype(np.float32)
    pixels[:, 1000:] += np.random.default_rng(1).normal(scale=12, size=(1201, 503, 1))
    path = tmp_path_factory.mktemp("coarse") / "large.jpg"
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path, quality=92)
    return path


def test_squares_are_taken_from_all_over_and_begin_where_blocks_begin(large):
    picture = Picture.read(large)
    few = reduced(picture, 64)
    assert few.step == 2
    assert few.rgb.shape[0] % 64 == few.rgb.shape[1] % 64 == 0
    for places, length in ((few.rows, 1201), (few.cols, 1503)):
        starts = places[::64]
        assert (starts % 8 == 0).all()
        assert starts[-1] + 64 <= length
        assert length - starts[-1] <= 64 * few.step + 8
    assert np.array_equal(few.rgb, picture.rgb[few.rows[:, None], few.cols])
    whole, part = picture.coefficients.luminance, few.coefficients.luminance
    assert np.abs(part - whole[few.rows[:, None], few.cols]).max() < 1e-2


@pytest.mark.parametrize("name", ["noise level", "error level", "clipping", "residual"])
def test_a_coarse_view_shows_what_the_whole_one_shows(large, name):
    view = forensics.views(large)[name]
    coarse, whole = view.coarse(), view.result
    assert coarse.caveats[0].startswith("coarse: one of 2 x 2 squares of 64 pixels")
    assert (coarse.score, coarse.links, coarse.table, coarse.finding) == (None, None, (), "")
    shape = view.picture.shape
    rough, fine = (np.nan_to_num(one.map.at_size(shape)) for one in (coarse, whole))
    right = np.s_[:, 1000:]
    left = np.s_[:, :1000]
    for map_of in (rough, fine):
        if name != "clipping":
            assert np.abs(map_of[right]).mean() > 1.3 * np.abs(map_of[left]).mean()
    assert abs(rough.mean() - fine.mean()) < 0.2 * max(1, fine.std())
    assert abs(rough.std() / fine.std() - 1) < 0.2


@pytest.mark.parametrize("name", COARSE_VIEWS)
def test_every_coarse_view_lies_over_its_picture(large, name):
    view = forensics.views(large)[name]
    if not view.applicable:  # of pixels that are in no JPEG file
        view = forensics.views(view.picture.rgb)[name]
    coarse = view.coarse()
    rows, cols = (
        origin + n * coarse.map.cell
        for n, origin in zip(coarse.map.values.shape, coarse.map.origin, strict=False)
    )
    assert abs(rows - 1201) < coarse.map.cell * 2
    assert abs(cols - 1503) < coarse.map.cell * 2


def test_edges_of_squares_are_not_drawn():
    flat = np.zeros((1300, 1300, 3), np.uint8)
    flat[:, :700] = 200
    drawn = forensics.views(flat)["gradient"].coarse().map.values[..., 2]
    assert (drawn > 0.5).mean() < 0.02


@pytest.mark.parametrize("shape", [(64, 64), (1, 1), (20, 80_000), (80_000, 20)])
def test_small_and_narrow_pictures_have_no_coarse_view(shape):
    view = forensics.views(np.zeros(shape, np.uint8))["clipping"]
    assert view.coarse() is None


def test_a_coarse_view_is_stopped_and_refused_like_the_whole(large):
    views = forensics.views(large)
    with pytest.raises(Cancelled):
        views["residual"].coarse(cancel=lambda: True)
    with pytest.raises(NotApplicable):
        forensics.views(textured((64, 64)))["double compression"].coarse()


# ---------------------------------------------------------------- kept results


@pytest.fixture
def kept(monkeypatch):
    """A cache of this test alone."""
    cache = ResultCache(limit=100_000)
    monkeypatch.setattr("napari_safire.forensics.view.RESULTS", cache)
    return cache


def counting(seconds: float = 0.0) -> tuple[View, list[str]]:
    """A view whose map is 40,000 bytes large, and who asked it."""
    made: list[str] = []

    def make(picture, *, cell: int = 8, progress=None, cancel=None) -> Evidence:
        made.append(threading.current_thread().name)
        time.sleep(seconds)
        if cancel is not None and cancel():
            raise Cancelled("Stopped.")
        return Evidence(EvidenceMap(np.zeros((100, 100), np.float32)), score=1.0, finding="found")

    return View("counting", "", "", "", make), made


def test_a_view_that_is_known_gives_the_same_object(kept):
    view, made = counting()
    pixels = textured((70, 70))
    first = EvidenceView(view, Picture.of_pixels(pixels))
    assert first.cached is None
    found = first.result
    again = EvidenceView(view, Picture.of_pixels(pixels.copy()))
    assert again.cached is again.compute() is again.result is found
    assert (again.score, again.finding, len(made)) == (1.0, "found", 1)


def test_other_pixels_parameters_files_and_algorithms_are_other_results(kept, tmp_path):
    view, _ = counting()
    pixels = textured((70, 70))
    pictures = [Picture.of_pixels(pixels), Picture.of_pixels(pixels[::-1])]
    for name, level in (("a.png", 1), ("b.png", 9)):
        Image.fromarray(pixels).save(tmp_path / name, compress_level=level)
        pictures.append(Picture.read(tmp_path / name))
    asked = [EvidenceView(view, picture) for picture in pictures]
    asked += [asked[0].with_parameters(cell=16)]
    asked += [EvidenceView(replace(view, algorithm=2), pictures[0])]
    assert len({one._key for one in asked}) == len(asked) == 6
    assert EvidenceView(view, pictures[0], {"cell": 8})._key == asked[0]._key
    blind = replace(view, of_pixels=True)  # never looks at a file: copy-move
    assert len({EvidenceView(blind, picture)._key for picture in pictures}) == 2
    assert forensics.views(pixels)["copy-move"].view.of_pixels


def test_what_is_kept_is_bounded_and_the_oldest_goes(kept):
    view, made = counting()
    asked = [EvidenceView(view, Picture.of_pixels(textured((70, 70), n))) for n in range(3)]
    results = [one.result for one in asked]
    assert kept.nbytes == 80_000 <= kept.limit
    assert asked[0].cached is None
    assert asked[2].cached is results[2]
    assert asked[1].result is results[1]
    assert asked[0].result is not results[0]
    assert asked[2].cached is None, "the one that was asked least recently goes"
    assert asked[2].score == 1.0
    assert len(made) == 4, "words are known without the arrays"


def test_a_result_above_the_limit_is_kept_until_the_next(kept):
    kept.limit = 10
    view, made = counting()
    first, second = (EvidenceView(view, Picture.of_pixels(textured((70, 70), n))) for n in (0, 1))
    assert first.result is first.result
    assert second.result is second.result
    assert (first.cached, len(made)) == (None, 2)


def test_threads_that_ask_for_one_view_make_it_once(kept):
    view, made = counting(0.1)
    asked = [EvidenceView(view, Picture.of_pixels(textured((70, 70)))) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(EvidenceView.compute, asked))
    assert len(made) == 1
    assert all(one is found[0] for one in found)


def test_a_view_that_was_stopped_or_failed_is_made_by_who_waited(kept):
    view, made = counting(0.2)
    one, other = (EvidenceView(view, Picture.of_pixels(textured((70, 70)))) for _ in range(2))
    with ThreadPoolExecutor(3) as pool:
        stopped = pool.submit(one.compute, cancel=lambda: True)
        while not made:
            time.sleep(0.001)
        waiting = pool.submit(other.compute)
        impatient = pool.submit(other.compute, cancel=lambda: True)
        assert waiting.result().finding == "found"
        for future in (stopped, impatient):
            with pytest.raises(Cancelled):
                future.result()
    assert len(made) == 2


def test_a_view_that_rests_on_more_is_made_anew(kept):
    view, made = counting()
    one = EvidenceView(replace(view, lasting=False), Picture.of_pixels(textured((70, 70))))
    one.compute()
    one.compute()
    assert len(made) == 2
    assert kept.nbytes == 0


def test_parameters_are_told_apart_by_what_they_hold(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"1")
    zeros = np.zeros((3, 2))
    prints = [
        fingerprint({"a": value})
        for value in (1, "1", path, zeros, zeros.T, zeros.astype(np.float32), None)
    ]
    path.write_bytes(b"12")
    prints.append(fingerprint({"a": path}))
    assert len(set(prints)) == len(prints)
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
