"""Reports written and proved: what one changed byte does, and what is said of odd ones."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from review_cases import begun_case, finding, signed_by, small_analysis, small_picture

from napari_safire.errors import DatasetError, SafireError
from napari_safire.images.records.writing import record_text
from napari_safire.project.chain.events import Draft, canonical
from napari_safire.review.case import Case, open_case
from napari_safire.review.codec import as_record
from napari_safire.review.proof import again
from napari_safire.review.proof.reading import read_report
from napari_safire.review.proof.verify import Originals, ReportProof, verify_report
from napari_safire.review.report import write
from napari_safire.review.report.document import as_written, identified
from napari_safire.review.report.making import EPOCH, report_on, time_of_making
from napari_safire.review.signatures import sign, signed_message
from napari_safire.review.values import Signature

AT = datetime(2026, 11, 29, 10, 5, tzinfo=UTC)


@pytest.fixture(autouse=True)
def plain_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages that cost nothing, made of the document and the figures as real ones are."""

    def rendered(document: Mapping[str, Any], figures: Mapping[str, bytes]) -> dict[str, bytes]:
        text = canonical({**document, "files": {}}) + str(sorted(map(hash, figures.values())))
        return {write.HTML: f"<html>{text}".encode(), write.PDF: f"%PDF{text}".encode()}

    monkeypatch.setattr(write, "rendered", rendered)
    monkeypatch.setattr(again, "rendered", rendered)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture and its case, signed by two, one with a key where there is ssh-keygen."""
    folder = tmp_path_factory.mktemp("made")
    path = small_picture(folder / "photo.png")
    begun_case(folder / "case", path).project.close()
    signed_by(folder / "case", path, "Ben")
    return folder


@pytest.fixture
def report(made: Path, tmp_path: Path) -> Path:
    """A folder of its own with picture, case and report."""
    shutil.copytree(made, tmp_path / "all")
    write_one(tmp_path / "all")
    return tmp_path / "all" / "report"


def write_one(folder: Path, **options: Any) -> write.WrittenReport:
    case = begun_again(folder)
    with case.project:
        return report_on(
            case,
            small_analysis(folder / "photo.png"),
            options.pop("to", folder / "report"),
            made_at=AT,
            device="cpu",
            **options,
        )


def begun_again(folder: Path, reviewer: str = "Anna") -> Any:
    return open_case(folder / "case", folder / "photo.png", reviewer=reviewer)


def states(proof: ReportProof) -> dict[str, str]:
    return {check.what: check.state for check in proof.checks}


def wrongs(path: Path, originals: Originals | None = None) -> dict[str, str]:
    proof = verify_report(path, originals)
    return {check.what: check.words for check in proof.checks if check.state == "wrong"}


def test_a_report_holds_and_says_what_was_looked_at(report: Path) -> None:
    proof = verify_report(report)
    assert proof.holds
    assert states(proof) == {
        "report.json": "right",
        "report.html": "right",
        "report.pdf": "right",
        "figures": "right",
        "event log": "right",
        "findings and verdicts": "right",
        "signature of Ben": "not checked",
        "case": "right",
        "report in the case": "right",
        "picture": "right",
        "model": "not checked",
        "report.html made again": "right",
        "report.pdf made again": "right",
        "analysis made again": "not checked",
    }
    document = read_report(report / "report.pdf").document
    assert [one["kind"] for one in document["findings"]] == ["observed", "not available"]
    assert document["findings"][0]["viewport"] == [10, 40, 41, 90]
    assert [f["id"] for f in document["figures"]] == [
        "picture", "partition", "forgery-map", "finding-1", "view-noise-level",
    ]  # fmt: skip
    assert document["reviews"][0]["judgement"]["blind"]
    assert document["reviews"][0]["countersignatures"][0]["by"] == "Ben"
    limits = document["limitations"]
    assert limits[-2]["words"].startswith(
        '"Are its size and quality sufficient?" Anna answers "no". 96 rows'
    )
    assert limits[-2]["values"]["question"] == "quality"
    assert "1 finding was noted and not chosen" in limits[-1]["words"]
    assert document["custody"][0]["what"] == "received: by e-mail"


def test_the_same_case_and_time_give_the_same_bytes(report: Path, tmp_path: Path) -> None:
    first = {path.name: path.read_bytes() for path in report.rglob("*.*")}
    again_in = tmp_path / "elsewhere"
    write_one(report.parent, to=again_in)
    assert {path.name: path.read_bytes() for path in again_in.rglob("*.*")} == first
    with pytest.raises(SafireError, match="holds a report already"):
        write_one(report.parent)
    figure = next((report / "figures").iterdir())
    (report / "figures" / f"old-{'0' * 12}.png").write_bytes(b"")
    (report / "figures" / "mine.png").write_bytes(b"")
    write_one(report.parent, overwrite=True)
    assert figure.exists()
    assert (report / "figures" / "mine.png").exists()
    assert not (report / "figures" / f"old-{'0' * 12}.png").exists()
    assert verify_report(report).holds


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("report/report.json", "report.json"),
        ("report/report.html", "report.html"),
        ("report/report.pdf", "report.pdf"),
        ("report/figures/*", "figures"),
        ("photo.png", "picture"),
    ],
)
def test_one_changed_byte_is_found(report: Path, name: str, what: str) -> None:
    (path, *_) = sorted(report.parent.glob(name))
    data = bytearray(path.read_bytes())
    # In the document: a blank, which no value of it changes by.
    place = data.index(b"\n ") + 1 if path.suffix == ".json" else len(data) // 2
    data[place] = ord("\t") if path.suffix == ".json" else data[place] ^ 1
    path.write_bytes(bytes(data))
    assert what in wrongs(report)


def test_another_model_is_found(report: Path, tmp_path: Path) -> None:
    other = tmp_path / "model.safetensors"
    other.write_bytes(b"other")
    assert "is another model" in wrongs(report, Originals(model=other))["model"]


def rewritten(report: Path, change: Any) -> None:
    """Change a document, and make all hashes in it anew: what a careful forger can do."""
    stored = read_report(report)
    document = json.loads(stored.data)
    change(document)
    document = identified(document)
    figures = {f["id"]: (report / f["file"]).read_bytes() for f in document["figures"]}
    made = write.rendered(document, figures)
    document["files"] = {name: hashlib.sha256(data).hexdigest() for name, data in made.items()}
    for name, data in made.items():
        (report / name).write_bytes(data)
    (report / "report.json").write_text(record_text(document), "utf-8", newline="\n")


def test_findings_and_verdicts_follow_from_the_events(report: Path) -> None:
    rewritten(report, lambda d: d["reviews"][0]["judgement"].update(verdict="authentic"))
    assert set(wrongs(report)) == {"findings and verdicts", "report in the case"}


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda d: d.update(note="Accepted by the court."), "report.json"),
        (lambda d: d["findings"][0].update(figure=None), "findings and verdicts"),
        (lambda d: d["findings"][0].update(viewport=[0, 0, 9, 9]), "findings and verdicts"),
        (lambda d: d["reviews"][0]["order"].reverse(), "findings and verdicts"),
        (lambda d: d["reviews"][0].update(reviewer="Cleo"), "findings and verdicts"),
        (lambda d: d["custody"].pop(), "findings and verdicts"),
        (lambda d: d["events"][3].update(at="2020-01-01T00:00:00+00:00"), "event log"),
        (lambda d: d["events"][3].update(author="Cleo"), "event log"),
        (lambda d: d["picture"].update(id="f" * 16), "findings and verdicts"),
        (lambda d: d["picture"].update(name="other.png"), "findings and verdicts"),
        (lambda d: d["picture"].update(file_sha256="f" * 64), "findings and verdicts"),
    ],
)
def test_subtle_changes_are_found_without_the_case(report: Path, change: Any, what: str) -> None:
    rewritten(report, change)
    (report.parent / "case").rename(report.parent / "elsewhere")
    assert what in wrongs(report)


def test_a_time_before_the_last_event_is_told(report: Path) -> None:
    def told() -> str:
        return next(c.words for c in verify_report(report).checks if c.what == "event log")

    for at, before in (("2099-01-01T00:00:00+00:00", False), ("2020-01-01T00:00:00+00:00", True)):
        rewritten(report, lambda d, at=at: d["made"].update(at=at))
        assert ("a time of making before its last event" in told()) == before


def test_a_changed_event_and_a_changed_word_are_found(report: Path, tmp_path: Path) -> None:
    def change(document: dict[str, Any]) -> None:
        document["events"][5]["body"]["finding"]["comment"] = "nothing"
        document["events"][-1]["what"] = "went home"

    rewritten(report, change)
    found = wrongs(report, Originals(case=report.parent / "case"))["event log"]
    assert "Event 6 was changed: its hash is another." in found
    assert "The words of event" in found


def test_a_report_that_was_cut_short_is_told_from_one_that_was_proved(report: Path) -> None:
    """Ben's signature goes, and with it every word of it: only the case knows."""

    def change(document: dict[str, Any]) -> None:
        events = document["events"]
        (ben,) = (n for n, one in enumerate(events) if one["kind"] == "review.signed")
        del events[ben:]
        last = events[-1]
        document["custody"] = [c for c in document["custody"] if c["sequence"] <= last["sequence"]]
        document["reviews"][0]["countersignatures"] = []
        document["head"] = last["sha256"]

    rewritten(report, change)
    with begun_again(report.parent, "Cleo").project as project:
        Case(project, "photo.png").note(finding(9))
    proof = verify_report(report)
    assert wrongs(report) == {}
    assert proof.words == "Nothing is wrong with what was checked; not checked: 3."


def as_before(document: dict[str, Any]) -> None:
    """The form of version 1: sentences in English alone, and no word of the program's code."""
    document["version"] = 1
    document["limitations"] = as_written("limitations", document["limitations"][1:], 1)
    document["limitations"].insert(0, "The file is a PNG.")
    document["reviews"] = as_written("reviews", document["reviews"], 1)
    del document["made"]["program"]["code"]


def test_reports_of_before_are_proved_by_the_same_reader(report: Path) -> None:
    rewritten(report, as_before)
    order = read_report(report).document["reviews"][0]["order"]
    assert order[0].endswith(" UTC: The review was begun.")
    assert set(wrongs(report)) == {"report in the case"}
    rewritten(report, lambda d: d["limitations"].pop())
    assert "limitations" in wrongs(report)["findings and verdicts"]


def test_pages_are_wrong_only_where_the_same_texts_give_others(
    report: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told() -> list[tuple[str, str]]:
        checks = verify_report(report).checks
        return [(c.state, c.words) for c in checks if c.what == "report.html made again"]

    made = write.rendered
    monkeypatch.setattr(
        again, "rendered", lambda *given: {n: d + b" " for n, d in made(*given).items()}
    )
    assert told() == [("wrong", "Other bytes come of the document.")]
    for code, words in (("0" * 64, "texts or code are others"), (None, "does not say which")):
        rewritten(report, lambda d, code=code: d["made"]["program"].update(code=code))
        ((state, said),) = told()
        assert (state, words in said) == ("not checked", True)
    monkeypatch.setattr(again, "rendered", made)
    assert [state for state, _ in told()] == ["right"]  # the same bytes, whoever made them


def test_a_report_names_no_folder_that_is_not_beside_its_case(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home" / "anna"
    home.mkdir(parents=True)
    picture, folder = home / "photo.png", tmp_path / "cases" / "one"
    shutil.copy(made / "photo.png", picture)
    begun_case(folder, picture).project.close()
    with open_case(folder, picture, reviewer="Anna").project as project:
        case = Case(project, "photo.png")
        assert case.path == picture
        report_on(case, small_analysis(picture), folder / "report", made_at=AT)
    assert "anna" not in (folder / "report" / "report.json").read_text("utf-8")
    assert states(verify_report(folder / "report"))["picture"] == "right"
    small_picture(picture, seed=3)  # the same place: still the picture of this case, but changed
    with open_case(folder, picture, reviewer="Anna").project as project:
        with pytest.raises(DatasetError, match="was changed"):
            Case(project, "photo.png").read()
        assert "anna" not in str([dict(event.body) for event in project.events()])
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "elsewhere"))
    assert states(verify_report(folder / "report"))["picture"] == "not checked"


def test_an_event_left_out_of_the_middle_is_found(report: Path) -> None:
    def change(document: dict[str, Any]) -> None:
        (noted,) = (
            n for n, one in enumerate(document["events"])
            if one["kind"] == "review.noted" and one["body"]["finding"]["comment"].endswith("2")
        )  # fmt: skip
        del document["events"][noted]
        del document["findings"][1]

    rewritten(report, change)
    assert "of the case is left out." in wrongs(report)["case"]
    (report.parent / "case").rename(report.parent / "elsewhere")
    told = {check.what: check.words for check in verify_report(report).checks}
    assert "1 events before it are not in the report" in told["event log"]


def test_what_came_in_before_a_signature_afterwards_is_found(report: Path, tmp_path: Path) -> None:
    """A signature names the head that was seen; a case made anew with more in it has another."""
    folder = tmp_path / "forged"
    folder.mkdir()
    shutil.copy(report.parent / "photo.png", folder / "photo.png")
    case = begun_case(folder / "case", folder / "photo.png")
    judged, seen = case.review().of("Anna").verdict, case.project.head
    case.project.close()
    ben = begun_again(folder, "Ben")
    signature = as_record(Signature("signs", "Anna", judged.sha256, seen.sha256))
    forged = {**signature, "head": "f" * 64}
    ben.project.append([Draft("review.signed", ben.id, {"signature": forged})])
    ben.project.close()
    write_one(folder)
    found = wrongs(folder / "report")
    assert "none of the events" in found["signature of Ben"]
    assert "The head that Ben signed is none of the case's events." in found["case"]


def test_a_limitation_of_a_reviewer_is_not_left_out(report: Path) -> None:
    rewritten(report, lambda d: d["limitations"].pop())
    assert "limitations" in wrongs(report)["findings and verdicts"]


def test_a_dispute_outlives_the_verdict_that_it_was_about(report: Path, tmp_path: Path) -> None:
    case = begun_again(report.parent, "Ben")
    judged, head = case.review().of("Anna").verdict, case.project.head
    case.sign(Signature("disputes", "Anna", judged.sha256, head.sha256, "Not so."))
    case.project.close()
    case = begun_again(report.parent)
    case.judge(judged.judgement, judged.revision)
    case.project.close()
    write_one(report.parent, to=tmp_path / "new")
    order = read_report(tmp_path / "new").document["reviews"][0]["order"]
    assert order[-2]["words"] == "The verdict was disputed by Ben."
    assert verify_report(tmp_path / "new").words.startswith("Nothing is wrong")


def test_labels_and_records_in_the_case_are_looked_at(report: Path) -> None:
    kept = sorted(one for one in (report.parent / "case" / "objects").rglob("*") if one.is_file())
    assert kept
    whole = kept[0].read_bytes()
    kept[0].write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert "was changed: its hash is another." in wrongs(report)["case"]
    kept[0].unlink()
    assert "is missing from" in wrongs(report)["case"]


def test_what_only_the_analysis_says_is_held_by_the_case(report: Path) -> None:
    rewritten(report, lambda d: d["model_verdict"].update(verdict="no forgery found"))
    assert set(wrongs(report)) == {"report in the case"}
    (report.parent / "case").rename(report.parent / "elsewhere")
    proof = verify_report(report)
    assert states(proof)["case"] == "not checked"
    assert proof.holds  # hashes alone cannot tell; the analysis made again does


def test_a_case_that_went_on_still_holds_its_report(report: Path) -> None:
    with begun_again(report.parent, "Ben").project as project:
        Case(project, "photo.png").note(finding(9))
    proof = verify_report(report)
    assert proof.holds
    assert "1 changes came since" in next(c.words for c in proof.checks if c.what == "case")


def test_a_case_around_a_report_with_none_of_its_events_is_told(report: Path) -> None:
    shutil.rmtree(report.parent / "case")
    begun_case(report.parent / "case", report.parent / "photo.png").project.close()
    told = {check.what: check for check in verify_report(report).checks}
    assert told["case"].state == "not checked"
    assert "has this picture, but none of the report's events" in told["case"].words


def test_another_case_is_wrong(report: Path, tmp_path: Path) -> None:
    path = small_picture(tmp_path / "other.png", seed=1)
    begun_case(tmp_path / "other", path).project.close()
    assert "case" in wrongs(report, Originals(case=tmp_path / "other"))
    assert "case" in wrongs(report, Originals(case=tmp_path))


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen")
def test_signatures_with_keys_are_checked(made: Path, tmp_path: Path) -> None:
    folder, key = tmp_path / "all", tmp_path / "key"
    shutil.copytree(made, folder)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    public = Path(f"{key}.pub").read_text()
    case = begun_again(folder)
    judged, head = case.review().of("Anna").verdict, case.project.head
    message = signed_message(head.sha256, case.id, judged.sha256, "signs")
    case.project.close()
    second = begun_again(folder, "Cleo")
    for stance in ("signs", "disputes"):  # the second is a signature of other bytes
        second.sign(
            Signature(
                stance,
                "Anna",
                judged.sha256,
                head.sha256,
                ssh_signature=sign(message, key),
                ssh_key=public,
            )
        )
    second.project.close()
    write_one(folder)
    proof = verify_report(folder / "report")
    told = [c.state for c in proof.checks if c.what == "signature of Cleo"]
    assert told == ["right", "wrong"]
    listed = tmp_path / "allowed"
    listed.write_text(f"Somebody {public}")
    proof = verify_report(folder / "report", Originals(signers=listed))
    assert [c.state for c in proof.checks if c.what == "signature of Cleo"] == ["wrong", "wrong"]


def test_a_report_of_another_version_is_checked_as_far_as_it_goes(report: Path) -> None:
    def change(document: dict[str, Any]) -> None:
        document["version"] = 3
        document["reviews"] = "in another form"
        document["picture"].pop("path")

    rewritten(report, change)
    proof = verify_report(report)
    assert states(proof)["version"] == "not checked"
    assert states(proof)["report.pdf"] == "right"
    assert states(proof)["signatures"] == "not checked"
    assert states(proof)["findings and verdicts"] == "not checked"
    assert "version that made it" in proof.checks[0].words


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda d: d.update(format="other"), "its format is 'other'"),
        (lambda d: d.pop("events"), "does not say 'events'"),
        (lambda d: d["figures"][0].update(file="../../photo.png"), "no file of the report"),
        (lambda d: d["figures"][0].update(file="/etc/hostname"), "no file of the report"),
        (lambda d: d["case"].update(title="x" * 300_000), "more than 200,000 characters"),
        (lambda d: d.update(head="z"), "is no SHA-256"),
        (lambda d: d.update(version=True), "is no whole number"),
        (lambda d: d.update(findings=[[]]), "is no table of values"),
    ],
)
def test_what_is_no_document_is_a_sentence(report: Path, damage: Any, words: str) -> None:
    document = json.loads((report / "report.json").read_bytes())
    damage(document)
    (report / "report.json").write_text(json.dumps(document))
    with pytest.raises(DatasetError, match=words):
        verify_report(report)


@pytest.mark.parametrize(
    "text", ["", "{", "[" * 100_000, '{"a": 1, "a": 2}', "NaN", '{"a": 1e999}']
)
def test_what_is_no_json_is_a_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(DatasetError, match="no report that can be read"):
        verify_report(tmp_path)
    with pytest.raises(DatasetError, match="does not exist"):
        verify_report(tmp_path / "none.json")


def test_paths_of_a_document_lead_nowhere_else(report: Path, tmp_path: Path) -> None:
    (report.parent / "photo.png").rename(tmp_path / "moved.png")
    shutil.rmtree(report.parent / "case")
    for written in (str(tmp_path / "moved.png"), "\\\\host\\share\\a.png", "C:/a.png", "a\0b"):
        rewritten(report, lambda d, w=written: d["picture"].update(path=w))
        assert states(verify_report(report))["picture"] == "not checked"
    found = verify_report(report, Originals(picture=tmp_path / "moved.png"))
    assert states(found)["picture"] == "right"
    assert states(verify_report(report, Originals(picture=tmp_path / "gone")))["picture"] == "wrong"


def test_a_picture_that_changed_or_went_is_not_reported(report: Path, tmp_path: Path) -> None:
    folder = report.parent
    analysis, case = small_analysis(folder / "photo.png"), begun_again(folder)
    small_picture(folder / "photo.png", seed=2)
    with pytest.raises(SafireError, match="was changed since it was analysed"):
        report_on(case, analysis, tmp_path / "new")
    with pytest.raises(SafireError, match="other bytes than those of the case"):
        report_on(case, small_analysis(folder / "photo.png"), tmp_path / "new")
    (folder / "photo.png").unlink()
    with pytest.raises(SafireError, match="not there any more"):
        report_on(case, analysis, tmp_path / "new")
    case.project.close()
    assert not (tmp_path / "new").exists()


def test_the_time_of_making_can_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(EPOCH, "1764410700")
    assert time_of_making() == datetime(2025, 11, 29, 10, 5, tzinfo=UTC)
    for wrong in ("noon", "9" * 30):
        monkeypatch.setenv(EPOCH, wrong)
        with pytest.raises(SafireError, match="whole seconds since 1970"):
            time_of_making()


def test_a_blind_first_look_that_is_not_over_is_logged(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "all"
    shutil.copytree(made, folder)
    case = begun_again(folder, "Dora")
    case.begin(blind=True)
    report_on(case, small_analysis(folder / "photo.png"), folder / "report", made_at=AT)
    assert case.review().of("Dora").shown_at
    case.project.close()
    assert verify_report(folder / "report").holds


def test_a_report_of_one_picture_of_a_project_holds(made: Path, tmp_path: Path) -> None:
    """Events of other pictures lie between its own; the chain of the project proves them."""
    folder = tmp_path / "all"
    shutil.copytree(made, folder)
    other = open_case(folder / "case", small_picture(folder / "b.png", seed=3), reviewer="Ben")
    other.note(finding(7))
    other.project.close()
    with begun_again(folder).project as project:
        Case(project, "photo.png").note(finding(8))
    write_one(folder, to=folder / "case" / "report")
    document = read_report(folder / "case" / "report").document
    assert all(event["picture"] in ("", document["picture"]["id"]) for event in document["events"])
    assert len(document["findings"]) == 3
    proof = verify_report(folder / "case" / "report")
    assert proof.holds
    assert states(proof)["report in the case"] == "right"


def test_a_project_that_only_lies_near_is_not_taken_for_the_case(
    report: Path, tmp_path: Path
) -> None:
    path = small_picture(tmp_path / "other.png", seed=1)
    shutil.rmtree(report.parent / "case")
    begun_case(report.parent / "case", path).project.close()
    found = verify_report(report)
    assert states(found)["case"] == "not checked"
    assert found.holds


HOSTILE = [
    None, True, -1, 1.5, 10**20, "", "x" * 70_000, "\udce9", "../../x", "\0", "<script>", [], {},
    [[]], [{}], {"a": {"b": [1]}}, ["x"] * 50, 1e308, "\u202e", "a" * 64, "signs", {"sequence": 1},
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    inside = value.items() if isinstance(value, dict) else ()
    inside = enumerate(value[:6]) if isinstance(value, list) else inside
    return found + [place for key, one in inside for place in places(one, (*path, key))]


def test_no_document_raises_anything_else_or_passes_for_another(report: Path) -> None:
    stored, draw = json.loads((report / "report.json").read_bytes()), random.Random(0)
    everywhere, held = places(stored), []
    for _ in range(60):
        document, (*way, last) = json.loads(json.dumps(stored)), draw.choice(everywhere)
        inside = document
        for key in way:
            inside = inside[key]
        if draw.random() < 0.2 and isinstance(inside, dict):
            del inside[last]
        else:
            inside[last] = draw.choice(HOSTILE)
        document = {**identified(document), "files": stored["files"]}
        (report / "report.json").write_text(record_text(document), "utf-8", newline="\n")
        try:
            if verify_report(report).holds:
                held.append(way)
        except DatasetError:
            continue
    # Digest and files themselves were written anew.
    assert {way[0] if way else "" for way in held} <= {"", "files"}
