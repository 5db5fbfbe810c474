"""Patches without a camera's traces, and what the verdict makes of them."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from synthetic import photograph
from toys import TILED_LITE

from napari_safire import Engine, load_model
from napari_safire.engine.cache import EmbeddingCache
from napari_safire.forgery import Calibration
from napari_safire.geometry import Geometry
from napari_safire.images.pixels import PictureReader
from napari_safire.model import ModelConfig, SafireModel, save_checkpoint
from napari_safire.partitioning.of_prompts import make_forgery_map
from napari_safire.partitioning.prompt_grid import PromptGrid
from napari_safire.partitioning.uninformative import (
    DARK,
    FLAT,
    INFORMATIVE,
    SATURATED,
    Informativeness,
    Uninformative,
    measure_informativeness,
    pool_reasons,
    uninformative_patches,
)
from napari_safire.partitioning.verdict import (
    MOST_UNINFORMATIVE,
    MOST_UNINFORMATIVE_STANDING_OUT,
    SMALLEST_SIDE,
    judge,
)
from napari_safire.types import PointPrompt

FORGED = Calibration(0.0, 9.0, 0.8, 0.2, 0.05, "made up for a test.")


def patches_of_image(image: np.ndarray) -> np.ndarray:
    reader = PictureReader(image)
    return uninformative_patches(reader.crop(slice(None), slice(None)))


def painted(reasons: list[list[int]], patch: int = 16) -> np.ndarray:
    """A photograph of 16 x 16 uninformative patches for these reasons."""
    wanted = np.kron(np.array(reasons), np.ones((patch, patch), int))
    image = photograph(0, wanted.shape)
    for reason, value in ((DARK, 0), (SATURATED, 255), (FLAT, 90)):
        image[wanted == reason] = value
    return image


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    memory = io.BytesIO()
    Image.fromarray(image).save(memory, "JPEG", quality=quality)
    return np.asarray(Image.open(memory))


# -- patches ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (np.zeros((64, 80), np.uint8), DARK),
        (np.full((64, 80, 3), 255, np.uint8), SATURATED),
        (np.full((64, 80, 3), 254, np.uint8), SATURATED),
        (np.full((64, 80, 3), 128, np.uint8), FLAT),
        (np.full((64, 80, 3), [250, 10, 130], np.uint8), FLAT),
        (np.full((64, 80, 3), [255, 255, 40], np.uint8), FLAT),  # clipped in two channels only
        (np.full((64, 80), 30_000, np.uint16), FLAT),
        (np.ones((64, 80), bool), SATURATED),
        (photograph(0, (64, 80)), INFORMATIVE),
        (jpeg(photograph(0, (64, 80)), 75), INFORMATIVE),
        (np.random.default_rng(0).integers(0, 256, (64, 80), dtype=np.uint8), INFORMATIVE),
        (np.tile(np.linspace(20, 230, 80), (64, 1)).astype(np.uint8), INFORMATIVE),  # a gradient
    ],
)
def test_whole_pictures_of_one_kind(image: np.ndarray, reason: int):
    np.testing.assert_array_equal(patches_of_image(image), np.full((4, 5), reason))


def test_noise_of_a_sensor_on_one_grey_is_read():
    rng = np.random.default_rng(1)
    values = np.rint(140 + rng.normal(0, 0.6, (64, 64, 3)))
    assert not patches_of_image(values.astype(np.uint8)).any()


def test_a_night_sky_is_half_of_its_picture():
    image = photograph(2, (64, 64))
    rng = np.random.default_rng(2)
    image[:32] = np.clip(np.rint(rng.normal(3, 1.5, (32, 64, 3))), 0, 255)
    np.testing.assert_array_equal(
        patches_of_image(image), [[DARK] * 4] * 2 + [[INFORMATIVE] * 4] * 2
    )


def test_a_cell_says_what_most_of_its_pixels_are():
    image = photograph(3, (16, 64))
    image[:, :7] = 0  # less than half
    image[:, 16:24] = 0  # half
    image[:, 32:36] = 0  # print on paper: dark and saturated together
    image[:, 36:44] = 255
    assert patches_of_image(image).tolist() == [[INFORMATIVE, DARK, SATURATED, INFORMATIVE]]


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (17, 31), (130, 200)])
def test_cut_patches_rest_on_the_pixels_that_are_there(shape: tuple[int, int]):
    image = np.full((*shape, 3), 99, np.uint8)
    image[:16, :16] = 255
    reasons = patches_of_image(image)
    assert reasons.shape == (-(-shape[0] // 16), -(-shape[1] // 16))
    assert reasons.dtype == np.uint8
    assert reasons[0, 0] == SATURATED
    assert (reasons.ravel()[1:] == FLAT).all()


# -- pools ---------------------------------------------------------------------------------------


def test_a_pooled_cell_says_what_most_of_it_is():
    reasons = np.array([[1, 1, 0, 0, 3], [2, 0, 0, 1, 3]], np.uint8)
    assert pool_reasons(reasons, (32, 80), 1).tolist() == reasons.tolist()
    assert pool_reasons(reasons, (32, 80), 2).tolist() == [[DARK, INFORMATIVE, FLAT]]


def test_pools_count_pixels_not_patches():
    # The last row of patches is one pixel high, the last column two pixels wide.
    reasons = np.array([[0, 2], [2, 2]], np.uint8)
    assert pool_reasons(reasons, (17, 18), 2).tolist() == [[INFORMATIVE]]


@given(st.integers(1, 5), st.integers(1, 90), st.integers(1, 90), st.integers(0, 3))
@settings(max_examples=40)
def test_pools_of_one_reason_have_that_reason(pool: int, height: int, width: int, reason: int):
    reasons = np.full((-(-height // 16), -(-width // 16)), reason, np.uint8)
    pooled = pool_reasons(reasons, (height, width), pool)
    assert pooled.shape == tuple(-(-n // pool) for n in reasons.shape)
    assert (pooled == reason).all()


# -- embeddings ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def toy() -> Engine:
    """A lite model of random weights: tiles above 128 pixels, pools above 192."""
    torch.manual_seed(0)
    return Engine(SafireModel(TILED_LITE))


@pytest.mark.parametrize("shape", [(64, 80), (150, 33), (190, 170)])
def test_tiles_see_what_the_whole_picture_shows(toy: Engine, shape: tuple[int, int]):
    image = photograph(4, shape)
    image[:40, 10:] = 255
    image[60:, :20] = 0
    embedding = toy.embed(image)
    assert embedding.uninformative is not None
    assert embedding.uninformative.shape == embedding.features.shape[1:]
    np.testing.assert_array_equal(embedding.uninformative, patches_of_image(image))


@pytest.mark.parametrize(("shape", "pool"), [((200, 250), 2), ((61, 420), 3)])
def test_large_pictures_are_pooled(toy: Engine, shape: tuple[int, int], pool: int):
    image = photograph(5, shape)
    image[:, : shape[1] // 2] = 255
    embedding = toy.embed(image)
    assert embedding.uninformative is not None
    assert embedding.uninformative.shape == embedding.features.shape[1:]
    np.testing.assert_array_equal(
        embedding.uninformative, pool_reasons(patches_of_image(image), shape, pool)
    )
    found = measure_informativeness(
        embedding.uninformative, embedding.geometry, image[..., 0] / 255
    )
    assert found is not None
    assert found.whole.saturated == pytest.approx(0.5, abs=0.1)


def test_a_squashed_picture_is_read_as_it_is_seen(parity):
    model = load_model(parity.checkpoint, config=ModelConfig.from_json(parity.config))
    image = parity.image.copy()
    image[: len(image) // 2] = 255
    embedding = Engine(model).embed(image)
    side = model.config.image_size // 16
    assert embedding.uninformative is not None
    assert embedding.uninformative.shape == (side, side) == embedding.features.shape[1:]
    assert (embedding.uninformative[: side // 2 - 1] == SATURATED).all()


def test_a_kept_embedding_knows_its_unreadable_patches(toy: Engine, tmp_path: Path):
    cache = EmbeddingCache(tmp_path)
    made = toy.embed(painted([[0, 1, 2], [3, 0, 0]]))
    for uninformative in (made.uninformative, None):
        kept = dataclasses.replace(made, checkpoint_sha256="c" * 64, uninformative=uninformative)
        assert cache.put(kept)
        found = cache.get(made.image_sha256, "c" * 64)
        assert found is not None
        np.testing.assert_array_equal(found.features, made.features)
        if uninformative is None:
            assert found.uninformative is None
        else:
            np.testing.assert_array_equal(found.uninformative, uninformative)
            assert found.uninformative is not None
            assert found.uninformative.dtype == np.uint8


def test_a_changed_reason_damages_the_entry(toy: Engine, tmp_path: Path):
    cache = EmbeddingCache(tmp_path)
    reasons = np.full((3, 7), 3, np.uint8)
    made = dataclasses.replace(
        toy.embed(photograph(6, (48, 112))), checkpoint_sha256="c" * 64, uninformative=reasons
    )
    cache.put(made)
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    assert content.count(reasons.tobytes()) == 1
    path.write_bytes(content.replace(reasons.tobytes(), bytes([0]) + reasons.tobytes()[1:]))
    assert cache.get(made.image_sha256, "c" * 64) is None
    assert not path.exists()


# -- shares --------------------------------------------------------------------------------------


def test_shares_leave_padding_out():
    # 24 x 40 pixels in a frame of 32 x 48: the last row and column are half padding.
    geometry = Geometry((24, 40), (32, 48), (24.0, 40.0))
    reasons = np.array([[0, 0, 2], [1, 1, 1]], np.uint8)
    heatmap = np.zeros((24, 40), np.float32)
    heatmap[:, 32:] = 1
    found = measure_informativeness(reasons, geometry, heatmap)
    assert found is not None
    assert found.whole.saturated == pytest.approx(16 * 8 / 960)
    assert found.whole.dark == pytest.approx(8 * 40 / 960)
    assert found.whole.flat == 0
    assert found.standing_out.saturated == pytest.approx(16 / 24)
    assert found.standing_out.dark == pytest.approx(8 / 24)


def test_where_nothing_stands_out_nothing_of_it_is_unreadable():
    geometry = Geometry((32, 32), (32, 32), (32.0, 32.0))
    found = measure_informativeness(
        np.ones((2, 2), np.uint8), geometry, np.zeros((32, 32), np.float32)
    )
    assert found == Informativeness(Uninformative(dark=1), Uninformative())
    assert measure_informativeness(None, geometry, np.zeros((32, 32), np.float32)) is None


def test_reasons_are_told_the_largest_first():
    assert str(Uninformative(dark=0.07, saturated=0.55, flat=0.004)) == "55% saturated, 7% dark"
    assert str(Uninformative()) == ""


# -- verdict -------------------------------------------------------------------------------------

CLEAN_SLATE = Informativeness(Uninformative(), Uninformative())


@pytest.mark.parametrize("known", [None, CLEAN_SLATE])
@pytest.mark.parametrize(
    ("intercept", "verdict"),
    [(9.0, "forged"), (0.0, "inconclusive"), (-9.0, "no forgery found")],
)
def test_readable_pictures_are_judged_by_their_probability(
    known: Informativeness | None, intercept: float, verdict: str
):
    calibration = dataclasses.replace(FORGED, intercept=intercept)
    score, found, reason, _ = judge(0.0, calibration, (128, 128), known)
    assert found == verdict
    assert score == calibration.probability(0.0)
    shown = {"0.00": "below 0.01", "1.00": "above 0.99"}.get(f"{score:.2f}", f"{score:.2f}")
    assert reason.startswith(f"At even odds, the probability of forgery is {shown}.")


@pytest.mark.parametrize("missed", [0.07, None])
def test_an_all_clear_says_how_often_it_is_wrong(missed: float | None):
    calibration = dataclasses.replace(FORGED, intercept=-9.0, miss_rate=missed)
    reason = judge(0.0, calibration, (128, 128))[2]
    assert reason.endswith("This is no proof that the picture is authentic.")
    assert ("Of the forged pictures it was fitted on, 7%" in reason) == (missed is not None)
    assert "authentic pictures" not in reason


@pytest.mark.parametrize("highest", [0.09, None])
def test_an_accusation_says_how_often_it_is_wrong(highest: float | None):
    calibration = dataclasses.replace(
        FORGED, intercept=9.0, miss_rate=0.07, highest_false_alarm_rate=highest
    )
    reason = judge(0.0, calibration, (128, 128))[2]
    assert f"Of the authentic pictures it was fitted on, {FORGED.false_alarm_rate:.0%}" in reason
    assert ("(of no kind more than 9%) reach" in reason) == (highest is not None)
    assert "forged pictures" not in reason


def test_tiny_pictures_are_not_judged():
    shape = (SMALLEST_SIDE - 1, 900)
    score, verdict, reason, _ = judge(0.0, FORGED, shape, CLEAN_SLATE)
    assert verdict == "inconclusive"
    assert score == FORGED.probability(0.0)
    assert reason == (
        "A picture of 127 x 900 pixels is too small to judge: 128 pixels a side are needed. A "
        "larger original could settle it."
    )


@pytest.mark.parametrize("intercept", [9.0, -9.0])
def test_a_mostly_unreadable_picture_is_not_judged(intercept: float):
    calibration = dataclasses.replace(FORGED, intercept=intercept)
    half = Uninformative(dark=0.07, saturated=MOST_UNINFORMATIVE - 0.07)
    _, verdict, reason, _ = judge(
        0.0, calibration, (200, 200), Informativeness(half, Uninformative())
    )
    assert verdict == "inconclusive"
    assert reason.startswith(
        "50% of the picture carries no traces that could be read (43% saturated, 7% dark). That "
        "leaves too little to judge by."
    )
    less = dataclasses.replace(half, dark=0.06)
    assert judge(0.0, calibration, (200, 200), Informativeness(less, Uninformative()))[1] != verdict


def test_what_stands_out_for_being_unreadable_is_no_forgery():
    most = Uninformative(flat=MOST_UNINFORMATIVE_STANDING_OUT)
    _, verdict, reason, _ = judge(0.0, FORGED, (200, 200), Informativeness(Uninformative(), most))
    assert verdict == "inconclusive"
    assert reason.startswith(
        "At even odds, the probability of forgery is above 0.99. But 60% of what stands out"
    )
    assert "(60% flat)" in reason
    less = dataclasses.replace(most, flat=0.59)
    assert judge(0.0, FORGED, (200, 200), Informativeness(Uninformative(), less))[1] == "forged"
    clean = dataclasses.replace(FORGED, intercept=-9.0)
    found = judge(0.0, clean, (200, 200), Informativeness(Uninformative(), most))
    assert found[1] == "no forgery found"  # nothing is accused that would have to be taken back


def test_without_calibration_that_is_the_reason():
    black = Informativeness(Uninformative(dark=1), Uninformative())
    assert "no calibration" in judge(0.3, None, (5, 5), black)[2]


# -- through the engine --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def accuser(toy: Engine, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """The toy with a calibration by which every picture is forged."""
    path = tmp_path_factory.mktemp("models") / "model.safetensors"
    save_checkpoint(toy.model, path, metadata={"calibration": dataclasses.asdict(FORGED)})
    return Engine(load_model(path))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda image: image[:, 48:].fill(0), "% dark"),
        (lambda image: image[:, 48:].fill(255), "% saturated"),
        (lambda image: image[:, 48:].fill(90), "% flat"),
        (lambda image: image.fill(0), "100% dark"),
    ],
)
def test_the_engine_does_not_accuse_backgrounds(
    accuser: Engine, spoil: Callable[[np.ndarray], None], words: str
):
    image = photograph(7, (144, 160))
    assert accuser.localize(accuser.embed(image), points_per_side=4).verdict == "forged"
    spoil(image)
    forgery = accuser.localize(accuser.embed(image), points_per_side=4)
    assert forgery.verdict == "inconclusive"
    assert "of the picture carries no traces" in forgery.reason
    assert words in forgery.reason
    assert forgery.score == pytest.approx(FORGED.probability(0))


@pytest.mark.parametrize(
    ("columns", "verdict"),
    [((6, 8), "inconclusive"), ((0, 3), "forged"), ((7, 8), "forged")],
)
def test_what_stands_out_is_looked_up_in_the_map(columns: tuple[int, int], verdict: str):
    # Four prompts on 8 x 8 patches: three see six columns on the left, one the two others.
    left = np.where(np.arange(32) < 24, 9.0, -9.0) * np.ones((32, 1))
    grid = PromptGrid(
        tuple(PointPrompt(10, col) for col in (5, 10, 20, 120)),
        np.stack([left, left, left, -left]).astype(np.float32),
        np.full(4, 0.9, np.float32),
        np.array([[1, 0], [1, 0.1], [1, 0], [0, 1]], np.float32),
        Geometry((128, 128), (128, 128), (128.0, 128.0)),
    )
    clusters = np.array([0, 0, 0, 1])
    reasons = np.zeros((8, 8), np.uint8)
    reasons[:, slice(*columns)] = SATURATED
    forgery = make_forgery_map(grid, clusters, FORGED, uninformative=reasons)
    assert forgery.verdict == verdict
    assert ("But 100% of what stands out" in forgery.reason) == (verdict == "inconclusive")
    assert make_forgery_map(grid, clusters, FORGED).verdict == "forged"
