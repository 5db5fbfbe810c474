"""Each published data set is read as it is laid out, with its traps."""

from __future__ import annotations

import unicodedata
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from published_sets import (
    SHAPE,
    WRITERS,
    coverage,
    fantastic_reality,
    grey,
    imd2020,
    nc16,
    picture,
    save,
    three_sources,
    truth,
)
from typer.testing import CliRunner

from napari_safire.cli import app
from napari_safire.datasets.catalogue import entries_of, find_set, pair_set
from napari_safire.datasets.published import SETS
from napari_safire.errors import DatasetError, ImageReadError
from napari_safire.images.archives import read_archive
from napari_safire.images.lists import ListEntry, read_list
from napari_safire.images.masks import MaskRule, resize_nearest
from napari_safire.images.truth import read_labels, read_mask

MULTI_SOURCE = ("SafireMS-Expert", "sources")


def found(set_name: str, root: Path) -> dict[str, str | None]:
    return {
        entry.image.relative_to(root).as_posix(): (
            None if entry.mask is None else entry.mask.relative_to(root).as_posix()
        )
        for entry in pair_set(set_name, root).entries
    }


def write_lines(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_every_set_has_a_miniature() -> None:
    assert set(SETS) == set(WRITERS)


def test_the_guide_knows_every_set_its_rule_and_its_parts() -> None:
    guide = Path(__file__).parents[2] / "docs/datasets.md"
    rows = [row.split("|") for row in guide.read_text(encoding="utf-8").splitlines()]
    told = {
        cells[1].strip(" *"): (cells[3].strip(), cells[5].strip())
        for cells in rows
        if len(cells) == 7 and cells[1].startswith(" **")
    }
    assert told == {
        name: (str(published.rule), ", ".join(published.parts)) for name, published in SETS.items()
    }


@pytest.mark.parametrize("name", WRITERS)
def test_pictures_and_masks_of_the_folder(tmp_path: Path, name: str) -> None:
    pairs = WRITERS[name](tmp_path)
    assert found(name, tmp_path) == pairs


@pytest.mark.parametrize("name", WRITERS)
def test_masks_by_the_rule_of_the_set(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path)
    for entry in pair_set(name, tmp_path).entries:
        forged = read_mask(entry, shape=SHAPE)
        labels = read_mask(entry, "sources", shape=SHAPE)
        assert (forged.dtype, labels.dtype) == (bool, np.uint8)
        assert np.array_equal(read_labels(entry, shape=SHAPE), labels)
        if entry.mask is None:
            assert not labels.any()
        elif name in MULTI_SOURCE:
            assert np.array_equal(labels, three_sources())
            assert np.array_equal(forged, three_sources() > 0)
        elif name == "Columbia":  # the mask is a JPEG: its edges are not sharp
            assert (forged == truth()).mean() > 0.97
        else:
            assert np.array_equal(forged, truth())
            assert np.array_equal(labels, truth())


@pytest.mark.parametrize("name", WRITERS)
def test_published_lists(tmp_path: Path, name: str) -> None:
    pairs = WRITERS[name](tmp_path)
    lines = [f"{image},{mask},further,fields" for image, mask in pairs.items()]
    listed = entries_of(name, tmp_path, write_lines(tmp_path / "list.txt", *lines))
    assert [entry.image for entry in listed] == [tmp_path / image for image in pairs]
    assert all(entry.rule == SETS[name].rule for entry in listed)
    assert listed[0].extra == ("further", "fields")


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("SafireMS-Auto/gn", 2),
        ("safirems-expert/MS3", 1),
        ("CASIAv2/Au", 2),
        ("tampCOCO/bcmc", 2),
        ("NC16/auth", 1),
        ("Columbia/splc", 1),
    ],
)
def test_parts(tmp_path: Path, name: str, count: int) -> None:
    published, _ = find_set(name)
    WRITERS[published.name](tmp_path)
    assert len(entries_of(name, tmp_path)) == count


def test_unknown_sets_and_parts_are_told_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"'CASIA9': use one of SafireMS-Auto, .*RealTamper"):
        entries_of("CASIA9", tmp_path)
    with pytest.raises(DatasetError, match=r"no part 'cm': use CASIAv2/Tp or CASIAv2/Au"):
        entries_of("CASIAv2/cm", tmp_path)
    with pytest.raises(DatasetError, match="does not exist"):
        entries_of("CASIAv2", tmp_path / "lost")
    with pytest.raises(DatasetError, match="no pictures of CASIAv2"):
        entries_of("CASIAv2", tmp_path)
    with pytest.raises(DatasetError, match=r"NC2016-manipulation-ref\.csv cannot be read"):
        entries_of("NC16", tmp_path)


# ------------------------------------------------------------------------------- names


def test_pictures_without_a_mask_are_told_or_left_out(tmp_path: Path) -> None:
    imd2020(tmp_path)
    (tmp_path / "1bza2v/c9bldch_0_mask.png").unlink()
    with pytest.raises(DatasetError, match=r"1 pictures in .* have no mask .*c9bldch_0\.jpg"):
        entries_of("IMD2020", tmp_path)
    assert len(entries_of("IMD2020", tmp_path, missing_ok=True)) == 2


def test_a_number_that_two_masks_share_pairs_nothing(tmp_path: Path) -> None:
    picture(tmp_path / "Tp/Tp_S_NNN_S_N_art1_art1_00001.jpg")
    for name in ("Tp_S_NNN_S_N_art2_art2_00001", "Tp_S_NNN_S_N_art3_art3_00001"):
        save(tmp_path / f"Gt/{name}_gt.png", grey(truth()))
    assert len(pair_set("CASIAv2", tmp_path).without_mask) == 1


def test_a_mask_that_has_its_picture_is_not_given_to_another(tmp_path: Path) -> None:
    for name in ("Tp_S_a_00001", "Tp_S_b_00001"):
        picture(tmp_path / f"Tp/{name}.jpg")
    save(tmp_path / "Gt/Tp_S_a_00001_gt.png", grey(truth()))
    paired = pair_set("CASIAv2", tmp_path)
    assert [entry.image.name for entry in paired.entries] == ["Tp_S_a_00001.jpg"]
    assert [image.name for image in paired.without_mask] == ["Tp_S_b_00001.jpg"]


@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
def test_case_and_unicode_form_of_names(tmp_path: Path, on_disk: str) -> None:
    name, mask = (unicodedata.normalize(on_disk, text) for text in ("é ü", "é ü_MASK.PNG"))
    picture(tmp_path / f"1a/{name}.JPG")
    save(tmp_path / f"1a/{mask}", grey(truth()))
    (entry,) = entries_of("IMD2020", tmp_path)
    assert entry.mask == tmp_path / f"1a/{mask}"
    for form in ("NFC", "NFD"):
        line = unicodedata.normalize(form, "1A/é ü.jpg,1a/é ü_mask.png")
        assert entries_of("IMD2020", tmp_path, write_lines(tmp_path / "l.txt", line)) == [entry]


def test_a_name_that_fits_two_files_is_not_guessed(tmp_path: Path) -> None:
    picture(tmp_path / "1a/A.JPG")
    picture(tmp_path / "1a/a.JPG")
    if len(list((tmp_path / "1a").iterdir())) < 2:
        pytest.skip("This file system does not tell case apart.")
    with pytest.raises(DatasetError, match="1 files that do not exist"):
        entries_of("IMD2020", tmp_path, write_lines(tmp_path / "l.txt", "1a/a.jpg,None"))


def test_names_with_commas_go_through_a_list(tmp_path: Path) -> None:
    picture(tmp_path / 'fake/"a", b.png')
    picture(tmp_path / "real/red, white.png")
    picture(tmp_path / "fake/glide_inpainting_val2017_7_up.png")
    save(tmp_path / "mask/a, b_7_mask.png", grey(truth()))
    run = CliRunner().invoke(
        app, ["data", "list", "--set", "CocoGlide", str(tmp_path), "-o", str(tmp_path / "l.txt")]
    )
    assert run.exit_code == 0, run.output
    assert entries_of("CocoGlide", tmp_path, tmp_path / "l.txt") == entries_of(
        "CocoGlide", tmp_path
    )


def test_lists_that_lead_out_or_name_what_is_not_there(tmp_path: Path) -> None:
    imd2020(tmp_path / "set")
    bad = write_lines(tmp_path / "l.txt", "1bza2v/1bza2v_orig.jpg,None", "../secret.png,None")
    for missing_ok in (False, True):
        with pytest.raises(DatasetError, match=r"line 2: .* leads out of the root"):
            entries_of("IMD2020", tmp_path / "set", bad, missing_ok=missing_ok)
    lost = write_lines(tmp_path / "l.txt", "lost/a.png,None")
    with pytest.raises(DatasetError, match="1 files that do not exist"):
        entries_of("IMD2020", tmp_path / "set", lost)
    assert len(entries_of("IMD2020", tmp_path / "set", lost, missing_ok=True)) == 1


def test_nc16_tells_of_masks_that_are_not_there(tmp_path: Path) -> None:
    nc16(tmp_path)
    paired = pair_set("NC16", tmp_path)
    assert [image.name for image in paired.without_mask] == ["NC2016_0002.jpg"]
    assert paired.entries[0].extra == ("world/NC2016_8410.jpg", "RM")
    table = tmp_path / "reference/manipulation/NC2016-manipulation-ref.csv"
    table.write_text("ProbeFileName|IsTarget\n../../x.jpg|N\n")
    with pytest.raises(DatasetError, match="leads out of the root"):
        pair_set("NC16", tmp_path)
    table.write_text("image,mask\na,b\n")
    with pytest.raises(DatasetError, match="is not NC16's reference table: 'ProbeFileName'"):
        pair_set("NC16", tmp_path)


# ------------------------------------------------------------------------------- masks


def test_resizing_masks_takes_the_nearest_pixel_as_pillow_does() -> None:
    mask = np.random.default_rng(0).integers(0, 255, (37, 53), np.uint8)
    for shape in [(20, 31), (74, 106), (37, 53), (1, 1)]:
        wanted = Image.fromarray(mask).resize(shape[::-1], Image.Resampling.NEAREST)
        assert np.array_equal(resize_nearest(mask, shape), wanted)


def test_only_coverage_resizes(tmp_path: Path) -> None:
    coverage(tmp_path)
    entry = entries_of("COVERAGE/tamp", tmp_path)[0]
    assert np.array_equal(read_mask(entry), truth())  # the picture's size, though not given
    with pytest.raises(DatasetError, match="48 x 64 pixels, its image 24 x 32"):
        read_mask(ListEntry(entry.image, entry.mask, rule=MaskRule(above=120)), shape=SHAPE)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "1", "I;16", "small 16"])
@pytest.mark.parametrize("rule", [MaskRule(), MaskRule(above=120), MaskRule(below=180)])
def test_modes_of_masks(tmp_path: Path, mode: str, rule: MaskRule) -> None:
    mask = grey(truth(), forged=0 if rule.below else 255, other=255 if rule.below else 0)
    path = tmp_path / "mask.png"
    if mode == "I;16":
        Image.fromarray(mask.astype(np.uint16) * 257).save(path)
    elif mode == "small 16":  # 16 bits, but the values of 8
        Image.fromarray(mask.astype(np.uint16)).save(path)
    else:
        image = Image.fromarray(mask)
        if mode in ("RGBA", "LA"):
            image.putalpha(7)  # opacity says nothing of forgery
        image.convert(mode).save(path)
    entry = ListEntry(path, path, rule=rule)
    assert np.array_equal(read_mask(entry), truth())


def test_thresholds_hold_at_their_values() -> None:
    values = np.array([[119, 120, 121]], np.uint8)
    for pixels in (values, values.astype(np.uint16) * 257, (values / 255).astype(np.float32)):
        full = np.concatenate([pixels, np.full_like(pixels, pixels.max() / 121 * 255)])
        assert MaskRule(above=120).forged(full)[0].tolist() == [False, False, True]
    assert MaskRule(below=120).forged(values)[0].tolist() == [True, False, False]
    assert str(MaskRule(below=180)) == "grey < 180"


def test_rules_that_are_none() -> None:
    with pytest.raises(ValueError, match="'both'"):
        MaskRule("both")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'red'"):
        MaskRule(channel="red")  # type: ignore[arg-type]


def test_source_masks_with_other_values_are_an_error(tmp_path: Path) -> None:
    picture(tmp_path / "ms2_images/a.png")
    save(tmp_path / "ms2_masks/a.png", grey(truth(), forged=51))
    (entry,) = entries_of("SafireMS-Expert", tmp_path)
    for kind in ("sources", "binary"):
        with pytest.raises(DatasetError, match=r"a\.png: .* also 51"):
            read_mask(entry, kind)  # type: ignore[arg-type]


def test_archives_that_are_no_masks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.npz"
    with pytest.raises(ImageReadError, match="does not exist"):
        read_archive(path, "arr_0")
    for data in (b"", b"PK\x03\x04 no archive", b"\x89PNG"):
        path.write_bytes(data)
        with pytest.raises(ImageReadError, match="no NumPy archive that can be read"):
            read_archive(path, "arr_0")
    np.savez(path, other=truth())
    with pytest.raises(DatasetError, match=r"no array 'arr_0', only 'other'"):
        read_archive(path, "arr_0")
    np.savez(path, np.array([{"code": 1}], object))
    with pytest.raises(ImageReadError, match="allow_pickle"):
        read_archive(path, "arr_0")
    for array in (np.zeros(5), np.zeros((2, 3, 4)), np.zeros((2, 3), complex), np.zeros((0, 3))):
        np.savez(path, array)
        with pytest.raises(DatasetError, match=r"a mask is \(H, W\) numbers"):
            read_archive(path, "arr_0")
    np.savez(path, truth())
    assert read_archive(path, "arr_0").max() == 255
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ImageReadError):
        read_archive(path, "arr_0")
    np.savez_compressed(path, np.zeros((200, 200)))
    monkeypatch.setattr("napari_safire.images.archives._LARGEST_BYTES", 1000)
    with pytest.raises(ImageReadError, match="unpacks to"):
        read_archive(path, "arr_0")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("arr_0", "no array")
    with pytest.raises((ImageReadError, DatasetError)):
        read_archive(path, "arr_0")


def npy(shape: str, data: bytes, dtype: str = "|u1") -> bytes:
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


@pytest.mark.parametrize(
    ("members", "match"),
    [
        # NumPy's own loader takes the member without suffix, whatever the other one says
        ({"arr_0": npy("(50000, 50000)", b""), "arr_0.npy": npy("(2, 3)", bytes(6))}, ""),
        ({"arr_0.npy": npy("(50000, 50000)", bytes(6))}, "unpacks to an array of 50000 x 50000"),
        ({"arr_0.npy": npy("(2, -3)", bytes(6))}, "unpacks to"),
        ({"arr_0.npy": npy("(20000, 10000)", bytes(6))}, "holds"),
        ({"arr_0.npy": npy("(2, 3)", b"", "<U1000000")}, "no mask"),
        ({"arr_0.npy": npy("(" * 200, b"")}, "no NumPy archive"),
        ({f"{number}.npy": b"" for number in range(30_000)}, "more members"),
    ],
)
def test_archives_are_checked_by_the_header_of_the_array(
    tmp_path: Path, members: dict[str, bytes], match: str
) -> None:
    path = tmp_path / "m.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    if not match:
        assert read_archive(path, "arr_0").shape == (2, 3)
        return
    with pytest.raises(ImageReadError, match=match) as error:
        read_archive(path, "arr_0")
    assert str(path) in str(error.value)


def test_an_archive_of_another_size(tmp_path: Path) -> None:
    fantastic_reality(tmp_path)
    (entry,) = entries_of("FantasticReality/tamp", tmp_path)
    with pytest.raises(DatasetError, match="24 x 32 pixels, its image 24 x 33"):
        read_mask(entry, shape=(24, 33))


# ----------------------------------------------------------------------------- commands


def run(*arguments: object):
    return CliRunner().invoke(app, ["data", *map(str, arguments)])


def test_list_writes_what_read_list_reads(tmp_path: Path) -> None:
    imd2020(tmp_path / "imd")
    picture(tmp_path / "imd/1bza2v/new_0.jpg")
    target = tmp_path / "imd.txt"
    result = run("list", "--set", "IMD2020", tmp_path / "imd", "-o", target)
    assert result.exit_code == 0
    assert result.stdout == f"{target}: 3 entries, 1 of them authentic.\n"
    assert "new_0.jpg has no mask: left out." in result.stderr
    assert len(read_list(target, tmp_path / "imd")) == 3
    assert run("list", "--set", "IMD2021", tmp_path, "-o", target).exit_code == 1


@pytest.mark.parametrize("name", [name for name in WRITERS if name != "NC16"])
def test_check_finds_nothing_wrong_with_a_set(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path)
    result = run("check", "--set", name, tmp_path)
    assert result.stdout.splitlines()[-1].endswith("checked: nothing is wrong."), result.stdout


def test_check_of_a_folder_and_of_its_list_tells_the_same(tmp_path: Path) -> None:
    coverage(tmp_path)
    save(tmp_path / "mask/1forged.tif", grey(np.zeros((48, 64), bool)))
    run("list", "--set", "COVERAGE", tmp_path, "-o", tmp_path / "l.txt")
    for given in (tmp_path, tmp_path / "l.txt"):
        result = run("check", "--set", "coverage", given)
        assert result.exit_code == 1
        assert "one value only" in result.stdout
    nc16(tmp_path / "nc16")
    assert "NC2016_0002.jpg has no mask" in run("check", "--set", "NC16", tmp_path / "nc16").stdout
