"""The review of a picture: what was found, judged and signed, kept as events of a project."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from napari_safire.basis import RunBasis
from napari_safire.errors import DatasetError, SafireError
from napari_safire.project.chain.events import Draft
from napari_safire.project.revisions import Changed
from napari_safire.project.store import Project
from napari_safire.project.upkeep.merge import merge
from napari_safire.project.upkeep.verify import verify
from napari_safire.project.upkeep.wording import event_sentence
from napari_safire.review import codec
from napari_safire.review.case import Case, case_folder_of, new_finding_id, open_case
from napari_safire.review.scale import LEAST_RATIOS, SUPPORTS, supported_by
from napari_safire.review.values import (
    FINDING_KINDS,
    FINDING_STATUSES,
    LONGEST_COMMENT,
    CaseDescription,
    Checked,
    Finding,
    Judgement,
    Signature,
    SourceVerdict,
    Viewport,
)

SHAPE = (48, 64)
BASIS = RunBasis("ab" * 32, {"method": "auto"}, "cd" * 32)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (*SHAPE, 3), np.uint8)).save(path)
    return path


@pytest.fixture
def case(picture: Path) -> Iterator[Case]:
    described = CaseDescription(number="24-117", question="Is the crowd real?")
    case = open_case(case_folder_of(picture), picture, description=described, reviewer="Anna")
    yield case
    case.project.close()


@pytest.fixture
def second(case: Case, picture: Path) -> Iterator[Case]:
    other = open_case(case.project.folder, picture, reviewer="Boris")
    yield other
    other.project.close()


def finding(**values: object) -> Finding:
    return Finding(id=new_finding_id(), comment="an edge that is too clean", **values)


def labels() -> np.ndarray:
    image = np.ones(SHAPE, np.uint8)
    image[:, 30:] = 2
    return image


def test_a_case_is_begun_beside_its_picture_and_opened_again(case: Case, picture: Path) -> None:
    assert case.project.folder == picture.with_name("photo.png.case")
    assert case.description.number == "24-117"
    again = open_case(case_folder_of(picture), picture, description=CaseDescription(number="other"))
    assert again.id == case.id
    assert again.description.number == "24-117"
    assert again.read().pixels.shape[:2] == SHAPE
    again.project.close()


def test_a_case_that_was_not_finished_is_begun_again(tmp_path: Path, picture: Path) -> None:
    """Killed, or on a full disk: before the first event, and before it was described."""
    (tmp_path / "none").mkdir()
    sqlite3.connect(tmp_path / "none" / "project.sqlite").close()
    Project.create(tmp_path / "begun", author="Anna").close()
    for folder in (tmp_path / "none", tmp_path / "begun"):
        case = open_case(folder, picture, description=CaseDescription("7"), reviewer="Anna")
        assert case.description.number == "7"
        case.begin(blind=True)
        case.project.close()
        case = open_case(folder, picture, description=CaseDescription("8"), reviewer="Anna")
        assert case.description.number == "7"
        case.project.close()


def test_a_name_of_any_length_has_a_case_beside_it(tmp_path: Path, picture: Path) -> None:
    names = ["n" * 251 + ".png", "n" * 250 + "m.png", "é" * 125 + ".png", "a.png"]
    folders = {case_folder_of(tmp_path / name) for name in names}
    assert len(folders) == len(names)
    for folder in folders:
        folder.mkdir()
    with pytest.raises(SafireError, match="cannot be made"):
        open_case(tmp_path / ("x" * 300), picture, reviewer="Anna")


def test_a_wrong_name_leaves_no_folder(tmp_path: Path, picture: Path) -> None:
    with pytest.raises(SafireError, match="cannot be an annotator's name"):
        open_case(tmp_path / "case", picture, reviewer="a\nb")
    assert not (tmp_path / "case").exists()


def test_what_was_done_is_told_in_its_order(case: Case) -> None:
    case.begin(blind=True)
    assert not case.review().of("Anna").may_see_verdicts
    noted = case.note(finding(view="noise level", viewport=Viewport(1, 2, 10, 20)))
    case.check([Checked("quality", "no", "240 pixels wide")])
    kept = case.keep_labels(labels())
    judged = case.judge(
        Judgement(
            "manipulated",
            ("splice",),
            "moderate support",
            (SourceVerdict(2, "manipulated", ("splice",), "moderate support"),),
            "Two cameras.",
            kept,
        )
    )
    case.show_verdict()
    case.show_verdict()

    review = case.review().of("Anna")
    assert judged.blind
    assert review.may_see_verdicts
    assert review.checklist == (Checked("quality", "no", "240 pixels wide"),)
    assert review.verdict == judged
    assert case.review().finding(noted.finding.id) == noted
    kinds = [event.kind for event in case.events()]
    assert kinds[-5:] == [
        "review.begun", "review.noted", "review.checked", "review.judged", "review.shown",
    ]  # fmt: skip
    assert all(event_sentence(event) for event in case.events())
    assert not verify(case.project).problems


def test_a_verdict_after_the_models_is_not_blind(case: Case) -> None:
    case.begin(blind=True)
    case.show_verdict()
    assert not case.judge(Judgement("cannot be determined")).blind


def test_no_verdict_is_called_blind_that_may_not_have_been(case: Case) -> None:
    undecided = Judgement("cannot be determined")
    case.begin(blind=True)
    first = case.judge(undecided)
    assert first.blind
    assert not case.judge(undecided, 1).blind, "the model's could be seen after the first"
    ben = open_case(case.project.folder, case.path, reviewer="Ben")
    ben.begin(blind=False)
    ben.begin(blind=True)
    assert not ben.judge(undecided).blind, "it could be seen before"
    ben.project.close()
    cleo = open_case(case.project.folder, case.path, reviewer="Cleo")
    cleo.keep_report({"report.json": "a" * 64}, first.sha256)
    cleo.begin(blind=True)
    assert cleo.review().of("Cleo").may_see_verdicts, "her report told it"
    assert not cleo.judge(undecided).blind
    cleo.project.close()


def test_an_analysis_is_kept_once(case: Case) -> None:
    for _ in range(2):
        case.keep_analysis({"verdict": "forged"}, labels(), BASIS, "forged")
    (kept,) = case.review().analyses
    assert case.project.objects.json(kept.record) == {"verdict": "forged"}
    assert (case.labels(kept.labels or "") == labels()).all()


def test_a_finding_has_revisions_and_is_withdrawn_never_removed(case: Case, second: Case) -> None:
    noted = case.note(finding())
    withdrawn = Finding(noted.finding.id, noted.finding.comment, status="withdrawn")
    with pytest.raises(Changed, match="Anna"):
        second.note(withdrawn, revision=0)
    changed = second.note(withdrawn, revision=noted.revision)
    assert (changed.revision, changed.reviewer, changed.first_at) == (2, "Boris", noted.at)
    assert len(case.review().findings) == 1


def test_two_reviewers_have_verdicts_of_their_own(case: Case, second: Case) -> None:
    case.judge(Judgement("authentic", confidence="weak support"))
    second.judge(Judgement("cannot be determined"))
    assert [r.reviewer for r in case.review().reviews] == ["Anna", "Boris"]
    with pytest.raises(Changed):
        case.judge(Judgement("cannot be determined"))
    assert case.judge(Judgement("cannot be determined"), revision=1).revision == 2


def test_a_verdict_is_signed_and_disputed(case: Case, second: Case) -> None:
    judged = case.judge(Judgement("authentic", confidence="weak support"))
    head = case.project.head
    assert head is not None
    for stance, who in (("signs", case), ("disputes", second)):
        who.sign(Signature(stance, "Anna", judged.sha256, head.sha256, "as I see it"))
    verdict = case.review().of("Anna").verdict
    assert verdict is not None
    assert [(s.by, s.signature.stance) for s in verdict.signatures] == [
        ("Anna", "signs"),
        ("Boris", "disputes"),
    ]
    with pytest.raises(DatasetError, match="no verdict"):
        case.sign(Signature("signs", "Boris", judged.sha256, head.sha256))
    with pytest.raises(DatasetError, match="has the hash"):
        case.sign(Signature("signs", "Anna", judged.sha256, "0" * 64))
    case.judge(Judgement("cannot be determined"), revision=1)
    with pytest.raises(Changed):
        second.sign(Signature("signs", "Anna", judged.sha256, head.sha256))
    assert not case.review().of("Anna").verdict.signatures  # those of the former verdict


def test_a_copy_that_was_reviewed_apart_is_joined(
    case: Case, picture: Path, tmp_path: Path
) -> None:
    import shutil

    case.judge(Judgement("authentic", confidence="weak support"))
    shutil.copytree(case.project.folder, tmp_path / "copy.case")
    with Project.open(tmp_path / "copy.case", author="Boris") as other:
        theirs = Case(other, case.id)
        noted = theirs.note(finding())
        kept = theirs.keep_labels(labels())
        verdict = SourceVerdict(1, "cannot be determined")
        theirs.judge(Judgement("cannot be determined", sources=(verdict,), labels=kept))
        case.note(finding())
        merge(case.project, other)
    review = case.review()
    assert {n.reviewer for n in review.findings} == {"Anna", "Boris"}
    assert review.finding(noted.finding.id).at == noted.at
    assert (case.labels(review.of("Boris").verdict.judgement.labels) == labels()).all()


def test_a_picture_that_changed_is_refused(case: Case, picture: Path) -> None:
    Image.new("RGB", SHAPE[::-1]).save(picture)
    with pytest.raises(DatasetError, match="changed since it was added"):
        case.read()
    with pytest.raises(DatasetError, match="not the picture of this case"):
        case.note(finding(), file_sha256="0" * 64)
    picture.unlink()
    with pytest.raises(SafireError):
        case.read()
    assert case.review().findings == ()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Viewport(0, 0, 0, 5), "has pixels"),
        (lambda: finding(source=256), "numbered from 1"),
        (lambda: Finding("a", "x" * (LONGEST_COMMENT + 1)), "shorten"),
        (lambda: Finding("a", "\ud800"), "character that is none"),
        (lambda: Checked("why", "yes"), "no question"),
        (lambda: Judgement("authentic"), "how strongly"),
        (lambda: Judgement("authentic", ("splice",), "weak support"), "type"),
        (lambda: Judgement("manipulated", ("unknown",), "weak support"), "choose one of them"),
        (lambda: Judgement("cannot be determined", confidence="weak support"), "leave it out"),
        (lambda: _contradicted("authentic"), "change one"),
    ],
)
def test_values_that_contradict_themselves_are_refused(make: object, words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        make()


def _contradicted(verdict: str) -> Judgement:
    accused = SourceVerdict(1, "manipulated", (), "weak support")
    return Judgement(verdict, (), "weak support", (accused,), labels="0" * 64)


def test_verdicts_on_sources_that_are_not_there_are_refused(case: Case) -> None:
    kept = case.keep_labels(labels())
    verdict = SourceVerdict(7, "cannot be determined")
    with pytest.raises(DatasetError, match="no source 7"):
        case.judge(Judgement("cannot be determined", sources=(verdict,), labels=kept))
    with pytest.raises(DatasetError, match="do not fit"):
        case.keep_labels(labels()[1:])


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
NUMBERS = st.floats(-1e6, 1e6)
SIZES = st.floats(1e-3, 1e6)


@given(
    st.builds(
        Finding,
        id=TEXTS,
        comment=TEXTS,
        kind=st.sampled_from(FINDING_KINDS),
        status=st.sampled_from(FINDING_STATUSES),
        view=TEXTS,
        parameters=st.dictionaries(TEXTS, st.none() | st.booleans() | NUMBERS | TEXTS, max_size=3),
        viewport=st.none() | st.builds(Viewport, NUMBERS, NUMBERS, SIZES, SIZES),
        source=st.none() | st.integers(1, 255),
        in_report=st.booleans(),
    )
)
def test_findings_come_back_as_they_were(value: Finding) -> None:
    assert codec.read_finding(codec.as_record(value)) == value


def test_other_values_come_back_as_they_were() -> None:
    sources = (SourceVerdict(1, "authentic", confidence="weak support", note="n"),)
    judgement = Judgement("manipulated", ("text",), "strong support", sources, "because", "0" * 64)
    assert codec.read_judgement(codec.as_record(judgement)) == judgement
    signature = Signature("signs", "Anna", "a", "b", "c", "d", "e")
    assert codec.read_signature(codec.as_record(signature)) == signature
    described = CaseDescription("1", "t", "q", "o", "r", "c", "n", blind=False)
    assert codec.read_case(codec.as_record(described)) == described


@pytest.mark.parametrize("record", [None, [], {}, {"id": 3}, {"id": "a", "comment": ["b"]}])
def test_damaged_values_are_told(record: object) -> None:
    for read in (
        codec.read_finding, codec.read_judgement, codec.read_signature, codec.read_case,
        codec.read_checked,
    ):  # fmt: skip
        with pytest.raises(DatasetError, match="is damaged"):
            read(record)


def test_an_event_that_holds_no_judgement_is_told_by_its_number(case: Case) -> None:
    case.project.append(
        [Draft("review.judged", case.id, {"judgement": {"verdict": "guilty"}, "revision": 1})]
    )
    with pytest.raises(DatasetError, match=r"Event \d+ is damaged"):
        case.review()


def test_likelihood_ratios_are_put_into_the_words_of_the_scale() -> None:
    assert len(LEAST_RATIOS) == len(SUPPORTS)
    for least, words in zip(LEAST_RATIOS[1:], SUPPORTS[1:], strict=True):
        assert supported_by(least).support == words
        assert supported_by(least * 0.999).support != words
        assert supported_by(1 / least).proposition == "authentic"
    assert supported_by(1.2).proposition is None
    for wrong in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="likelihood ratio"):
            supported_by(wrong)


def test_a_file_that_is_cut_short_can_be_reviewed_and_no_picture_leaves_no_folder(
    tmp_path: Path,
) -> None:
    whole = tmp_path / "whole.jpg"
    noise = np.random.default_rng(0).integers(0, 255, (200, 300, 3), np.uint8)
    Image.fromarray(noise).save(whole)
    (tmp_path / "cut.jpg").write_bytes(whole.read_bytes()[:20_000])
    with open_case(tmp_path / "case", tmp_path / "cut.jpg").project as project:
        assert Case(project, "cut.jpg").picture.height == 200
    (tmp_path / "none.jpg").write_bytes(b"hello")
    with pytest.raises(SafireError, match="is not a PNG"):
        open_case(tmp_path / "other", tmp_path / "none.jpg")
    assert not (tmp_path / "other").exists()
