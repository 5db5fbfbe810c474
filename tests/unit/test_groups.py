"""Divisions that never put an origin on both sides."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_safire.datasets.groups import (
    GroupedEntries,
    divide_entries,
    group_entries,
    separate_entries,
)
from napari_safire.errors import DatasetError
from napari_safire.images.lists import ListEntry

ROOT = Path("/data")


def entry(name: str, *extra: str, mask: str | None = None) -> ListEntry:
    return ListEntry(ROOT / name, None if mask is None else ROOT / mask, extra)


def groups(*entries: ListEntry) -> list[int]:
    """Number of each entry's group, in the order in which groups come."""
    names = group_entries(entries).groups
    order = list(dict.fromkeys(names))
    return [order.index(name) for name in names]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["IMG_12.png", "forged/IMG_12_b.png", "IMG_13.png"], [0, 0, 1]),
        (["au/0001.jpg", "tp/0001.jpg", "tp/00010.jpg"], [0, 0, 1]),
        (["Tp_cha10122_nat3.jpg", "Tp_cha10122_ani7.jpg", "Tp_cha1.jpg"], [0, 0, 1]),
        (["house.png", "house copy.png", "hut.png"], [0, 1, 2]),
        (["straße-7.png", "straße-7-x.png"], [0, 0]),
    ],
)
def test_names_that_begin_alike_up_to_a_number_are_one_group(
    names: list[str], expected: list[int]
) -> None:
    assert groups(*map(entry, names)) == expected


def test_the_lists_group_is_believed_and_shared_files_connect() -> None:
    assert groups(entry("1.png", "nikon"), entry("2.png", "nikon"), entry("1.jpg", "leica")) == [
        0, 0, 1,
    ]  # fmt: skip
    assert groups(entry("a1.png", ""), entry("a1_b.png")) == [0, 0]
    assert groups(
        entry("1.png", "x", mask="m.png"), entry("2.png", "y", mask="m.png"), entry("3.png")
    ) == [0, 0, 1]


def manifest(folder: Path, *photos: tuple[str, ...]) -> list[ListEntry]:
    """A data set's manifest, and the entries of its list."""
    folder.mkdir()
    records = [
        {"image": f"images/{i:05d}.png", "sources": [{"photo": name} for name in names]}
        for i, names in enumerate(photos)
    ]
    (folder / "manifest.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    return [ListEntry(folder / record["image"], folder / "mask.png") for record in records]


def test_composites_are_connected_over_their_photographs(tmp_path: Path) -> None:
    one = manifest(tmp_path / "one", ("a", "b"), ("c", "d"), ("b", "e"), ("f",))
    two = manifest(tmp_path / "two", ("e", "g"), ("h", "h"))
    entries = [ListEntry(e.image, e.image.with_suffix(".mask")) for e in [*one, *two]]
    assert groups(*entries) == [0, 1, 0, 2, 0, 3]
    assert set(group_entries(entries).groups) == {"photo a", "photo c", "photo f", "photo h"}


@pytest.mark.parametrize("text", ["no json", '{"image": "x"}', '{"image": 3, "sources": 4}', "[]"])
def test_a_damaged_manifest_is_refused(text: str, tmp_path: Path) -> None:
    entries = manifest(tmp_path / "set", ("a",))
    (tmp_path / "set" / "manifest.jsonl").write_text(text)
    with pytest.raises(DatasetError, match=r"manifest\.jsonl is damaged.*third field `group`"):
        group_entries(entries)


@st.composite
def lists(draw: st.DrawFn) -> list[ListEntry]:
    marks = draw(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=40))
    return [
        entry(f"{i}.png", f"g{group}", mask=f"m{mask}.png") for i, (group, mask) in enumerate(marks)
    ]


@given(lists(), st.floats(0.01, 0.99), st.integers(0, 5), st.randoms())
def test_no_donor_stands_on_both_sides(entries, share, seed, random) -> None:
    grouped = group_entries(entries)
    for attribute in ("extra", "mask"):
        of = {}
        for one, group in zip(grouped.entries, grouped.groups, strict=True):
            assert of.setdefault(getattr(one, attribute), group) == group
    kept, held_out = divide_entries(grouped, share, fewest=0, seed=seed)
    assert not set(kept.groups) & set(held_out.groups)
    assert sorted(kept.entries + held_out.entries, key=str) == sorted(entries, key=str)
    assert 2 * len(held_out) <= len(entries)
    shuffled = [*entries]
    random.shuffle(shuffled)
    again = divide_entries(group_entries(shuffled), share, fewest=0, seed=seed)[1]
    assert set(again.entries) == set(held_out.entries)
    if held_out.entries:  # a division by hand is judged by the same rule
        assert separate_entries(kept.entries, held_out.entries)[1].entries == held_out.entries


def test_too_few_groups_are_a_sentence() -> None:
    entries = [entry(f"{i}.png", f"g{i % 3}", mask=f"m{i}.png") for i in range(30)]
    with pytest.raises(DatasetError, match=r"30 pictures are of 3 groups .* 5 groups with"):
        divide_entries(group_entries(entries), 0.25, fewest=5)
    giant = [entry(f"{i}.png", "giant" if i < 30 else f"g{i}", mask=f"m{i}.png") for i in range(40)]
    kept, held_out = divide_entries(group_entries(giant), 0.9, fewest=5)
    assert "group giant" in kept.groups
    assert len(held_out) == 10
    authentic = [*giant, *(entry(f"{i}.png", f"g{i}") for i in range(40, 60))]
    _, held_out = divide_entries(group_entries(authentic), 0.2, fewest=5)
    assert sum(one.mask is None for one in held_out.entries) == 4
    assert sum(one.mask is not None for one in held_out.entries) == 5
    with pytest.raises(ValueError, match="a share between 0 and 1, not 1"):
        divide_entries(group_entries(giant), 1.0)
    with pytest.raises(ValueError, match="1 groups for 0 entries"):
        GroupedEntries((), ("a",))


def test_a_list_that_judges_must_share_no_donor() -> None:
    learned = [entry("1.png", "nikon"), entry("2.png", "leica")]
    with pytest.raises(DatasetError, match=r"shares 1 origins .*group leica, of /data/3\.png"):
        separate_entries(learned, [entry("3.png", "leica"), entry("4.png", "canon")])
