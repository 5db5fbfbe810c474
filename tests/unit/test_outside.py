"""Nothing that a file names leads out of its folder: one table over all that name files.

Lists and tables of a corpus: test_corpus_inputs.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from report_cases import sample_document

from napari_safire.annotation.saving import save_labels
from napari_safire.errors import CheckpointError, DatasetError
from napari_safire.images.lists import ListEntry, read_list, write_list
from napari_safire.images.records.results import read_results
from napari_safire.model.catalogue.entry import ModelEntry
from napari_safire.project.formats.catalogue import import_pictures
from napari_safire.project.formats.names import Wanted, export_names
from napari_safire.review.proof.reading import read_report

NAMES = ("../secret.png", "/etc/passwd.png", "below/../../secret.png", "..\\secret.png")


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(path)
    return path


def a_list(folder: Path, name: str) -> None:
    (folder / "list.txt").write_text(f"{name},None\n", encoding="utf-8")
    read_list(folder / "list.txt")


def a_mask_of_a_list(folder: Path, name: str) -> None:
    (folder / "list.txt").write_text(f"a.png,{name}\n", encoding="utf-8")
    read_list(folder / "list.txt")


def a_list_that_is_written(folder: Path, name: str) -> None:
    name = name.replace("\\", "/")  # which is part of a name on other systems
    try:
        write_list(folder / "list.txt", [ListEntry(folder / name)])
    except ValueError as error:
        raise DatasetError(str(error)) from error


def a_result_of_a_record(folder: Path, name: str) -> None:
    save_labels(folder / "a.json", np.eye(4, dtype=np.uint8), {"metadata": {}, "name": "a"})
    record = json.loads((folder / "a.json").read_text(encoding="utf-8"))
    record["files"]["sources"] = name
    del record["annotation"]  # else what it holds is opened, with a warning
    (folder / "a.json").write_text(json.dumps(record), encoding="utf-8")
    read_results(folder / "a.json")


def a_figure_of_a_report(folder: Path, name: str) -> None:
    document = sample_document()
    document["figures"][0]["file"] = name
    (folder / "report.json").write_text(json.dumps(document), encoding="utf-8")
    read_report(folder / "report.json")


def a_file_of_a_registered_model(folder: Path, name: str) -> None:
    try:
        ModelEntry(
            name="lab", filename=name, description="x", url="https://example.org/lab.pth",
            sha256="ab" * 32, size=9, licence="CC0", trained_on="x", architecture="vit",
        )  # fmt: skip
    except (ValueError, TypeError) as error:
        raise CheckpointError(str(error)) from error


REFUSED: tuple[Callable[[Path, str], None], ...] = (
    a_list,
    a_mask_of_a_list,
    a_list_that_is_written,
    a_result_of_a_record,
    a_figure_of_a_report,
    a_file_of_a_registered_model,
)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("names", REFUSED)
def test_names_that_lead_out_are_refused(
    names: Callable[[Path, str], None], name: str, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    picture(folder / "a.png")
    picture(tmp_path / "secret.png")
    with pytest.raises((DatasetError, CheckpointError)) as caught:
        names(folder, name)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", NAMES)
def test_members_of_archives_are_unpacked_below_their_folder(name: str, tmp_path: Path) -> None:
    content = picture(tmp_path / "a.png").read_bytes()
    with tarfile.open(tmp_path / "all-000000.tar", "w") as archive:
        for ending in ("png", "mask.png"):
            member = tarfile.TarInfo(f"{name.removesuffix('.png')}.{ending}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    list(import_pictures(tmp_path / "all-000000.tar", "webdataset", unpack=tmp_path / "in/side"))
    new = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    assert all(path.is_relative_to(tmp_path / "in/side") for path in new)
    assert not Path("/etc/passwd.png").exists()


@pytest.mark.parametrize("name", NAMES)
def test_names_of_exports_stay_in_their_folder(name: str, tmp_path: Path) -> None:
    (safe,) = export_names([Wanted(name, name)])
    assert not safe.is_absolute()
    assert ".." not in safe.parts
