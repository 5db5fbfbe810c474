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
from napari_safire.project.assigning import control_scores, give_away, make_control
from napari_safire.project.chain.events import Draft
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
from napari_safire.project.team.assignment import AssignmentRule
from napari_safire.project.upkeep.verify import verify
from napari_safire.project.upkeep.wording import event_sentence
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
        given_ = give_away(project, AssignmentRule(("ann", "bo", "cy"), 2))
        assert given_.short == {}
        for name, count in given_.counts.items():
            assert count == 8  # 9 pictures, two people each, and a quarter of controls
            # The annotator's own list is in the order in which they were given.
            query = PictureQuery(assigned_only=True)
            queue = list_pictures(project, name, query)
            assert queue == tuple(
                event.picture
                for event in project.events()
                if event.kind == "work.assigned" and event.body["annotator"] == name
            )
            assert len(set(controls).intersection(queue)) == 2
            # The others come after them.
            assert list_pictures(project, name, PictureQuery())[: len(queue)] == queue
            # And a row says nothing of controls.
            rows = picture_rows(project, name, queue)
            assert {row.state for row in rows} == {"assigned"}
            assert {row.stage for row in rows} == {"annotate"}
        assert verify(project).problems == ()
        # Nothing is left to give away; somebody new gets nothing either.
        again = give_away(project, AssignmentRule(("ann", "bo", "cy", "dee"), 2))
        assert set(again.counts.values()) == {0}

    def test_more_pictures_come_later(self, project: Project, tmp_path: Path) -> None:
        rule = AssignmentRule(("ann", "bo"), 2)
        query = PictureQuery(assigned_only=True)
        give_away(project, rule)
        first = list_pictures(project, "ann", query)
        Image.fromarray(np.zeros((*SHAPE, 3), np.uint8)).save(tmp_path / "photos" / "99.png")
        add_pictures(project, collect_pictures(tmp_path / "photos"))
        assert give_away(project, rule).counts == {"ann": 1, "bo": 1}
        assert list_pictures(project, "ann", query) == (*first, of(project, 99))

    def test_quotas_and_tags(self, project: Project) -> None:
        rule = AssignmentRule(
            ("ann", "bo"), 1, quotas={"ann": 3}, tags={"bo": frozenset({"none has it"})}
        )
        given_ = give_away(project, rule)
        assert given_.counts == {"ann": 3, "bo": 0}
        assert len(given_.short) == N_PICTURES - 3

    def test_adjudicators_are_none_of_the_annotators(self, project: Project) -> None:
        picture = of(project, 0)
        rule = AssignmentRule(("ann", "cy"))
        # Nothing waits yet.
        assert give_away(project, rule, "adjudicator").counts == {"ann": 0, "cy": 0}
        done(project, picture, "ann", halves(4))
        done(project, picture, "bo", halves(5))
        alone = give_away(project, AssignmentRule(("ann",)), "adjudicator")
        assert alone.short == {"00.png": "everybody has a part in it already"}
        assert give_away(project, rule, "adjudicator").counts == {"ann": 0, "cy": 1}
        assert find_work(project, picture, "cy").role == "adjudicator"
        assert find_picture(project, picture).stage == "adjudicate"
        assert give_away(project, rule, "adjudicator").counts == {"ann": 0, "cy": 0}

    def test_what_one_began_unasked_keeps_its_place(self, project: Project) -> None:
        save_step(project, of(project, 5), "ann", Step(halves()), 0)
        assert list_pictures(project, "ann", PictureQuery())[5] == of(project, 5)


class TestControls:
    def test_scores_against_known_truth(self, project: Project) -> None:
        picture = of(project, 3)
        make_control(project, picture, halves(4))
        save_step(project, picture, "ann", Step(halves(4)), 0)
        assert control_scores(project) == ()  # not done yet
        finish(project, picture, "ann", 1)
        done(project, picture, "bo", renumbered(halves(6), 3))
        ann, bo = control_scores(project)
        assert (ann.annotator, ann.means["p_miou"].mean) == ("ann", 1)
        assert bo.means["p_miou"].mean == pytest.approx((4 / 6 + 2 / 4) / 2)
        assert bo.end == find_work(project, picture, "bo").at
        make_control(project, picture, None)
        assert control_scores(project) == ()

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
        assert compare_works(project, picture) is None

    def test_nobody_waits_for_who_was_withdrawn(self, project: Project) -> None:
        picture = of(project, 0)
        body = {"annotator": "cy", "role": "annotator"}
        project.append([Draft("work.assigned", picture, body)])
        done(project, picture, "ann", halves(4))
        done(project, picture, "bo", halves(6))
        assert compare_works(project, picture) is None
        project.append([Draft("work.withdrawn", picture, body)])
        assert compare_works(project, picture) is not None

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
        assert found.numbered(np.array([1], np.uint8)) == labels[0, 0]
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
        (problem,) = verify(project).problems
        assert problem.startswith("00.png: 1 pixels of the adjudication by cy do not follow")
