"""Processing histories, region shapes, composites and photo tables."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from synthetic import photo_bank, photo_table, photograph

from napari_safire.errors import DatasetError, ImageReadError
from napari_safire.synthesis.camera import Pipeline, develop, jpeg, sample_pipeline
from napari_safire.synthesis.composites import CompositeSettings, PhotoBank, compose
from napari_safire.synthesis.photos import Photo, bank_of, divide, read_photo_table
from napari_safire.synthesis.shapes import KINDS, sample_shape

PLAIN = Pipeline()


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> PhotoBank:
    return photo_bank(tmp_path_factory.mktemp("photos"))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# --- histories ------------------------------------------------------------------------------------


def grid_phase(pixels: np.ndarray, axis: int) -> int:
    """Where along an axis the blocks of 8 begin: there neighbours differ most."""
    grey = np.moveaxis(pixels.astype(float).mean(-1), axis, 0)
    jumps = np.abs(np.diff(grey, axis=0)).mean(1)
    by_phase = [jumps[(np.arange(len(jumps)) + 1) % 8 == phase].mean() for phase in range(8)]
    return int(np.argmax(by_phase))


@pytest.mark.parametrize("offset", [(0, 0), (3, 0), (0, 5), (7, 1), (4, 6)])
def test_jpeg_grid_begins_at_the_offset(offset: tuple[int, int]) -> None:
    pipeline = Pipeline(jpeg_quality=30, jpeg_offset=offset)
    pixels = develop(photograph(1, (300, 300)), (5, 9), (128, 160), pipeline, rng())
    assert (grid_phase(pixels, 0), grid_phase(pixels, 1)) == offset


def test_develop_without_steps_is_a_crop() -> None:
    photo = photograph(0)
    pixels = develop(photo, (10, 20), (50, 60), PLAIN, rng())
    np.testing.assert_array_equal(pixels, photo[18:68, 28:88])


def test_develop_moves_a_corner_inside() -> None:
    photo = photograph(0)
    pixels = develop(photo, (10_000, 10_000), (50, 60), PLAIN, rng())
    np.testing.assert_array_equal(pixels, photo[-58:-8, -68:-8])


@pytest.mark.parametrize("shape", [(1, 1), (3, 40), (20, 30), (64, 64)])
@pytest.mark.parametrize("scale", [0.6, 1.0, 1.8])
@pytest.mark.parametrize("rotation", [0.0, 20.0])
def test_develop_fills_the_patch_from_tiny_photographs(
    shape: tuple[int, int], scale: float, rotation: float
) -> None:
    pipeline = Pipeline(scale=scale, rotation=rotation, jpeg_quality=80, read_noise=1.0)
    pixels = develop(photograph(0, shape), (0, 0), (70, 50), pipeline, rng())
    assert pixels.shape == (70, 50, 3)
    assert pixels.dtype == np.uint8


@pytest.mark.parametrize("rotation", [-30.0, 10.0])
@pytest.mark.parametrize("scale", [0.7, 1.5])
def test_rotated_patches_have_no_empty_corners(rotation: float, scale: float) -> None:
    white = np.full((300, 300, 3), 255, np.uint8)
    pipeline = Pipeline(rotation=rotation, scale=scale)
    pixels = develop(white, (30, 30), (60, 80), pipeline, rng())
    assert pixels.min() == 255


def test_noise_has_the_stated_variance() -> None:
    grey = np.full((300, 300, 3), 100, np.uint8)
    pipeline = Pipeline(shot_noise=0.05, read_noise=3.0)
    pixels = develop(grey, (0, 0), (256, 256), pipeline, rng())
    # Rounding to integers adds 1/12.
    assert pixels.astype(float).var() == pytest.approx(0.05 * 100 + 9 + 1 / 12, rel=0.03)


def test_demosaicing_keeps_flat_colour_and_smooths_noise() -> None:
    colour = np.broadcast_to(np.array([200, 90, 40], np.uint8), (120, 120, 3))
    flat = develop(colour, (0, 0), (64, 64), Pipeline(bayer_phase=(1, 0)), rng())
    np.testing.assert_array_equal(flat, np.broadcast_to(colour[0, 0], flat.shape))
    noisy = develop(colour, (0, 0), (64, 64), Pipeline(read_noise=4.0), rng())
    mosaicked = develop(
        colour, (0, 0), (64, 64), Pipeline(read_noise=4.0, bayer_phase=(1, 0)), rng()
    )
    assert mosaicked[..., 0].std() < 0.85 * noisy[..., 0].std()


@pytest.mark.parametrize("phase", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_bayer_phase_is_where_red_is_not_interpolated(phase: tuple[int, int]) -> None:
    photo = photograph(2)
    pixels = develop(photo, (0, 0), (64, 64), Pipeline(bayer_phase=phase), rng())
    same = (pixels == photo[8:72, 8:72])[..., 0]
    shares = {(r, c): same[r::2, c::2].mean() for r in (0, 1) for c in (0, 1)}
    assert shares.pop(phase) == 1
    assert max(shares.values()) < 0.6


@pytest.mark.parametrize("kind", ["gaussian", "median", "sharpen", "nlm-like"])
def test_filters_change_detail_and_keep_flat_areas(kind: str) -> None:
    pipeline = Pipeline(filter=kind, filter_strength=1.5)
    flat = np.full((100, 100, 3), 77, np.uint8)
    np.testing.assert_array_equal(develop(flat, (0, 0), (60, 60), pipeline, rng()), 77)
    photo = photograph(3)
    before = develop(photo, (0, 0), (60, 60), PLAIN, rng()).astype(float)
    after = develop(photo, (0, 0), (60, 60), pipeline, rng()).astype(float)
    sharper = np.diff(after, axis=0).std() > np.diff(before, axis=0).std()
    assert sharper == (kind == "sharpen")


def test_tone_steps() -> None:
    grey = np.full((80, 80, 3), 100, np.uint8)
    gains = develop(grey, (0, 0), (8, 8), Pipeline(gains=(1.1, 1.0, 0.9)), rng())
    np.testing.assert_array_equal(gains[0, 0], [110, 100, 90])
    contrast = develop(grey, (0, 0), (8, 8), Pipeline(contrast=1.5), rng())
    assert contrast[0, 0, 0] == 86
    gamma = develop(grey, (0, 0), (8, 8), Pipeline(gamma=2.0), rng())
    assert gamma[0, 0, 0] == round(255 * (100 / 255) ** 2)


def test_separation() -> None:
    assert PLAIN.separation(PLAIN) == 0
    compressed = Pipeline(jpeg_quality=80)
    shifted = dataclasses.replace(compressed, jpeg_offset=(0, 3))
    assert compressed.separation(shifted) == shifted.separation(compressed) == 1
    assert PLAIN.separation(compressed) == 2
    # Without compression an offset leaves no trace.
    assert PLAIN.separation(Pipeline(jpeg_offset=(0, 3))) == 0
    assert PLAIN.separation(Pipeline(filter="median")) == 1
    assert PLAIN.separation(Pipeline(scale=1.16)) == pytest.approx(2)


def test_sampled_pipelines_are_records_and_pasted_ones_are_off_the_grid_more_often() -> None:
    def share_aligned(pasted: bool) -> float:
        generator = rng(4)
        drawn = [sample_pipeline(generator, pasted=pasted) for _ in range(300)]
        for pipeline in drawn:
            assert Pipeline(**_tuples(json.loads(json.dumps(pipeline.as_record())))) == pipeline
            assert all(0 <= start < 8 for start in pipeline.jpeg_offset)
        return float(np.mean([pipeline.jpeg_offset == (0, 0) for pipeline in drawn]))

    assert share_aligned(False) == pytest.approx(0.6, abs=0.1)
    assert share_aligned(True) == pytest.approx(0.1, abs=0.08)


def _tuples(record: dict) -> dict:
    return {key: tuple(v) if isinstance(v, list) else v for key, v in record.items()}


def test_jpeg_at_full_quality_is_nearly_lossless() -> None:
    photo = photograph(0, (64, 64))
    difference = jpeg(photo, 100).astype(int) - photo
    assert np.abs(difference).max() <= 4
    assert np.abs(difference).mean() < 1


# --- shapes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("area", [0.05, 0.25])
def test_shapes_have_about_the_wanted_area(kind: str, area: float) -> None:
    # Superpixels of a very noisy picture run together.
    picture = ndimage.gaussian_filter(photograph(5, (96, 128)), (2, 2, 0))
    shares = [sample_shape(kind, (96, 128), area, rng(i), picture).mean() for i in range(15)]
    # Ellipses and polygons lose what lies outside the picture, polygons also between corners.
    assert 0.3 * area < np.median(shares) < 1.6 * area


@pytest.mark.parametrize("kind", ["blob", "ellipse", "polygon"])
def test_shapes_are_connected(kind: str) -> None:
    for seed in range(10):
        mask = sample_shape(kind, (80, 64), 0.2, rng(seed))
        assert mask.shape == (80, 64)
        assert mask.dtype == bool
        assert ndimage.label(mask, np.ones((3, 3)))[1] == 1


def test_superpixels_follow_the_picture_or_become_blobs() -> None:
    blob = sample_shape("blob", (64, 64), 0.2, rng(1))
    np.testing.assert_array_equal(sample_shape("superpixels", (64, 64), 0.2, rng(1)), blob)


def test_unknown_shape() -> None:
    with pytest.raises(ValueError, match="'star': use one of blob, ellipse"):
        sample_shape("star", (64, 64), 0.2, rng())


# --- composites -----------------------------------------------------------------------------------


def test_composites_are_deterministic(bank: PhotoBank) -> None:
    first, second, other = (
        compose(bank, (96, 80), CompositeSettings(), rng(seed)) for seed in (7, 7, 8)
    )
    np.testing.assert_array_equal(first.pixels, second.pixels)
    np.testing.assert_array_equal(first.labels, second.labels)
    assert first.record == second.record
    assert first.record != other.record


@pytest.mark.parametrize("n_sources", [1, 2, 3, 4])
@pytest.mark.parametrize("same_photo", [0.0, 1.0])
def test_every_source_is_there_and_large_enough(
    bank: PhotoBank, n_sources: int, same_photo: float
) -> None:
    settings = CompositeSettings(same_photo=same_photo)
    for seed in range(4):
        composite = compose(bank, (96, 128), settings, rng(seed), n_sources)
        assert composite.pixels.shape == (96, 128, 3)
        assert composite.pixels.dtype == composite.labels.dtype == np.uint8
        labels, counts = np.unique(composite.labels, return_counts=True)
        assert labels.tolist() == list(range(n_sources))
        assert counts.min() >= settings.smallest * composite.labels.size
        photos = {source["photo"] for source in composite.record["sources"]}
        assert len(photos) == (1 if same_photo else n_sources)
        json.dumps(composite.record)


def test_number_of_sources_follows_the_settings(bank: PhotoBank) -> None:
    settings = CompositeSettings(source_counts=(0.0, 1.0))
    drawn = [compose(bank, (64, 64), settings, rng(seed)) for seed in range(4)]
    assert all(composite.labels.max() == 1 for composite in drawn)


def test_pixels_of_a_source_are_what_its_record_says(bank: PhotoBank) -> None:
    settings = CompositeSettings(final_jpeg=0.0)
    names = [path.name for path in bank.paths]
    checked = 0
    for seed in range(40):
        composite = compose(bank, (96, 96), settings, rng(seed), 2)
        record = composite.record["sources"][1]
        pipeline = Pipeline(**_tuples(record["pipeline"]))
        if pipeline.read_noise or pipeline.shot_noise:
            continue  # the noise was drawn from the composite's generator
        mask = composite.labels == 1
        rows, cols = ndimage.find_objects(mask.astype(int))[0]
        box = (rows.stop - rows.start, cols.stop - cols.start)
        photo = bank[names.index(record["photo"])]
        patch = develop(photo, tuple(record["corner"]), box, pipeline, rng())
        # Away from the feathered edge.
        inner = ndimage.binary_erosion(mask, iterations=7)[rows, cols]
        np.testing.assert_array_equal(composite.pixels[rows, cols][inner], patch[inner])
        checked += bool(inner.any())
    assert checked >= 8


def test_background_stays_outside_the_regions_box(bank: PhotoBank) -> None:
    settings = CompositeSettings(final_jpeg=0.0, same_photo=0.0)
    for seed in range(30):
        composite = compose(bank, (96, 96), settings, rng(seed), 2)
        record = composite.record["sources"][0]
        pipeline = Pipeline(**_tuples(record["pipeline"]))
        if pipeline.read_noise or pipeline.shot_noise:
            continue
        photo = bank[[path.name for path in bank.paths].index(record["photo"])]
        background = develop(photo, tuple(record["corner"]), (96, 96), pipeline, rng())
        outside = ndimage.binary_erosion(composite.labels == 0, iterations=7)
        np.testing.assert_array_equal(composite.pixels[outside], background[outside])


def test_sources_of_one_photograph_differ_in_their_histories(bank: PhotoBank) -> None:
    single = PhotoBank(bank.paths[:1])  # nothing else to choose from, even where allowed
    for share in (0.0, 1.0):
        settings = CompositeSettings(same_photo=share)
        for seed in range(3):
            composite = compose(single, (64, 64), settings, rng(seed), 3)
            drawn = [
                Pipeline(**_tuples(source["pipeline"])) for source in composite.record["sources"]
            ]
            assert all(a.separation(b) >= 1.5 for i, a in enumerate(drawn) for b in drawn[i + 1 :])


def test_sources_come_from_different_groups(bank: PhotoBank) -> None:
    grouped = PhotoBank(bank.paths, ["a", "a", "a", "b", "c"])
    by_name = {path.name: group for path, group in zip(grouped.paths, grouped.groups, strict=True)}
    settings = CompositeSettings(same_photo=0.0)
    for seed in range(5):
        sources = compose(grouped, (64, 64), settings, rng(seed), 3).record["sources"]
        assert {by_name[source["photo"]] for source in sources} == {"a", "b", "c"}


def test_final_compression_is_recorded(bank: PhotoBank) -> None:
    settings = CompositeSettings(final_jpeg=1.0, final_quality=(60, 60))
    composite = compose(bank, (64, 72), settings, rng(3), 2)
    assert composite.record["final_jpeg"]["quality"] == 60
    assert (
        compose(bank, (64, 72), CompositeSettings(final_jpeg=0), rng(3), 2).record["final_jpeg"]
        is None
    )


def test_photographs_smaller_than_the_composite(tmp_path: Path) -> None:
    small = photo_bank(tmp_path, count=3, shape=(24, 17))
    composite = compose(small, (80, 64), CompositeSettings(), rng(0), 3)
    assert composite.pixels.shape == (80, 64, 3)
    assert composite.labels.max() == 2


def test_wrong_arguments(bank: PhotoBank) -> None:
    with pytest.raises(ValueError, match="at least 64 x 64"):
        compose(bank, (63, 200), CompositeSettings(), rng(), 2)
    with pytest.raises(ValueError, match="one source or more, not 0"):
        compose(bank, (64, 64), CompositeSettings(), rng(), 0)
    with pytest.raises(RuntimeError, match="no room for one more region of 20%"):
        compose(bank, (64, 64), CompositeSettings(smallest=0.2), rng(), 6)
    with pytest.raises(ValueError, match="at least one photograph"):
        PhotoBank([])
    with pytest.raises(ValueError, match="1 groups for 5 photographs"):
        PhotoBank(bank.paths, ["a"])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("source_counts", (0.5, 0.4)),
        ("source_counts", (1.5, -0.5)),
        ("source_counts", ()),
        ("smallest", 0.0),
        ("smallest", 0.3),
        ("same_photo", 1.5),
        ("final_jpeg", -0.1),
        ("final_quality", (90, 80)),
        ("final_quality", (0, 80)),
    ],
)
def test_settings_are_checked(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        CompositeSettings(**{field: value})


def test_one_source_may_be_small(bank: PhotoBank) -> None:
    assert compose(bank, (16, 16), CompositeSettings(), rng(), 1).labels.max() == 0


# --- photographs ----------------------------------------------------------------------------------


def test_bank_reads_colour_whatever_the_file_holds(tmp_path: Path) -> None:
    grey = tmp_path / "grey.png"
    Image.fromarray(np.full((5, 7), 9, np.uint8)).save(grey)
    assert PhotoBank([grey])[0].shape == (5, 7, 3)
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\nnot a picture")
    with pytest.raises(ImageReadError, match=r"broken\.png (is not|begins like)"):
        PhotoBank([broken])[0]


def test_photo_table(tmp_path: Path) -> None:
    table = photo_table(tmp_path / "bilder ä.csv")
    photos = read_photo_table(table)
    assert len(photos) == len(bank_of(photos)) == 8
    assert photos[0].group == "group0"
    assert [photo.split for photo in photos].count("val") == 2
    # As spreadsheets save it: with a byte order mark.
    table.write_text("\ufeff" + table.read_text(encoding="utf-8"), encoding="utf-8")
    assert read_photo_table(table) == photos


def test_wrong_photo_tables(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="There is no photo table"):
        read_photo_table(tmp_path / "none.csv")
    table = tmp_path / "t.csv"
    table.write_text("file,split\na.png,val\n")
    with pytest.raises(DatasetError, match="has no column group"):
        read_photo_table(table)
    table.write_text("file,group,split\na.png,g\n")
    with pytest.raises(DatasetError, match=r"Photograph 1 of .* has no split"):
        read_photo_table(table)
    table.write_text("file,group,split\na.png,g,val\n")
    with pytest.raises(DatasetError, match=r"1 photographs of .* are not in"):
        read_photo_table(table)
    table.write_bytes("file,group,split\nä.png,g,val\n".encode("latin-1"))
    with pytest.raises(DatasetError, match="cannot be read"):
        read_photo_table(table)


def test_division_is_by_group_and_always_the_same() -> None:
    photos = [Photo(Path(f"{i}.png"), f"group{i % 50}", "train") for i in range(200)]
    kept, held_out = divide(photos, 0.3)
    assert not {photo.group for photo in kept} & {photo.group for photo in held_out}
    assert len(kept) + len(held_out) == 200
    assert 0.1 < len(held_out) / 200 < 0.5
    assert divide(photos[::-1], 0.3)[1] == held_out[::-1]
    assert divide(photos, 0.0) == (photos, [])
    assert divide(photos, 1.0) == ([], photos)
    with pytest.raises(ValueError, match=r"0 to 1, not 3"):
        divide(photos, 3)


def test_untouched_backgrounds_are_pieces_of_the_photograph(bank: PhotoBank) -> None:
    settings = CompositeSettings(untouched=1.0, final_jpeg=0.0)
    for seed, n_sources in ((0, 1), (1, 1), (2, 2), (3, 3)):
        composite = compose(bank, (64, 96), settings, rng(seed), n_sources)
        ground = composite.record["sources"][0]
        photo = bank[bank.names.index(ground["photo"])]
        top, left = ground["corner"][0] + 8, ground["corner"][1] + 8  # see `develop`
        piece = photo[top : top + 64, left : left + 96]
        # Pasted regions may have soft edges, which reach a few pixels further.
        far = ~ndimage.binary_dilation(composite.labels > 0, iterations=8)
        assert far.any()
        np.testing.assert_array_equal(composite.pixels[far], piece[far])
    some = CompositeSettings(untouched=0.5)
    drawn = [compose(bank, (64, 64), some, rng(s), 1).record["sources"][0] for s in range(30)]
    as_it_is = Pipeline().as_record()
    assert 5 < sum(ground["pipeline"] == as_it_is for ground in drawn) < 25


def test_some_composites_are_degraded_as_a_whole(bank: PhotoBank) -> None:
    blurred = CompositeSettings(degraded=0.5, final_jpeg=0.0, degradations=("blur-9", "noise-25"))
    names = []
    for seed in range(12):
        composite = compose(bank, (64, 64), blurred, rng(seed), 1)
        plain = dataclasses.replace(blurred, degradations=("none", "none"))
        before = compose(bank, (64, 64), plain, rng(seed), 1)
        name = composite.record["degradation"]
        names.append(name)
        assert before.record["degradation"] in (None, "none")
        fine = [np.abs(np.diff(p.pixels.astype(int), axis=1)).mean() for p in (composite, before)]
        if name == "noise-25":
            assert fine[0] > fine[1]
        elif name == "blur-9":
            assert fine[0] < fine[1]
    assert set(names) == {None, "noise-25", "blur-9"}


@pytest.mark.parametrize("factor", [0.5, 0.75, 1.5])
def test_a_composite_is_resized_to_the_size_asked_for(bank: PhotoBank, factor: float) -> None:
    settings = CompositeSettings(degraded=1.0, degradations=(f"resize-{factor}",), final_jpeg=0.0)
    composite = compose(bank, (64, 96), settings, rng(3), 2)
    assert composite.record["degradation"] == f"resize-{factor:g}"
    assert composite.pixels.shape == (64, 96, 3)
    assert composite.labels.shape == (64, 96)
    assert set(np.unique(composite.labels)) == {0, 1}, "labels are not mixed"


def test_labels_follow_the_pixels_when_a_composite_is_resized(bank: PhotoBank) -> None:
    settings = CompositeSettings(degraded=1.0, degradations=("resize-0.5",), final_jpeg=0.0)
    whole = dataclasses.replace(settings, degradations=("none",))
    half = compose(bank, (64, 64), settings, rng(5), 2)
    full = compose(bank, (128, 128), whole, rng(5), 2)
    shrunk = full.labels.reshape(64, 2, 64, 2).mean(axis=(1, 3))
    assert (np.abs(half.labels - shrunk) <= 0.75).all()  # one of four pixels is taken


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (("social-1080",), "social-1080 gives pictures a size of its own"),
        (("fog-1",), "Unknown degradation 'fog'"),
        ((), "degradations must list one or more"),
        ("blur-3", "degradations must list one or more"),
    ],
)
def test_degradations_are_checked(names: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        CompositeSettings(degradations=names)
