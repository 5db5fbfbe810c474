"""Copy-move, removal and reconstruction; inpainters, harmonic fill, plug-ins; odd pictures."""

from __future__ import annotations

import dataclasses
import hashlib
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from synthetic import photo_bank, photo_files, photograph

from napari_safire.errors import DatasetError, ImageReadError
from napari_safire.synthesis import plugins
from napari_safire.synthesis.composite_settings import OPERATIONS, CompositeSettings
from napari_safire.synthesis.composites import Composite, compose
from napari_safire.synthesis.harmonic import harmonic_fill
from napari_safire.synthesis.photo_bank import PhotoBank, PhotoError
from napari_safire.synthesis.photos import read_photo_folder
from napari_safire.synthesis.retries import NoRoom, draw_until_made
from napari_safire.synthesis.shapes import sample_shape

SHAPE = (96, 112)
CENTRE = np.zeros(SHAPE, bool)
CENTRE[30:66, 40:80] = True


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def only(operation: str, **further: object) -> CompositeSettings:
    return CompositeSettings(operations={operation: 1.0}, final_jpeg=0.0, **further)


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> PhotoBank:
    return photo_bank(tmp_path_factory.mktemp("photos"))


# --- what must not change -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "shape", "n_sources", "seed", "pixels", "labels", "next_draw"),
    [  # computed before there was anything but splicing
        ({}, (96, 80), None, 7, "885df298c22e6bf8", "23930f79bed6d132", 1522827310197083811),
        ({}, (96, 128), 4, 1, "f3ad5519abc33c8f", "2f2202ec8f5ed60a", 2269651074600616499),
        (
            {"same_photo": 1.0},
            (96, 128),
            3,
            2,
            "0722f3138415c565",
            "268aed9d4fb44034",
            2769542149670797538,
        ),
        (
            {"same_photo": 0.0, "final_jpeg": 0.0},
            (64, 64),
            2,
            3,
            "0ed54748ebb4ee5e",
            "82109b6b74c86fac",
            1822108446247074303,
        ),
        ({}, (96, 80), None, 8, "896a202fd34c4452", "6cfb9860d71e440a", 4346245332932122650),
    ],
)
def test_splicings_are_what_they_were(
    bank: PhotoBank,
    settings: dict,
    shape: tuple[int, int],
    n_sources: int | None,
    seed: int,
    pixels: str,
    labels: str,
    next_draw: int,
) -> None:
    generator = rng(seed)
    composite = compose(bank, shape, CompositeSettings(**settings), generator, n_sources)
    assert hashlib.sha256(composite.labels.tobytes()).hexdigest()[:16] == labels
    assert int(generator.integers(2**62)) == next_draw
    assert hashlib.sha256(composite.pixels.tobytes()).hexdigest()[:16] == pixels


# --- operations -----------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", OPERATIONS)
def test_operations_make_sources_and_say_how(bank: PhotoBank, operation: str) -> None:
    first, again = (compose(bank, SHAPE, only(operation), rng(3), 3) for _ in range(2))
    np.testing.assert_array_equal(first.pixels, again.pixels)
    assert first.record == again.record
    assert np.unique(first.labels).tolist() == [0, 1, 2]
    background, *regions = first.record["sources"]
    by_name = {path.name: path for path in bank.paths}
    for region in regions:
        assert region["operation"] == operation
        file = by_name[region["photo"]].read_bytes()
        assert region["sha256"] == hashlib.sha256(file).hexdigest()
        if operation != "splicing":
            assert region["photo"] == background["photo"]
    top, left, rows, cols = regions[-1]["place"]
    inside = first.labels[top : top + rows, left : left + cols] == 2
    assert inside.sum() == (first.labels == 2).sum()
    if operation != "copy-move":  # where it is the box of the turned box
        assert inside.any(0).all()
        assert inside.any(1).all()


def test_mixed_stacks_draw_every_operation(bank: PhotoBank) -> None:
    settings = CompositeSettings(operations=dict.fromkeys(OPERATIONS, 0.25))
    composites = [compose(bank, SHAPE, settings, rng(seed), 4) for seed in range(6)]
    drawn = {s["operation"] for c in composites for s in c.record["sources"][1:]}
    assert drawn == set(OPERATIONS)


def background_of(bank: PhotoBank, settings: CompositeSettings, seed: int) -> Composite:
    """The same picture before its manipulation (the first draws do not depend on the number)."""
    alone = dataclasses.replace(settings, same_photo=1.0)
    return compose(bank, SHAPE, alone, rng(seed), 1)


def test_a_plain_copy_is_the_original_to_the_bit(bank: PhotoBank) -> None:
    checked = 0
    for seed in range(60):
        settings = only("copy-move", same_photo=1.0)
        composite = compose(bank, SHAPE, settings, rng(seed), 2)
        copy = composite.record["sources"][1]
        top, left, rows, cols = copy["place"]
        original_top, original_left, *shape = copy["from"]
        assert (top, left) != (original_top, original_left) or copy["transform"]["flip"]
        plain = copy["transform"] == {"flip": copy["transform"]["flip"], "rotation": 0, "scale": 1}
        toned = copy["pipeline"]["gamma"] != 1 or copy["pipeline"]["gains"] != (1.0, 1.0, 1.0)
        if not plain or toned or copy["edge"] is not None:
            continue
        assert shape == [rows, cols]
        before = background_of(bank, settings, seed).pixels
        original = before[original_top : original_top + rows, original_left : original_left + cols]
        if copy["transform"]["flip"]:
            original = original[:, ::-1]
        here = composite.labels[top : top + rows, left : left + cols] == 1
        pasted = composite.pixels[top : top + rows, left : left + cols]
        np.testing.assert_array_equal(pasted[here], original[here])
        np.testing.assert_array_equal(
            composite.pixels[composite.labels == 0], before[composite.labels == 0]
        )
        checked += 1
    assert checked >= 3


@pytest.mark.parametrize("operation", ["removal", "reconstruction"])
def test_only_the_region_changes(bank: PhotoBank, operation: str) -> None:
    settings = only(operation, same_photo=1.0)
    for seed in range(5):
        composite = compose(bank, SHAPE, settings, rng(seed), 2)
        before = background_of(bank, settings, seed).pixels
        outside = composite.labels == 0
        np.testing.assert_array_equal(composite.pixels[outside], before[outside])
        assert (composite.pixels != before)[~outside].mean() > 0.2


def test_settings_come_from_toml(bank: PhotoBank) -> None:
    table = tomllib.loads(
        'operations = {splicing = 0.25, "copy-move" = 0.25, removal = 0.5}\n'
        'inpainters = ["clone"]\nstrengths = [0.5]\n'
    )
    settings = CompositeSettings(**table)
    sources = [
        source
        for seed in range(4)
        for source in compose(bank, SHAPE, settings, rng(seed), 4).record["sources"]
    ]
    assert {s["inpainter"] for s in sources if s["operation"] == "removal"} == {"clone"}


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("operations", {"resampling": 1.0}, "of splicing, copy-move, .*, not resampling"),
        ("operations", {"splicing": 0.5}, "sum to one"),
        ("operations", {"splicing": 1.5, "removal": -0.5}, "sum to one"),
        ("operations", {}, "sum to one"),
        ("inpainters", (), "inpainters must list one or more"),
        ("inpainters", "clone", "inpainters must list one or more, not 'clone'"),
        ("strengths", (0.2, 1.5), "strengths must lie in 0 to 1"),
    ],
)
def test_settings_are_checked(field: str, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CompositeSettings(**{field: value})


# --- inpainting -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["biharmonic", "clone"])
@pytest.mark.parametrize("hole", ["centre", "corner", "pixel", "almost all", "two"])
def test_inpainters_fill_any_hole(name: str, hole: str) -> None:
    mask = np.zeros(SHAPE, bool)
    places = {
        "centre": [np.s_[30:66, 40:80]],
        "corner": [np.s_[:50, :60]],
        "pixel": [np.s_[5:6, 7:8]],
        "almost all": [np.s_[2:, 3:]],
        "two": [np.s_[:20, :20], np.s_[70:, 90:]],
    }
    for place in places[hole]:
        mask[place] = True
    photo = photograph(1, SHAPE)
    given = np.where(mask[..., None], np.uint8(255), photo)  # a trace of it would be seen
    filled = plugins.inpaint(name, given, mask, rng())
    np.testing.assert_array_equal(filled, plugins.inpaint(name, given, mask, rng()))
    error = np.abs(filled[mask].astype(float).mean(0) - photo[mask].mean(0))
    assert error.max() < 30
    grain = ndimage.gaussian_filter
    if hole == "centre":
        noise = filled - grain(filled.astype(float), (2, 2, 0))
        original = photo - grain(photo.astype(float), (2, 2, 0))
        inner = ndimage.binary_erosion(mask, iterations=4)
        assert noise[inner].std() == pytest.approx(original[inner].std(), rel=0.3)


def test_clone_continues_what_repeats() -> None:
    rows, cols = np.mgrid[: SHAPE[0], : SHAPE[1]]
    stripes = (128 + 90 * np.sin(2 * np.pi * (rows + 2 * cols) / 24))[..., None].repeat(3, -1)
    pixels = np.rint(stripes).astype(np.uint8)
    filled = plugins.inpaint("clone", np.where(CENTRE[..., None], 0, pixels), CENTRE, rng())
    assert np.abs(filled[CENTRE].astype(float) - pixels[CENTRE]).mean() < 3


def test_flat_surroundings_give_a_flat_filling() -> None:
    flat = np.full((*SHAPE, 3), (200, 90, 30), np.uint8)
    for name in plugins.INPAINTERS:
        filled = plugins.inpaint(name, np.where(CENTRE[..., None], 0, flat), CENTRE, rng())
        assert np.abs(filled.astype(int) - flat).max() <= 1


def test_a_harmonic_fill_is_harmonic() -> None:
    rows, cols = np.mgrid[:160, :200].astype(np.float32)
    plane = np.stack([rows, cols, 3 * rows - 2 * cols], -1)
    for hole_of in (np.s_[20:40, 30:70], np.s_[10:150, 10:190]):  # solved at once, and by levels
        hole = np.zeros(rows.shape, bool)
        hole[hole_of] = True
        filled = harmonic_fill(np.where(hole[..., None], 999, plane), ~hole, hole)
        span = plane[hole].max(0) - plane[hole].min(0)
        assert (np.abs(filled - plane)[hole] / span).mean() < 0.01
        np.testing.assert_array_equal(filled[~hole], plane[~hole])
    nothing = np.zeros_like(hole)
    assert not harmonic_fill(plane, nothing, hole).any()


# --- reconstruction -------------------------------------------------------------------------------


def test_strength_is_how_far_a_reconstruction_goes() -> None:
    photo = photograph(2, SHAPE)
    errors = []
    for strength in (0.0, 0.4, 0.95):
        drawn = plugins.reconstruct("patch-autoencoder", photo, CENTRE, strength, rng())
        errors.append(np.abs(drawn[CENTRE].astype(float) - photo[CENTRE]).mean())
    assert 0 < errors[0] < errors[1] < errors[2] < 15


def test_reconstructions_carry_the_upsampling_trace() -> None:
    """Mean differences between the four phases of 2 x 2: none in a photograph."""

    def trace(pixels: np.ndarray) -> float:
        grey = pixels[24:88, 24:104].astype(float).mean(-1)
        phases = [grey[r::2, c::2].mean() for r in (0, 1) for c in (0, 1)]
        return float(np.ptp(phases))

    mask = np.zeros(SHAPE, bool)
    mask[20:92, 20:108] = True
    smooth = np.full((*SHAPE, 3), 150, np.uint8)
    drawn = plugins.reconstruct("patch-autoencoder", smooth, mask, 0.8, rng(1))
    assert trace(drawn) > 10 * trace(smooth) + 0.5


# --- plug-ins -------------------------------------------------------------------------------------

PLUGIN = """
import numpy as np
def grey(pixels, mask, rng):
    rng.standard_normal(1000)
    return np.where(mask[..., None], np.uint8(127), pixels)
def fade(pixels, mask, strength, rng):
    return np.where(mask[..., None], (pixels * (1 - strength)).astype(np.uint8), pixels)
def everywhere(pixels, mask, rng): return pixels ^ 1
def in_place(pixels, mask, rng):
    pixels[:] = 0
    return pixels
def small(pixels, mask, rng): return pixels[::2]
def floats(pixels, mask, rng): return pixels / 255
def broken(pixels, mask, rng): return {}["weights"]
number = 3
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"plugin_{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:8]}"
    (tmp_path / f"{name}.py").write_text(PLUGIN)
    (tmp_path / f"{name}_bad.py").write_text("import no_such_module_anywhere")
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def test_plugins_take_part(bank: PhotoBank, module: str) -> None:
    settings = only("removal", inpainters=(f"{module}:grey",))
    composite = compose(bank, SHAPE, settings, rng(2), 2)
    assert (composite.pixels[composite.labels == 1] == 127).all()
    assert composite.record["sources"][1]["inpainter"] == f"{module}:grey"
    drawn = only("reconstruction", reconstructors=(f"{module}:fade",), strengths=(1.0,))
    composite = compose(bank, SHAPE, drawn, rng(2), 2)
    assert not composite.pixels[composite.labels == 1].any()


def test_what_a_plugin_draws_changes_nothing_else(bank: PhotoBank, module: str) -> None:
    states = []
    for name in ("clone", f"{module}:grey"):
        generator = rng(5)
        compose(bank, SHAPE, only("removal", inpainters=(name,)), generator, 2)
        states.append(generator.integers(2**62))
    assert states[0] == states[1]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("telea", "There is no inpainter 'telea': use biharmonic or clone"),
        ("{module}_bad:x", "cannot be imported .*no_such_module_anywhere"),
        ("{module}:lama", "'lama' in the module .* does not exist"),
        ("{module}:number", "'number' in the module .* is not callable"),
        ("{module}:broken", r"failed: KeyError\('weights'\)"),
        ("{module}:small", r"gave back uint8 of shape \(48, 112, 3\): it must be"),
        ("{module}:floats", "gave back float64"),
        ("{module}:everywhere", "changed 9312 pixels outside the mask"),
        ("{module}:in_place", "changed 9312 pixels outside the mask"),
    ],
)
def test_plugins_are_checked(module: str, name: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        plugins.inpaint(name.format(module=module), photograph(1, SHAPE), CENTRE, rng())


# --- objects --------------------------------------------------------------------------------------


def test_regions_take_the_shape_of_objects(bank: PhotoBank) -> None:
    def squares(pixels: np.ndarray) -> list[np.ndarray]:
        masks = np.zeros((4, *pixels.shape[:2]), bool)
        masks[0, 10:40, 10:40] = masks[1, 50:80, 60:90] = masks[3] = True  # the third is empty
        return list(masks)

    drawn = [
        compose(bank, SHAPE, only("removal"), rng(seed), 2, squares).record["sources"][1]
        for seed in range(16)
    ]
    objects = [region["place"] for region in drawn if region["shape"] == "object"]
    assert objects
    assert {tuple(place) for place in objects} <= {(10, 10, 30, 30), (50, 60, 30, 30)}
    none = sample_shape("object", SHAPE, 0.2, rng(1), photograph(1, SHAPE), lambda pixels: [])
    assert none.any()
    with pytest.raises(ValueError, match=r"object mask is bool of shape \(4, 4\)"):
        sample_shape(
            "object",
            SHAPE,
            0.2,
            rng(),
            photograph(1, SHAPE),
            lambda pixels: [np.ones((4, 4), bool)],
        )


# --- photographs ----------------------------------------------------------------------------------


def test_of_very_large_pictures_a_window_is_kept(tmp_path: Path) -> None:
    wide = np.zeros((1700, 30_000), np.uint8)
    wide[:, ::2] = (np.arange(1700) // 8)[:, None]
    path = tmp_path / "panorama.png"
    Image.fromarray(wide).save(path, compress_level=1)
    bank = PhotoBank([path])
    assert bank[0].shape == (1700, 4096, 3)
    top, left, rows, cols = bank.origin(0)["window"]
    assert left % 8 == 0
    np.testing.assert_array_equal(bank[0][..., 1], wide[top : top + rows, left : left + cols])
    composite = compose(bank, SHAPE, CompositeSettings(), rng(), 2)
    assert composite.record["sources"][0]["window"] == (top, left, rows, cols)


def test_unreadable_photographs_are_left_out_of_the_next_draw(tmp_path: Path) -> None:
    good, empty, cut = tmp_path / "a.png", tmp_path / "b.png", tmp_path / "c.jpg"
    Image.fromarray(photograph(0)).save(good)
    empty.touch()
    Image.fromarray(photograph(1)).save(cut)
    cut.write_bytes(cut.read_bytes()[:2000])
    nothing = tmp_path / "d.png"
    nothing.write_bytes(b"\x89PNG no picture")
    with pytest.raises(PhotoError, match=r"d\.png begins like a PNG file but is damaged"):
        PhotoBank([nothing])[0]
    bank = PhotoBank([empty, cut, good])
    for index, message in ((0, r"b\.png is empty \(0 bytes\)"), (1, r"c\.jpg begins like")):
        with pytest.raises(PhotoError, match=message):
            bank[index]

    def draw(bank: PhotoBank, rng: np.random.Generator) -> tuple[int, ...]:
        return bank[int(rng.integers(len(bank)))].shape

    problems = set()
    for seed in range(8):
        shape, found = draw_until_made(draw, bank, (seed,))
        assert shape == (200, 240, 3)
        problems.update(found)
    assert len(problems) == 2
    with pytest.raises(ImageReadError, match=r"[bc]\.(png|jpg)"):
        draw_until_made(draw, PhotoBank([empty, cut]), (1,))

    def crowded(bank: PhotoBank, rng: np.random.Generator) -> None:
        raise NoRoom("full")

    with pytest.raises(NoRoom, match="full"):
        draw_until_made(crowded, bank, (0,))


def test_photographs_of_a_folder(tmp_path: Path) -> None:
    photo_files(tmp_path / "Ana" / "2019", 2)
    photo_files(tmp_path / "Bü 数据", 1)
    photo_files(tmp_path, 2)
    (tmp_path / ".hidden.png").touch()
    (tmp_path / "notes.txt").touch()
    found = {photo.name: photo.group for photo in read_photo_folder(tmp_path)}
    assert found == {
        "Ana/2019/photo0.png": "Ana",
        "Ana/2019/photo1.png": "Ana",
        "Bü 数据/photo0.png": "Bü 数据",
        "photo0.png": "photo0.png",
        "photo1.png": "photo1.png",
    }
    (tmp_path / "none").mkdir()
    with pytest.raises(DatasetError, match="holds no photographs"):
        read_photo_folder(tmp_path / "none")
    with pytest.raises(DatasetError, match="There is no folder"):
        read_photo_folder(tmp_path / "nowhere")
