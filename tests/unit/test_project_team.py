"""A project of several: pictures given away, controls, agreement made blind, adjudication."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from test_agreement import SEEDS, renumbered, works

from napari_safire.errors import DatasetError
from napari_safire.project.adding import add_pictures
from napari_safire.project.collecting import collect_pictures
from napari_safire.project.comparing import compare_works
from napari_safire.project.pictures import find_picture
from napari_safire.project.queries import PictureQuery, list_pictures, picture_rows
from napari_safire.project.settings import ProjectSettings
from napari_safire.project.store import Project
from napari_safire.project.team.adjudicating import (
    OpenAdjudication,
    open_adjudication,
    proved,
)
from napari_safire.project.team.adjudication import (
    AGREED,
    FIRST_WORK,
    NEITHER,
    PAINTED,
    UNDECIDED,
    RegionStep,
    RestStep,
    compare,
    resolve,
)
from napari_safire.project.team.assigning import (
    assign_adjudicators,
    assign_pictures,
    known_controls,
)
from napari_safire.project.team.control_pictures import (
    control_scores,
    make_control,
    unmake_control,
)
from napari_safire.project.verify import verify
from napari_safire.project.wording import event_sentence
from napari_safire.project.work import Step, find_work, finish, reject, reopen, save_step

SHAPE = (6, 8)
WHO = {"adjudicator": "cy", "at": "2026-11-29T15:00:00Z"}
N_PICTURES = 12


def halves(at: int = 4) -> np.ndarray:
    labels = np.ones(SHAPE, np.uint8)
    labels[:, at:] = 2
    return labels


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for k in range(N_PICTURES):
        pixels = rng.integers(0, 255, (*SHAPE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{k:02d}.png")
    settings_ = ProjectSettings(annotators_per_picture=2, control_share=0.25)
    with Project.create(tmp_path / "project", author="ann", settings=settings_) as made:
        add_pictures(made, collect_pictures(tmp_path / "photos"))
        yield made


def of(project: Project, place: int) -> str:
    return find_picture(project, f"{place:02d}.png").id


def done(project: Project, picture: str, annotator: str, labels: np.ndarray) -> None:
    work = find_work(project, picture, annotator)
    role = "annotator" if work is None else work.role
    before = 0 if work is None else work.revision
    saved = save_step(project, picture, annotator, Step(labels), before, role)
    finish(project, picture, annotator, saved.revision)


class TestAssigning:
    def test_pictures_are_given_away_with_hidden_controls(self, project: Project) -> None:
        controls = [of(project, k) for k in (0, 1, 2)]
        for picture in controls:
            make_control(project, picture, halves())
        assert known_controls(project) == tuple(sorted(controls))
        given_ = assign_pictures(project, ["ann", "bo", "cy"])
        assert given_.short == {}
        for name, queue in given_.pictures.items():
            assert len([one for one in queue if one not in controls]) == 6  # 9 pictures, two each
            assert given_.n_controls[name] == 2  # a quarter
            # The annotator's own list is in this order, and says nothing of controls.
            query = PictureQuery(assigned_only=True, sort="assigned")
            assert list_pictures(project, name, query) == queue
            rows = picture_rows(project, name, queue)
            assert {row.state for row in rows} == {"assigned"}
            assert {row.stage for row in rows} == {"annotate"}
        assert verify(project).problems == ()
        # Nothing is left to give away; somebody new gets nothing either.
        assert assign_pictures(project, ["ann", "bo", "cy", "dee"]).pictures == {}

    def test_more_pictures_come_later(self, project: Project, tmp_path: Path) -> None:
        first = assign_pictures(project, ["ann", "bo"]).pictures
        Image.fromarray(np.zeros((*SHAPE, 3), np.uint8)).save(tmp_path / "photos" / "99.png")
        add_pictures(project, collect_pictures(tmp_path / "photos"))
        later = assign_pictures(project, ["ann", "bo"]).pictures
        assert set(later) == {"ann", "bo"}
        assert {one for queue in later.values() for one in queue} == {of(project, 99)}
        query = PictureQuery(assigned_only=True, sort="assigned")
        assert list_pictures(project, "ann", query) == first["ann"] + later["ann"]

    def test_quotas_and_tags(self, project: Project) -> None:
        given_ = assign_pictures(
            project, ["ann", "bo"], per_picture=1, quotas={"ann": 3}, tags={"bo": ["none has it"]}
        )
        assert {name: len(queue) for name, queue in given_.pictures.items()} == {"ann": 3}
        assert len(given_.short) == N_PICTURES - 3
        with pytest.raises(DatasetError, match="is named twice"):
            assign_pictures(project, ["ann", " ann "])

    def test_adjudicators_are_none_of_the_annotators(self, project: Project) -> None:
        picture = of(project, 0)
        assert assign_adjudicators(project, ["cy"]).pictures == {}  # nothing waits yet
        done(project, picture, "ann", halves(4))
        done(project, picture, "bo", halves(5))
        assert assign_adjudicators(project, ["ann"]).short == {
            picture: "everybody has a part in it already"
        }
        assert assign_adjudicators(project, ["ann", "cy"]).pictures == {"cy": (picture,)}
        assert find_work(project, picture, "cy").role == "adjudicator"
        assert find_picture(project, picture).stage == "adjudicate"
        assert assign_adjudicators(project, ["ann", "cy"]).pictures == {}


class TestControls:
    def test_scores_against_known_truth(self, project: Project) -> None:
        picture = of(project, 3)
        make_control(project, picture, halves(4))
        save_step(project, picture, "ann", Step(halves(4)), 0)
        assert control_scores(project) == ()  # not done yet
        finish(project, picture, "ann", 1)
        done(project, picture, "bo", renumbered(halves(6), 3))
        ann, bo = control_scores(project)
        assert (ann.annotator, ann.p_miou) == ("ann", 1)
        assert bo.p_miou == pytest.approx((4 / 6 + 2 / 4) / 2)
        assert bo.at == find_work(project, picture, "bo").at
        unmake_control(project, picture)
        assert control_scores(project) == ()

    def test_the_truth_may_be_what_was_accepted(self, project: Project) -> None:
        picture = of(project, 4)
        with pytest.raises(DatasetError, match=r"truth of 04\.png is not known"):
            make_control(project, picture)
        done(project, picture, "ann", halves())
        make_control(project, picture)
        assert find_picture(project, picture).control == find_work(project, picture, "ann").labels

    @pytest.mark.parametrize(
        ("truth", "words"),
        [(np.ones((8, 6), np.uint8), "another picture"), (np.zeros(SHAPE, np.uint8), "no source")],
    )
    def test_what_is_no_truth(self, project: Project, truth: np.ndarray, words: str) -> None:
        with pytest.raises(DatasetError, match=words):
            make_control(project, of(project, 0), truth)


class TestBlind:
    def test_a_picture_waits_for_its_second_annotator(self, project: Project) -> None:
        picture = of(project, 0)
        done(project, picture, "ann", halves())
        assert find_picture(project, picture).stage == "second"
        # Nobody is told who was first, not even who has nothing to do with it.
        assert picture_rows(project, "bo", [picture])[0].annotators == ()
        project.change_settings(ProjectSettings(annotators_per_picture=1))
        assert find_picture(project, picture).stage == "accept"
        assert project.rebuild()

    def test_agreement_is_of_what_was_made_blind(self, project: Project) -> None:
        picture = of(project, 0)
        done(project, picture, "ann", halves(4))
        assert compare_works(project, picture) is None
        done(project, picture, "bo", halves(6))
        blind = compare_works(project, picture)
        assert blind is not None
        # He has seen hers by now, and does as she did.
        reopen(project, picture, "bo")
        done(project, picture, "bo", halves(4))
        again = compare_works(project, picture)
        assert again is not None
        assert again.pairs == blind.pairs
        assert again.pairs["ann", "bo"].p_miou < 1
        assert find_picture(project, picture).disagreement == pytest.approx(
            1 - blind.pairs["ann", "bo"].p_miou
        )

    def test_who_came_later_could_see(self, project: Project) -> None:
        project.change_settings(ProjectSettings())
        picture = of(project, 0)
        done(project, picture, "ann", halves(4))
        done(project, picture, "bo", halves(6))
        assert compare_works(project, picture) is not None
        event = list(project.events(picture=picture))[-1]
        assert event.body["blind"] is False
        assert event_sentence(event).endswith("p_mIoU 0.583, not blind")

    def test_works_without_a_common_pixel(self, project: Project) -> None:
        picture = of(project, 0)
        left, right = halves(4), halves(4)
        left[:, 4:] = 0
        right[:, :4] = 0
        for name, labels in (("ann", left), ("bo", right)):
            save_step(project, picture, name, Step(labels), 0)
            finish(project, picture, name, 1, waiver="too dark")
        assert compare_works(project, picture) is not None
        assert find_picture(project, picture).disagreement is None
        assert "p_mIoU ?" in event_sentence(list(project.events(picture=picture))[-1])


@st.composite
def drawn(draw: st.DrawFn) -> tuple[OpenAdjudication, list[object], np.ndarray]:
    """An adjudication, anything chosen in it, and labels that follow in part or not at all."""
    labels = works(draw(st.integers(2, 3)), SHAPE, draw(SEEDS), least=draw(st.integers(0, 1)))
    comparison = compare(labels, smallest=draw(st.integers(1, 3)))
    regions = comparison.disagreements.regions
    chosen: list[object] = []
    for _ in range(draw(st.integers(0, 5))):
        choice = draw(st.integers(0, len(labels) - 1))
        if draw(st.booleans()):
            chosen.append(RestStep(**WHO, choice=choice))
        elif regions:
            region = draw(st.sampled_from(regions))
            said = choice if region.sources[choice] and draw(st.booleans()) else "neither"
            chosen.append(RegionStep(**WHO, region=region.name, choice=said))
    result = resolve(comparison, draw(st.sampled_from([chosen, chosen[:2], []]))).labels
    painted = draw(st.integers(0, 3))
    if painted:
        rng = np.random.default_rng(draw(SEEDS))
        where = rng.random(SHAPE) < painted / 4
        result = np.where(where, rng.integers(0, 30, SHAPE), result).astype(np.uint8)
    return OpenAdjudication("cy", (), comparison), chosen, result


class TestAdjudicating:
    @given(drawn(), st.one_of(st.none(), SEEDS))
    @settings(max_examples=60, deadline=None)
    def test_decisions_give_the_labels_however_they_came_about(self, case, numbering) -> None:
        opened, chosen, labels = case
        if numbering is not None:
            labels = renumbered(labels, numbering)
        found = opened.decided(labels, chosen)
        assert (found.labels == labels).all()
        assert (resolve(opened.comparison, found.steps).labels == found.resolution.labels).all()
        # Of what was chosen nothing is invented, and a region has one decision.
        regions = [step for step in found.steps if isinstance(step, RegionStep)]
        assert set(regions) <= {step for step in chosen if isinstance(step, RegionStep)}
        assert len({step.region for step in regions}) == len(regions)

    def both(self, project: Project) -> str:
        picture = of(project, 0)
        done(project, picture, "ann", halves(3))
        done(project, picture, "bo", np.array([0, 7, 5], np.uint8)[halves(5)])
        return picture

    def test_from_agreement_to_a_proved_truth(self, project: Project) -> None:
        picture = self.both(project)
        opened = open_adjudication(project, picture, "cy", smallest=1)
        assert opened.names == ("ann", "bo")
        (region,) = opened.comparison.disagreements.regions
        assert (region.area, region.sources) == (12, (2, 7))
        start = opened.beginning()
        assert opened.decided(start, ()).resolution.counts() == {UNDECIDED: 12, AGREED: 36}
        # bo is right, but for one pixel; and a corner is something else.
        labels = start.copy()
        labels[:, 3:5] = 1
        labels[0, 3] = 2
        labels[5, 7] = 9
        chosen = [RegionStep(**WHO, region=region.name, choice=1)]
        found = opened.decided(labels, chosen)
        assert found.steps[:1] == tuple(chosen)
        assert found.resolution.counts() == {AGREED: 35, PAINTED: 2, FIRST_WORK + 1: 11}
        step = Step(labels, decisions=opened.record(found).as_record())
        save_step(project, picture, "cy", step, 0, "adjudicator")
        finish(project, picture, "cy", 1)
        assert find_picture(project, picture).stage == "accept"
        origins = proved(project, picture, "cy").resolution.origins
        assert origins[5, 7] == PAINTED
        assert origins[1, 3] == FIRST_WORK + 1
        # It is opened again as it was.
        again = open_adjudication(project, picture, "cy", smallest=1)
        assert again.chosen == tuple(chosen)
        assert again.n_dropped == 0
        assert verify(project).problems == ()

    def test_undone_and_changed_choices(self, project: Project) -> None:
        opened = open_adjudication(project, self.both(project), "cy", smallest=1)
        (region,) = opened.comparison.disagreements.regions
        first, second, none = (
            RegionStep(**WHO, region=region.name, choice=choice) for choice in (0, 1, "neither")
        )
        start = opened.beginning()
        assert opened.decided(start, [first]).steps == ()  # undone
        of_first = resolve(opened.comparison, [first]).labels
        assert opened.decided(of_first, [first, second]).steps == (first,)  # back to the first
        assert opened.decided(start, [first, none]).resolution.counts() == {NEITHER: 12, AGREED: 36}

    def test_renumbered_sources_are_not_painted_ones(self, project: Project) -> None:
        opened = open_adjudication(project, self.both(project), "cy", smallest=1)
        chosen = [RestStep(**WHO, choice=0)]
        labels = renumbered(resolve(opened.comparison, chosen).labels, 4)
        found = opened.decided(labels, chosen)
        assert found.steps == tuple(chosen)
        assert (found.labels == labels).all()
        assert found.number(1) == labels[0, 0]
        record = opened.record(found)
        assert dict(record.numbers)[1] == labels[0, 0]

    def test_who_may_adjudicate_what_and_when(self, project: Project) -> None:
        picture = of(project, 0)
        done(project, picture, "ann", halves())
        with pytest.raises(DatasetError, match=r"00\.png waits for more annotators"):
            open_adjudication(project, picture, "cy")
        save_step(project, picture, "bo", Step(halves(5)), 0)
        with pytest.raises(DatasetError, match="waits for bo"):
            open_adjudication(project, picture, "cy")
        finish(project, picture, "bo", 1)
        assert open_adjudication(project, picture, "cy").chosen == ()
        with pytest.raises(DatasetError, match=r"ann annotated 00\.png"):
            open_adjudication(project, picture, "ann")
        with pytest.raises(DatasetError, match="cy has not adjudicated"):
            proved(project, picture, "cy")
        project.change_settings(ProjectSettings())
        alone = of(project, 1)
        done(project, alone, "ann", halves())
        with pytest.raises(DatasetError, match="nothing to adjudicate"):
            open_adjudication(project, alone, "cy")

    def test_a_work_that_was_revised(self, project: Project) -> None:
        picture = self.both(project)
        opened = open_adjudication(project, picture, "cy", smallest=1)
        (region,) = opened.comparison.disagreements.regions
        chosen = [RegionStep(**WHO, region=region.name, choice=0)]
        labels = resolve(opened.comparison, chosen).labels
        decisions = opened.record(opened.decided(labels, chosen)).as_record()
        save_step(project, picture, "cy", Step(labels, decisions=decisions), 0, "adjudicator")
        reject(project, picture, "bo", "look at the border again")
        with pytest.raises(DatasetError, match="waits for bo"):
            open_adjudication(project, picture, "cy")
        done(project, picture, "bo", halves(4))
        again = open_adjudication(project, picture, "cy", smallest=1)
        assert again.chosen == ()
        assert again.n_dropped == 1
        # What was saved still follows from what it rested on.
        assert (proved(project, picture, "cy").labels == labels).all()

    def test_labels_that_do_not_follow_are_found(self, project: Project) -> None:
        picture = self.both(project)
        opened = open_adjudication(project, picture, "cy")
        start = opened.beginning()
        decisions = opened.record(opened.decided(start, ())).as_record()
        other = start.copy()
        other[0, 0] = 2
        save_step(project, picture, "cy", Step(other, decisions=decisions), 0, "adjudicator")
        with pytest.raises(DatasetError, match="1 pixels of the adjudication by cy do not follow"):
            proved(project, picture, "cy")
