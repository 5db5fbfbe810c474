"""Masks of every kind: what is read, what is told of, what is refused; no warning is lost."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest
from mask_cases import CASES, SHAPE, SHARE, MaskCase, Outcome, picture, two_sources, white
from PIL import Image
from refusals import refusal
from typer.testing import CliRunner

from napari_safire.cli import app
from napari_safire.corpus.queue import PictureQueue
from napari_safire.corpus.queue_files import read_entry
from napari_safire.datasets.integrity import check_lists
from napari_safire.errors import DatasetError, SafireError
from napari_safire.images.lists import ListEntry, write_list
from napari_safire.images.masks import (
    UNASSIGNED,
    MaskRule,
    MaskWarning,
    decode_sources,
    encode_sources,
)
from napari_safire.images.truth import kind_of_masks, mask_kind, read_labels, read_mask, read_truth


@pytest.mark.parametrize("kind", ["binary", "sources"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
def test_every_kind_of_mask(tmp_path: Path, case: MaskCase, kind: str) -> None:
    entry = case.write(tmp_path)
    expected: Outcome = getattr(case, kind)
    shape = SHAPE if "turned picture" not in case.what else SHAPE[::-1]
    if expected.how == "refused":
        assert expected.words in refusal(SafireError, read_truth, entry, kind, shape=shape)
        return
    truth = read_truth(entry, kind, shape=shape)
    assert (truth.warnings != ()) == (expected.how == "told")
    assert expected.words in " ".join(truth.warnings)
    if entry.mask is not None:
        assert (truth.labels > 0).mean() == SHARE
    if kind == "sources" and entry.mask is not None:
        assert np.array_equal(truth.labels, two_sources())


def test_the_guide_says_what_the_cases_say() -> None:
    # reviewed: a script of ours
    script = runpy.run_path(str(Path(__file__).parents[2] / "docs/mask_table.py"))
    text = script["PAGE"].read_text(encoding="utf-8")
    assert script["page"](text) == text, "run `python docs/mask_table.py`"


@pytest.mark.parametrize("case", [case for case in CASES if case.binary.how != "read"])
def test_check_tells_of_every_mask(tmp_path: Path, case: MaskCase) -> None:
    entry = case.write(tmp_path)
    listed = write_list(tmp_path / "list.txt", [entry])
    found = [problem for *_, some in check_lists([listed]) for problem in some]
    wanted = "mask" if case.binary.how == "refused" else "warning"
    told = [problem.sentence for problem in found if problem.kind == wanted]
    assert any(case.binary.words in sentence for sentence in told)


def test_a_warning_that_nobody_asked_for_goes_to_python(tmp_path: Path) -> None:
    entry = next(case for case in CASES if case.what == "several pages").write(tmp_path)
    with pytest.warns(MaskWarning, match="2 pages"):
        read_mask(entry, "sources")
    with pytest.warns(MaskWarning, match="2 pages"):
        read_labels(entry)


def test_a_data_set_with_a_rule_is_read_and_told_of(tmp_path: Path) -> None:
    """Its rule says what is forged, so a mask in a JPEG is no reason to refuse it."""
    entry = next(case for case in CASES if case.what == "JPEG").write(tmp_path)
    ruled = ListEntry(entry.image, entry.mask, rule=MaskRule())
    assert "above 0 count as forged" in " ".join(read_truth(ruled).warnings)
    half = ListEntry(entry.image, entry.mask, rule=MaskRule(above=127))
    truth = read_truth(half)
    assert truth.warnings == ()
    assert truth.labels.mean() == SHARE


@pytest.mark.parametrize("quality", [60, 85, 95, 100])
def test_no_quality_of_jpeg_lets_the_truth_grow(tmp_path: Path, quality: int) -> None:
    """Either the mask is refused, or what it says is the truth within a hundredth."""
    values = np.zeros((120, 160), np.uint8)
    values[20:24, 10:150] = 255
    values[60:110, 30:90] = 255
    path = tmp_path / "mask.jpg"
    Image.fromarray(values).save(path, quality=quality)
    try:
        read = read_truth(ListEntry(path, path)).labels
    except DatasetError:
        return
    true = values > 0
    assert (read & true).sum() / (read | true).sum() > 0.98


def test_numbering_never_depends_on_content() -> None:
    """Grey 50 x k is source k whether a pixel is unassigned or not; 255 is never a source."""
    labels = np.array([[0, 1, 2], [2, 5, 0]], np.uint8)
    mask = encode_sources(labels)
    mask[0, 0] = UNASSIGNED
    refusal(
        DatasetError,
        decode_sources,
        mask,
        match="no source was given yet, so finish the annotation",
    )
    read = decode_sources(mask, unassigned=UNASSIGNED)
    assert read.tolist() == [[UNASSIGNED, 1, 2], [2, 5, 0]]
    refusal(
        DatasetError, decode_sources, np.array([[7, 255]]), unassigned=UNASSIGNED, match="also 7"
    )
    for value in (50, 250, 256):
        with pytest.raises(ValueError, match="cannot mark"):
            decode_sources(mask, unassigned=value)


def test_a_mask_of_the_plugin_is_never_taken_for_black_and_white(tmp_path: Path) -> None:
    """Source 1 and unassigned pixels are 0 and 255: without its record, that is refused."""
    path = tmp_path / "a.png_sources.png"
    Image.fromarray(white()).save(path)
    assert mask_kind(path) == "sources"
    refusal(
        DatasetError, read_labels, ListEntry(picture(tmp_path), path), match="finish the annotation"
    )
    truth = read_truth(ListEntry(path, path), "sources", unassigned=UNASSIGNED)
    assert np.array_equal(truth.labels == UNASSIGNED, white() == 255)


def test_a_resized_mask_keeps_its_proportions_or_is_told_of(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    Image.fromarray(white()[:, ::2]).save(path)
    entry = ListEntry(picture(tmp_path), path, rule=MaskRule(nearest=True))
    assert "another proportion" in " ".join(read_truth(entry, shape=SHAPE).warnings)
    Image.fromarray(white()[::2, ::2]).save(path)
    assert read_truth(entry, shape=SHAPE).warnings == ()
    Image.fromarray(white().T).save(path)  # turned by a quarter: resizing would be wrong silently
    refusal(DatasetError, read_truth, entry, shape=SHAPE, match="make them the same size")


def test_a_series_passes_warnings_of_a_given_mask_on(tmp_path: Path) -> None:
    (tmp_path / "x_imgs").mkdir()
    (tmp_path / "x_masks").mkdir()
    picture(tmp_path / "x_imgs", 3)
    Image.fromarray(two_sources() * np.uint8(50)).save(tmp_path / "x_masks/picture.jpg", "PNG")
    (entry,) = PictureQueue.open(tmp_path / "x_imgs").entries()
    contents = read_entry(entry)
    told = " ".join(contents.warnings)
    assert "painted on what was shown" in told
    assert "is a PNG file" in told
    assert contents.labels is not None


# ------------------------------------------------------------------ which kind a list has


def listed(folder: Path, values: np.ndarray) -> Path:
    Image.fromarray(values).save(folder / "m.png")
    return write_list(folder / "list.txt", [ListEntry(picture(folder), folder / "m.png")])


@pytest.mark.parametrize(
    ("values", "kind", "told"),
    [
        (white(), "binary", "need `--kind binary`"),
        (white(1), "binary", "need `--kind binary`"),
        (two_sources() * np.uint8(50), "sources", "all but source 0 is forged"),
        (two_sources(), "binary", "need `--kind binary`"),
    ],
)
def test_check_says_as_what_it_reads_the_masks(
    tmp_path: Path, values: np.ndarray, kind: str, told: str
) -> None:
    path = listed(tmp_path, values)
    result = CliRunner().invoke(app, ["data", "check", str(path)])
    assert result.exit_code == 0, result.stdout
    assert f"were read as {kind}" in result.stderr
    assert told in result.stderr
    asked = CliRunner().invoke(app, ["data", "check", "--kind", kind, str(path)])
    assert asked.exit_code == 0
    assert asked.stderr == ""


@pytest.mark.parametrize(
    ("values", "advice"),
    [
        (white(), "read it as binary (`--kind binary`)"),
        (white(1), "read it as binary (`--kind binary`)"),
        (two_sources(), "multiply them by 50"),
        (two_sources() + np.uint8(1), "count them from 0 and multiply them by 50"),
    ],
)
def test_the_wrong_kind_gets_advice_that_fits(
    tmp_path: Path, values: np.ndarray, advice: str
) -> None:
    path = listed(tmp_path, values)
    result = CliRunner().invoke(app, ["evaluate", str(path)])
    assert result.exit_code == 1
    assert advice in result.stderr
    assert "smoothing" not in result.stderr
    trained = CliRunner().invoke(app, ["train", str(path), "-o", str(tmp_path / "run")])
    assert trained.exit_code == 1
    assert advice in trained.stderr


def test_kind_of_masks_of_a_list(tmp_path: Path) -> None:
    entry = ListEntry(picture(tmp_path), tmp_path / "m.png")
    Image.fromarray(white(0)).save(tmp_path / "m.png")
    assert kind_of_masks([entry, ListEntry(entry.image)]) is None
    Image.fromarray(white(50)).save(tmp_path / "m.png")
    assert kind_of_masks([entry]) == "sources"


def test_a_mask_whose_opacity_is_left_out_is_told(tmp_path: Path) -> None:
    pixels = np.full((8, 8, 4), 255, np.uint8)
    for name, opacity, told in (("same.png", 128, False), ("holes.png", 0, True)):
        pixels[..., 3] = opacity
        pixels[2:4, 2:4, 3] = 128
        Image.fromarray(pixels).save(tmp_path / name)
        truth = read_truth(ListEntry(tmp_path / name, tmp_path / name), "binary", shape=(8, 8))
        assert any("opacity" in text for text in truth.warnings) == told
