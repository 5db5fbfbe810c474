"""What a data set says of itself, to people and to machines."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from labelled_pictures import labelled

from napari_safire.corpus.naming import folded
from napari_safire.project.formats.card import Agreement, CardValues, summarise
from napari_safire.project.formats.export import export
from napari_safire.project.formats.labelled import (
    ExportSettings,
    LabelledPicture,
    PictureFacts,
    decode_facts,
)
from napari_safire.project.formats.names import Wanted, export_names, published_names
from napari_safire.project.formats.splits import divide, split_picture
from napari_safire.text import printable

VALUES = CardValues(
    "Ground | truth <b>of</b> *x*",
    "Of one\nday",
    "CC-BY-4.0",
    ("A. Maker",),
    "https://example.org/set",
    agreement=(Agreement("p_mIoU", 0.8123, 0.79, 0.83, 12),),
    adjudicated=3,
)


@pytest.fixture
def pictures(tmp_path: Path) -> list[LabelledPicture]:
    facts = PictureFacts("", ("Ada Lovelace", "Alan Turing"), "CC0", ("safire-lite 1",), 0.25)
    made = [
        labelled(tmp_path / "in", "a.png", (1, 2), shape=(10, 10), facts=facts),
        labelled(
            tmp_path / "in", "b.png", (0, 1), shape=(20, 15), facts=replace(facts, model_share=0.5)
        ),
        labelled(
            tmp_path / "in",
            "c.png",
            (1,),
            shape=(30, 30),
            facts=PictureFacts("", ("Ada Lovelace",)),
        ),
    ]
    division = divide([split_picture(one) for one in made])
    return [replace(one, split=division.splits[one.key]) for one in made]


def test_everything_is_counted(pictures: list[LabelledPicture]) -> None:
    found = summarise(pictures)
    assert (found.pictures, found.assisted, found.pixels) == (3, 2, 1300)
    assert found.model_share == (0.25 * 100 + 0.5 * 300) / 400
    assert found.unassigned == np.count_nonzero(pictures[1].labels == 0)
    assert found.annotators == {"Ada Lovelace": 3, "Alan Turing": 2}
    assert found.licences == {"CC0": 2, "not stated": 1}
    assert found.shapes == ((10, 10), (20, 15), (30, 30))
    assert found.types["authentic background"][:2] == (3, 3)
    assert sum(share for *_, share in found.types.values()) == pytest.approx(
        1 - found.unassigned / 1300
    )
    assert found.donors == {"file": 1}
    assert found.numbers_of_sources == [1, 2]


def test_the_card_says_it_in_plain_words(pictures: list[LabelledPicture], tmp_path: Path) -> None:
    division = divide([split_picture(one) for one in pictures])
    values = replace(VALUES, division=division.as_record())
    export(pictures, tmp_path / "out", "huggingface", card=values)
    text = (tmp_path / "out/README.md").read_text()
    record = json.loads((tmp_path / "out/export.json").read_text())
    assert (record["division"]["seed"], record["division"]["n_groups"]) == (0, 3)
    lines = [json.loads(line) for line in (tmp_path / "out/pictures.jsonl").open()]
    assert {line["key"]: line["group"] for line in lines} == division.groups
    head, page = text.removeprefix("---\n").split("---\n", 1)
    assert 'path: "train/**"' in head
    for words in (
        "# Ground \\| truth \\<b\\>of\\</b\\> \\*x\\*\n",
        "Of one\\\\nday",
        "3 pictures divided by where their pixels came from",
        "| p\\_mIoU | 0.812 | 0.790 to 0.830 | 12 |",
        "3 pictures were adjudicated.",
        "2 of 3 pictures were begun from a model's partition (safire-lite 1: 2)",
        "43.8 % were taken over unchanged",
        "- pictures, CC0: 2",
        "- annotations: CC-BY-4.0",
        "equals the annotation in all 1,300 pixels",
        "drawn with seed 0 from 3 groups",
        "smallest 10 x 10, middle 20 x 15, largest 30 x 30",
    ):
        assert words in page, page
    whole = "".join(path.read_text() for path in (tmp_path / "out").rglob("*.json*"))
    assert "Lovelace" not in text + whole  # people are numbers unless asked otherwise
    export(pictures, tmp_path / "named", "coco", ExportSettings(annotators="initials"))
    named = (tmp_path / "named/README.md").read_text()
    assert "- annotator AL: 3 pictures\n- annotator AT: 2 pictures\n" in named


def test_croissant_is_valid_and_its_records_can_be_read(
    pictures: list[LabelledPicture], tmp_path: Path
) -> None:
    export(pictures, tmp_path / "out", "palette", card=VALUES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlcroissant

        data = mlcroissant.Dataset(jsonld=tmp_path / "out/croissant.json")
        records = list(data.records("pictures"))
    issues = data.metadata.ctx.issues
    assert not issues.errors
    assert not issues.warnings
    assert data.metadata.name == VALUES.title
    lines = [json.loads(line) for line in (tmp_path / "out/pictures.jsonl").open()]
    assert [r["pictures/key"].decode() for r in records] == [line["key"] for line in lines]
    assert [r["pictures/n_sources"] for r in records] == [line["n_sources"] for line in lines]
    for line in lines:
        assert (tmp_path / "out" / line["mask"]).is_file()
        assert decode_facts(line["facts"]).licence in ("CC0", "")


# ------------------------------------------------------------------------------ names

PARTS = st.text(st.characters(codec=None) | st.sampled_from('./\\:,"\n\udce9%~-#= '), max_size=12)


@given(st.lists(PARTS, min_size=1, max_size=6), st.booleans())
@example(["0", "0-"], True)
@example(["0", "0-.png", "0_", "0~.png"], True)
def test_any_names_become_safe_and_stay_apart(names: list[str], flat: bool) -> None:
    wanted = [Wanted(f"key {n}", name) for n, name in enumerate(names)]
    found = export_names(wanted, flat=flat)
    assert found == export_names(wanted, flat=flat)
    stems = [folded(str(one.with_suffix(""))) for one in found]
    assert len(set(stems)) == len(names)
    for one in found:
        assert not one.is_absolute()
        assert ".." not in one.parts
        assert len(one.parts) >= 1
        assert all(printable(part) == part.strip() == part for part in one.parts)
        assert not set('<>:"|?*\\,;') & set(str(one))
        assert all(len(part.encode()) < 250 for part in one.parts)
        if flat:
            assert len(one.parts) == 1
            assert "." not in one.stem
    if flat:
        masks = sorted(f"{one.stem}.png" for one in found)
        pictures = sorted(str(one) for one in found)
        assert [mask[:-4] for mask in masks] == [
            name.rpartition(".")[0] or name for name in pictures
        ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("IMG_1.jpg", "IMG_1.jpg"),
        ("a/b.tar.png", "a/b.tar.png"),
        ("../../etc/passwd.png", "etc/passwd.png"),
        ("C:\\x\\y.png", "C_/x/y.png"),
        ("con.png", "_con.png"),
        ("-rf.png", "_rf.png"),
        ("a\nb,c.png", "a_b_c.png"),
        ("", "picture"),
    ],
)
def test_names(name: str, expected: str) -> None:
    assert str(export_names([Wanted("k", name)])[0]) == expected


def test_two_of_one_name_and_two_of_one_key() -> None:
    first, second = export_names([Wanted("1", "a.jpg"), Wanted("2", "A.png")])
    assert (first.suffix, second.suffix) == (".jpg", ".png")
    assert first.stem.startswith("a-")
    assert second.stem.startswith("A-")
    with pytest.raises(ValueError, match="exported twice"):
        export_names([Wanted("1", "a.jpg"), Wanted("1", "b.png")])


def test_people_get_numbers_that_do_not_follow_the_alphabet() -> None:
    people = [f"{letter}nna" for letter in "ABCDEFGH"]
    numbers = published_names(people, "numbers")
    assert sorted(numbers.values()) == list("12345678")
    assert [numbers[name] for name in people] != list("12345678")
    assert published_names(people, "names") == dict(zip(people, people, strict=True))
