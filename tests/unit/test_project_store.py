"""A project on disk: events in a chain, the state made of them, pictures, work."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from napari_safire import Engine, load_model
from napari_safire.annotation.annotation import Annotation, SourcePrompt, Stroke
from napari_safire.annotation.predictions import AnnotatedPlane
from napari_safire.errors import DatasetError, SafireError
from napari_safire.images.lists import ListEntry
from napari_safire.project import projections
from napari_safire.project.adding import add_pictures
from napari_safire.project.chain import database, schema
from napari_safire.project.chain.events import Draft
from napari_safire.project.collecting import collect_pictures
from napari_safire.project.comparing import compare_all, compare_works, score_pictures
from napari_safire.project.people import annotator_name, choose_annotator_name
from napari_safire.project.pictures import (
    find_picture,
    look_after,
    open_picture,
    project_pictures,
    remove_picture,
    tag_picture,
)
from napari_safire.project.queries import (
    PictureQuery,
    count_states,
    list_pictures,
    own_states,
    picture_rows,
    tags,
)
from napari_safire.project.revisions import Changed
from napari_safire.project.settings import ProjectSettings
from napari_safire.project.store import DATABASE, Project
from napari_safire.project.truth import (
    Donor,
    Note,
    PictureDescription,
    SourceDescription,
    decode_description,
)
from napari_safire.project.upkeep.backup import back_up, recover
from napari_safire.project.upkeep.merge import merge
from napari_safire.project.upkeep.statistics import statistics
from napari_safire.project.upkeep.verify import verify
from napari_safire.project.upkeep.wording import event_sentence
from napari_safire.project.work import (
    Step,
    accept,
    find_work,
    finish,
    read_labels,
    read_made,
    reject,
    reopen,
    save_step,
    truth_of,
)
from napari_safire.types import PointPrompt

SHAPE = (12, 16)


def picture(path: Path, seed: int = 0, shape: tuple[int, int] = SHAPE) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 255, (*shape, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def two_sources(split: int = 6) -> np.ndarray:
    labels = np.ones(SHAPE, np.uint8)
    labels[:, split:] = 2
    return labels


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    for seed, name in enumerate(("a.png", "b.png", "c.png")):
        picture(tmp_path / "photos" / name, seed)
    with Project.create(tmp_path / "project", "Trial", author="Ada") as made:
        add_pictures(made, collect_pictures(tmp_path / "photos"))
        yield made


def ids(project: Project) -> list[str]:
    return [one.id for one in project_pictures(project)]


def finished(project: Project, name: str, labels: np.ndarray, author: str = "Ada") -> None:
    save_step(project, name, author, Step(labels), 0)
    finish(project, name, author, 1)


class TestChain:
    def test_what_was_written_holds_and_the_state_can_be_made_anew(self, project: Project) -> None:
        finished(project, ids(project)[0], two_sources())
        found = verify(project)
        assert found.problems == ()
        assert found.n_pictures == 3
        assert found.n_events == 7
        assert project.rebuild()

    def test_events_can_neither_be_changed_nor_removed(self, project: Project) -> None:
        connection = sqlite3.connect(project.folder / DATABASE)
        for change in (
            "UPDATE event SET author = 'Eve' WHERE sequence = 2",
            "DELETE FROM event WHERE sequence = 2",
            "INSERT INTO event SELECT 99, at, author, machine, kind, picture, body, origin, "
            "previous, sha256 FROM event WHERE sequence = 2",
        ):
            with pytest.raises(sqlite3.IntegrityError):
                connection.execute(change)

    def test_who_forges_an_event_past_the_triggers_is_found(self, project: Project) -> None:
        head = project.head
        assert head is not None
        connection = sqlite3.connect(project.folder / DATABASE)
        connection.execute("DROP TRIGGER event_stays")
        connection.execute("UPDATE event SET author = 'Eve' WHERE sequence = 3")
        connection.commit()
        assert verify(project).problems == ("Event 3 was changed: its hash is another.",)

    def test_another_chain_is_told_by_a_hash_noted_earlier(self, project: Project) -> None:
        head = project.head
        assert head is not None
        assert verify(project, head=head.sha256[:16]).problems == ()
        assert "another chain" in verify(project, head="0123abcd").problems[0]

    def test_a_state_that_somebody_changed_is_told_and_mended(self, project: Project) -> None:
        connection = sqlite3.connect(project.folder / DATABASE)
        connection.execute("UPDATE picture SET stage = 'accepted'")
        connection.commit()
        connection.close()
        assert "rebuild" in verify(project).problems[0]
        assert not project.rebuild()
        assert verify(project).problems == ()

    def test_a_clock_set_back_is_a_remark_and_no_problem(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(
            "napari_safire.project.chain.events.now", lambda: "1999-01-01T00:00:00.000+00:00"
        )
        tag_picture(project, ids(project)[0], ["later"])
        found = verify(project)
        assert found.problems == ()
        assert "set back" in found.remarks[0]

    def test_every_event_is_told_in_a_line(self, project: Project) -> None:
        name = ids(project)[0]
        finished(project, name, two_sources())
        reject(project, name, "Ada", "the edge\nleft")
        told = [event_sentence(event, "a.png") for event in project.events()]
        assert len(told) == 8
        assert all("\n" not in line for line in told)
        assert "sent back: the edge" in told[-1]


class TestPictures:
    def test_a_moved_picture_is_found_again_by_its_hash(self, project: Project) -> None:
        photos = project.folder.parent / "photos"
        (photos / "sub").mkdir()
        (photos / "a.png").rename(photos / "sub" / "renamed.png")
        assert look_after(project) == (1, 0)
        assert find_picture(project, "renamed.png").path == "../photos/sub/renamed.png"

    def test_a_changed_picture_is_flagged_and_never_used(self, project: Project) -> None:
        picture(project.folder.parent / "photos" / "a.png", 99)
        name = ids(project)[0]
        with pytest.raises(DatasetError, match="was changed"):
            open_picture(project, name)
        assert "was changed" in find_picture(project, name).problem
        assert any("was changed" in problem for problem in verify(project).problems)
        picture(project.folder.parent / "photos" / "a.png", 0)
        open_picture(project, name)
        assert find_picture(project, name).problem == ""

    def test_a_picture_that_is_gone_is_told(self, project: Project) -> None:
        (project.folder.parent / "photos" / "b.png").unlink()
        assert look_after(project) == (0, 1)
        assert "gone" in find_picture(project, "b.png").problem

    def test_the_same_pixels_in_two_files_are_told(self, project: Project, tmp_path: Path) -> None:
        pixels = np.asarray(Image.open(tmp_path / "photos" / "a.png"))
        Image.fromarray(pixels).save(tmp_path / "copy.tif")
        added = add_pictures(project, [ListEntry(tmp_path / "copy.tif")])
        assert added.duplicates == (("../copy.tif", "../photos/a.png"),)

    def test_adding_again_changes_nothing(self, project: Project, tmp_path: Path) -> None:
        again = add_pictures(project, collect_pictures(tmp_path / "photos"))
        assert again.ids == ()
        assert again.known == 3

    def test_unreadable_ones_are_told_and_the_others_added(
        self, project: Project, tmp_path: Path
    ) -> None:
        (tmp_path / "bad.png").write_bytes(b"no picture")
        good = picture(tmp_path / "good.png", 5)
        added = add_pictures(
            project, [ListEntry(tmp_path / "bad.png"), ListEntry(good), ListEntry(tmp_path / "no")]
        )
        assert len(added.ids) == 1
        assert len(added.problems) == 2

    def test_quick_ones_are_known_by_their_pixels_once_they_are_opened(
        self, project: Project, tmp_path: Path
    ) -> None:
        quick = add_pictures(project, [ListEntry(picture(tmp_path / "q.png", 7))], decode=False)
        assert find_picture(project, "q.png").pixels_sha256 is None
        open_picture(project, quick.ids[0])
        assert find_picture(project, "q.png").pixels_sha256 is not None

    def test_a_mask_that_came_with_a_picture_is_where_work_begins(
        self, project: Project, tmp_path: Path
    ) -> None:
        mask = np.zeros(SHAPE, np.uint8)
        mask[:4] = 100
        Image.fromarray(mask).save(tmp_path / "mask.png")
        (name,) = add_pictures(
            project, [ListEntry(picture(tmp_path / "m.png", 8), tmp_path / "mask.png")]
        ).ids
        begin = find_picture(project, name).begin
        assert begin is not None
        assert set(np.unique(project.objects.labels(begin))) == {1, 3}

    @pytest.mark.parametrize("name", ["ü ñ 図.png", "new\nline.png", "a..b.png", "caf\udce9.png"])
    def test_names_of_all_kinds(self, project: Project, tmp_path: Path, name: str) -> None:
        add_pictures(project, [ListEntry(picture(tmp_path / "odd" / name, 11))])
        found = list(project_pictures(project))[-1]
        assert open_picture(project, found.id).pixels.shape == (*SHAPE, 3)
        assert verify(project).problems == ()
        assert project.rebuild()

    def test_two_pictures_of_one_name_are_asked_for_by_their_paths(
        self, project: Project, tmp_path: Path
    ) -> None:
        add_pictures(project, [ListEntry(picture(tmp_path / "other" / "a.png", 20))])
        with pytest.raises(DatasetError, match="2 pictures are called"):
            find_picture(project, "a.png")
        assert find_picture(project, "../other/a.png").name == "a.png"

    def test_removed_ones_leave_the_list_and_stay_in_the_log(self, project: Project) -> None:
        remove_picture(project, "b.png", "blurred")
        assert [p.name for p in project_pictures(project)] == ["a.png", "c.png"]
        assert [p.name for p in project_pictures(project, removed=True)][1] == "b.png"

    def test_tables_patterns_and_masks_beside_pictures(self, tmp_path: Path) -> None:
        a, b = picture(tmp_path / "a.png", 1), picture(tmp_path / "deep" / "b.png", 2)
        Image.fromarray(np.zeros(SHAPE, np.uint8)).save(tmp_path / "a_mask.png")
        (tmp_path / "table.tsv").write_text("id\tfile\n1\ta.png\n2\tdeep/b.png\n")
        assert [e.image for e in collect_pictures(tmp_path / "table.tsv")] == [a, b]
        assert [e.image for e in collect_pictures(tmp_path)] == [a, b]
        assert [e.image for e in collect_pictures(f"{tmp_path}/**/*b.png")] == [b]
        (tmp_path / "wrong.tsv").write_text("id\tname\n1\ta.png\n")
        with pytest.raises(DatasetError, match="no column of paths"):
            collect_pictures(tmp_path / "wrong.tsv")


class TestWork:
    def test_a_whole_annotation_comes_back(self, project: Project) -> None:
        name = ids(project)[0]
        annotation = Annotation.empty(SHAPE).with_prompts(
            (SourcePrompt(PointPrompt(2.5, 3.25), 2, exclude=True),)
        )
        description = PictureDescription(
            (
                SourceDescription(1, type="authentic background"),
                SourceDescription(2, "car", (1, 2, 3), "splice", Donor("file", "x.jpg"), 1),
            ),
            (Note("look <b>here</b>", 2, 3.0, 4.0),),
        )
        step = Step(two_sources(), AnnotatedPlane(annotation), description, 12.5, "paint", "model")
        save_step(project, name, "Ada", step, 0)
        work = find_work(project, name, "Ada")
        assert work is not None
        assert work.description == description
        assert (work.revision, work.seconds, work.begun_from) == (1, 12.5, "model")
        made = read_made(project, work)
        assert made is not None
        assert made.annotation == annotation
        assert np.array_equal(read_labels(project, work), two_sources())

    def test_done_is_refused_while_pixels_have_no_source(self, project: Project) -> None:
        name = ids(project)[0]
        labels = two_sources()
        labels[0, :3] = 0
        save_step(project, name, "Ada", Step(labels), 0)
        with pytest.raises(DatasetError, match="3 pixels have no source"):
            finish(project, name, "Ada", 1)
        assert finish(project, name, "Ada", 1, waiver="a torn edge").waiver == "a torn edge"

    def test_one_source_is_said_to_be_authentic_or_is_not_done(self, project: Project) -> None:
        name = ids(project)[0]
        save_step(project, name, "Ada", Step(np.ones(SHAPE, np.uint8)), 0)
        with pytest.raises(DatasetError, match="authentic"):
            finish(project, name, "Ada", 1)
        assert finish(project, name, "Ada", 1, authentic=True).authentic
        other = ids(project)[1]
        save_step(project, other, "Ada", Step(two_sources()), 0)
        with pytest.raises(DatasetError, match="not authentic"):
            finish(project, other, "Ada", 1, authentic=True)

    def test_who_saves_over_anothers_change_is_told_and_nothing_is_lost(
        self, project: Project
    ) -> None:
        name = ids(project)[0]
        save_step(project, name, "Ada", Step(two_sources(3)), 0)
        with Project.open(project.folder, author="Bob") as other:
            save_step(other, name, "Ada", Step(two_sources(4)), 1)
        with pytest.raises(Changed, match="Changed by Bob") as changed:
            save_step(project, name, "Ada", Step(two_sources(5)), 1)
        assert changed.value.revision == 2
        save_step(project, name, "Ada (second opinion)", Step(two_sources(5)), 0)
        work = find_work(project, name, "Ada")
        assert work is not None
        assert np.array_equal(read_labels(project, work), two_sources(4))

    def test_stages_up_to_acceptance_and_back(self, project: Project) -> None:
        name = ids(project)[0]
        for annotator in ("Ada", "Bob"):
            project.append([Draft("work.assigned", name, {"annotator": annotator})])

        def stage() -> str:
            return find_picture(project, name).stage

        assert stage() == "annotate"
        finished(project, name, two_sources(5))
        assert stage() == "second"
        assert truth_of(project, name) is not None
        finished(project, name, two_sources(6), "Bob")
        assert stage() == "adjudicate"
        assert truth_of(project, name) is None
        save_step(project, name, "Cleo", Step(two_sources(5)), 0, "adjudicator")
        finish(project, name, "Cleo", 1)
        assert stage() == "accept"
        reject(project, name, "Cleo", "wrong edge")
        assert stage() == "adjudicate"
        reopen(project, name, "Cleo")
        finish(project, name, "Cleo", 1)
        accept(project, name, "Cleo")
        truth = truth_of(project, name)
        assert stage() == "accepted"
        assert truth is not None
        assert truth.annotator == "Cleo"
        assert project.rebuild()

    def test_work_is_not_sent_back_without_a_note_nor_before_it_is_done(
        self, project: Project
    ) -> None:
        name = ids(project)[0]
        save_step(project, name, "Ada", Step(two_sources()), 0)
        with pytest.raises(DatasetError, match="note"):
            reject(project, name, "Ada", " ")
        with pytest.raises(DatasetError, match="not done"):
            accept(project, name, "Ada")

    def test_labels_of_another_size_are_refused(self, project: Project) -> None:
        with pytest.raises(DatasetError, match=r"5 x 5 pixels, a\.png has 12 x 16"):
            save_step(project, ids(project)[0], "Ada", Step(np.ones((5, 5), np.uint8)), 0)


class TestDescriptions:
    def test_both_ends_of_a_copy_follow_their_numbers(self) -> None:
        copied = SourceDescription(2, type="copy-move target", donor=Donor("region", source=3))
        said = PictureDescription((copied,))
        assert decode_description(said.as_record()) == said
        assert said.renumbered({2: 5, 3: 1}).of(5).donor == Donor("region", source=1)
        assert said.renumbered({3: 2}).of(2).donor == Donor("region")  # they became one
        assert said.only([2, 3]) == said
        assert said.only([1, 2]).of(2).donor == Donor("region")

    def test_what_cannot_be_a_donor_is_refused(self) -> None:
        for wrong in (
            lambda: Donor("file"),
            lambda: Donor("region", "a.jpg"),
            lambda: Donor("file", "a.jpg", source=2),
            lambda: Donor("region", source=0),
            lambda: Donor("region", source=256),
            lambda: SourceDescription(2, donor=Donor("region", source=2)),
        ):
            with pytest.raises(DatasetError):
                wrong()
        with pytest.raises(DatasetError, match="the source of a donor"):
            decode_description(
                {
                    "sources": [SourceDescription(1).as_record() | {
                        "donor": {"kind": "region", "name": "", "mask": None, "source": "3"}
                    }],
                    "notes": [],
                }
            )  # fmt: skip


class TestList:
    def test_filters_and_orders(self, project: Project) -> None:
        a, b, c = ids(project)
        tag_picture(project, b, ["night", "100%"])
        finished(project, c, two_sources())
        project.append([Draft("picture.scored", a, {"score": 0.2, "verdict": "forged"})])

        def listed(**query: object) -> tuple[str, ...]:
            return list_pictures(project, "Ada", PictureQuery(**query))  # type: ignore[arg-type]

        assert listed() == (a, b, c)
        assert listed(text="NIGHT") == (b,)
        assert listed(text="0%") == (b,)
        assert listed(text="%%") == ()
        assert listed(states=("done",)) == (c,)
        assert listed(states=("untouched",)) == (a, b)
        assert listed(tag="night") == (b,)
        assert tags(project) == ("100%", "night")
        assert listed(sort="name", descending=True) == (c, b, a)
        assert listed(sort="score", descending=True)[0] == a == listed(sort="score")[0]
        assert listed(others="Ada") == (c,)
        assert listed(stages=("accept",)) == (c,)
        assert count_states(project, "Ada")["done"] == 1
        assert [row.state for row in picture_rows(project, "Ada", [c, a])] == ["done", "untouched"]

    def test_what_was_given_comes_first_also_where_a_filter_hides_some_of_it(
        self, project: Project
    ) -> None:
        a, b, c = ids(project)
        tag_picture(project, b, ["night"])
        tag_picture(project, a, ["night"])
        for picture in (c, b):
            project.append([Draft("work.assigned", picture, {"annotator": "Ada"})])

        def listed(**query: object) -> tuple[str, ...]:
            return list_pictures(project, "Ada", PictureQuery(**query))  # type: ignore[arg-type]

        assert listed() == (c, b, a)
        assert listed(descending=True) == (b, c, a)
        assert listed(tag="night") == (b, a)
        assert listed(sort="state") == (b, c, a)
        assert listed(sort="state", descending=True) == (a, b, c)
        assert own_states(project, "Ada") == {c: "assigned", b: "assigned"}
        remove_picture(project, c)
        assert listed() == (b, a)
        assert own_states(project, "Ada") == {b: "assigned"}

    def test_others_are_not_seen_before_all_are_done(self, project: Project) -> None:
        name = ids(project)[0]
        for annotator in ("Ada", "Bob"):
            project.append([Draft("work.assigned", name, {"annotator": annotator})])
        finished(project, name, two_sources(), "Bob")
        (row,) = picture_rows(project, "Ada", [name])
        assert row.annotators == ("Ada",)
        finished(project, name, two_sources())
        (row,) = picture_rows(project, "Ada", [name])
        assert row.annotators == ("Ada", "Bob")


class TestOpinions:
    def test_annotators_are_compared_once_both_are_done(self, project: Project) -> None:
        name = ids(project)[0]
        project.change_settings(ProjectSettings(2))
        finished(project, name, two_sources(8))
        assert compare_works(project, name) is None
        renumbered = np.where(two_sources(8) == 1, np.uint8(7), np.uint8(3))
        finished(project, name, renumbered, "Bob")
        found = compare_works(project, name)
        assert found is not None
        assert found.pairs["Ada", "Bob"].p_miou == 1
        assert find_picture(project, name).disagreement == 0
        head = project.head
        assert compare_works(project, name) is not None
        assert project.head == head  # nothing new is noted
        assert compare_all(project)["p_ari"].n == 1
        reopen(project, name, "Bob")  # who may look at the other's now: it does not count
        save_step(project, name, "Bob", Step(two_sources(3)), 1)
        finish(project, name, "Bob", 2)
        assert compare_works(project, name) == found

    def test_a_models_opinion_sorts_the_queue(self, project: Project) -> None:
        engine = Engine(load_model("safire-lite"))
        scored = list(score_pictures(project, engine))
        assert [one.problem for one in scored] == ["", "", ""]
        assert list(score_pictures(project, engine)) == []
        known = [find_picture(project, name) for name in ids(project)]
        assert all(picture.verdict and picture.uncertainty is not None for picture in known)
        head = verify(project, known_models=[])
        assert head.problems == ()
        assert "is not on this machine" in head.remarks[-1]


class TestFile:
    def test_a_newer_schema_is_refused(self, project: Project) -> None:
        folder = project.folder
        project.close()
        connection = sqlite3.connect(folder / DATABASE)
        connection.execute("PRAGMA user_version = 99")
        connection.close()
        with pytest.raises(DatasetError, match="update napari-safire"):
            Project.open(folder)

    def test_a_project_of_the_first_schema_is_brought_up(self, project: Project) -> None:
        folder = project.folder
        finished(project, ids(project)[0], two_sources())
        project.close()
        connection = sqlite3.connect(folder / DATABASE)
        for table in (*reversed(schema.STATE_TABLES),):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("DROP INDEX event_by_picture")
        connection.execute("PRAGMA user_version = 1")
        connection.commit()
        connection.close()
        with Project.open(folder) as opened:
            assert opened.ask("PRAGMA user_version") == [(len(schema.MIGRATIONS),)]
            assert verify(opened).problems == ()
            assert len(ids(opened)) == 3

    def test_a_migration_that_fails_half_way_leaves_all_as_it_was(self, project: Project) -> None:
        broken = (*schema.MIGRATIONS, "CREATE TABLE half (a);\nCREATE TABLE event (a);\n")
        connection = sqlite3.connect(project.folder / DATABASE, isolation_level=None)
        with pytest.raises(sqlite3.Error):
            schema.migrate(connection, "trial", broken)
        assert connection.execute("PRAGMA user_version").fetchone() == (len(schema.MIGRATIONS),)
        assert not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'half'").fetchall()

    def test_where_nothing_may_be_written_it_is_read(self, project: Project) -> None:
        with Project.open(project.folder, read_only=True) as reader:
            assert len(ids(reader)) == 3
            with pytest.raises(SafireError, match="may not be written"):
                tag_picture(reader, ids(reader)[0], ["x"])

    @pytest.mark.skipif(os.name == "nt", reason="Windows keeps open files where they are")
    def test_one_that_was_removed_or_replaced_takes_nothing_more(self, project: Project) -> None:
        one, folder = ids(project)[0], project.folder
        tag_picture(project, one, ["before"])
        away = folder.rename(folder.with_name("away"))
        for ask in (lambda: tag_picture(project, one, ["lost"]), lambda: ids(project)):
            with pytest.raises(SafireError, match="was removed or replaced while it was open"):
                ask()
        Project.create(folder, "Another", author="Ada").close()
        with pytest.raises(SafireError, match="was removed or replaced"):
            tag_picture(project, one, ["lost"])
        folder.rename(folder.with_name("another"))
        away.rename(folder)
        tag_picture(project, one, ["after"])  # it is back
        with Project.open(folder, read_only=True) as reader:
            assert tags(reader) == ("after",)

    def test_no_project_and_a_second_one_are_told(self, project: Project, tmp_path: Path) -> None:
        with pytest.raises(DatasetError, match="holds no project"):
            Project.open(tmp_path / "photos")
        with pytest.raises(SafireError, match="holds a project already"):
            Project.create(project.folder)

    def test_a_file_that_is_no_database_is_told(self, tmp_path: Path) -> None:
        (tmp_path / DATABASE).write_bytes(b"x" * 5000)
        with pytest.raises(DatasetError, match="damaged"):
            Project.open(tmp_path)

    def test_on_a_network_drive_writers_hold_a_lease(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = project.folder
        project.close()
        with Project.open(folder, journal="rollback") as there:
            assert there.ask("PRAGMA journal_mode") == [("delete",)]
            tag_picture(there, "a.png", ["x"])
            assert not (folder / "project.lease").exists()
            (folder / "project.lease").write_text('{"machine": "far", "process": 7}')
            monkeypatch.setattr(database, "_WAIT_S", 0.05)
            with pytest.raises(SafireError, match="Process 7 on far has been writing"):
                tag_picture(there, "a.png", ["y"])
            os.utime(folder / "project.lease", (1, 1))  # of a machine that is gone
            tag_picture(there, "a.png", ["z"])
            assert find_picture(there, "a.png").tags == ("z",)

    def test_the_drive_decides_on_the_journal(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        assert database.safe_journal(tmp_path) == "wal"
        monkeypatch.setattr(database, "file_system", lambda folder: "nfs4")
        assert database.safe_journal(tmp_path) == "rollback"

    def test_a_folder_that_other_machines_reach_is_said_to_be_shared(
        self, project: Project
    ) -> None:
        folder = project.folder
        project.close()
        database.say_shared(folder, True)
        with Project.open(folder) as there:
            assert there.ask("PRAGMA journal_mode") == [("delete",)]
            tag_picture(there, "a.png", ["x"])
            assert verify(there).problems == ()
        database.say_shared(folder, False)
        with Project.open(folder) as there:
            assert there.ask("PRAGMA journal_mode") == [("wal",)]
            assert find_picture(there, "a.png").tags == ("x",)

    def test_a_backup_is_whole_and_opens(self, project: Project, tmp_path: Path) -> None:
        finished(project, ids(project)[0], two_sources())
        folder = back_up(project, tmp_path / "copy")
        with Project.open(folder) as copy:
            assert verify(copy).problems == ()
            assert copy.head == project.head
        with pytest.raises(SafireError, match="exists"):
            back_up(project, folder)

    def test_what_a_damaged_database_still_has_is_saved(
        self, project: Project, tmp_path: Path
    ) -> None:
        for name in ids(project):
            finished(project, name, two_sources())
        for number in range(60):
            tag_picture(project, ids(project)[0], [f"tag {number}"])
        folder = project.folder
        project.close()
        connection = sqlite3.connect(folder / DATABASE)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (root,) = (
            connection.execute(
                "SELECT pageno FROM dbstat WHERE name = 'event' AND pagetype = 'leaf' "
                "ORDER BY pageno DESC LIMIT 1 OFFSET 1"
            ).fetchone()
            if _has_dbstat(connection)
            else (12,)
        )
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        connection.close()
        with (folder / DATABASE).open("r+b") as file:
            file.seek((root - 1) * size)
            file.write(b"\xff" * size)
        saved = recover(folder, tmp_path / "saved", author="Ada")
        assert saved.n_events >= 10
        assert saved.lost
        with Project.open(saved.folder) as there:
            assert verify(there).problems == ()
            assert len(ids(there)) == 3

    def test_damaged_and_missing_objects_are_told(self, project: Project) -> None:
        name = ids(project)[0]
        finished(project, name, two_sources())
        work = find_work(project, name, "Ada")
        assert work is not None
        assert work.labels is not None
        path = project.objects.find(work.labels)
        assert path is not None
        path.write_bytes(path.read_bytes() + b"x")
        with pytest.raises(DatasetError, match="its hash is another"):
            read_labels(project, work)
        assert any("its hash is another" in problem for problem in verify(project).problems)
        path.unlink()
        assert any("is missing" in problem for problem in verify(project).problems)


def _has_dbstat(connection: sqlite3.Connection) -> bool:
    try:
        connection.execute("SELECT 1 FROM dbstat LIMIT 1")
    except sqlite3.Error:
        return False
    return True


class TestMerge:
    def copies(self, project: Project, tmp_path: Path) -> Project:
        # Beside it, so that relative paths lead to the same pictures.
        return Project.open(back_up(project, tmp_path / "copy"), author="Bob")

    def test_what_was_done_apart_is_joined_once(self, project: Project, tmp_path: Path) -> None:
        a, b, c = ids(project)
        finished(project, a, two_sources(3))
        with self.copies(project, tmp_path) as copy:
            finished(copy, b, two_sources(4), "Bob")
            finished(project, c, two_sources(5))
            assert merge(project, copy).n_joined == 2
            assert merge(project, copy).n_joined == 0
            work = find_work(project, b, "Bob")
            assert work is not None
            assert work.by == "Bob"
            assert work.state == "done"
            assert np.array_equal(read_labels(project, work), two_sources(4))
            assert merge(copy, project).n_joined == 2  # the other way round: what is missing there
            assert merge(copy, project).n_joined == 0
            assert verify(project).problems == () == verify(copy).problems

    def test_the_same_work_in_both_becomes_a_second_opinion(
        self, project: Project, tmp_path: Path
    ) -> None:
        a = ids(project)[0]
        save_step(project, a, "Ada", Step(two_sources(3)), 0)
        with self.copies(project, tmp_path) as copy:
            save_step(project, a, "Ada", Step(two_sources(4)), 1)
            save_step(copy, a, "Ada", Step(two_sources(5)), 1)
            ((_, annotator, kept),) = merge(project, copy).second_opinions
            assert annotator == "Ada" != kept
            mine, its = find_work(project, a, "Ada"), find_work(project, a, kept)
            assert mine is not None
            assert its is not None
            assert np.array_equal(read_labels(project, mine), two_sources(4))
            assert np.array_equal(read_labels(project, its), two_sources(5))
            save_step(copy, a, "Ada", Step(two_sources(6)), 2)
            assert merge(project, copy).n_joined == 1  # goes on under the same name
            its = find_work(project, a, kept)
            assert its is not None
            assert its.revision == 2
        assert verify(project).problems == ()

    def test_another_project_is_refused(self, project: Project, tmp_path: Path) -> None:
        with (
            Project.create(tmp_path / "other") as other,
            pytest.raises(DatasetError, match="no copy of"),
        ):
            merge(project, other)


class TestPeople:
    def test_a_name_is_chosen_once_and_overridden(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = tmp_path / "conf" / "annotator.txt"
        monkeypatch.delenv("NAPARI_SAFIRE_ANNOTATOR", raising=False)
        choose_annotator_name("  Grace Hopper ", file)
        assert annotator_name(file) == "Grace Hopper"
        monkeypatch.setenv("NAPARI_SAFIRE_ANNOTATOR", "Ada")
        assert annotator_name(file) == "Ada"
        for name in ("", " ", "a\nb", "x" * 300, "\u202eevil"):
            with pytest.raises(SafireError):
                choose_annotator_name(name, file)

    def test_numbers_of_a_project(self, project: Project) -> None:
        finished(project, ids(project)[0], two_sources())
        found = statistics(project)
        assert (found.n_pictures, found.stages["accept"]) == (3, 1)
        assert found.annotators[0].states["done"] == 1
        json.dumps(found.as_record())

    def test_settings_out_of_range(self, project: Project) -> None:
        project.change_settings(ProjectSettings(2, 0.1))
        assert project.settings == ProjectSettings(2, 0.1)
        for wrong in ({"annotators_per_picture": 0}, {"control_share": 0.6}):
            with pytest.raises(DatasetError):
                ProjectSettings(**wrong)  # type: ignore[arg-type]


@settings(
    max_examples=15,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.lists(
        st.tuples(st.sampled_from(["paint", "undo", "redo", "done", "reopen"]), st.integers(0, 9)),
        max_size=12,
    )
)
def test_any_course_of_work_is_made_anew_from_its_events(
    tmp_path_factory: pytest.TempPathFactory, acts: list[tuple[str, int]]
) -> None:
    folder = tmp_path_factory.mktemp("course")
    past, future = [Annotation.empty(SHAPE)], []  # type: ignore[var-annotated]
    with Project.create(folder / "project", author="Ada") as project:
        (name,) = add_pictures(project, [ListEntry(picture(folder / "a.png"))]).ids
        revision = 0
        for act, number in acts:
            if act == "paint":
                stroke = Stroke(number, number, np.ones((2, 3), bool), np.full((2, 3), 1 + number))
                past, future = [*past, past[-1].painted(stroke)], []
            elif act == "undo" and len(past) > 1:
                future.append(past.pop())
            elif act == "redo" and future:
                past.append(future.pop())
            elif act == "done" and revision:
                finish(project, name, "Ada", revision, waiver="trial")
                continue
            elif act == "reopen":
                work = find_work(project, name, "Ada")
                if work is not None and work.state == "done":
                    reopen(project, name, "Ada")
                continue
            labels = past[-1].shown()
            save_step(project, name, "Ada", Step(labels, AnnotatedPlane(past[-1])), revision)
            revision += 1
        before = project.database.read(projections.state_digest)
        assert project.rebuild()
        assert project.database.read(projections.state_digest) == before
        work = find_work(project, name, "Ada")
        if work is not None and work.revision:
            made = read_made(project, work)
            assert made is not None
            assert made.annotation == past[-1]
            assert np.array_equal(read_labels(project, work), past[-1].shown())
