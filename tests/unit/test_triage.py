"""Pictures of a manifest chosen, put in order, grouped, listed and shown."""

from __future__ import annotations

import csv
import json
import os
import re
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cli_runs import cli, one_error
from corpus_stand_in import corpus
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from napari_safire.corpus.inputs.picture import InputProblem
from napari_safire.corpus.inputs.tables import names_pictures, paths_in
from napari_safire.corpus.learning_list import done_list_root
from napari_safire.corpus.manifest import Manifest
from napari_safire.corpus.manifest_queue import QUEUE_CHOICE
from napari_safire.corpus.manifest_schema import ManifestRow, manifest_schema
from napari_safire.corpus.queue import PictureQueue
from napari_safire.corpus.triage.choice import Choice, Chosen, choose
from napari_safire.corpus.triage.conditions import parse_condition
from napari_safire.corpus.triage.places import place_of
from napari_safire.corpus.triage.selection import select
from napari_safire.corpus.triage.sheet import write_sheet
from napari_safire.corpus.triage.source import is_manifest, open_manifest
from napari_safire.corpus.triage.tables import (
    readable_columns,
    text_rows,
    write_csv,
    write_parquet,
    write_picture_list,
)
from napari_safire.datasets.near_duplicates import AlikeGroups, near_duplicates
from napari_safire.errors import Cancelled, DatasetError, SafireError
from napari_safire.images.demo import demo_composite
from napari_safire.images.files import file_sha256
from napari_safire.images.masks import encode_sources
from napari_safire.project.collecting import collect
from napari_safire.project.pictures import project_pictures
from napari_safire.project.queries import PictureQuery
from napari_safire.project.store import Project
from napari_safire.session.queue.choosing import Counted, choice_of_texts, count_chosen
from napari_safire.session.queue.folder import FolderPictures
from napari_safire.text import printable

BYTES_NAME = os.fsdecode(b"caf\xe9 <b>&.jpg")
SCHEMA = manifest_schema()


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


def row(number: int, place: str = "", **facts: Any) -> ManifestRow:
    place = place or f"../photos/{number}.png"
    name = place.encode("utf-8", "backslashreplace").decode()
    return ManifestRow(key(number), name, os.fsencode(place), **facts)


def names(chosen: Chosen) -> list[str]:
    return [Path(name).stem for name in chosen.table(["picture"])["picture"].to_pylist()]


@pytest.fixture
def scored(tmp_path: Path) -> Path:
    """Seven pictures in three parts; 2 failed first, 5 failed."""
    return corpus(
        tmp_path / "out",
        [
            row(1, verdict="forged", score=0.9, n_sources=3, contributions={"copy-move": 2.5}),
            row(2, error_class="OSError", error="It was busy."),
            row(3, verdict="no forgery found", score=0.1, n_sources=1),
        ],
        [
            row(2, attempt=1, verdict="forged", score=0.95, n_sources=2, warnings=("is large.",)),
            row(4, verdict="inconclusive", score=0.5, n_sources=2),
        ],
        [
            row(5, error_class="ImageReadError", error="It is damaged."),
            row(6, verdict="forged", score=0.9, n_sources=4, smallest_source=0.02),
            row(7, verdict="no forgery found", score=0.2, n_sources=1),
        ],
    )


# ------------------------------------------------------------------------- conditions


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("", "1234567"),
        ("verdict == 'forged'", "126"),
        ("'forged' == verdict and score > .9", "2"),
        ("0.4 <= score < .95", "146"),
        ("not score > .4", "37"),  # 5 has none
        ("score != .9", "2347"),
        ("n_sources in (2, 4)", "246"),
        ("n_sources not in [1, 2] and not verdict == 'forged'", "5"),
        ("score in (.5, 1)", "4"),
        ("score not in (.5, 1)", "12367"),
        ("'forge' in verdict", "12367"),
        ("'large' in warnings", "2"),
        ("'photos/6' in picture or contribution_copy_move >= 2", "16"),
        ("error_class is not None", "5"),
        ("score is None", "5"),
        ("smallest_source is not None", "6"),
        ("n_sources > score and -1 < score and n_sources < +2", "37"),
        ("verdict > 'g'", "347"),
    ],
)
def test_conditions(scored: Path, where: str, expected: str) -> None:
    chosen = choose(open_manifest(scored), Choice(where, "picture"))
    assert "".join(sorted(names(chosen))) == expected
    assert chosen.selection.n_pictures == 7  # a picture that was tried again counts once


_NUMBERS = st.sampled_from([None, -1.0, 0.0, 0.25, 0.5, 2.0])


def _leaves() -> st.SearchStrategy[tuple[str, Any]]:
    """Conditions as text, and as Python says what they are: true, false, or neither."""
    compares = {
        "<": lambda a, b: a < b,
        "<=": lambda a, b: a <= b,
        ">": lambda a, b: a > b,
        ">=": lambda a, b: a >= b,
        "==": lambda a, b: a == b,
        "!=": lambda a, b: a != b,
    }

    def leaf(column: str, sign: str, value: float) -> tuple[str, Any]:
        return (
            f"{column} {sign} {value!r}",
            lambda one: None if one[column] is None else compares[sign](one[column], value),
        )

    return st.builds(
        leaf,
        st.sampled_from(["score", "smallest_source"]),
        st.sampled_from(sorted(compares)),
        _NUMBERS.filter(lambda value: value is not None),
    )


def _and(one: bool | None, two: bool | None) -> bool | None:
    return False if one is False or two is False else None if None in (one, two) else True


def _trees(children: st.SearchStrategy[tuple[str, Any]]) -> st.SearchStrategy[tuple[str, Any]]:
    def joined(word: str, a: tuple[str, Any], b: tuple[str, Any]) -> tuple[str, Any]:
        if word == "and":
            return f"({a[0]} and {b[0]})", lambda one: _and(a[1](one), b[1](one))
        return f"({a[0]} or {b[0]})", lambda one: _not(_and(_not(a[1](one)), _not(b[1](one))))

    return st.one_of(
        st.builds(joined, st.sampled_from(["and", "or"]), children, children),
        children.map(lambda a: (f"not {a[0]}", lambda one: _not(a[1](one)))),
    )


def _not(value: bool | None) -> bool | None:
    return None if value is None else not value


@settings(max_examples=60, deadline=None)
@given(st.recursive(_leaves(), _trees, max_leaves=6), st.data())
def test_conditions_mean_what_they_say(tree: tuple[str, Any], data: st.DataObject) -> None:
    text, oracle = tree
    rows = data.draw(
        st.lists(
            st.fixed_dictionaries({"score": _NUMBERS, "smallest_source": _NUMBERS}), max_size=6
        )
    )
    schema = pa.schema([("score", pa.float64()), ("smallest_source", pa.float64())])
    found = parse_condition(text, schema).fulfilled(pa.Table.from_pylist(rows, schema))
    assert found.tolist() == [oracle(one) is True for one in rows]


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("scor > 1", "There is no column scor: did you mean score?"),
        ("verdict == forged", "There is no column forged"),
        ("verdict > 1", "verdict holds text, not 1: write verdict == 'text'."),
        ("score == '1'", "score holds numbers, not '1': write score > 0.5."),
        ("score == True", "score holds numbers, not True"),
        ("score == None", "write score is None"),
        ("score", "score holds numbers: compare it"),
        ("1 < 2", "1 is no column"),
        ("True", "True is no condition"),
        ("score + 1 > 2", "score + 1 is no column"),
        ("score > 1 / 0", "1 / 0 is no value"),
        ("score > 1e999", "too large a number"),
        ("score > 99999999999999999999", "too large a number"),
        ("score in ()", "has gaps"),
        ("score in (1, None)", "has gaps"),
        ("score in verdict", "is no value"),
        ("1 in score", "score holds numbers: only a text"),
        ("key == 'a'", "key holds values that cannot be compared"),
        ("score is verdict", "cannot stand behind is"),
        ("score > verdict", "score holds numbers and verdict text"),
        ("__import__('os').system('touch no')", "is no condition"),
        ("picture.__class__ == 1", "picture.__class__ is no column"),
        ("[x for x in score]", "is no condition"),
        ("(lambda: 1)()", "is no condition"),
        ("picture == f'{score}'", "is no value"),
        ("score >", "cannot be read"),
        ("a\0b", "cannot be read"),
        ("(" * 900 + "score > 1" + ")" * 900, "cannot be read"),
        ("score > 1 or " * 200 + "score > 1", "characters"),
    ],
)
def test_what_is_no_condition_is_told_in_a_sentence(
    where: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatasetError) as caught:
        parse_condition(where, SCHEMA)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


_WORDS = (
    "score verdict picture warnings key and or not in is None < == > ( ) [ ] , 'a' 1 - . ** "
    "lambda : { } f'{1}' \x00 \n # \\ 1e999 True ~ @ := if else await"
)


@settings(max_examples=80, deadline=None)
@given(
    st.text(max_size=40) | st.lists(st.sampled_from(_WORDS.split(" ")), max_size=12).map(" ".join)
)
def test_any_text_is_a_condition_or_refused_in_a_line(text: str) -> None:
    try:
        condition = parse_condition(text, SCHEMA)
    except DatasetError as error:
        assert str(error).isprintable()  # noqa: PT017 (nothing is to be raised where it can be)
    else:
        assert condition.fulfilled(SCHEMA.empty_table()).tolist() == []


# ---------------------------------------------------------------------- order and pieces


def test_order(scored: Path) -> None:
    source = open_manifest(scored)
    assert names(choose(source, Choice())) == list("2164735")  # none at the end, equal by key
    assert names(choose(source, Choice(sort="n_sources,-score"))) == list("5732416")
    assert names(choose(source, Choice(sort="-n_sources", top=2))) == list("61")
    assert names(choose(source, Choice("score < 0"))) == []
    with pytest.raises(DatasetError, match="sorted by warnings"):
        select(source, sort="warnings")
    with pytest.raises(DatasetError, match="no column scores: did you mean score"):
        select(source, sort="-scores")
    with pytest.raises(ValueError, match="ask for 1 or more"):
        Choice(top=0)


@settings(max_examples=5, deadline=None)
@given(st.permutations(range(12)), st.integers(1, 5))
def test_order_does_not_hang_on_the_parts(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], size: int
) -> None:
    rows = [row(n, score=(n % 3) / 3 if n % 4 else None) for n in order]
    parts = [rows[i : i + size] for i in range(0, len(rows), size)]
    source = open_manifest(corpus(tmp_path_factory.mktemp("order") / "out", *parts))
    expected = sorted(range(12), key=lambda n: (n % 4 == 0, -(n % 3), n))
    assert names(choose(source, Choice())) == [str(n) for n in expected if n % 4] + ["0", "4", "8"]


def test_parquet_made_of_a_manifest_is_one_again(scored: Path, tmp_path: Path) -> None:
    chosen = choose(open_manifest(scored), Choice("verdict == 'forged'"))
    made = tmp_path / "elsewhere" / "forged.parquet"
    made.parent.mkdir()
    write_parquet(made, chosen, None)
    again = open_manifest(made)
    assert names(choose(again, Choice("score > 0.5"))) == list("216")
    assert again.corpus == scored
    assert again.job == open_manifest(scored).job
    write_parquet(made, chosen, ["score"])  # what finds the pictures stays
    assert open_manifest(made).schema.names == ["picture", "place", "score"]
    assert is_manifest(made)
    assert is_manifest(scored)
    with pytest.raises(DatasetError, match="no column verdict"):
        choose(open_manifest(made), Choice("verdict == 'forged'"))


def test_what_is_no_manifest(tmp_path: Path) -> None:
    (tmp_path / "text.parquet").write_text("no")
    pq.write_table(pa.table({"path": ["a.png"]}), tmp_path / "paths.parquet")
    empty = corpus(tmp_path / "empty")
    for path, told in (
        (tmp_path, "is no result of a corpus"),
        (empty, "has no rows yet"),
        (tmp_path / "text.parquet", "is no Parquet file"),
        (tmp_path / "paths.parquet", "has no column picture"),
        (tmp_path / "gone", "does not exist"),
        (Path(__file__), "is no manifest"),
    ):
        with pytest.raises(DatasetError, match=told):
            open_manifest(path)
        assert not is_manifest(path)


def test_a_damaged_part_is_named(scored: Path) -> None:
    (scored / "parts" / f"{1:032x}.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DatasetError, match=f"{1:032x}.parquet of the manifest is damaged"):
        choose(open_manifest(scored), Choice())


# ------------------------------------------------------------------------------ groups


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 9))
def test_bands_find_what_comparing_all_finds(seed: int, most: int) -> None:
    random = np.random.default_rng(seed)
    looks = list(random.random((12, 64)) < 0.5)
    for one in looks[:8]:  # some that differ in few bits
        other = one.copy()
        other[random.choice(64, random.integers(0, 12), replace=False)] ^= True
        looks.append(other)
    groups, first = AlikeGroups(most), list[int]()
    for number, one in enumerate(looks):
        pairs = list(near_duplicates([one], [looks[n] for n in first], most))
        nearest = min(((bits, first[j]) for _, j, bits in pairs), default=None)
        found = groups.find(one)
        assert found == (None if nearest is None else nearest[1])
        if found is None:
            groups.begin(one, number)
            first.append(number)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A corpus of real files: two photographs, copies of each, a shard, bad names."""
    photos = tmp_path / "photos"
    photos.mkdir()
    picture = demo_composite()[0][:160, :200]
    other = picture[:, ::-1]
    Image.fromarray(picture).save(photos / "a.png")
    Image.fromarray(picture).save(photos / "a.jpg", quality=70)
    Image.fromarray(picture).resize((100, 80)).save(photos / "small.png")
    Image.fromarray(other).save(photos / "b.png")
    Image.fromarray(other).save(photos / BYTES_NAME)
    with tarfile.open(photos / "s.tar", "w") as shard:
        shard.add(photos / "b.png", "x/!b.png")
    output = tmp_path / "out"
    mask = output / "pictures" / "ab" / "ab_sources.png"
    mask.parent.mkdir(parents=True)
    labels = np.zeros(picture.shape[:2], np.uint8)
    labels[40:80] = 1
    Image.fromarray(encode_sources(labels)).save(mask)
    told: dict[str, Any] = {"verdict": "forged", "n_sources": 2}
    sha256 = {path.name: file_sha256(path) for path in photos.iterdir()}
    return corpus(
        output,
        [
            row(1, "../photos/a.png", score=0.9, file_sha256=sha256["a.png"], outputs=(
                "pictures/ab/ab_sources.png", "../photos/a.jpg", "gone.png"), **told,
                contributions={"network": -6.0, "copy-move": 1.5, "thumbnail": 0.0}),
            row(2, "../photos/b.png", score=0.8, file_sha256=sha256["b.png"],
                warnings=("is \x1b[2J <i>odd</i>.",), smallest_source=0.25, **told),
            row(3, "../photos/a.jpg", score=0.7, file_sha256=sha256["a.jpg"]),
            row(4, "../photos/s.tar!x/!b.png", score=0.6, file_sha256=sha256["b.png"]),
        ],
        [
            row(5, f"../photos/{BYTES_NAME}", score=0.5, file_sha256=sha256[BYTES_NAME]),
            row(6, "https://pictures.example/c.jpg", score=0.4, file_sha256="c"),
            row(7, "../photos/javascript:alert(1).png", error="<script>alert(1)</script>"),
            row(8, "../photos/small.png", score=0.3, file_sha256=sha256["small.png"]),
            row(9, "../photos/gone.png", error_class="InputProblem", error="It is gone."),
        ],
    )  # fmt: skip


def test_groups(pictures: Path) -> None:
    source = open_manifest(pictures)
    same = choose(source, Choice(grouping="same"))
    assert same.n_more().tolist() == [0, 1, 0, 0, 0, 0, 0, 0]
    assert same.others()[1] == ["../photos/s.tar!x/!b.png"]
    alike = choose(source, Choice(grouping="alike"))
    assert [Path(n).name for n in alike.table(["picture"])["picture"].to_pylist()][:2] == [
        "a.png",
        "b.png",
    ]
    assert alike.n_more().tolist() == [2, 2, 0, 0, 0]
    assert [Path(n).name for n in alike.others()[0]] == ["a.jpg", "small.png"]
    assert alike.others(1)[1] == ["../photos/s.tar!x/!b.png"]  # of the same bytes, in an archive
    assert (alike.groups.n_looked_at, alike.groups.n_unread) == (8, 3)
    table = alike.table(["score"])
    assert table.column_names == ["score", "n_more", "more"]
    top = choose(source, Choice(grouping="alike", top=2))
    assert len(top) == 2
    assert top.groups.n_looked_at == 4  # until a third one came
    assert top.n_more().tolist() == [1, 2]


# ------------------------------------------------------------------------ files and pages


def test_places(tmp_path: Path) -> None:
    (tmp_path / "a.tar!b.png").touch()
    assert place_of(b"a.tar!b.png", tmp_path).file == tmp_path / "a.tar!b.png"
    shard = place_of(b"c.tar!x/b.png", tmp_path)
    assert (shard.path, shard.member, shard.file) == (tmp_path / "c.tar", "x/b.png", None)
    assert "unpack it first" in shard.why_no_file
    assert "fetch it first" in place_of(b"s3://bucket/a.jpg", tmp_path).why_no_file


def test_a_list_names_what_can_be_named(pictures: Path, tmp_path: Path) -> None:
    odd = [row(n + 20, f"../photos/{name}") for n, name in enumerate(
        ['q,"uoted.png', "#4.png", "=1+1.png", "line\nbreak.png", " blank.png "])]  # fmt: skip
    Manifest(pictures).write_part("odd", odd)
    for one in odd:
        (pictures / os.fsdecode(one.place)).touch()
    path = tmp_path / "photos" / "listed.txt"
    listed = write_picture_list(path, choose(open_manifest(pictures), Choice()))
    read = list(paths_in(path))
    assert not any(isinstance(one, InputProblem) for one in read)
    assert {Path(one).name for one in read if isinstance(one, str)} == {
        "a.png", "b.png", "a.jpg", "small.png", "javascript:alert(1).png", "gone.png",
        'q,"uoted.png', "#4.png", "=1+1.png",
    }  # fmt: skip
    assert (listed.n_pictures, listed.outside) == (len(read), 0)
    told = " ".join(listed.left_out)
    for part in ("unpack it first", "fetch it first", "caf\\xe9", "no UTF-8", "line breaks"):
        assert part in told
    assert len(listed.left_out) == 5


def test_a_contact_sheet_shows_and_escapes(pictures: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.html"
    assert write_sheet(sheet, choose(open_manifest(pictures), Choice(grouping="same"))) == 8
    page = sheet.read_text("utf-8")
    assert "<script" not in page
    assert "<i>odd" not in page
    assert "\x1b" not in page
    assert re.findall(r'src="(?!data:image/(?:jpeg|png);base64,)', page) == []
    assert "default-src 'none'; img-src data:" in page
    assert page.count("data:image/jpeg") == 5  # one of them lies in an archive by other bytes
    assert page.count("data:image/png") == 1  # the mask
    assert 'href="out/pictures/ab/ab_sources.png"' in page
    assert 'href="photos/caf%E9%20%3Cb%3E%26.jpg"' in page
    assert 'href="photos/javascript%3Aalert%281%29.png"' in page
    assert page.count('href="photos/a.jpg"') == 1  # an output that leads out of the corpus is none
    assert "gone.png" in page
    assert "fetch it first" in page
    assert "and 1 more of the same bytes" in page
    assert "copy-move</span>" in page
    assert 'class="against" style="left: 0.0%; width: 50.0%"' in page  # bars end at the edge
    assert "Say nothing: thumbnail." in page
    assert "Model stand-in, checkpoint abababababababab" in page
    Image.new("RGB", (9, 9)).save(tmp_path / "photos" / "a.png")  # another picture by now
    write_sheet(sheet, choose(open_manifest(pictures), Choice(top=1)))
    assert "a.png was changed since it was examined." in sheet.read_text("utf-8")
    assert "data:image" not in sheet.read_text("utf-8").partition("<main")[2]


# ------------------------------------------------------------------------- command line


def test_the_command(scored: Path, tmp_path: Path) -> None:
    table = cli("triage", scored, "--where", "verdict == 'forged'", "--sort", "-n_sources")
    lines = table.stdout.splitlines()
    assert lines[0].split() == ["picture", "verdict", "score", "n_sources", "smallest_source"]
    assert [line.split()[0] for line in lines[1:]] == [f"../photos/{n}.png" for n in "612"]
    assert "3 of 7 pictures are chosen." in table.stderr
    told = cli("triage", scored, "--top", 2, "--columns", "picture,score,seconds", "--json")
    assert json.loads(told.stdout) == [
        {"picture": "../photos/2.png", "score": 0.95, "seconds": {}},
        {"picture": "../photos/1.png", "score": 0.9, "seconds": {}},
    ]
    assert json.loads(cli("triage", scored, "--where", "score > 1", "--json").stdout) == []
    written = cli(
        "triage", scored, "--csv", tmp_path / "t.csv", "--list", tmp_path / "t.txt",
        "--parquet", tmp_path / "t.parquet", "--sheet", tmp_path / "t.html", "--group", "same",
    )  # fmt: skip
    assert written.exit_code == 0
    assert written.stdout.count("7 pictures") == 4
    rows = list(csv.DictReader((tmp_path / "t.csv").open(newline="")))
    assert [(rows[0][name]) for name in ("picture", "score", "warnings", "n_more")] == [
        "../photos/2.png", "0.95", '["is large."]', "0",
    ]  # fmt: skip
    assert cli(
        "triage", tmp_path / "t.parquet", "--top", 1, "--columns", "score,n_more"
    ).stdout.split()[-2:] == ["0.950", "0"]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("--where", "scor > 1"), 1, "There is no column scor: did you mean score?"),
        (("--columns", "picture,sccore"), 1, "There is no column sccore"),
        (("--csv", "gone/t.csv"), 1, "cannot be written"),
        (("--sheet", "photo.jpg"), 2, "does not end in .html or .htm"),
        (("--csv", "a.csv", "--list", "a.csv"), 2, "is another file already"),
        (("--sort", "key"), 1, "sorted by key"),
    ],
)
def test_wrong_use_of_the_command(
    scored: Path, arguments: tuple[str, ...], code: int, told: str
) -> None:
    result = cli("triage", scored, *arguments)
    assert result.exit_code == code
    assert told in one_error(result.stderr)


# --------------------------------------------------------------------- projects and queues


def test_a_project_takes_a_manifest(pictures: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    rows = [
        row(n, f"../photos/{name}", score=score, verdict="forged", file_sha256=sha)
        for n, name, score, sha in (
            (1, "a.png", 0.4, file_sha256(photos / "a.png")),
            (2, "b.png", 0.8, "another file by now"),
            (3, "small.png", 0.6, file_sha256(photos / "small.png")),
            (4, BYTES_NAME, 0.7, file_sha256(photos / BYTES_NAME)),
            (5, "s.tar!x/!b.png", 0.9, "c"),
        )
    ]
    output = corpus(tmp_path / "second", rows)
    made = cli(
        "project", "create", tmp_path / "p", output, "--where", "score > 0.5", "--sort", "score",
        "--as", "Ada",
    )  # fmt: skip
    assert made.exit_code == 1  # one lies in an archive
    assert "unpack it first" in one_error(made.stderr)
    assert "3 added" in made.stdout
    assert "2 have the score of the manifest" in made.stdout
    with Project.open(tmp_path / "p", read_only=True) as there:
        found = [(p.name, p.score, p.verdict) for p in project_pictures(there)]
    assert found == [
        ("small.png", 0.6, "forged"),
        (printable(BYTES_NAME), 0.7, "forged"),
        ("b.png", None, ""),
    ]
    added = cli("project", "add", tmp_path / "p", output, "--top", 5, "--as", "Ada")
    assert "1 added, 3 known already" in added.stdout
    assert cli("project", "verify", tmp_path / "p").exit_code == 0
    wrong = cli("project", "add", tmp_path / "p", photos, "--top", 5, "--as", "Ada")
    assert "is no manifest of a corpus" in one_error(wrong.stderr)
    none = cli("project", "add", tmp_path / "p", output, "--where", "score > 2", "--as", "Ada")
    assert "none fulfils the condition" in one_error(none.stderr)


def test_a_manifest_is_a_queue_in_the_order_of_a_choice(pictures: Path, tmp_path: Path) -> None:
    away = tmp_path / "away" / "x.png"
    rows = [
        row(1, "../photos/a.png", score=0.4),
        row(2, "../photos/b.png", score=0.8),
        row(3, "s.tar!x/!b.png", score=0.9),
        row(4, os.fspath(away), score=0.6),
    ]
    output = corpus(tmp_path / "case" / "results", rows)
    (tmp_path / "photos").rename(tmp_path / "case" / "photos")
    store = FolderPictures.open(output, choice=Choice("score > 0.5", top=9))
    elsewhere = os.path.join("elsewhere", *away.parts[1:])
    assert store.listing(PictureQuery()).keys == (os.path.join("photos", "b.png"), elsewhere)
    assert "1 picture" not in store.notes[0]
    assert "unpack it first" in store.notes[0]
    record = store.kept_at(elsewhere)
    assert record == tmp_path / "case" / "results_masks" / f"{elsewhere}.json"
    every = FolderPictures.open(output)
    assert every.choice == QUEUE_CHOICE
    assert every.kept_at(elsewhere) == record  # whatever is chosen
    assert done_list_root(every.queue) == tmp_path
    again = choice_of_texts(store.opened_with)
    assert again == store.choice
    assert choice_of_texts({"output": "x"}) is None
    table = tmp_path / "case" / "look.parquet"
    write_parquet(table, choose(open_manifest(output), Choice(top=2)), None)
    assert FolderPictures.open(table).kept_at(os.path.join("photos", "b.png")) == (
        tmp_path / "case" / "look_masks" / "photos" / "b.png.json"
    )
    for where, told in (("score > 7", "no picture fulfils"), ("score > .85", "unpack it first")):
        with pytest.raises(DatasetError, match=told):
            FolderPictures.open(output, choice=Choice(where))
    # somebody's manifest may name a place that another picture has
    clash = [row(1, os.fspath(away)), row(2, f"../{elsewhere}")]
    with pytest.raises(DatasetError, match="share a place for masks"):
        FolderPictures.open(corpus(tmp_path / "case" / "second", clash))


def test_somebodys_manifest_stops_no_queue(tmp_path: Path) -> None:
    places = ["../pipe", "..", "x" * 5_000, "../" + "y" * 300 + "/z.png", "new\nline", "a\0b", "/"]
    (tmp_path / "pipe").mkdir()
    output = corpus(tmp_path / "out", [row(n, place) for n, place in enumerate(places)])
    store = FolderPictures.open(output)
    keys = store.listing(PictureQuery()).keys
    assert len(keys) == len(places)
    for key_, row_ in zip(keys, store.look_up(keys), strict=True):
        assert row_.state == "untouched"
        assert store.queue.output in Path(os.path.abspath(store.kept_at(key_))).parents
        with pytest.raises(SafireError):
            store.read(key_)


def test_what_is_chosen_is_counted_and_what_is_wrong_is_told(scored: Path, tmp_path: Path) -> None:
    def counted(where: str = "", sort: str | None = None, top: int | None = None) -> Counted:
        return count_chosen(scored, Choice(where, sort, top))

    assert counted().words == "7 of 7 pictures"
    assert counted("score > .5", top=2).words == "the first 2 of 3, of 7 pictures"
    wrong = counted("scor > .5", "-when")
    assert "did you mean score?" in wrong.where_problem
    assert "There is no column when" in wrong.sort_problem
    assert not wrong.can_be_opened
    assert not count_chosen(tmp_path / "missing", Choice()).is_manifest
    with pytest.raises(Cancelled):
        count_chosen(scored, Choice(), lambda: True)
    (part, *_) = sorted((scored / "parts").glob("*.parquet"))
    part.write_bytes(b"PAR1")
    assert part.name in counted().problem


def test_tables_hold_nothing_that_a_terminal_obeys(tmp_path: Path) -> None:
    hostile = "\x1b]0;t\x07=1+1\u202egnp" + "x" * 2_000_000
    facts: dict[str, Any] = {"verdict": hostile, "warnings": (hostile,), "score": float("nan")}
    path = corpus(tmp_path / "out", [row(1, place=hostile, **facts)])
    chosen = choose(open_manifest(path), Choice())
    write_csv(tmp_path / "t.csv", chosen.table(readable_columns(chosen)))
    written = (tmp_path / "t.csv").read_text(encoding="utf-8")
    assert not {"\x1b", "\x07", "\u202e"} & set(written)
    (shown,) = text_rows(chosen.table(["picture", "verdict", "score"]))
    assert max(map(len, shown)) <= 300


@pytest.mark.parametrize("place", [b"\\\\server\\share\\x.png", b"//server/share/x.png"])
def test_no_other_machine_is_asked_for_a_picture(place: bytes) -> None:
    assert place_of(place, Path("out")).path is None


def test_tables_of_paths_are_sources_too(tmp_path: Path) -> None:
    names = ["a.png", "https://pictures.example/b.png", ""]
    pq.write_table(pa.table({"Path": names}), tmp_path / "t.parquet")
    found = collect(tmp_path / "t.parquet")
    assert [entry.image for entry in found.entries] == [tmp_path / "a.png"]
    assert len(found.left_out) == 2
    (tmp_path / "t.csv").write_text("id,Image,mask\n1,a.png,m.png\n2,b.png,None\n3,s3://x/c.png,\n")
    found = collect(tmp_path / "t.csv")
    assert [(entry.image.name, entry.mask) for entry in found.entries] == [
        ("a.png", tmp_path / "m.png"),
        ("b.png", None),
    ]
    assert "lies in a remote store" in found.left_out[0]


def test_a_list_of_triage_is_a_queue(pictures: Path, tmp_path: Path) -> None:
    chosen = choose(open_manifest(pictures), Choice("score > 0.6"))
    below = tmp_path / "lists" / "look.txt"
    below.parent.mkdir()
    written = write_picture_list(below, chosen)
    assert (written.n_pictures, written.outside, written.above) == (3, 3, tmp_path)
    with pytest.raises(DatasetError, match=r"leads out of its folder .*: move the table above it"):
        PictureQueue.open(below)
    listed = tmp_path / "look.txt"
    write_picture_list(listed, chosen)
    assert names_pictures(listed)
    assert not names_pictures(Path(__file__))
    queue = PictureQueue.open(listed)
    assert [picture.name for picture in queue.pictures] == ["a.png", "b.png", "a.jpg"]
    assert queue.base == tmp_path
    entry = queue.entries()[0]
    assert entry.record == tmp_path / "look_masks" / "photos" / "a.png.json"
    assert (entry.state, entry.given) == ("untouched", None)
    listed.write_text("path\n\nhttps://pictures.example/b.png\n")
    with pytest.raises(DatasetError, match="names no pictures"):
        PictureQueue.open(listed)
