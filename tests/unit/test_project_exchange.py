"""A project's people, controls and exports, through the command line where it has a command."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from napari_safire.annotation.annotation import Annotation, SourcePrompt
from napari_safire.annotation.packed_labels import PackedLabels
from napari_safire.annotation.predictions import AnnotatedPlane, Predictions
from napari_safire.basis import RunBasis
from napari_safire.cli import app
from napari_safire.errors import DatasetError
from napari_safire.images.lists import read_list
from napari_safire.images.truth import read_label_truth
from napari_safire.project.adding import add_pictures
from napari_safire.project.assigning import control_scores, give_away, make_control
from napari_safire.project.collecting import collect_pictures
from napari_safire.project.exchange import TruthOfProject, export_project, import_truth
from napari_safire.project.formats.catalogue import FORMATS
from napari_safire.project.learning_list import write_truth_list
from napari_safire.project.pictures import find_picture, project_pictures
from napari_safire.project.settings import ProjectSettings
from napari_safire.project.store import Project
from napari_safire.project.team.assignment import AssignmentRule
from napari_safire.project.truth import Donor, PictureDescription, SourceDescription
from napari_safire.project.upkeep.verify import verify
from napari_safire.project.work import Step, find_work, finish, read_labels, save_step
from napari_safire.types import PointPrompt

SHAPE = (24, 32)
DESCRIPTION = PictureDescription(
    (
        SourceDescription(1, type="authentic background"),
        SourceDescription(2, "hat", None, "splice", Donor("file", "hats/7.jpg")),
    )
)
Run = Callable[..., tuple[int, str]]


def labels_of(number: int) -> np.ndarray:
    labels = np.ones(SHAPE, np.uint8)
    labels[4 : 10 + number, 5 : 12 + number] = 2
    return labels


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    (tmp_path / "photos").mkdir()
    for seed in range(6):
        pixels = np.random.default_rng(seed).integers(0, 255, (*SHAPE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{seed}.png")
    with Project.create(
        tmp_path / "project", author="Ada", settings=ProjectSettings(2, 0.5, 3, "CC0-1.0")
    ) as made:
        add_pictures(made, collect_pictures(tmp_path / "photos"))
        yield made


@pytest.fixture
def run() -> Run:
    def call(*words: str | Path) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["project", *map(str, words)])
        return result.exit_code, result.output

    return call


def ids(project: Project) -> list[str]:
    return [picture.id for picture in project_pictures(project)]


def annotate(project: Project, picture: str, number: int, author: str = "Ada") -> None:
    save_step(project, picture, author, Step(labels_of(number), None, DESCRIPTION), 0)
    finish(project, picture, author, 1)


def test_people_get_pictures_evenly_and_controls_among_them(project: Project) -> None:
    for name in ids(project)[:2]:
        make_control(project, name, labels_of(1))
    given = give_away(project, AssignmentRule(("Ada", "Bob", "Cleo"), 2, seed=3))
    assert given.short == {}
    open_pictures = set(ids(project)[2:])
    rows = project.ask("SELECT picture, annotator FROM work")
    assert all(sum(row[0] == name for row in rows) == 2 for name in open_pictures)
    assert any(row[0] not in open_pictures for row in rows)  # a control for somebody
    assert give_away(project, AssignmentRule(("Ada", "Bob", "Cleo"), 2, seed=3)).counts == {
        "Ada": 0, "Bob": 0, "Cleo": 0,
    }  # fmt: skip


def test_annotators_are_scored_on_controls(project: Project, tmp_path: Path, run: Run) -> None:
    mask = tmp_path / "truth.png"
    Image.fromarray((labels_of(1) - 1) * np.uint8(50)).save(mask)
    assert run("controls", project.folder, "0.png", "--truth", mask)[0] == 0
    annotate(project, ids(project)[0], 1)
    (row,) = control_scores(project)
    assert (row.annotator, row.means["p_miou"].mean) == ("Ada", 1.0)
    code, told = run("controls", project.folder)
    assert (code, "1.000" in told) == (0, True)
    with pytest.raises(DatasetError, match="another picture"):
        make_control(project, "1.png", np.ones((3, 3), np.uint8))
    assert len(TruthOfProject(project)) == 0  # controls are not exported


def test_the_share_of_pixels_taken_over_from_a_model(project: Project) -> None:
    name = ids(project)[0]
    labels = labels_of(2)
    protected = np.zeros(SHAPE, bool)
    protected[:6] = True
    state = Annotation(
        PackedLabels.pack(labels),
        PackedLabels.pack(protected),
        (SourcePrompt(PointPrompt(5, 6), 2, live=False),),
        seeds=((1, PointPrompt(20, 3)),),
    )
    made = AnnotatedPlane(state, Predictions(RunBasis("ab" * 32)))
    save_step(project, name, "Ada", Step(labels, made, DESCRIPTION), 0)
    finish(project, name, "Ada", 1)
    (picture,) = TruthOfProject(project)
    assert picture.facts.model_share == pytest.approx(18 / 24)
    assert picture.facts.licence == "CC0-1.0"


@pytest.mark.parametrize("kind", FORMATS)
def test_any_export_comes_back(project: Project, tmp_path: Path, kind: str) -> None:
    for number, name in enumerate(ids(project)[:4]):
        annotate(project, name, number)
    made = export_project(project, tmp_path / "export", kind)
    assert made.pictures == 4
    assert any("no ground truth yet" in sentence for sentence in made.sentences)
    with Project.create(tmp_path / "second", author="Bob") as second:
        got = import_truth(second, tmp_path / "export", unpack=tmp_path / "unpacked")
        assert (got.n_done, got.added) == (4, 4)
        for picture in project_pictures(second):
            work = find_work(second, picture.id, "Bob")
            assert work is not None
            found = read_labels(second, work)
            assert sorted(np.bincount(found.ravel())[1:].tolist()) in [
                sorted(np.bincount(labels_of(number).ravel())[1:].tolist()) for number in range(4)
            ]
        assert verify(second).problems == ()
        again = import_truth(second, tmp_path / "export", unpack=tmp_path / "unpacked")
        assert again.n_done == 0


def test_splits_have_no_donor_in_two_parts(project: Project, tmp_path: Path, run: Run) -> None:
    for number, name in enumerate(ids(project)):
        donor = Donor("file", f"donor {number // 2}.jpg")
        description = PictureDescription(
            (SourceDescription(1), SourceDescription(2, type="splice", donor=donor))
        )
        save_step(project, name, "Ada", Step(labels_of(number), None, description), 0)
        finish(project, name, "Ada", 1)
    target = tmp_path / "export"
    code, told = run(
        "export", project.folder, target, "--format", "safirems", "--split", ".4,.3,.3"
    )
    assert code == 0, told
    card = next(target.glob("*.md")).read_text()
    assert "CC0" in card
    with Project.create(tmp_path / "second") as second:
        import_truth(second, target)
        assert len(ids(second)) == 6


def test_what_is_done_and_complete_is_learned_from(project: Project, tmp_path: Path) -> None:
    for number, name in enumerate(ids(project)[:3]):
        annotate(project, name, number)
    authentic, waived = ids(project)[3:5]
    save_step(project, authentic, "Ada", Step(np.ones(SHAPE, np.uint8)), 0)
    finish(project, authentic, "Ada", 1, authentic=True)
    labels = labels_of(0)
    labels[0, 0] = 0
    save_step(project, waived, "Ada", Step(labels), 0)
    finish(project, waived, "Ada", 1, waiver="a torn edge")
    listed = write_truth_list(project, tmp_path / "tuned" / "list.txt")
    assert (listed.pictures, listed.kind) == (4, "sources")
    assert listed.left_out == ("4.png: some of its pixels have no source.",)
    entries = read_list(listed.path, listed.root)
    assert len({entry.extra for entry in entries[:3]}) == 1  # one donor
    assert [entry.mask is None for entry in entries] == [False, False, False, True]
    assert np.array_equal(read_label_truth(entries[1]).labels, labels_of(1) - 1)


def test_types_and_polygons_are_chosen(project: Project, tmp_path: Path, run: Run) -> None:
    annotate(project, ids(project)[0], 1)
    words = ("export", project.folder, tmp_path / "black", "--format", "lists")
    assert "neither as forged nor as authentic" in run(*words, "--forged", "text")[1]
    assert run(*words, "--forged", "text", "--authentic", "splice")[0] == 0
    assert (tmp_path / "black/all.txt").read_text().endswith(",None\n")
    words = ("export", project.folder, tmp_path / "coarse", "--format", "coco-polygons")
    code, told = run(*words, "--tolerance", "9", "--absolute-paths")
    assert code == 0, told
    assert "COCO (polygons) changed" in told
    assert str(tmp_path / "coarse/images/") in (tmp_path / "coarse/pictures.jsonl").read_text()


def test_wrong_use_is_told(project: Project, tmp_path: Path, run: Run) -> None:
    assert run("export", project.folder, tmp_path / "e", "--format", "nonsense")[0] == 1
    assert run("export", project.folder, tmp_path / "e", "--format", "coco")[0] == 1  # nothing done
    assert run("assign", project.folder, "Ada", "--quota", "Ada=many")[0] == 2
    assert run("assign", project.folder, "Ada")[0] == 1  # two people a picture are asked
    assert run("controls", project.folder, "0.png")[0] == 2
    assert run("stats", tmp_path)[0] == 1
    assert run("judge", project.folder, "0.png", "Ada", "accept")[0] == 1


def test_all_commands_on_a_small_project(project: Project, tmp_path: Path, run: Run) -> None:
    annotate(project, ids(project)[0], 1)
    folder = project.folder
    for words in (
        ("stats", folder),
        ("stats", folder, "--json"),
        ("set", folder),
        ("set", folder, "--annotators", "2", "--licence", "CC0-1.0"),
        ("log", folder, "0.png"),
        ("log", folder, "--json"),
        ("verify", folder),
        ("verify", folder, "--json"),
        ("rebuild", folder),
        ("agree", folder),
        ("find", folder),
        ("assign", folder, "Ada", "Bob"),
        ("backup", folder, tmp_path / "copy"),
        ("merge", folder, tmp_path / "copy"),
        ("recover", folder, tmp_path / "saved"),
        ("judge", folder, "0.png", "Ada", "reject", "--note", "see the edge"),
        ("remove", folder, "1.png", "--reason", "blurred"),
        ("replay", folder),
    ):
        code, told = run(*words)
        assert code == 0, (words, told)
    assert find_picture(project, "1.png").removed
