"""The files of an examined picture, without any model: the engine's answers are made by hand."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_safire import types
from napari_safire.errors import SafireError
from napari_safire.examination import Examination, ExaminationSettings, examine_image, export
from napari_safire.examination.export import (
    export_examination,
    probabilities_16_bit,
    results_by_base,
)
from napari_safire.examination.overlay import render_heatmap, render_sources
from napari_safire.forgery import ForgeryMap
from napari_safire.geometry import Geometry
from napari_safire.images.masks import decode_sources
from napari_safire.images.reading import ReadImage
from napari_safire.images.records.results import read_results
from napari_safire.types import Embedding, PointPrompt, SourcePartition, SourceRegion

SHAPE = (40, 60)
MODEL = {"name": "by hand", "architecture": "lite"}


def make_examination(n_sources: int = 3, n_regions: int = 0, score: float = 0.7) -> Examination:
    """Sources are columns of equal width, known to the pixel."""
    geometry = Geometry(SHAPE, SHAPE, (float(SHAPE[0]), float(SHAPE[1])))
    labels = np.tile(np.arange(SHAPE[1]) * n_sources // SHAPE[1], (SHAPE[0], 1)).astype(np.uint8)
    regions = [
        SourceRegion(
            PointPrompt(5, 2),
            np.where(labels == k, 4.0, -4.0).astype(np.float32),
            geometry,
            confidence=0.5 + k / 10,
        )
        for k in range(n_sources)
    ]
    points = tuple(PointPrompt(1, 2 + i) for i in range(n_regions))
    return Examination(
        file=ReadImage(
            np.full((*SHAPE, 3), 99, np.uint8), Path("picture.png"), "f" * 64, "PNG", ("mended",)
        ),
        settings=ExaminationSettings(points=points),
        embedding=Embedding(
            np.zeros((1, 3, 4), np.float32), geometry, "i" * 64, "c" * 64, ("guessed",)
        ),
        partition=SourcePartition(
            labels,
            tuple(regions),
            "kmeans",
            {"n_sources": n_sources},
            seed=7,
            prompts=(PointPrompt(5, 2), PointPrompt(5, 50)),
            prompt_sources=np.array([0, -1]),
            n_dropped=1,
            number_probabilities={2: 0.25, 3: 0.75},
        ),
        forgery=ForgeryMap(
            np.linspace(0, 1, labels.size, dtype=np.float32).reshape(SHAPE),
            score,
            "inconclusive",
            "By hand.",
        ),
        regions=tuple(regions[0] for _ in points),
        seconds={"embed": 0.123456},
    )


def write(examination: Examination, folder: Path, *, overwrite: bool = False) -> list[Path]:
    return export_examination(
        examination, folder, "picture", model=MODEL, device="cpu", overwrite=overwrite
    )


def test_every_file_holds_what_it_says(tmp_path: Path) -> None:
    examination = make_examination(3, n_regions=2)
    files = write(examination, tmp_path / "new" / "folder")
    assert {file.name for file in files} == {file.name for file in files[0].parent.iterdir()}
    assert files[-1].name == "picture.json"
    folder = files[0].parent
    partition, forgery = examination.partition, examination.forgery
    assert partition is not None
    assert forgery is not None
    labels = decode_sources(np.asarray(Image.open(folder / "picture_sources.png")))
    np.testing.assert_array_equal(labels, partition.labels)
    heatmap = tifffile.imread(folder / "picture_heatmap.tif")
    assert heatmap.dtype == np.uint16
    np.testing.assert_allclose(heatmap / 65535, forgery.heatmap, atol=1e-5)
    probabilities = tifffile.imread(folder / "picture_probabilities.tif")
    assert probabilities.shape == (3, *SHAPE)
    np.testing.assert_allclose(probabilities / 65535, partition.probabilities, atol=1e-4)
    region = np.asarray(Image.open(folder / "picture_region_02.png"))
    np.testing.assert_array_equal(region, np.where(partition.labels == 0, 255, 0))


def test_record_says_how_to_do_it_again(tmp_path: Path) -> None:
    text = write(make_examination(3, n_regions=1), tmp_path)[-1].read_text(encoding="utf-8")
    record = json.loads(text)
    assert record["image"]["file_sha256"] == "f" * 64
    assert record["image"]["pixels_sha256"] == "i" * 64
    assert record["image"]["decoding"]["format"] == "PNG"
    assert record["image"]["decoding"]["orientation_applied"] is False
    assert record["model"] == {**MODEL, "checkpoint_sha256": "c" * 64}
    assert record["parameters"]["points"] == [[1.0, 2.0]]
    partition = record["partition"]
    assert (partition["n_sources"], partition["seed"], partition["n_dropped_prompts"]) == (3, 7, 1)
    assert partition["number_probabilities"] == {"2": 0.25, "3": 0.75}
    assert partition["prompts"] == [[5.0, 2.0], [5.0, 50.0]]
    assert partition["prompt_sources"] == [0, -1]
    assert [source["grey_value"] for source in partition["sources"]] == [0, 50, 100]
    assert sum(source["area_share"] for source in partition["sources"]) == pytest.approx(1)
    assert record["forgery"] == {
        "score": 0.7,
        "verdict": "inconclusive",
        "reason": "By hand.",
        "calibration": None,
        "contributions": {},
        "regions": {},
    }
    assert record["warnings"] == ["mended", "guessed"]
    assert {"napari-safire", "torch", "numpy", "python"} <= record["versions"].keys()
    assert record["files"]["regions"] == ["picture_region_01.png"]
    assert '"prompts": [' in text
    assert "[5.0, 2.0]" in text  # a pair takes one line


def test_what_is_not_a_number_becomes_null(tmp_path: Path) -> None:
    record = json.loads(write(make_examination(score=float("nan")), tmp_path)[-1].read_text())
    assert record["forgery"]["score"] is None


def test_one_source_is_a_partition_too(tmp_path: Path) -> None:
    found = make_examination(1)
    assert found.partition is not None
    region = replace(found.partition.representatives[0], confidence=1.0)
    alone = replace(found, partition=replace(found.partition, representatives=(region,)))
    record = write(alone, tmp_path)[-1]
    # Pixels that could belong to nothing else are no measure: not known, as the dock says.
    assert json.loads(record.read_text())["partition"]["sources"][0]["confidence"] is None
    (prompt, *_) = read_results(record).prompts
    assert (prompt.role, math.isnan(prompt.confidence)) == ("representative", True)
    assert tifffile.imread(tmp_path / "picture_probabilities.tif").min() == 65535
    assert np.asarray(Image.open(tmp_path / "picture_sources.png")).max() == 0


def test_probabilities_do_not_depend_on_the_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    partition = make_examination(3).partition
    assert partition is not None
    whole = probabilities_16_bit(partition)
    monkeypatch.setattr(types, "_STRIP_VALUES", 7 * 3 * SHAPE[1])
    np.testing.assert_array_equal(probabilities_16_bit(partition), whole)


def test_seven_sources_do_not_fit_into_a_mask(tmp_path: Path) -> None:
    with pytest.raises(SafireError, match="7 sources, but a mask holds 6"):
        write(make_examination(7), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_nothing_is_replaced_unasked(tmp_path: Path) -> None:
    write(make_examination(3), tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(FileExistsError, match="exists already"):
        write(make_examination(2), tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_overwriting_leaves_nothing_stale(tmp_path: Path) -> None:
    write(make_examination(3, n_regions=3), tmp_path)
    neighbour = tmp_path / "picture_region_01_notes.png"
    neighbour.write_bytes(b"somebody else's")
    files = write(make_examination(2, n_regions=1), tmp_path, overwrite=True)
    assert set(tmp_path.iterdir()) == {*files, neighbour}
    assert results_by_base(p.name for p in files) == {"picture": sorted(p.name for p in files)}


def test_a_failure_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export, "make_record", fail)  # the last thing to be made
    with pytest.raises(SafireError, match="No space left"):
        write(make_examination(3, n_regions=1), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SafireError, match="cannot be written"):
        write(make_examination(), tmp_path / "file")


def test_settings_that_ask_nothing() -> None:
    with pytest.raises(ValueError, match="Nothing is asked"):
        ExaminationSettings(whole_image=False)


@pytest.mark.parametrize("point", [(-1, 3), (3, -0.6), (39.6, 3), (3, 60)])
def test_points_outside_are_refused_before_any_work(point: tuple[float, float]) -> None:
    settings = ExaminationSettings(points=(PointPrompt(*point),))
    with pytest.raises(ValueError, match=r"lies outside picture\.png"):
        examine_image(None, make_examination().image, settings)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------ overlays


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros(SHAPE, np.uint8),
        np.full((*SHAPE, 4), 255, np.uint8),
        np.full(SHAPE, 60000, np.uint16),
        np.full((*SHAPE, 3), np.nan, np.float32) * np.r_[[1.0] * 3],
    ],
    ids=["grey", "rgba", "uint16", "nan"],
)
def test_overlay_takes_what_the_engine_takes(pixels: np.ndarray) -> None:
    if pixels.dtype.kind == "f":
        pixels[0] = 0.5
    labels = np.zeros(SHAPE, np.uint8)
    labels[:, 30:] = 1
    overlay = render_sources(pixels, labels, ["one", "two"])
    assert overlay.dtype == np.uint8
    assert overlay.shape[0] > SHAPE[0]
    assert overlay.shape[1] >= SHAPE[1]
    left, right = overlay[20, 5].astype(int), overlay[20, 55].astype(int)
    assert left[2] > left[0]  # blue
    assert right[0] > right[2]  # orange
    assert (overlay[20, 28:32] == 255).all(axis=-1).any()  # the border


def test_legend_takes_as_many_lines_as_it_needs() -> None:
    labels = np.zeros(SHAPE, np.uint8)
    pixels = np.zeros(SHAPE, np.uint8)
    short = render_sources(pixels, labels, ["a"])
    long = render_sources(pixels, labels, [f"source {k} with a long name" for k in range(9)])
    assert long.shape[0] > short.shape[0]
    assert long.shape[1] == short.shape[1]


def test_large_pictures_are_thinned_out() -> None:
    labels = np.zeros((3, 9000), np.uint8)
    assert render_sources(labels, labels, ["a"]).shape[1] == 3000


def forgery_map(verdict: str) -> ForgeryMap:
    heatmap = np.zeros(SHAPE, np.float32)
    heatmap[:, 30:] = 1
    return ForgeryMap(heatmap, 0.5, verdict, "Made up.")


def test_heatmap_colours_where_it_is_high() -> None:
    grey = np.full(SHAPE, 128, np.uint8)
    shown = render_heatmap(grey, forgery_map("forged"), "heat").astype(int)
    assert shown[5, 5].tolist() == [128, 128, 128]
    assert shown[5, 50, 0] > shown[5, 50, 2] + 50


@pytest.mark.parametrize("verdict", ["no forgery found", "inconclusive"])
def test_a_heatmap_below_the_threshold_is_muted_and_says_so(verdict: str) -> None:
    grey = np.full(SHAPE, 128, np.uint8)
    glowing = render_heatmap(grey, forgery_map("forged"), "heat").astype(int)
    muted = render_heatmap(grey, forgery_map(verdict), "heat").astype(int)
    assert muted[5, 50, 2] > muted[5, 50, 0]  # not the colour of an alarm
    contrast = np.abs(muted[5, 50] - muted[5, 5]).sum()
    assert 10 < contrast < np.abs(glowing[5, 50] - glowing[5, 5]).sum() / 2
    # The caveat is in the picture itself, in lines that fit.
    assert forgery_map(verdict).caveat.startswith("If anything were pasted, most likely here")
    assert forgery_map("forged").caveat == ""
    assert muted.shape[0] >= glowing.shape[0] + 2 * 12
    assert muted.shape[1] == glowing.shape[1]
    below = muted[SHAPE[0] :]
    assert (below[:, -3:] == below[-1, -1]).all()  # no line runs over the edge


def test_sizes_and_captions_are_checked() -> None:
    labels, pixels = np.ones(SHAPE, np.uint8), np.zeros((5, 5), np.uint8)
    with pytest.raises(ValueError, match="do not belong"):
        render_sources(pixels, labels, ["a", "b"])
    with pytest.raises(ValueError, match="no caption"):
        render_sources(labels, labels, ["a"])
    with pytest.raises(ValueError, match="does not belong"):
        render_heatmap(pixels, forgery_map("forged"), "heat")
