"""What the fuzzer once found in files of others: each is a sentence now."""

from __future__ import annotations

import json
import sqlite3
import tarfile
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from refusals import refusal
from robustness.fuzzing.stores import ENDLESS, saved_rows

from napari_safire.basis import RunBasis
from napari_safire.corpus.inputs.enumeration import enumerate_pictures
from napari_safire.corpus.inputs.picture import InputProblem
from napari_safire.corpus.manifest import Manifest
from napari_safire.errors import DatasetError, SafireError
from napari_safire.evaluation.saved_scores import JOB, LINES_FORMAT, SavedScores
from napari_safire.images.lists import read_list
from napari_safire.project.chain.event_table import COLUMNS, read_event
from napari_safire.project.chain.schema import own_triggers
from napari_safire.project.formats import coco as coco_format
from napari_safire.project.formats.catalogue import import_pictures
from napari_safire.project.settings import ProjectSettings, read_settings
from napari_safire.project.store import DATABASE, Project
from napari_safire.session.autosave import Autosave
from napari_safire.sqlite_files import trust_little
from napari_safire.text import printable

TRAPS = {
    "view": f"CREATE VIEW more AS {ENDLESS} x FROM c",
    "trigger": "CREATE TRIGGER evil AFTER INSERT ON {table} BEGIN DELETE FROM {table}; END",
    "virtual table": "CREATE VIRTUAL TABLE more USING fts5(a)",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    with Project.create(tmp_path / "p", author="Ada"):
        return tmp_path / "p"


@pytest.mark.parametrize("trap", TRAPS)
def test_databases_with_programs_in_them_are_not_opened(trap: str, project: Path) -> None:
    with closing(sqlite3.connect(project / DATABASE)) as connection:
        connection.execute(TRAPS[trap].format(table="picture"))
        connection.commit()
    for read_only in (False, True):
        text = refusal(DatasetError, Project.open, project, author="Eve", read_only=read_only)
        assert f"holds a {trap}" in text


def test_a_view_in_the_place_of_a_table_is_not_gone_through(project: Path) -> None:
    with closing(sqlite3.connect(project / DATABASE)) as connection:
        connection.execute("DROP TABLE state_version")
        connection.execute(f"CREATE VIEW state_version AS {ENDLESS} x AS number, x FROM c")
        connection.commit()
    assert "view" in refusal(DatasetError, Project.open, project, author="Eve")


def test_the_triggers_of_a_project_are_its_own(project: Path) -> None:
    assert len(own_triggers()) == 3
    with closing(sqlite3.connect(project / DATABASE)) as connection:
        trust_little(connection, 1000, own_triggers())
    changed = own_triggers()[1].replace("'events are never changed'", "'so it is'")
    with closing(sqlite3.connect(project / DATABASE)) as connection:
        connection.execute("DROP TRIGGER event_stays")
        connection.execute(changed)
        connection.commit()
    assert "trigger" in refusal(DatasetError, Project.open, project, author="Eve")


@pytest.mark.parametrize("trap", TRAPS)
def test_an_autosave_with_programs_in_it_is_told_and_not_used(trap: str, tmp_path: Path) -> None:
    path = tmp_path / "autosave.sqlite"
    assert Autosave(path).find("a", (4, 4)) is None
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE other (a)")
        connection.execute(TRAPS[trap].format(table="other"))
        connection.commit()
    autosave = Autosave(path)
    assert autosave.find("a", (4, 4)) is None
    assert f"holds a {trap}" in autosave.problem


@pytest.mark.parametrize(
    "change",
    ["DELETE FROM project", "UPDATE project SET settings = '[1'", "DROP TABLE work",
     "UPDATE picture SET tags = '5'"],
)  # fmt: skip
def test_a_damaged_state_is_made_anew(change: str, project: Path) -> None:
    with closing(sqlite3.connect(project / DATABASE)) as connection:
        connection.execute(change)
        connection.commit()
    with Project.open(project, author="Ada") as opened:
        assert opened.settings
        assert opened.name == "p"


def test_a_schema_that_is_no_text_is_a_sentence(project: Path) -> None:
    """SQLite's message quotes it, and Python cannot decode the message."""
    with closing(sqlite3.connect(project / DATABASE)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        odd = b"CREATE TABLE picture (a \xff\xfe b c"
        connection.execute("UPDATE sqlite_master SET sql = CAST(? AS TEXT) WHERE name = 'picture'",
                           (odd,))  # fmt: skip
        connection.commit()
    assert "damaged" in refusal(DatasetError, Project.open, project, author="Eve")


def test_an_event_whose_texts_are_none_is_a_sentence(project: Path) -> None:
    """Damaged bytes can make a blob of a text, in whatever table."""
    with Project.open(project, author="Eve") as opened:
        row = list(opened.ask(f"SELECT {COLUMNS} FROM event")[0])
    for place, value in ((0, "1"), (2, b"Ada"), (3, 5), (6, b"{}"), (8, None)):
        odd = [*row[:place], value, *row[place + 1 :]]
        assert "a text of it is none" in refusal(DatasetError, read_event, odd)


def test_settings_without_bounds_are_as_by_default() -> None:
    odd = {"control_share": 10**400, "annotators_per_picture": "3"}
    assert read_settings(odd) == ProjectSettings()


# ------------------------------------------------------------------------------- manifests


def part(folder: Path, change: Any) -> Manifest:
    path = folder / "parts" / "task.parquet"
    saved_rows(folder)
    pq.write_table(change(pq.read_table(path)), path)
    return Manifest(folder)


def unset(table: pa.Table, name: str) -> pa.Table:
    place = table.column_names.index(name)
    return table.set_column(
        place, name, pa.array([None] * len(table), table.schema.field(name).type)
    )


def long_texts(table: pa.Table) -> pa.Table:
    n_rows = 1_000
    texts = pa.DictionaryArray.from_arrays(np.zeros(n_rows, np.int32), ["a" * 10**6])
    table = pa.concat_tables([table] * (n_rows // len(table)))
    return table.set_column(table.column_names.index("error"), "error", texts)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda table: unset(table, "number_probabilities"), "not filled in"),
        (lambda table: unset(table, "key"), "not filled in"),
        (lambda table: table.drop_columns(["verdict"]), "damaged"),
        (lambda table: pa.concat_tables([table] * 14_000), "rows"),
        (long_texts, "unpacks to more"),
    ],
)
def test_parts_that_are_none_are_named(change: Any, words: str, tmp_path: Path) -> None:
    text = refusal(DatasetError, list, part(tmp_path, change).rows())
    assert words in text
    assert "task.parquet" in text


def test_a_list_of_parquet_that_breaks_off_inside_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "list.parquet"
    pq.write_table(pa.table({"path": ["a.png"] * 2000}), path)
    data = bytearray(path.read_bytes())
    data[4:60] = b"\xff" * 56
    path.write_bytes(data)
    *_, last = enumerate_pictures([path], tmp_path / "out")
    assert isinstance(last, InputProblem)
    assert last.problem.isprintable()


# ------------------------------------------------------------------------------- imports


def coco(folder: Path, **annotation: Any) -> str:
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(folder / "a.png")
    square = [[1, 1, 9, 1, 9, 9, 1, 9]]
    whole = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": square} | annotation
    image = {"id": 1, "file_name": "a.png", "height": 20, "width": 30}
    record = {"images": [image], "annotations": [whole], "categories": []}
    (folder / "set.json").write_text(json.dumps(record), encoding="utf-8")
    (one,) = import_pictures(folder / "set.json", "coco")
    return one.sentences[-1] if one.picture is None else ""


@pytest.mark.parametrize(
    "annotation",
    [
        {"source": "x"},
        {"source": float("nan")},
        {"source": 0},
        {"source": True},
        {"category_id": [1]},
        {"segmentation": [[1e300, 1, 9, 1, 9, 9]]},
        {"segmentation": [[float("nan"), 1, 9, 1, 9, 9]]},
        {"segmentation": [[1e8, 1, -1e8, 1, 9, 9]]},
        {"segmentation": [[0, 0, 59, 19, 0, 19] * 1_000]},
    ],
    ids=lambda one: str(one)[:40],
)
def test_objects_of_coco_that_are_none_are_sentences(
    annotation: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coco_format, "_LONGEST_OUTLINE", 100_000)
    assert coco(tmp_path) == ""
    text = coco(tmp_path, **annotation)
    assert text.endswith(".")
    assert text.isprintable()


@pytest.mark.parametrize("name", ["a" * 300 + ".png", "a/" * 3_000 + "b.png", "a\x1b[2J.png"])
@pytest.mark.parametrize("height", [20, "\x1b[2J", "9" * 10**5, list(range(10**4))])
def test_names_and_sizes_of_coco_stay_a_sentence(name: str, height: Any, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "a.png")
    for one in (name, "a.png"):
        image = {"id": 1, "file_name": one, "height": height, "width": 30}
        record = {"images": [image], "annotations": [], "categories": []}
        (tmp_path / "set.json").write_text(json.dumps(record), encoding="utf-8")
        (found,) = import_pictures(tmp_path / "set.json", "coco")
        assert found.picture is None or (one, height) == ("a.png", 20)
        for text in found.sentences:
            assert text.isprintable()
            assert len(text) < 1_500


@pytest.mark.parametrize(
    "row",
    [
        {"file_name": [1], "mask_file_name": "a.png"},
        {"file_name": "a.png", "mask_file_name": None},
        {"file_name": "../../a.png", "mask_file_name": "/nowhere/a.png"},
        {"file_name": "a" * 10**4, "mask_file_name": "a\x00"},
    ],
    ids=range(4),
)
def test_rows_of_hugging_face_that_name_no_files_are_sentences(row: Any, tmp_path: Path) -> None:
    (tmp_path / "metadata.jsonl").write_text(json.dumps(row), encoding="utf-8")
    try:
        (found,) = import_pictures(tmp_path / "metadata.jsonl", "huggingface")
        text = found.sentences[-1]
    except DatasetError as error:
        text = str(error)
    assert text.isprintable()
    assert text.endswith(".")


@pytest.mark.parametrize("odd", ["\x1b[2J", "a" * 10**5, list(range(10**4))])
def test_labels_of_forensichub_stay_a_sentence(odd: Any, tmp_path: Path) -> None:
    rows = [{"path": odd, "label": 1}, {"path": "a.png", "label": odd}]
    (tmp_path / "all.json").write_text(json.dumps(rows), encoding="utf-8")
    for found in import_pictures(tmp_path / "all.json", "forensichub"):
        (text,) = found.sentences
        assert text.isprintable()
        assert len(text) < 500


def test_images_of_coco_without_a_number_are_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(
        '{"images": [{"id": [], "file_name": "a"}], "annotations": []}'
    )
    refusal(DatasetError, list, import_pictures(tmp_path / "a.json", "coco"))


def test_files_with_holes_in_archives_are_not_filled(tmp_path: Path) -> None:
    member = tarfile.TarInfo("a\x1b[2J.png")
    member.type, member.size = tarfile.GNUTYPE_SPARSE, 0
    head = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    head[483:495] = b"%011o\0" % (1 << 30)  # its real size
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head[:512])
    (tmp_path / "all-000000.tar").write_bytes(bytes(head) + bytes(1024))
    got = import_pictures(tmp_path / "all-000000.tar", "webdataset", unpack=tmp_path / "in")
    assert "too large" in refusal(DatasetError, list, got)


def test_a_name_of_a_megabyte_stays_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("a/" * 500_000 + "a.png,None\n")
    assert len(refusal(DatasetError, read_list, tmp_path / "list.txt")) < 1_500


@pytest.mark.parametrize("odd", ["\x1b[2J", "\ud800", "a" * 10**5, list(range(10**4)), 10**30])
def test_what_another_run_rested_on_is_told_in_a_sentence(odd: Any, tmp_path: Path) -> None:
    path = tmp_path / "scores" / JOB
    with SavedScores(path.parent, RunBasis("ab", {"kind": "binary"})):
        pass
    for place in ("checkpoint_sha256", "picture_sha256", "algorithm", "settings"):
        record = json.loads(path.read_text(encoding="utf-8"))
        basis = record.get("basis", record)
        basis[place] = {str(odd)[:9000]: odd} if place == "settings" else odd
        (tmp_path / "other").mkdir(exist_ok=True)
        (tmp_path / "other" / JOB).write_text(json.dumps(record) + "\n", encoding="utf-8")
        with (
            pytest.raises(SafireError) as caught,
            SavedScores(tmp_path / "other", RunBasis("ab", {"kind": "binary"})),
        ):
            pass
        assert len(str(caught.value)) < 1_500
        assert str(caught.value) == printable(caught.value)
    told = RunBasis("ab", {"\x1b[2J" + "a" * 10**5: 1}).differences(RunBasis("ab"))
    assert printable(told[0]) == told[0]
    assert len(told[0]) < 100


@pytest.mark.parametrize("name", ["content", "image", "mask", "scores"])
def test_scores_of_before_with_half_a_character_are_a_sentence(name: str, tmp_path: Path) -> None:
    basis, odd = RunBasis("1f0c", {"kind": "binary"}), "a\ud800"
    line = {
        "content": "c", "degradation": "none", "image": "a.png", "mask": None, "verdict": None,
        "scores": {"x": 0.5}, "seconds": {}, "warnings": [],
    }  # fmt: skip
    header = {"format": LINES_FORMAT, **basis.as_record()}
    odd_line = line | {name: {odd: 0.5} if name == "scores" else odd}
    lines = "".join(json.dumps(one) + "\n" for one in (header, line, odd_line))
    (tmp_path / "scores.jsonl").write_text(lines)
    text = refusal(DatasetError, SavedScores, tmp_path / "scores", basis)
    assert text.startswith("Line 3 of ")


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.REGTYPE])
@pytest.mark.parametrize("size", [1 << 33, (1 << 80) - 1, -1, -(1 << 20)])
def test_headers_of_archives_take_no_memory(kind: bytes, size: int, tmp_path: Path) -> None:
    head = bytearray(tarfile.TarInfo("a.png").tobuf(tarfile.GNU_FORMAT))
    head[156:157] = kind
    head[124:136] = (b"\xff" if size < 0 else b"\x80") + (size % (1 << 88)).to_bytes(11, "big")
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head[:512])
    path = tmp_path / "all-000000.tar"
    path.write_bytes(bytes(head) + bytes(2048))
    for found in enumerate_pictures([path], tmp_path / "out"):
        assert isinstance(found, InputProblem)
        assert found.problem == printable(found.problem)
    with suppress(DatasetError):
        list(import_pictures(path, "webdataset", unpack=tmp_path / "in"))
