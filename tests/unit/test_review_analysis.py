"""An analysis of one picture for a report: its record, what differs between two, what limits it."""

from __future__ import annotations

import json
import math
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from napari_safire import Engine, load_model
from napari_safire.errors import Cancelled, DatasetError, ImageReadError, SafireError
from napari_safire.images.demo import demo_composite
from napari_safire.review.analysis import analyse
from napari_safire.review.differences import MOST, differences
from napari_safire.review.identity import model_record
from napari_safire.review.settings import AnalysisSettings
from napari_safire.settings import PartitionSettings

SECTIONS = [
    "picture", "model", "settings", "model_verdict", "partition", "regions", "voting", "stability",
    "saved_again", "evidence", "limitations", "versions",
]  # fmt: skip
FEW = AnalysisSettings(stability="none", views=("file", "metadata", "noise level"))


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(load_model("safire-lite", device="cpu"))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory):
    """Three sources, saved as a JPEG."""
    file = tmp_path_factory.mktemp("secret folder") / "street.jpg"
    Image.fromarray(demo_composite()[0][480:736, 128:384]).save(file, quality=92)
    return file


@pytest.fixture(scope="module")
def whole(engine, path):
    return analyse(path, engine, model_name="safire-lite")


def limits_of(analysis) -> list[str]:
    return [one.words for one in analysis.limitations]


def test_a_record_holds_every_section_as_json(whole, path):
    record = whole.as_record()
    assert list(record) == SECTIONS
    text = json.dumps(record, allow_nan=False)
    assert json.loads(text) == record
    assert "secret folder" not in text
    assert path.name not in text
    picture = record["picture"]
    assert (picture["shape"], picture["format"], picture["dtype"]) == ([256, 256], "JPEG", "uint8")
    assert picture["bytes"] == path.stat().st_size
    assert picture["decoding"][0].startswith("JPEG decoded by Pillow")
    assert record["model"]["sha256"] == whole.answer.embedding.checkpoint_sha256
    assert record["model"]["calibration"]["n_authentic"] > 0
    assert [one["name"] for one in record["model"]["card"]] == [
        "What it is", "Licence", "Trained on",
    ]  # fmt: skip
    sources = record["partition"]["sources"]
    assert sum(one["n_pixels"] for one in sources) == 256 * 256
    assert [one["number"] for one in sources] == list(range(1, whole.partition.n_sources + 1))
    assert [one["number"] for one in record["voting"]["sources"]] == [s["number"] for s in sources]
    assert record["regions"]["sources"] == [one["number"] for one in sources]
    assert len(record["stability"]["sources"]) == len(sources)
    assert [one["name"] for one in record["saved_again"]["copies"]] == ["JPEG 95", "PNG"]
    assert record["model_verdict"]["network_alone"]["verdict"] == whole.network.verdict
    assert {one["name"] for one in record["evidence"]} == set(whole.views)
    noise = next(one for one in record["evidence"] if one["name"] == "noise level")
    assert len(noise["arrays"]["map"]) == 64
    assert next(one for one in record["evidence"] if one["name"] == "comparison")["why_not"] == (
        "not applicable: no reference is given"
    )


def test_the_same_question_gives_the_same_record(engine, path):
    asked = AnalysisSettings(PartitionSettings("kmeans", 2, seed=3), stability="none")
    first, second = (analyse(path, engine, asked).as_record() for _ in range(2))
    assert first == second
    assert not differences(first, second)


def test_a_model_is_not_believed_to_be_what_it_is_called(engine, path):
    """Another checkpoint under a registered name has the card of its own file."""
    named = engine.model.checkpoint_sha256
    engine.model.checkpoint_sha256 = "0" * 64
    try:
        card = model_record(engine, "safire-lite", None)["card"]
    finally:
        engine.model.checkpoint_sha256 = named
    assert [one["name"] for one in card] == ["Licence", "Trained on"]


def test_a_second_opinion_on_settings_and_model(engine, path, whole):
    record = whole.as_record()
    other = analyse(path, engine, FEW).as_record()
    told = differences(record, other)
    assert "settings, stability: quick was reported, none is found." in told
    assert "stability: a whole section was reported, nothing is found." in told
    assert not any(one.startswith("versions") for one in told)


def test_a_picture_that_changes_meanwhile_is_refused(engine, path, tmp_path):
    copy = tmp_path / "copy.jpg"
    copy.write_bytes(path.read_bytes())

    def touch(done: int, total: int, stage: str) -> None:
        if "noise level" in stage:
            copy.write_bytes(path.read_bytes() + b"x")

    with pytest.raises(SafireError, match=r"copy\.jpg changed while it was analysed"):
        analyse(copy, engine, FEW, progress=touch)

    def take_away(done: int, total: int, stage: str) -> None:
        if "noise level" in stage:
            copy.unlink(missing_ok=True)

    with pytest.raises(SafireError, match="went away while it was analysed"):
        analyse(copy, engine, FEW, progress=take_away)


def test_a_picture_that_cannot_be_decoded_is_analysed_as_far_as_it_goes(engine, path, tmp_path):
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(path.read_bytes()[:3000])
    found = analyse(cut, engine)
    record = found.as_record()
    assert record["picture"]["why_no_pixels"].startswith("its pixels cannot be read: cut.jpg")
    assert str(tmp_path) not in json.dumps(record)
    nothing = ("model_verdict", "partition", "regions", "voting", "stability", "saved_again")
    assert all(record[name] is None for name in nothing)
    assert record["picture"]["shape"] is None
    assert [one["name"] for one in record["evidence"] if one["applicable"]][:2] == [
        "file", "metadata",
    ]  # fmt: skip
    assert limits_of(found) == [
        "The pixels of this file cannot be read: only its bytes were examined."
    ]


def test_what_is_no_picture_is_refused(engine, tmp_path):
    (tmp_path / "a.txt").write_text("no picture")
    for name in ("a.txt", "gone.png", "."):
        with pytest.raises(ImageReadError):
            analyse(tmp_path / name, engine)


def test_progress_rises_and_an_analysis_can_be_stopped(engine, path):
    told = []
    analyse(path, engine, FEW, progress=lambda *one: told.append(one))
    assert {total for _, total, _ in told} == {100}
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    assert told[-1][:2] == (100, 100)
    with pytest.raises(Cancelled):
        analyse(path, engine, FEW, progress=None, cancel=lambda: True)


def test_a_view_that_fails_is_told_and_the_others_stand(engine, path, monkeypatch):
    from napari_safire.forensics import EvidenceView

    made = EvidenceView.compute

    def fails(self, **watched):
        if self.view.name == "noise level":
            raise RuntimeError(f"no such block in {path}")
        return made(self, **watched)

    monkeypatch.setattr(EvidenceView, "compute", fails)
    found = analyse(path, engine, FEW)
    record = next(one for one in found.evidence if one["name"] == "noise level")
    assert record["why_not"] == "failed: RuntimeError: no such block in street.jpg"
    assert 'The view "noise level" failed: what it would have shown is not known.' in limits_of(
        found
    )


@pytest.mark.parametrize(
    ("pixels", "suffix", "said"),
    [
        (np.full((40, 50), 77, np.uint8), ".png", "40 x 50 pixels the picture is too small"),
        (np.full((40, 50), 77, np.uint8), ".png", "too dark, too bright or too flat"),
        (np.arange(40_000).reshape(200, 200).astype(np.uint16), ".png", "8 bits a channel"),
        (np.full((150, 99, 3), 255, np.uint8), ".png", "It has the size of a screen"),
        (np.zeros((130, 140, 4), np.uint8), ".png", "where the picture is transparent"),
        (np.zeros((130, 140), np.uint8), ".jpg", "near 30: that wipes out most traces"),
    ],
)
def test_limitations_of_this_very_picture(engine, tmp_path, monkeypatch, pixels, suffix, said):
    monkeypatch.setattr("napari_safire.review.limitations._SCREENS", {(150, 99)})
    file = tmp_path / f"a{suffix}"
    Image.fromarray(pixels).save(file, **({"quality": 30} if suffix == ".jpg" else {}))
    few = AnalysisSettings(stability="none", views=("metadata", "quantisation tables"))
    found = limits_of(analyse(file, engine, few))
    assert any(said in one for one in found)
    assert all(len(one.split()) <= 20 for one in found), found


def test_limitations_of_model_and_work(whole):
    told = " ".join(limits_of(whole))
    assert "authentic and" in told
    assert "is kept between 1/" in told
    assert all(len(one.split()) <= 20 for one in limits_of(whole))


# ------------------------------------------------------------------------------ settings


def test_settings_name_no_file_to_open():
    with pytest.raises(DatasetError, match="reference of the view 'comparison' is no setting"):
        AnalysisSettings(view_parameters={"comparison": {"reference": "/home/anna/a.png"}})


def test_settings_are_read_back():
    asked = AnalysisSettings(
        PartitionSettings("kmeans", 3, seed=7), "none", "all", ("noise level",),
        {"noise level": {"cell": 16}},
    )  # fmt: skip
    record = json.loads(json.dumps(asked.as_record()))
    assert AnalysisSettings.from_record(record).as_record() == record
    assert AnalysisSettings.from_record(AnalysisSettings().as_record()) == AnalysisSettings()


@pytest.mark.parametrize(
    "change",
    [
        {"partition": None}, {"partition": {"method": "magic"}}, {"evidence": "some"},
        {"stability": 3}, {"views": "noise level"}, {"views": ["second sight"]},
        {"view_parameters": {"noise level": {"sell": 3}}}, {"view_parameters": []},
        {"view_parameters": {"noise level": {"cell": [3]}}}, {"else": 1},
        {"partition": {"method": "auto", "colour": "red"}}, {"partition": {"seed": "x"}},
    ],
)  # fmt: skip
def test_settings_that_cannot_be_used(change):
    with pytest.raises(DatasetError, match=r"\.$"):
        AnalysisSettings.from_record(AnalysisSettings().as_record() | change)


# --------------------------------------------------------------------------- differences

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.floats(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(st.text(max_size=4), VALUES, max_size=4), VALUES, st.sampled_from([0, 0.01]))
def test_a_record_differs_from_itself_in_nothing_and_from_a_changed_one(record, other, tolerance):
    assert differences(record, json.loads(json.dumps(record)), tolerance) == ()
    told = differences({**record, "new": 1}, record, tolerance)
    assert told == ("new: reported, but not found now (1).",)
    if other != record.get("a", other):
        assert differences({**record, "a": record["a"]}, {**record, "a": other})


def test_differences_to_a_tolerance():
    old = {
        "model_verdict": {"score": 0.912, "reason": "At even odds, the probability is 0.91."},
        "partition": {"labels_sha256": "a" * 64, "sources": [{"number": 1, "share": 0.75}]},
        "picture": {"file_sha256": "b" * 64, "decoder": "Pillow 12"},
        "versions": {"torch": "2.1"},
    }
    new = json.loads(json.dumps(old))
    new["model_verdict"] = {"score": 0.9121, "reason": "At even odds, the probability is 0.92."}
    new["partition"]["labels_sha256"] = "c" * 64
    new["picture"]["decoder"] = "Pillow 13"
    new["versions"]["torch"] = "3"
    assert differences(old, new, 0.01) == ()
    assert len(differences(old, new)) == 4
    new["partition"]["sources"][0]["share"] = 0.6
    new["picture"]["file_sha256"] = "d" * 64
    assert differences(old, new, 0.01) == (
        "partition, sources 1, share: 0.75 was reported, 0.6 is found.",
        f"picture, file_sha256: {'b' * 64} was reported, {'d' * 64} is found.",
    )
    new["model_verdict"]["reason"] = "At even odds, the probability is 0.97."
    assert len(differences(old, new, 0.01)) == 3


def test_differences_of_hostile_records_are_short_and_printable():
    old = {"a": "\u202e" + "x" * 10_000, "b": [1] * 200, "c": math.inf}
    told = differences(old, {"a": "<b>\n", "b": [2] * 200, "c": -math.inf, "d": {}})
    assert len(told) == MOST + 1
    assert told[-1] == "143 more values differ."
    assert all(one.isprintable() and len(one) < 400 for one in told)


@pytest.mark.skipif(os.name == "nt", reason="names of that kind are for other systems")
def test_names_that_are_no_text_do_no_harm(engine, path, tmp_path):
    strange = os.fsencode(tmp_path) + b"/\xff\x1b[2J.jpg"
    with open(strange, "wb") as file:
        file.write(path.read_bytes()[:3000])
    record = analyse(os.fsdecode(strange), engine, FEW).as_record()
    assert json.dumps(record).isprintable()
    assert r"\xff\x1b[2J.jpg" in record["picture"]["why_no_pixels"]
