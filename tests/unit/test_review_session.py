"""What was typed in a review, analyses and reports in the session; without Qt."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fakes import FakeEngine
from PIL import Image as PillowImage

from napari_safire.errors import Cancelled, SafireError
from napari_safire.forensics import Picture
from napari_safire.review.case import case_folder_of
from napari_safire.review.values import CaseDescription
from napari_safire.session.planes import Pixels, PlaneKey
from napari_safire.session.review.analyses import Analyses, numbers_of, shows
from napari_safire.session.review.cases import Selected
from napari_safire.session.review.drafts import Drafts
from napari_safire.session.review.region_work import bounds_of
from napari_safire.session.review.report_work import ReportWork
from napari_safire.session.review.work import ReviewWork
from napari_safire.session.session import Session
from napari_safire.settings import PartitionSettings

OF = ("case", "picture", "Anna")
KEY = PlaneKey("photo")


def test_drafts_are_found_again_by_case_picture_and_reviewer(tmp_path: Path) -> None:
    drafts = Drafts(tmp_path / "drafts")
    texts = {"finding": {"comment": "\u05d0\n\x00" * 9_000, "source": None}}
    assert drafts.find(*OF) == {}
    drafts.keep({}, *OF)
    drafts.keep(texts, *OF)
    assert drafts.find(*OF) == texts
    assert drafts.find("case", "picture", "Ben") == {}
    drafts.keep({}, *OF)
    assert drafts.find(*OF) == {}
    assert list((tmp_path / "drafts").iterdir()) == []


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"format": 1}', b'{"format": 2, "texts": {}}', b"\xff", b"[" * 9_000]
)
def test_damaged_drafts_are_told_and_stay(tmp_path: Path, content: bytes) -> None:
    drafts = Drafts(tmp_path)
    drafts.keep({"finding": {}}, *OF)
    (file,) = tmp_path.iterdir()
    file.write_bytes(content)
    with pytest.raises(SafireError, match="the forms begin empty"):
        drafts.find(*OF)
    assert file.read_bytes() == content


def test_drafts_that_cannot_be_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SafireError, match="note it before you close this picture"):
        Drafts(tmp_path / "file").keep({"finding": {}}, *OF)


def test_a_file_that_was_replaced_is_not_what_is_shown(tmp_path: Path) -> None:
    values = np.random.default_rng(1).integers(0, 255, (20, 30, 3)).astype(np.uint8)
    PillowImage.fromarray(values).save(tmp_path / "a.png")
    file = Picture.read(tmp_path / "a.png")
    assert shows(Pixels(lambda: values), file)
    assert not shows(Pixels(lambda: values[:, ::-1]), file)
    assert not shows(Pixels(lambda: values[:10]), file)
    assert not shows(Pixels(lambda: np.zeros((2, 2, 2, 2))), file)


def test_where_sources_lie_and_which_is_which() -> None:
    shown = np.zeros((6, 8), np.uint8)
    shown[1:3, 2:5], shown[4:, :] = 3, 1
    assert bounds_of(shown) == {1: (4, 0, 6, 8), 3: (1, 2, 3, 5)}
    found = np.where(shown == 3, 0, 1)
    assert numbers_of(shown, found) == {3: 1, 1: 2}
    assert numbers_of(shown, found[:2]) == {}


# ---------------------------------------------------------------- analyses and reports


class Review:
    """A session that answers when it is asked to, with the case of a picture."""

    def __init__(self, folder: Path) -> None:
        self.calls: list[Callable[[], None]] = []
        self.engine: Any = FakeEngine()
        self.engine.model = SimpleNamespace(device="cpu")
        self.session = Session(self.calls.append, lambda name, device, notice: self.engine)
        self.told: list[str] = []
        self.session.notice.connect(lambda text, failed, topic: self.told.append(text))
        self.photo = folder / "photo.png"
        values = np.random.default_rng(1).integers(0, 255, (40, 60, 3)).astype(np.uint8)
        PillowImage.fromarray(values).save(self.photo)
        self.session.open(KEY, (40, 60), lambda: values, file=str(self.photo))
        self.work = ReviewWork(self.session, Drafts(folder / "drafts"))
        self.analyses = Analyses(self.session)
        self.reports = ReportWork(self.session, self.work, self.analyses)
        self.work.select(Selected(KEY, self.photo))
        self.settle()
        self.work.open_case(case_folder_of(self.photo), CaseDescription())
        self.settle()

    def settle(self) -> None:
        while not self.session.idle or self.calls:
            if self.calls:
                self.calls.pop(0)()

    def write(self, folder: Path) -> None:
        self.reports.write(folder, PartitionSettings(), "en")
        self.settle()


@pytest.fixture
def review(tmp_path: Path) -> Iterator[Review]:
    made = Review(tmp_path)
    yield made
    made.work.close()
    made.session.close()


def test_a_report_analyses_once(
    review: Review, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    analysed: list[Path] = []

    def analyse(path: Path, engine: Any, settings: Any, **more: Any) -> Any:
        analysed.append(path)
        file = SimpleNamespace(sha256=review.work.opened.picture.file_sha256)  # type: ignore[union-attr]
        return SimpleNamespace(labels=None, picture=SimpleNamespace(file=file, pixels_sha256=""))

    def report_on(case: Any, analysis: Any, folder: Path, **more: Any) -> Any:
        if folder.name == "taken":
            raise SafireError("There is a report already.")
        case.keep_report({"report.pdf": "ab" * 32}, case.project.head.sha256)
        return SimpleNamespace(folder=folder)

    monkeypatch.setattr("napari_safire.review.analysis.analyse", analyse)
    monkeypatch.setattr("napari_safire.review.report.making.report_on", report_on)
    review.write(tmp_path / "one")
    assert review.told == ["No model is loaded: choose one in the dock SAFIRE, then ask again."]
    assert not review.reports.is_asked
    review.session.choose_model("fake")
    review.settle()
    suggested = review.reports.suggested
    assert suggested == case_folder_of(review.photo) / "report"
    review.write(suggested)
    assert review.reports.written is not None
    assert review.reports.written.folder == suggested
    assert review.reports.suggested == case_folder_of(review.photo) / "report-2"
    review.write(tmp_path / "taken")
    assert review.told[-1] == "There is a report already."
    assert analysed == [review.photo]
    review.engine = other = FakeEngine()
    other.model = SimpleNamespace(device="cpu")
    review.session.choose_model("another")
    review.settle()
    review.write(tmp_path / "again")
    assert analysed == [review.photo] * 2, "another model says something else"
    review.photo.unlink()
    review.work.read_anew()
    review.settle()
    review.write(tmp_path / "gone")
    assert review.told[-1].startswith("The picture of this case is gone.")


@pytest.mark.parametrize("for_a_report", [False, True])
def test_an_analysis_ends_with_its_picture_unless_a_report_waits_for_it(
    review: Review, monkeypatch: pytest.MonkeyPatch, for_a_report: bool
) -> None:
    file = SimpleNamespace(sha256="")
    made = SimpleNamespace(labels=None, picture=SimpleNamespace(file=file, pixels_sha256=""))
    monkeypatch.setattr("napari_safire.review.analysis.analyse", lambda *a, **more: made)
    review.session.choose_model("fake")
    review.settle()
    came: list[object] = []
    review.analyses.ask(KEY, review.photo, PartitionSettings(), came.append, outlives=for_a_report)
    review.analyses.forget("another picture")
    assert review.analyses.is_asked
    review.analyses.forget(KEY.picture)
    assert review.analyses.is_asked == for_a_report
    review.settle()
    assert len(came) == for_a_report


def test_an_analysis_is_given_up(review: Review, monkeypatch: pytest.MonkeyPatch) -> None:
    def analyse(*asked: Any, cancel: Callable[[], bool], **more: Any) -> None:
        deadline = time.monotonic() + 60
        while not cancel():
            assert time.monotonic() < deadline, "not stopped"
            time.sleep(0.001)
        raise Cancelled

    monkeypatch.setattr("napari_safire.review.analysis.analyse", analyse)
    review.session.choose_model("fake")
    review.settle()
    review.analyses.ask(KEY, review.photo, PartitionSettings())
    review.session.cancel()  # the key that stops whatever runs
    assert not review.analyses.is_asked
    review.settle()
    assert review.analyses.of(KEY) is None
