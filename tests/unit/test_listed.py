"""Training crops from lists: what an index holds, and what happens with bad files."""

from __future__ import annotations

import hashlib
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from published_sets import SHAPE, columbia, grey, imd2020, picture, safirems_expert, save, truth
from synthetic import photo_bank, photograph

from napari_safire.datasets.catalogue import entries_of
from napari_safire.errors import DatasetError
from napari_safire.images.lists import ListEntry
from napari_safire.images.masks import MaskRule
from napari_safire.images.pixels import PictureReader
from napari_safire.learning import listed
from napari_safire.learning.listed import ListedDataset, ListedSettings
from napari_safire.learning.streams import (
    CompositeDataset,
    CropPlan,
    MixedDataset,
    stream,
)
from napari_safire.synthesis.composite_settings import CompositeSettings

PLAN = CropPlan(sides=(32,), pixels_per_batch=4 * 32 * 32)
STILL = ListedSettings(turn=False)


def labelled(folder: Path, shape: tuple[int, int], count: int = 1) -> list[ListEntry]:
    """Pictures whose red is their row, green their column, and blue 255 where they are forged."""
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    entries = []
    for number in range(count):
        pixels = np.dstack([rows, cols, truth(shape) * 255]).astype(np.uint8)
        entry = ListEntry(folder / f"{number}.png", folder / f"{number}_mask.png")
        save(entry.image, pixels)
        assert entry.mask is not None
        save(entry.mask, grey(truth(shape)))
        entries.append(entry)
    return entries


def crops(
    dataset: ListedDataset, count: int, side: int = 32
) -> list[tuple[np.ndarray, np.ndarray]]:
    return [
        (pixels.permute(1, 2, 0).numpy(), labels.numpy())
        for pixels, labels, _ in (dataset[index, side] for index in range(count))
    ]


# -------------------------------------------------------------------------------- crops


def test_pixels_and_labels_belong_together(tmp_path: Path) -> None:
    entries = labelled(tmp_path, (80, 100), 2)
    for pixels, labels in crops(ListedDataset(entries, ListedSettings(), 0), 30):
        assert pixels.shape == (32, 32, 3)
        assert pixels.dtype == labels.dtype == np.uint8
        assert np.array_equal(pixels[..., 2] > 0, labels == 1)


def test_turns_and_flips_are_all_eight(tmp_path: Path) -> None:
    dataset = ListedDataset(labelled(tmp_path, (80, 100)), ListedSettings(), 0)
    ways = set()
    for pixels, _ in crops(dataset, 60):
        steps = pixels[:2, :2, :2].astype(int)
        ways.add((*(steps[1, 0] - steps[0, 0]), *(steps[0, 1] - steps[0, 0])))
    assert len(ways) == 8


def test_half_of_the_crops_keep_the_jpeg_grid(tmp_path: Path) -> None:
    entries = labelled(tmp_path, (200, 220))

    def on_grid(**options: float) -> float:
        dataset = ListedDataset(entries, ListedSettings(turn=False, **options), 1)
        corners = [pixels[0, 0, :2] for pixels, _ in crops(dataset, 80)]
        return float(np.mean([not np.any(corner % 8) for corner in corners]))

    assert on_grid(grid_share=1.0) == 1
    assert on_grid(grid_share=0.0) < 0.1
    assert 0.35 < on_grid() < 0.65


def test_most_crops_hold_a_part_of_a_region(tmp_path: Path) -> None:
    entry = ListEntry(tmp_path / "a.png", tmp_path / "m.png")
    picture(entry.image, shape=(300, 300))
    mask = np.zeros((300, 300), bool)
    mask[40:44, 250:253] = mask[-1, 0] = True
    save(tmp_path / "m.png", grey(mask))

    def share(**options: float) -> float:
        dataset = ListedDataset([entry], ListedSettings(**options), 0)
        return float(np.mean([labels.any() for _, labels in crops(dataset, 60)]))

    assert share(region_share=1.0, grid_share=0.0) == 1
    assert share(region_share=1.0, grid_share=1.0) > 0.8  # the corner pixel is out of the grid
    assert share(region_share=0.0) < 0.2
    assert 0.65 < share() < 0.95


def test_every_pixel_of_a_region_is_as_likely(tmp_path: Path) -> None:
    from napari_safire.learning.listed import _pixel_of_region

    labels = np.zeros((4, 5), np.uint8)
    labels[0, 1:4] = labels[2, 4] = 1
    rng = np.random.default_rng(0)
    drawn = [_pixel_of_region(labels, rng) for _ in range(400)]
    counts = {place: drawn.count(place) for place in set(drawn)}
    assert set(counts) == {(0, 1), (0, 2), (0, 3), (2, 4)}
    assert min(counts.values()) > 70
    assert _pixel_of_region(labels * 0, rng) is None


@pytest.mark.parametrize("shape", [(20, 100), (100, 9), (7, 5), (1, 1), (32, 32)])
def test_small_pictures_are_mirrored(tmp_path: Path, shape: tuple[int, int]) -> None:
    dataset = ListedDataset(labelled(tmp_path, shape), STILL, 0)
    for pixels, labels in crops(dataset, 20):
        assert pixels.shape[:2] == labels.shape == (32, 32)
        assert np.array_equal(pixels[..., 2] > 0, labels == 1)
        steps = np.abs(np.diff(pixels[..., 0].astype(int), axis=0))
        assert steps.max(initial=0) <= 1  # rows go on up and down, without a jump


def test_mirrored_crops_keep_the_grid_as_often(tmp_path: Path) -> None:
    dataset = ListedDataset(labelled(tmp_path, (16, 16)), STILL, 0)
    begins = [int(np.argmin(pixels[:, 0, 0])) % 8 for pixels, _ in crops(dataset, 60, 64)]
    assert 0.4 < np.mean([begin in (0, 7) for begin in begins]) < 0.9


def test_squash_is_what_the_engine_shows_the_vit(tmp_path: Path) -> None:
    columbia(tmp_path)
    (entry,) = entries_of("Columbia/splc", tmp_path)
    dataset = ListedDataset([entry], ListedSettings(how="squash", turn=False), 0)
    pixels, labels, problems = dataset[0, 16]
    wanted = PictureReader(photograph(0, SHAPE)).squashed(16)
    assert np.array_equal(pixels.permute(1, 2, 0).numpy(), wanted)
    assert labels.shape == (16, 16)
    assert set(labels.unique().tolist()) == {0, 1}
    assert problems == ()


def test_sources_are_labels(tmp_path: Path) -> None:
    safirems_expert(tmp_path)
    dataset = ListedDataset(entries_of("SafireMS-Expert", tmp_path), STILL, 0)
    assert set(np.unique([labels for _, labels in crops(dataset, 9)])) == {0, 1, 2}
    plain = [ListEntry(entry.image, entry.mask) for entry in dataset.entries]
    for kind, found in (("sources", {0, 1, 2}), ("binary", {0, 1})):
        listed = ListedDataset(plain, STILL, 0, kind=kind)  # type: ignore[arg-type]
        assert set(np.unique([labels for _, labels in crops(listed, 9)])) == found


def test_deep_pictures_are_scaled_as_a_whole(tmp_path: Path) -> None:
    deep = np.zeros((64, 64), np.uint16)
    deep[:8, :8] = 4095
    deep[8:] = 819
    tifffile.imwrite(tmp_path / "a.tif", deep)
    dataset = ListedDataset([ListEntry(tmp_path / "a.tif")], STILL, 0)
    values = np.unique([pixels for pixels, _ in crops(dataset, 20, 16)])
    assert set(values.tolist()) == {0, 51, 255}


# ------------------------------------------------------------------------------- indices


def digest(batches: list[tuple[torch.Tensor, torch.Tensor]]) -> str:
    total = hashlib.sha256()
    for pixels, labels in batches:
        total.update(pixels.numpy().tobytes() + labels.numpy().tobytes())
    return total.hexdigest()


def test_every_picture_has_its_turn_in_each_round(tmp_path: Path) -> None:
    dataset = ListedDataset(labelled(tmp_path, (40, 40), 7), STILL, 3)
    rounds = [[dataset._turn_of(7 * turn + i) for i in range(7)] for turn in range(3)]
    assert all(sorted(turn) == list(range(7)) for turn in rounds)
    assert rounds[0] != rounds[1]
    assert [dataset._turn_of(i) for i in range(7)] == rounds[0]


@pytest.mark.parametrize("workers", [0, 2])
def test_streams_of_lists_are_the_same_at_every_run(tmp_path: Path, workers: int) -> None:
    entries = labelled(tmp_path, (64, 80), 3)

    def take(count: int, seed: int = 1, **options: int) -> str:
        dataset = ListedDataset(entries, ListedSettings(), seed)
        return digest(list(islice(stream(dataset, PLAN, **options), count)))

    assert take(3, workers=workers) == take(3, workers=0)
    assert take(3, seed=2, workers=0) != take(3, workers=0)
    assert take(1, start=1, rank=1, world=2, workers=0) == take(1, first_index=12, workers=0)


def test_mixtures_choose_by_the_index_alone(tmp_path: Path) -> None:
    first = ListedDataset(labelled(tmp_path / "a", (40, 40)), ListedSettings(), 0)
    second = CompositeDataset(photo_bank(tmp_path / "b"), CompositeSettings(), 0)
    mixed = MixedDataset([first, second], [3, 1], seed=0)
    chosen = [mixed.chosen(index) for index in range(400)]
    assert 0.68 < np.mean([place == 0 for place in chosen]) < 0.82
    assert chosen == [MixedDataset([first, second], [3, 1], seed=0).chosen(i) for i in range(400)]
    for index in (chosen.index(0), chosen.index(1)):
        pixels, labels, _ = mixed[index, 64]
        wanted = mixed.datasets[chosen[index]][index, 64]
        assert torch.equal(pixels, wanted[0])
        assert torch.equal(labels, wanted[1])
    assert {MixedDataset([first, second], [0, 2], seed=0).chosen(i) for i in range(50)} == {1}
    plan = CropPlan(sides=(64,), pixels_per_batch=4 * 64 * 64)
    assert next(stream(mixed, plan, workers=0))[0].shape == (4, 3, 64, 64)


@pytest.mark.parametrize("weights", [[1], [], [0, 0], [1, -1], [1, float("nan")]])
def test_mixtures_that_are_none(tmp_path: Path, weights: list[float]) -> None:
    dataset = ListedDataset(labelled(tmp_path, (40, 40)), STILL, 0)
    with pytest.raises(ValueError, match=r"[Ww]eights"):
        MixedDataset([dataset, dataset], weights, 0)


# ------------------------------------------------------------------------------ bad data


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _wide(path: Path) -> None:
    Image.new("L", (30_000, 40), 7).save(path)


BAD = {
    "truncated": (lambda e: _cut(e.image), "damaged or cut short"),
    "truncated mask": (lambda e: _cut(e.mask), "damaged or cut short"),
    "empty": (lambda e: e.image.write_bytes(b""), "0 bytes"),
    "no picture": (lambda e: e.image.write_text("text"), "is not a PNG"),
    "missing": (lambda e: e.image.unlink(), "does not exist"),
    "missing mask": (lambda e: e.mask.unlink(), "does not exist"),
    "other size": (lambda e: save(e.mask, grey(truth((40, 41)))), "40 x 41 pixels, its image"),
    "wide": (lambda e: (_wide(e.image), _wide(e.mask)), "PNG is read from its first pixel on"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_files_are_told_once_and_others_take_their_place(tmp_path: Path, what: str) -> None:
    entries = labelled(tmp_path / "ä, ß", (40, 40), 4)
    spoil, words = BAD[what]
    spoil(entries[1])
    settings = ListedSettings(largest=10_000)

    def take() -> tuple[str, list[str]]:
        heard: list[str] = []
        dataset = ListedDataset(entries, settings, 0)
        batches = islice(stream(dataset, PLAN, workers=0, on_problem=heard.append), 5)
        return digest(list(batches)), heard

    content, heard = take()
    assert len(heard) == 1
    assert words in heard[0]
    assert str(tmp_path / "ä, ß" / "1") in heard[0]
    assert take() == (content, heard)


def test_warnings_of_masks_that_are_used_are_told_once(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 4
    (entry,) = labelled(tmp_path, (40, 40))
    turned = tmp_path / "turned.png"
    Image.open(entry.image).save(turned, exif=exif)
    heard: list[str] = []
    dataset = ListedDataset([ListEntry(turned, entry.mask)], STILL, 0)
    list(islice(stream(dataset, PLAN, workers=0, on_problem=heard.append), 3))
    (told,) = heard
    assert "painted on what was shown" in told


def test_a_picture_that_memory_does_not_hold_is_one_bad_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = labelled(tmp_path, (40, 40), 2)
    real = listed.read_image

    def exhausted(path: Path) -> object:
        if path == entries[0].image:
            raise MemoryError
        return real(path)

    monkeypatch.setattr(listed, "read_image", exhausted)
    heard: list[str] = []
    dataset = ListedDataset(entries, STILL, 0)
    list(islice(stream(dataset, PLAN, workers=0, on_problem=heard.append), 2))
    assert heard == [f"{entries[0].image} does not fit in memory: cut it into parts."]


def test_stray_values_and_missing_lists(tmp_path: Path) -> None:
    safirems_expert(tmp_path)
    save(tmp_path / "ms3_masks/0100_DPR.jpg.png_sp.png", grey(truth(), forged=77))
    dataset = ListedDataset(entries_of("SafireMS-Expert", tmp_path), STILL, 0)
    heard: list[str] = []
    list(islice(stream(dataset, PLAN, workers=0, on_problem=heard.append), 4))
    assert len(heard) == 1
    assert "also 77" in heard[0]


def test_entries_of_missing_files_can_be_trained_on(tmp_path: Path) -> None:
    imd2020(tmp_path)
    path = tmp_path / "l.txt"
    path.write_text("1bza2v/c9bldch_0.jpg,1bza2v/c9bldch_0_mask.png\nlost/a.jpg,None\n")
    dataset = ListedDataset(entries_of("IMD2020", tmp_path, path, missing_ok=True), STILL, 0)
    heard: list[str] = []
    list(islice(stream(dataset, PLAN, workers=0, on_problem=heard.append), 2))
    assert heard == [f"{tmp_path / 'lost/a.jpg'} does not exist: check its name and folder."]


def test_nothing_but_bad_files_ends_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"")
    with pytest.raises(DatasetError, match=r"20 pictures in turn .*a\.png is empty"):
        ListedDataset([ListEntry(path)], STILL, 0)[0, 32]
    with pytest.raises(DatasetError, match="no entries"):
        ListedDataset([], STILL, 0)
    with pytest.raises(ValueError, match="'both'"):
        ListedDataset([ListEntry(path)], STILL, 0, kind="both")  # type: ignore[arg-type]


def test_pictures_without_a_finite_pixel(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.full((40, 40), np.nan, np.float32))
    picture(tmp_path / "b.png", shape=(40, 40))
    entries = [ListEntry(tmp_path / "a.tif"), ListEntry(tmp_path / "b.png")]
    dataset = ListedDataset(entries, STILL, 0)
    heard = {problem for index in range(8) for problem in dataset[index, 32][2]}
    assert heard == {
        f"{tmp_path / 'a.tif'}: The picture has no finite pixel: nothing can be said about it."
    }


def test_of_wide_tiffs_only_the_crop_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, cols = np.mgrid[:40, :30_000]
    pixels = np.dstack([rows, cols % 256, cols // 256]).astype(np.uint8)
    tifffile.imwrite(
        tmp_path / "a.tif", pixels, photometric="rgb", tile=(32, 32), compression="zlib"
    )
    mask = np.zeros((40, 30_000), bool)
    mask[20, 29_990] = True
    save(tmp_path / "m.png", grey(mask))
    entry = ListEntry(tmp_path / "a.tif", tmp_path / "m.png", rule=MaskRule())
    settings = ListedSettings(largest=100_000, turn=False, region_share=1.0, grid_share=0.0)
    monkeypatch.setattr("napari_safire.learning.listed.read_image", None)  # would decode it whole
    dataset = ListedDataset([entry], settings, 0)
    for crop, labels in crops(dataset, 5):
        (row,), (col,) = np.nonzero(labels)
        assert crop[row, col].tolist() == [20, 29_990 % 256, 29_990 // 256]
    squashed = ListedDataset([entry], ListedSettings(how="squash", largest=100_000), 0)
    with pytest.raises(DatasetError, match="40 x 30000 pixels, more than the 100000"):
        squashed[0, 32]


@pytest.mark.parametrize(
    "options", [{"how": "zoom"}, {"region_share": 2}, {"grid_share": -0.1}, {"largest": 0}]
)
def test_settings_that_are_none(options: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(options)) if "how" not in options else "zoom"):
        ListedSettings(**options)


@pytest.mark.parametrize("how", ["crop", "squash"])
def test_some_pictures_are_degraded_and_their_labels_are_not(how: str, tmp_path: Path) -> None:
    entries = labelled(tmp_path, (64, 80))
    plain, half, again = (
        ListedDataset(entries, ListedSettings(how=how, turn=False, degraded_share=share), 0)
        for share in (0.0, 0.5, 0.5)
    )
    changed = 0
    for index in range(40):
        pixels, labels, _ = half[index, 32]
        same_pixels, _, _ = again[index, 32]
        before, truth, _ = plain[index, 32]
        assert torch.equal(pixels, same_pixels)
        assert torch.equal(labels, truth)
        changed += not torch.equal(pixels, before)
    assert 8 < changed < 32
