"""The one form in which annotations are kept: whole ones come back, damaged ones are refused."""

from __future__ import annotations

import base64
import copy
import json
import math
import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_safire.annotation.annotation import Annotation, Preview, SourcePrompt
from napari_safire.annotation.codec import ANNOTATION_FORMAT, decode_annotation, encode_annotation
from napari_safire.annotation.packed_labels import PackedLabels
from napari_safire.annotation.predictions import PartitionPredictions, Predictions
from napari_safire.basis import RunBasis
from napari_safire.errors import DatasetError
from napari_safire.forgery import Calibration, Contribution, ForgeryMap
from napari_safire.types import PointPrompt

SHAPE = (7, 9)
points = st.builds(PointPrompt, st.floats(-0.5, SHAPE[0] - 0.5), st.floats(-0.5, SHAPE[1] - 0.5))
sources = st.integers(1, 255)
shares = st.floats(0, 1)
prompts = st.lists(
    st.builds(SourcePrompt, points, sources, st.booleans(), st.booleans()), max_size=4
).map(tuple)
seeds = st.lists(st.tuples(sources, points), max_size=3).map(tuple)


def images(dtype: type[np.generic], shape: tuple[int, int] = SHAPE) -> st.SearchStrategy[Any]:
    return st.one_of(
        hnp.arrays(dtype, shape),
        hnp.from_dtype(np.dtype(dtype)).map(lambda value: np.full(shape, value, dtype)),
    ).map(PackedLabels.pack)


previews = st.builds(
    Preview,
    images(np.uint8),
    st.sampled_from(["prompts", "partition"]),
    prompts,
    st.booleans(),
    seeds,
)
annotations = st.builds(
    Annotation, images(np.uint8), images(np.bool_), prompts, st.none() | previews, seeds
)
bases = st.builds(
    RunBasis,
    st.text(max_size=8),
    st.dictionaries(st.text(max_size=4), st.none() | st.integers() | st.text(max_size=4)),
    algorithm=st.integers(1, 9),
)


@st.composite
def partitions(draw: st.DrawFn) -> PartitionPredictions:
    numbers = tuple(draw(st.lists(sources, max_size=4, unique=True)))
    probable = draw(st.dictionaries(st.integers(1, 6), shares, max_size=3))
    return PartitionPredictions(draw(st.text(max_size=6)), numbers, probable, len(numbers))


@st.composite
def calibrations(draw: st.DrawFn) -> Calibration:
    low, high = sorted((draw(shares), draw(shares)))
    number = st.floats(-1e6, 1e6)
    return Calibration(
        draw(number), draw(number), high, low, draw(shares), draw(st.text(max_size=9)),
        draw(st.none() | shares), draw(st.none() | shares),
        draw(st.none() | st.integers(1, 9)), draw(st.none() | st.integers(1, 9)),
    )  # fmt: skip


forgeries = st.builds(
    ForgeryMap,
    hnp.arrays(np.float32, SHAPE, elements=st.floats(0, 1, width=32)),
    shares,
    st.sampled_from(["forged", "no forgery found", "inconclusive"]),
    st.text(max_size=20),
    st.none() | calibrations(),
    st.text(max_size=9),
    st.dictionaries(
        st.text(max_size=9),
        st.builds(Contribution, st.floats(-9, 9), st.text(max_size=9)),
        max_size=3,
    ),
    st.dictionaries(st.text(max_size=9), hnp.arrays(np.bool_, SHAPE), max_size=2),
)
all_findings = st.builds(
    Predictions,
    st.none() | bases,
    st.dictionaries(points, st.floats(-1, 2), max_size=3),
    st.none() | partitions(),
    st.none() | forgeries,
)


def through_json(annotation: Annotation, predictions: Predictions | None = None) -> Any:
    return json.loads(json.dumps(encode_annotation(annotation, predictions), allow_nan=False))


@settings(max_examples=100)
@given(annotations, all_findings)
def test_all_that_was_made_and_said_comes_back(
    annotation: Annotation, predictions: Predictions
) -> None:
    back = decode_annotation(through_json(annotation, predictions), SHAPE)
    assert back.annotation == annotation
    assert replace(back.predictions, forgery=None) == replace(predictions, forgery=None)
    was, now = predictions.forgery, back.predictions.forgery
    assert (was is None) == (now is None)
    if was is not None and now is not None:
        np.testing.assert_allclose(now.heatmap, was.heatmap, rtol=0, atol=0.501 / 255)
        assert now.heatmap.dtype == np.float32
        assert (now.score, now.verdict, now.reason) == (was.score, was.verdict, was.reason)
        assert now.calibration == was.calibration
        assert (now.obstacle, now.contributions) == (was.obstacle, was.contributions)
        assert now.regions.keys() == was.regions.keys()
        assert all(np.array_equal(now.regions[name], was.regions[name]) for name in was.regions)
    # What comes back is kept again without any further change.
    assert encode_annotation(back.annotation, back.predictions) == through_json(
        annotation, predictions
    )


@given(st.integers(1, 9), st.integers(1, 9), st.data())
def test_pictures_of_every_size_come_back(height: int, width: int, data: st.DataObject) -> None:
    shape = (height, width)
    annotation = Annotation(data.draw(images(np.uint8, shape)), data.draw(images(np.bool_, shape)))
    back = decode_annotation(through_json(annotation), shape).annotation
    np.testing.assert_array_equal(back.settled.unpack(), annotation.settled.unpack())
    np.testing.assert_array_equal(back.protected.unpack(), annotation.protected.unpack())
    assert back == annotation


def test_an_erased_pixel_is_explicitly_unassigned_afterwards() -> None:
    protected = np.zeros(SHAPE, bool)
    protected[2, 3] = True
    erased = replace(Annotation.empty(SHAPE), protected=PackedLabels.pack(protected))
    claimed = Preview(PackedLabels.uniform(SHAPE, np.uint8(4)), "partition")
    back = decode_annotation(through_json(erased), SHAPE).annotation.with_preview(claimed)
    assert back.shown()[2, 3] == 0
    assert (back.shown() == 4).sum() == SHAPE[0] * SHAPE[1] - 1


def test_a_forgery_map_that_is_not_a_number_is_not_kept() -> None:
    heatmap = np.full(SHAPE, math.nan, np.float32)
    for forgery in (
        ForgeryMap(heatmap, 0.5, "forged", "Because."),
        ForgeryMap(np.zeros(SHAPE, np.float32), math.nan, "forged", "Because."),
    ):
        record = through_json(Annotation.empty(SHAPE), Predictions(forgery=forgery))
        assert record["forgery"] is None


def full_record() -> dict[str, Any]:
    settled = np.arange(SHAPE[0] * SHAPE[1], dtype=np.uint8).reshape(SHAPE)
    prompt = SourcePrompt(PointPrompt(1.25, 2.5), 3)
    preview = Preview(
        PackedLabels.pack(settled), "prompts", (prompt,), False, ((4, PointPrompt(0, 0)),)
    )
    annotation = Annotation(
        PackedLabels.pack(settled),
        PackedLabels.pack(settled > 9),
        (prompt,),
        preview,
        ((2, PointPrompt(3, 3)),),
    )
    calibration = Calibration(1, 0, 0.8, 0.2, 0.05, "On pictures.", 0.1, 0.2)
    predictions = Predictions(
        RunBasis("ab", {"method": "auto"}),
        {PointPrompt(1.25, 2.5): 0.9},
        PartitionPredictions("auto", (1, 2), {2: 0.7, 3: 0.3}),
        ForgeryMap(np.full(SHAPE, 0.5, np.float32), 0.9, "forged", "Because.", calibration),
    )
    return through_json(annotation, predictions)  # type: ignore[no-any-return]


def parts(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value in a record."""
    if not isinstance(value, (dict, list)):
        return [path]
    children = value.items() if isinstance(value, dict) else enumerate(value)
    return [path, *(found for key, child in children for found in parts(child, (*path, key)))]


_ODD: tuple[Any, ...] = (
    None, True, -1, 0, 256, 2**70, 1e308, math.inf, math.nan, "", "x", "é", [], [[]], {}, {"a": 1},
    [None], [1, 2], "eJw=", base64.b64encode(zlib.compress(b"")).decode(),
)  # fmt: skip


@pytest.mark.parametrize("odd", _ODD, ids=repr)
def test_odd_values_anywhere_are_refused_in_a_sentence_or_make_sense(odd: Any) -> None:
    whole = full_record()
    for path in parts(whole):
        record = copy.deepcopy(whole)
        if not path:
            record = odd
        else:
            holder = record
            for key in path[:-1]:
                holder = holder[key]
            holder[path[-1]] = odd
        try:
            back = decode_annotation(record, SHAPE)
        except DatasetError:
            continue
        # Whatever is let by is whole: it can be shown and kept.
        assert back.annotation.shown().shape == SHAPE
        json.dumps(encode_annotation(back.annotation, back.predictions), allow_nan=False)


def test_missing_values_are_refused() -> None:
    whole = full_record()
    may_be_missing = {"preview", "basis", "partition", "forgery"}
    for name in whole.keys() - may_be_missing:
        record = {key: value for key, value in whole.items() if key != name}
        with pytest.raises(DatasetError):
            decode_annotation(record, SHAPE)


@pytest.mark.parametrize("name", ["settled", "protected"])
def test_a_small_text_does_not_unpack_to_gigabytes(name: str) -> None:
    packer = zlib.compressobj(9)
    bomb = b"".join(packer.compress(bytes(2**20)) for _ in range(256)) + packer.flush()
    record = full_record() | {name: base64.b64encode(bomb).decode()}
    with pytest.raises(DatasetError, match=f"{name} holds more than the picture's pixels"):
        decode_annotation(record, SHAPE)


def test_a_text_that_was_cut_off_is_refused() -> None:
    record = full_record()
    raw = base64.b64decode(record["settled"])
    record["settled"] = base64.b64encode(raw[:-6]).decode()
    with pytest.raises(DatasetError, match="settled is cut off"):
        decode_annotation(record, SHAPE)


def test_another_shape_and_another_version_are_told() -> None:
    record = full_record()
    with pytest.raises(DatasetError, match="7 x 9 pixels, the picture has 9 x 7"):
        decode_annotation(record, (9, 7))
    record["format"] = "napari-safire annotation 2\x1b[2J"
    with pytest.raises(DatasetError, match="another version") as caught:
        decode_annotation(record, SHAPE)
    assert "\x1b" not in str(caught.value)
    assert full_record()["format"] == ANNOTATION_FORMAT


@pytest.mark.parametrize("place", ["prompts", "seeds", "confidences"])
def test_places_outside_the_picture_are_refused(place: str) -> None:
    record = full_record()
    column = {"prompts": "row", "seeds": 1, "confidences": 0}[place]
    record[place][0][column] = 100
    with pytest.raises(DatasetError, match=f"{place} lies outside"):
        decode_annotation(record, SHAPE)


def test_prompts_of_files_from_before_are_read() -> None:
    """Autosaves and records held a prompt as a list of its five values."""
    record = full_record()
    before = copy.deepcopy(record)
    for prompts in (before["prompts"], before["preview"]["answers"]):
        prompts[:] = [list(prompt.values()) for prompt in prompts]
    assert before["prompts"] == [[1.25, 2.5, 3, False, True]]
    assert (
        decode_annotation(before, SHAPE).annotation == decode_annotation(record, SHAPE).annotation
    )
