"""Every stored format that the package reads: whole files of it, how they are damaged, who reads.

A reader returns where it could read the file, and raises a `SafireError` where it refuses it; all
else is a fault, as is an assertion of the reader.
"""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import numpy as np
from PIL import Image
from robustness.fuzzing import cases, checkpoints, indexes, metadata, pictures, stores, texts

SHAPE = (48, 64)
Seeds = Callable[[Path], Mapping[str, bytes]]
Damage = Callable[[bytes, str, Random], bytes]


@dataclass(frozen=True)
class Format:
    """A format that is fuzzed.

    Parameters
    ----------
    seeds : callable
        Makes whole files in a folder, with what they need beside them; bytes by name.
    damage : callable
    read : callable
        Takes the path of a damaged file; ``made`` beside it is the folder of the whole ones.
    """

    seeds: Seeds
    damage: Damage
    read: Callable[[Path], object]


def _picture(path: Path) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (*SHAPE, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path.read_bytes()


def _of_pictures(*suffixes: str) -> Format:
    return Format(lambda folder: pictures.seeds(*suffixes), pictures.mutated, pictures.read)


# --- texts ----------------------------------------------------------------------------------------


def _list_seeds(folder: Path) -> dict[str, bytes]:
    for name in ("a.png", "b.png"):
        _picture(folder.parent / name)
    lines = b'a.png,b.png\na.png,None,group1\n"a.png",b.png,"x,y"\n# comment\n#a.png,None\n'
    return {"list.txt": lines, "list.csv": lines}


def _read_list(path: Path) -> None:
    from napari_safire.corpus.queue import PictureQueue
    from napari_safire.datasets.catalogue import read_entries
    from napari_safire.datasets.integrity import check_lists
    from napari_safire.errors import SafireError
    from napari_safire.images.list_text import list_root, looks_like_list
    from napari_safire.images.lists import parse_list, read_list

    if looks_like_list(path):
        list_root(path)
    refused: list[SafireError] = []
    for read in (
        lambda: [
            texts.nothing_outside(path, e.image) for e in parse_list(path, path.parent).entries
        ],
        lambda: read_list(path),
        lambda: read_entries(path),
        lambda: list(check_lists([path], kind=None, workers=1)),
        lambda: PictureQueue.open(path, path.parent / "out").entries(),
    ):
        try:
            read()
        except SafireError as error:
            refused.append(error)
    if refused:
        raise refused[0]


def _table_seeds(folder: Path) -> dict[str, bytes]:
    _picture(folder.parent / "a.png")
    rows = [b"id,path,note", b"1,a.png,x", b'2,"a.png","y,z"', b"3,./a.png,"]
    return {
        "table.csv": b"\n".join(rows),
        "table.tsv": b"\n".join(rows).replace(b",", b"\t"),
        "names.txt": b"a.png\n./a.png\n",
    }


def _parquet_list_seeds(folder: Path) -> dict[str, bytes]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    _picture(folder.parent / "a.png")
    file = io.BytesIO()
    pq.write_table(pa.table({"path": ["a.png", "./a.png", "a.png"], "n": [1, 2, 3]}), file)
    return {"list.parquet": file.getvalue()}


def _enumerate(path: Path) -> None:
    """Tell the pictures that a file of a corpus names, and read those that are there."""
    from napari_safire.corpus.inputs.enumeration import enumerate_pictures
    from napari_safire.corpus.inputs.local import local_file
    from napari_safire.corpus.inputs.picture import CorpusPicture, InputProblem
    from napari_safire.errors import DatasetError, SafireError
    from napari_safire.images.reading import read_image

    problem = ""
    for number, found in enumerate(enumerate_pictures([path], path.parent / "out")):
        if isinstance(found, InputProblem):
            problem = found.problem
        elif number < 5 and found.store != "remote":
            assert isinstance(found, CorpusPicture)
            texts.nothing_outside(path, Path(found.place))
            try:
                with local_file(found, path.parent) as file:
                    read_image(file)
            except SafireError as error:
                problem = str(error)
    if problem:
        raise DatasetError(problem)


def _shard_seeds(folder: Path) -> dict[str, bytes]:
    content = _picture(folder / "a.png")
    members = {f"{n:06d}.{kind}": content for n in range(3) for kind in ("png", "json")}
    return {"shard.tar": stores.tar_seed({**members, "x" * 150 + "/é.png": content})}


def _registry_seeds(folder: Path) -> dict[str, bytes]:
    fields = {
        "description": "A model.", "url": "https://example.org/lab.pth", "sha256": "AB" * 32,
        "licence": "CC-BY-4.0", "trained_on": "pictures", "architecture": "vit",
    }  # fmt: skip
    lines = [f'{key} = "{value}"' for key, value in fields.items()]
    table = "\n".join([*lines, "size = 1234", ""])
    return {"models.toml": f"[models.lab]\n{table}[models.two]\n{table}".encode()}


def _read_registry(path: Path) -> None:
    from napari_safire.errors import CheckpointError
    from napari_safire.model import available_models, registry_problems
    from napari_safire.model.catalogue.user_models import REGISTRIES_VARIABLE

    with mock.patch.dict(os.environ, {REGISTRIES_VARIABLE: os.fspath(path)}):
        available_models()
        problems = registry_problems()
    if problems:
        raise CheckpointError(problems[0])


def _config_seeds(folder: Path) -> dict[str, bytes]:
    checkpoints.TINY_VIT.to_json(folder / "config.json")
    return {"config.json": (folder / "config.json").read_bytes()}


def _read_config(path: Path) -> None:
    from napari_safire.model import ModelConfig

    ModelConfig.from_json(path)


def _score_seeds(folder: Path) -> dict[str, bytes]:
    rows = b"image,mask,degradation,verdict,x,embed_s,error\r\na.png,b.png,none,forged,0.5,0.1,\r\n"
    part, job, lines = stores.saved_scores(folder)
    return {"part.parquet": part, "job.json": job, "scores.jsonl": lines, "scores.csv": rows}


def _read_scores(path: Path) -> None:
    from napari_safire.evaluation.saved_scores import JOB, SavedScores
    from napari_safire.evaluation.saved_studies import read_results

    if path.suffix == ".csv":
        read_results(path)
        return
    home = path.parent / "scores"
    shutil.rmtree(home, ignore_errors=True)
    if path.name == JOB:
        home.mkdir()
        os.replace(path, home / JOB)
    elif path.suffix == ".parquet":
        with SavedScores(home, stores.SCORES_BASIS):
            os.replace(path, home / "parts" / path.name)
    try:
        with SavedScores(home, stores.SCORES_BASIS) as scores:  # lines of before lie beside
            len(scores)
    finally:
        path.unlink(missing_ok=True)


def _damage_scores(data: bytes, name: str, rng: Random) -> bytes:
    if name.endswith(".parquet"):
        return stores.damaged_parquet(data, name, rng)
    damage = texts.damaged_table if name.endswith(".csv") else texts.damaged_json
    return damage(data, name, rng)


# --- masks, records, annotations ------------------------------------------------------------------


def _mask_seeds(folder: Path) -> dict[str, bytes]:
    _picture(folder.parent / "a.png")
    values = np.zeros(SHAPE, np.uint8)
    values[10:30, 10:30] = 50
    made = {}
    for suffix, name in (("png", "PNG"), ("tif", "TIFF"), ("bmp", "BMP"), ("gif", "GIF")):
        file = io.BytesIO()
        Image.fromarray(values).save(file, name)
        made[f"m.{suffix}"] = file.getvalue()
    file = io.BytesIO()
    np.savez_compressed(file, arr_0=values)
    return made | {"m.npz": file.getvalue()}


def _damage_mask(data: bytes, name: str, rng: Random) -> bytes:
    damage = stores.damaged_npz if name.endswith(".npz") else pictures.mutated
    return damage(data, name, rng)


def _read_mask(path: Path) -> None:
    from napari_safire.images.lists import ListEntry
    from napari_safire.images.masks import MaskRule
    from napari_safire.images.truth import read_labels, read_mask

    key = "arr_0" if path.suffix == ".npz" else None
    for rule in (MaskRule(key=key), MaskRule("sources", nearest=True, key=key)):
        entry = ListEntry(path.parent / "a.png", path, rule=rule)
        read_mask(entry, "sources", shape=SHAPE)
    if key is None:
        read_labels(ListEntry(path.parent / "a.png", path), shape=SHAPE)


def _made() -> Any:
    from napari_safire.annotation.annotation import Annotation, Preview, SourcePrompt
    from napari_safire.annotation.packed_labels import PackedLabels
    from napari_safire.annotation.predictions import (
        AnnotatedPlane,
        PartitionPredictions,
        Predictions,
    )
    from napari_safire.basis import RunBasis
    from napari_safire.types import PointPrompt

    labels = PackedLabels.pack(np.random.default_rng(0).integers(0, 4, SHAPE).astype(np.uint8))
    prompts = (SourcePrompt(PointPrompt(1, 2), 3), SourcePrompt(PointPrompt(4, 5), 1, exclude=True))
    annotation = Annotation(
        settled=labels,
        protected=PackedLabels.pack(np.eye(*SHAPE) > 0),
        prompts=prompts,
        preview=Preview(labels, "prompts", prompts[:1], exact=False),
        seeds=((2, PointPrompt(3, 3)),),
    )
    said = PartitionPredictions("auto", (1, 2), {2: 0.75, 3: 0.25})
    return AnnotatedPlane(
        annotation, Predictions(RunBasis("model"), {PointPrompt(4, 5): 0.5}, said)
    )


def _annotation_seeds(folder: Path) -> dict[str, bytes]:
    from napari_safire.annotation.codec import encode_annotation

    made = _made()
    return {
        "annotation.json": json.dumps(encode_annotation(made.annotation, made.predictions)).encode()
    }


def _read_annotation(path: Path) -> None:
    from napari_safire.annotation.codec import decode_annotation
    from napari_safire.errors import DatasetError

    try:
        record = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:  # whoever keeps records has parsed them
        raise DatasetError("It is no JSON.") from error
    decode_annotation(record, SHAPE)


def _record_seeds(folder: Path) -> dict[str, bytes]:
    from napari_safire.annotation.saving import save_labels

    _picture(folder.parent / "a.png")
    about = {"image_path": os.fspath(folder.parent / "a.png"), "image": "a"}
    attributes = {"metadata": {"napari_safire": about}, "name": "a"}
    save_labels(folder.parent / "a.json", np.eye(*SHAPE, dtype=np.uint8), attributes)
    return {"record.json": (folder.parent / "a.json").read_bytes()}


def _read_record(path: Path) -> None:
    from napari_safire.images.records.head import read_head, record_format
    from napari_safire.images.records.results import read_results

    record_format(path)
    read_results(path)
    read_head(path)


# --- stores ---------------------------------------------------------------------------------------


def _autosave_seeds(folder: Path) -> dict[str, bytes]:
    from napari_safire.session.autosave import Autosave

    autosave = Autosave(folder / "autosave.sqlite")
    for work in ("one", "two"):
        autosave.keep(work, "a", _made())
    return {"autosave.sqlite": stores.database_bytes(folder / "autosave.sqlite")}


def _read_autosave(path: Path) -> None:
    from napari_safire.errors import DatasetError
    from napari_safire.session.autosave import Autosave

    autosave = Autosave(path)
    autosave.find("a", SHAPE)
    if not autosave.keep("three", "a", _made()):
        raise DatasetError(autosave.problem)
    autosave.find("a", SHAPE)


def _project_seeds(folder: Path) -> dict[str, bytes]:
    from napari_safire.images.lists import ListEntry
    from napari_safire.project.adding import add_pictures
    from napari_safire.project.pictures import project_pictures
    from napari_safire.project.store import DATABASE, Project
    from napari_safire.project.work import Step, finish, save_step

    home = folder.parent
    for name in ("a.png", "b.png"):
        _picture(home / name)
    with Project.create(home, author="Ada") as project:
        add_pictures(project, [ListEntry(home / name) for name in ("a.png", "b.png")])
        first = next(project_pictures(project)).id
        labels = np.ones(SHAPE, np.uint8)
        labels[9:] = 2
        save_step(project, first, "Ada", Step(labels), 0)
        finish(project, first, "Ada", 1)
    return {DATABASE: stores.database_bytes(home / DATABASE)}


def _read_project(path: Path) -> None:
    from napari_safire.errors import SafireError
    from napari_safire.project.pictures import project_pictures, tag_picture
    from napari_safire.project.queries import PictureQuery, list_pictures, picture_rows
    from napari_safire.project.store import Project
    from napari_safire.project.upkeep.verify import verify
    from napari_safire.project.work import read_labels, read_made, works

    refused: SafireError | None = None
    with Project.open(path.parent, author="Eve") as project:
        for one in project_pictures(project):
            for work in works(project, one.id):
                try:
                    read_labels(project, work)
                    read_made(project, work)
                except SafireError as error:
                    refused = error
        picture_rows(project, "Ada", list_pictures(project, "Ada", PictureQuery()))
        project.settings  # noqa: B018 (it is read there)
        problems = verify(project).problems
        tag_picture(project, "a.png", ["seen"])
    if refused is not None:
        raise refused
    assert all(text.isprintable() for text in problems), problems


def _manifest_seeds(folder: Path) -> dict[str, bytes]:
    return {"part.parquet": stores.saved_rows(folder)}


def _read_manifest(path: Path) -> None:
    from napari_safire.corpus.known_content import KnownContent
    from napari_safire.corpus.manifest import KnownKeys, Manifest

    home = path.parent / "output"
    (home / "parts").mkdir(parents=True, exist_ok=True)
    os.replace(path, home / "parts" / path.name)
    manifest = Manifest(home)
    KnownKeys(manifest, retry_errors=True)
    for row in manifest.rows():
        row.as_columns()
    KnownContent(manifest).refresh()


def _job_seeds(folder: Path) -> dict[str, bytes]:
    from napari_safire.basis import RunBasis
    from napari_safire.corpus.job import JOB, CorpusJob, begin_job

    begin_job(folder, CorpusJob(RunBasis("ab" * 32, {"method": "auto", "n": 3}), "safire-lite"))
    return {JOB: (folder / JOB).read_bytes()}


def _read_job(path: Path) -> None:
    from napari_safire.basis import RunBasis
    from napari_safire.corpus.job import read_job

    job = read_job(path.parent)
    if job is not None:
        job.basis.differences(RunBasis("ab" * 32, {"method": "auto", "n": 3}))


def _export_seeds(kind: str, name: str) -> Seeds:
    def seeds(folder: Path) -> dict[str, bytes]:
        from labelled_pictures import labelled

        from napari_safire.project.formats.export import export
        from napari_safire.project.formats.labelled import ExportSettings

        one = labelled(folder / "pictures", "a", (1, 2))
        export([one], folder / "out", kind, ExportSettings())
        found = sorted((folder / "out").rglob(name))
        for home in (folder / "out", found[0].parent):
            shutil.copytree(home, folder.parent, dirs_exist_ok=True)
        return {found[0].name: found[0].read_bytes()}

    return seeds


def _import(path: Path, kind: str) -> None:
    from napari_safire.errors import DatasetError
    from napari_safire.project.formats.catalogue import import_pictures

    problem = ""
    for one in import_pictures(path, kind, unpack=path.parent / "unpacked"):
        problem = one.sentences[-1] if one.sentences else problem
    if problem:
        raise DatasetError(problem)


def _read_export(path: Path) -> None:
    """What an export of this package says of its pictures, beside the lists of trainers."""
    _import(path.parent / "all.txt", "lists")


def _report_seeds(folder: Path) -> dict[str, bytes]:
    from report_cases import sample_document

    return {"report.json": json.dumps(sample_document()).encode()}


def _read_report(path: Path) -> None:
    from napari_safire.review.proof.reading import read_report

    document = read_report(path).document
    for figure in document["figures"] if document["version"] == 1 else ():
        texts.nothing_outside(path, Path(os.path.normpath(path.parent / figure["file"])))


FORMATS: dict[str, Format] = {
    "png": _of_pictures(".png"),
    "jpeg": _of_pictures(".jpg", ".jpeg", ".mpo"),
    "coefficients": Format(
        lambda folder: pictures.seeds(".jpg"), pictures.mutated, pictures.read_stored_coefficients
    ),
    "webp": _of_pictures(".webp"),
    "gif": _of_pictures(".gif"),
    "bmp": _of_pictures(".bmp"),
    "tiff": _of_pictures(".tif", ".tiff"),
    "avif": _of_pictures(".avif"),
    "metadata": Format(lambda folder: metadata.samples(), pictures.mutated, metadata.read),
    "own": Format(partial(checkpoints.seeds, kind="own"), checkpoints.damaged, checkpoints.read),
    "torch": Format(
        partial(checkpoints.seeds, kind="torch"), checkpoints.damaged, checkpoints.read
    ),
    "config": Format(_config_seeds, texts.damaged_json, _read_config),
    "registry": Format(_registry_seeds, texts.damaged_text, _read_registry),
    "list": Format(_list_seeds, texts.damaged_text, _read_list),
    "table": Format(_table_seeds, texts.damaged_table, _enumerate),
    "parquet-list": Format(_parquet_list_seeds, stores.damaged_parquet, _enumerate),
    "shard": Format(_shard_seeds, stores.damaged_tar, _enumerate),
    "manifest": Format(_manifest_seeds, stores.damaged_parquet, _read_manifest),
    "index": Format(indexes.seeds, indexes.damaged, indexes.read),
    "job": Format(_job_seeds, texts.damaged_json, _read_job),
    "mask": Format(_mask_seeds, _damage_mask, _read_mask),
    "scores": Format(_score_seeds, _damage_scores, _read_scores),
    "annotation": Format(_annotation_seeds, texts.damaged_json, _read_annotation),
    "record": Format(_record_seeds, texts.damaged_json, _read_record),
    "report": Format(_report_seeds, texts.damaged_json, _read_report),
    "autosave": Format(_autosave_seeds, stores.damaged_database, _read_autosave),
    "project": Format(_project_seeds, stores.damaged_database, _read_project),
    "case": Format(cases.seeds, cases.damaged, cases.read),
    "lists": Format(
        _export_seeds("lists", "all.txt"), texts.damaged_text, partial(_import, kind="lists")
    ),
    "export": Format(_export_seeds("lists", "pictures.jsonl"), texts.damaged_json, _read_export),
    "imdlbenco": Format(
        _export_seeds("imdlbenco", "all.json"),
        texts.damaged_json,
        partial(_import, kind="imdlbenco"),
    ),
    "forensichub": Format(
        _export_seeds("forensichub", "all.json"),
        texts.damaged_json,
        partial(_import, kind="forensichub"),
    ),
    "huggingface": Format(
        _export_seeds("huggingface-parquet", "*.parquet"),
        stores.damaged_parquet,
        partial(_import, kind="huggingface-parquet"),
    ),
    "hf-folder": Format(
        _export_seeds("huggingface", "metadata.jsonl"),
        texts.damaged_json,
        partial(_import, kind="huggingface"),
    ),
    "coco": Format(
        _export_seeds("coco", "*.json"), texts.damaged_json, partial(_import, kind="coco")
    ),
    "webdataset": Format(
        _export_seeds("webdataset", "*.tar"),
        stores.damaged_tar,
        partial(_import, kind="webdataset"),
    ),
}
