"""Parts of a data set: no donor in two of them, alike in numbers of sources, always the same."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from labelled_pictures import labelled

from napari_safire.datasets.groups import connected
from napari_safire.datasets.near_duplicates import perceptual_hash
from napari_safire.errors import DatasetError
from napari_safire.project.formats.splits import SplitPicture, divide, split_picture
from napari_safire.project.truth import Donor, PictureDescription, SourceDescription

MARKS = st.lists(st.sampled_from([f"file {n}" for n in range(30)]), max_size=2).map(tuple)


@settings(max_examples=40)
@given(
    marks=st.lists(MARKS, min_size=3, max_size=40),
    numbers=st.randoms(use_true_random=False),
    seed=st.integers(0, 3),
)
def test_no_origin_is_in_two_parts_and_the_order_plays_none(
    marks: list[tuple[str, ...]], numbers: object, seed: int
) -> None:
    pictures = [SplitPicture(f"p{n}", 1 + n % 3, own) for n, own in enumerate(marks)]
    assume(len(set(connected([(p.key, *p.marks) for p in pictures]))) >= 3)
    one = divide(pictures, seed=seed)
    assert set(one.splits) == {p.key for p in pictures}
    assert set(one.splits.values()) == {"train", "validation", "test"}
    for attribute in (one.groups, {p.key: m for p in pictures for m in p.marks}):
        parts = defaultdict(set)
        for key, group in attribute.items():
            parts[group].add(one.splits[key])
        assert all(len(found) == 1 for found in parts.values())
    numbers.shuffle(pictures)  # type: ignore[attr-defined]
    assert divide(pictures, seed=seed) == one


def test_each_part_has_its_share_of_each_number_of_sources() -> None:
    pictures = [SplitPicture(f"{n:04d}", 1 + n % 4, (f"file {n // 3}",)) for n in range(1200)]
    found = divide(pictures, {"train": 0.7, "test": 0.3}, seed=5)
    assert list(found.counts) == ["train", "test"]
    for number in (1, 2, 3, 4):
        assert abs(found.counts["train"][number] - 210) <= 2
    assert not found.sentences
    other = divide(pictures, {"train": 0.7, "test": 0.3}, seed=6)
    assert other.splits != found.splits
    assert json.loads(json.dumps(found.as_record()))["seed"] == 5
    assert found.as_record()["n_groups"] == 400


def test_a_group_that_is_too_large_is_told() -> None:
    pictures = [SplitPicture(str(n), 2, ("camera",) if n < 9 else ()) for n in range(12)]
    found = divide(pictures, {"train": 0.5, "test": 0.5})
    assert sorted(found.counts[split].total() for split in found.counts) == [3, 9]
    assert "the largest of 4 groups of a common origin has 9 pictures" in found.sentences[0]


def test_near_duplicates_stay_together() -> None:
    rng = np.random.default_rng(3)
    pixels = [rng.integers(0, 256, (64, 64)).astype(np.uint8) for _ in range(6)]
    brighter = np.clip(pixels[0].astype(int) + 9, 0, 255).astype(np.uint8)
    pictures = [
        SplitPicture(f"p{n}", 2, looks=perceptual_hash(one))
        for n, one in enumerate([*pixels, brighter])
    ]
    found = divide(pictures, {"train": 0.5, "test": 0.5})
    assert (found.groups["p0"], found.near) == (found.groups["p6"], 1)
    assert len(set(found.groups.values())) == 6
    alone = divide(pictures, {"train": 0.5, "test": 0.5}, alike_bits=-1)
    assert (alone.near, len(set(alone.groups.values()))) == (0, 7)


def test_donors_connect_pictures(tmp_path: Path) -> None:
    """Over a file that two took from, over a picture of the project, over the same content."""
    own = Donor("file", "photos\\3.png")
    said = [
        Donor("file", "d.jpg"),
        Donor("file", "d.jpg"),
        Donor("picture", "k4"),
        Donor(),
        Donor(),
        own,
    ]
    pictures = []
    for n, donor in enumerate(said):
        about = PictureDescription((SourceDescription(2, type="splice", donor=donor),))
        pictures.append(
            labelled(tmp_path, f"photos/{n}.png", (1, 2), key=f"k{n}", description=about)
        )
    pictures.append(replace(pictures[3], key="copy"))
    groups = divide([split_picture(p) for p in pictures]).groups
    assert groups["k0"] == groups["k1"]
    assert groups["k2"] == groups["k4"]
    assert groups["k3"] == groups["copy"] == groups["k5"]
    assert len(set(groups.values())) == 3


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        ({"train": 0.5}, "do not sum to 1"),
        ({"train": 1.5, "test": -0.5}, "do not sum to 1"),
        ({}, "of nothing"),
        ({"train": 0.5, "hidden": 0.5}, "no part 'hidden'"),
    ],
)
def test_shares_that_cannot_be(shares: dict, words: str) -> None:
    pictures = [SplitPicture(str(n), 1) for n in range(4)]
    with pytest.raises(DatasetError, match=words):
        divide(pictures, shares)
    with pytest.raises(DatasetError, match="divided twice"):
        divide([*pictures, pictures[0]])
    with pytest.raises(DatasetError, match="of 1 groups without a common origin"):
        divide([replace(one, marks=("camera",)) for one in pictures])
