"""The model card: written from measured scores alone, or not at all."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree  # reviewed: a chart of ours

import numpy as np
import pytest
from fakes import KnowingEngine
from PIL import Image
from synthetic import photo_table

from napari_safire.errors import SafireError
from napari_safire.evaluation import EvaluationSet, ScoringSettings, Study, run_study
from napari_safire.evaluation.report import write_report
from napari_safire.images.lists import ListEntry, read_list, write_list
from napari_safire.images.masks import encode_sources
from napari_safire.images.truth import read_mask
from napari_safire.synthesis.degradations import Degradation

TRAINING = Path(__file__).parents[2] / "training"
SHAPE = (48, 64)
PHOTOS = """file,author,source_repo,licence,shippable
free.jpg,Ann,a/b,MIT,True
kept.jpg,Bob,c/d,,False
"""


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script as a module, with the folder it lies in on the path as when it is run."""
    monkeypatch.syspath_prepend(str(TRAINING))
    import model_card

    yield model_card
    for name in ("model_card", "card_tables", "card_gallery", "evaluate_card"):
        sys.modules.pop(name, None)  # names as plain as these may be others' too


def pictures(folder: Path, counts: tuple[int, ...]) -> tuple[ListEntry, ...]:
    """Pictures of so many sources each, with list and manifest."""
    (folder / "images").mkdir(parents=True)
    entries, records = [], []
    for number, n_sources in enumerate(counts):
        labels = np.tile(np.arange(SHAPE[1]) * n_sources // SHAPE[1], (SHAPE[0], 1))
        labels[: number + 1, 0] = 0
        image = folder / "images" / f"{number}.png"
        pixels = encode_sources(labels)
        pixels[0, 0] = number
        Image.fromarray(pixels).save(image)
        mask = folder / f"{number}.png"
        Image.fromarray(encode_sources(labels)).save(mask)
        entries.append(ListEntry(image, mask if n_sources > 1 else None))
        operation = ("splicing", "removal")[number % 2]
        photo = "free.jpg" if number % 2 == 0 else "kept.jpg"
        sources = [{"photo": photo, "operation": "background"}]
        sources += [{"photo": photo, "operation": operation}] * (n_sources - 1)
        records.append(json.dumps({"image": f"images/{number}.png", "sources": sources}))
    (folder / "manifest.jsonl").write_text("\n".join(records) + "\n")
    return tuple(entries)


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What training/evaluate_card.py leaves, by models that need no weights; not to be changed."""
    tmp_path = tmp_path_factory.mktemp("studies")
    out = tmp_path / "card"
    sets = {
        "composites": pictures(out / "composites", (2, 3, 4, 2)),
        "operations": pictures(out / "operations", (2, 2, 2)),
        "authentic": pictures(out / "authentic", (1, 1)),
        "forged": pictures(tmp_path / "forged" / "some set", (2, 1, 2)),
    }
    wrong = {"tiny": 0.3, "blank map": 1.0}

    def study(step: str, names: list[str], *degraded: Degradation, **kw: Any) -> None:
        models = ("tiny", "blank map") if step.startswith("compared") else ("tiny",)
        settings = ScoringSettings(points_per_side=4, **kw)
        evaluated = tuple(EvaluationSet(name, sets[name], settings) for name in names)
        examples = 2 if step == "auto" else 0
        asked = Study(evaluated, models, degraded, out / step, examples=examples)
        scores = run_study(asked, lambda name: KnowingEngine(name, wrong[name]))
        write_report(scores, out / step)

    study("compared", ["composites"], kind="sources")
    study("compared-forged", ["forged"], kind="binary")
    study("auto", ["composites", "authentic"], kind="sources", sources="auto")
    study("by-operation", ["operations"], kind="sources")
    study("degraded", ["composites"], Degradation("jpeg", 90), kind="sources")
    study("verdicts", ["authentic"], Degradation("jpeg", 90), kind="binary")
    (out / "confidence.csv").write_text(
        "image,row,col,predicted,accuracy\na,1,2,0.9,0.7\na,3,4,1.2,0.8\n"
    )
    return out


@pytest.fixture
def folder(studies: Path, tmp_path: Path) -> Path:
    """A copy of the same, with its plan; beside it, as scores name their pictures from there."""
    out = studies.with_name(f"card of {tmp_path.name}")
    shutil.copytree(studies, out)
    photos = tmp_path / "photos.csv"
    photos.write_text(PHOTOS)
    told = {
        "model": "tiny",
        "photos": str(photos),
        "forgeries": str(studies / ".." / "forged.csv"),  # "../shared/…" in card.toml
        "commands": {"composites": "python training/make_dataset.py a|b"},
    }
    (out / "commands.json").write_text(json.dumps(told))
    return out


def facts(card: Any, **metadata: Any) -> Any:
    return card.ModelFacts("tiny", "tiny", 1234567, {"licence": "BSD-3-Clause", **metadata})


def written(card: Any, folder: Path, path: Path, **metadata: Any) -> str:
    text = {name: f"(the {name})" for name in card.TEXTS}
    card.write_card(path, card.read_inputs(folder, "tiny"), facts(card, **metadata), text, 2)
    return path.read_text(encoding="utf-8")


# ----------------------------------------------------------------------------- what it says


def test_the_card_says_everything_that_was_measured(
    card: Any, folder: Path, tmp_path: Path
) -> None:
    calibration = {"forged_above": 0.7, "clean_below": 0.2, "basis": "calibrated on dreams."}
    page = written(card, folder, tmp_path / "c.md", calibration=calibration, source_distance=0.36)
    assert "not calibrated" in page
    surer = {"raw": [0, 1], "accuracy": [0, 1], "basis": "fitted in sleep."}
    assert "fitted in sleep." in written(
        card, folder, tmp_path / "c2.md", confidence_calibration=surer
    )
    for name in card.TEXTS:
        assert f"(the {name})" in page
    for said in ("1,234,567", "BSD-3-Clause", "0.70", "0.20", "calibrated on dreams.", "0.36"):
        assert said in page
    assert "| blank map - tiny | 4 |" in page  # a paired difference
    assert "| some set | 2 |" in page  # of three real pictures one is authentic
    assert re.search(r"\| removal \| 1 \|", page)
    assert re.search(r"\| splicing \| 2 \|", page)
    assert re.search(r"\| jpeg-90 \| 4 \|", page)
    assert "| untouched crops, jpeg-90 | authentic | 2 | 0 = 0.0% [0.0%, 84.2%]" in page
    assert "| originals of real forgeries | authentic | 1 |" in page
    assert re.search(r"^\| 1 \| 2 = 100\.0%", page, re.M)  # one source, found twice
    assert "| Accuracy of regions | 2 | 0.200 |" in page
    assert r"`python training/make_dataset.py a\|b`" in page
    assert (tmp_path / "c-reliability.svg").name in page
    ElementTree.parse(tmp_path / "c-reliability.svg")


def test_the_same_inputs_give_the_same_card(card: Any, folder: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        written(card, folder, tmp_path / name / "c.md")
    one, two = (
        {p.relative_to(tmp_path / name): p.read_bytes() for p in (tmp_path / name).rglob("*.*")}
        for name in ("one", "two")
    )
    assert one == two


def test_only_pictures_that_may_be_passed_on_are_shown(
    card: Any, folder: Path, tmp_path: Path
) -> None:
    page = written(card, folder, tmp_path / "c.md")
    shown = re.findall(r"!\[(\d\.png)\]\((.*?)\)", page)
    assert {name for name, _ in shown} <= {"0.png", "2.png"}
    assert shown
    for _, link in shown:
        assert (tmp_path / link).is_file()
    assert "free.jpg: Ann, MIT" in page
    assert "kept.jpg" not in page
    assert len(list((tmp_path / "c-failures").iterdir())) == len(shown)


def test_no_number_is_typed_in_the_template() -> None:
    template = (TRAINING / "model_card.md.j2").read_text(encoding="utf-8")
    plain = re.sub(r"{{.*?}}|{%.*?%}", "", template, flags=re.S)
    assert re.findall(r"(?<![A-Za-z])\d\S*", plain) == []


def test_a_model_without_calibration_is_no_judge(card: Any, folder: Path, tmp_path: Path) -> None:
    assert "calls every picture inconclusive" in written(card, folder, tmp_path / "c.md")


def test_the_text_of_the_bundled_model_is_whole(card: Any) -> None:
    assert card.read_text(TRAINING / "model_card.toml").keys() == set(card.TEXTS)


# ---------------------------------------------------------------------------- what is missing


@pytest.mark.parametrize(
    "name",
    [
        "commands.json",
        "confidence.csv",
        "compared/summary.csv",
        "auto/authentic/tiny.csv",
        "verdicts/authentic/tiny/job.json",
        "operations/manifest.jsonl",
        "composites/manifest.jsonl",
        "photos.csv",
    ],
)
def test_a_missing_input_is_a_sentence(card: Any, folder: Path, tmp_path: Path, name: str) -> None:
    (tmp_path if name == "photos.csv" else folder).joinpath(name).unlink()
    with pytest.raises(SafireError, match=rf"{Path(name).name}.*cannot be read|read from .*photos"):
        written(card, folder, tmp_path / "c.md")
    assert not (tmp_path / "c.md").exists()


def test_scores_of_another_checkpoint_are_refused(card: Any, folder: Path) -> None:
    with pytest.raises(SafireError, match="are those of the checkpoint tiny, the card's is other"):
        card.read_inputs(folder, "other")


def test_the_command_says_what_is_wrong(
    card: Any,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(card, "model_facts", lambda name: facts(card))
    path = tmp_path / "new" / "c.md"
    monkeypatch.setattr(sys, "argv", ["model_card.py", str(folder), "-o", str(path)])
    assert card.main() == 0
    assert path.is_file()
    (folder / "commands.json").write_text("[]")
    assert card.main() == 1
    assert "commands.json cannot be read" in capsys.readouterr().err
    text = tmp_path / "t.toml"
    text.write_text('title = "x"\nauthor = "y"\n')
    with pytest.raises(SafireError, match=r"lacks what_it_is, .* and has author too much"):
        card.read_text(text)


# ------------------------------------------------------------------------ what leads up to it


def test_the_plan_becomes_commands_that_anyone_could_type(card: Any, tmp_path: Path) -> None:
    import evaluate_card

    plan = evaluate_card.read_plan(TRAINING / "card.toml")
    commands = evaluate_card.commands_of(plan)
    assert "--split val" in commands["composites"]
    assert "--degradation jpeg-75" in commands["degraded"]
    assert "--unlike ../shared/photos.csv" in commands["originals"]
    assert "runs/card/originals/list.txt" in commands["verdicts"]
    without = evaluate_card.commands_of(evaluate_card.replace(plan, originals=None))
    assert "originals" not in without
    assert "originals/list.txt" not in without["verdicts"]
    assert list(commands).index("composites") < list(commands).index("compared")
    for line in commands.values():
        program, script, *_ = evaluate_card._runnable(line)
        assert program == sys.executable
        assert script == "-m" or Path(script).is_file()
    odd = evaluate_card.replace(plan, output="a folder")
    first = evaluate_card._runnable(evaluate_card.commands_of(odd)["composites"])
    assert "a folder/composites" in first
    bad = tmp_path / "bad.toml"
    for content, message in (("output = 3 = 4", "no TOML file"), ("sets = 1", "has sets")):
        bad.write_text(content)
        with pytest.raises(ValueError, match=message):
            evaluate_card.read_plan(bad)


def test_authentic_crops_are_untouched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(TRAINING))
    import authentic_crops

    table = photo_table(tmp_path / "photos.csv", 3)
    command = ["authentic_crops.py", str(table), "-o", str(tmp_path / "out"), "--size", "100x80"]
    monkeypatch.setattr(sys, "argv", command)
    assert authentic_crops.main() == 0
    entries = read_list(tmp_path / "out" / "list.txt")
    assert len(entries) == 2
    assert all(entry.mask is None for entry in entries)
    whole = np.asarray(Image.open(tmp_path / "photos" / "photo0.png"))
    crop = np.asarray(Image.open(entries[0].image))
    assert crop.shape == (80, 100, 3)
    np.testing.assert_array_equal(crop, whole[56:136, 64:164])  # corners are multiples of 8
    monkeypatch.setattr(sys, "argv", [*command, "--split", "none"])
    assert authentic_crops.main() == 1
    assert "no photographs of the split none" in capsys.readouterr().err


def test_predicted_accuracies_stand_beside_true_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(TRAINING))
    import card_tables
    import confidence
    from fakes import FakeEngine

    entries = pictures(tmp_path / "set", (2, 1))
    write_list(tmp_path / "set" / "list.txt", entries)
    monkeypatch.setattr(confidence, "open_engine", lambda *_: FakeEngine())
    out = tmp_path / "confidence.csv"
    command = ["confidence.py", str(tmp_path / "set" / "list.txt"), "--points", "3", "-o", str(out)]
    monkeypatch.setattr(sys, "argv", command)
    assert confidence.main() == 0
    first = out.read_bytes()
    found = card_tables._read_confidence(out)
    assert found.shape == (6, 2)
    assert (found[:, 0] == 0.8).all()
    # regions are discs: in a picture of one source only their inside is right
    truth = read_mask(entries[1], "sources", shape=SHAPE)
    assert not truth.any()
    assert (found[3:, 1] < 0.5).all()
    assert confidence.main() == 0
    assert out.read_bytes() == first
    monkeypatch.setattr(sys, "argv", ["confidence.py", "none.txt", "-o", str(out)])
    assert confidence.main() == 1
    assert "none.txt" in capsys.readouterr().err
