"""Footers of Parquet files, read without pyarrow: the same as it says, and never its end."""

from __future__ import annotations

import random
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from napari_safire import parquet_parts
from napari_safire.corpus.inputs.enumeration import enumerate_pictures
from napari_safire.corpus.inputs.picture import InputProblem
from napari_safire.errors import DatasetError
from napari_safire.parquet_footer import row_groups
from napari_safire.parquet_parts import read_bounded, read_part, write_part

TABLE = pa.table(
    {
        "path": ["a.png", None, "b" * 300] * 40,
        "lists": pa.array([["x", "y"], [], None] * 40, pa.list_(pa.string())),
        "maps": pa.array([[("k", 1.0)], [], None] * 40, pa.map_(pa.string(), pa.float64())),
        "sure": [True, False, None] * 40,
    }
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    pq.write_table(TABLE, tmp_path / "table.parquet", row_group_size=50)
    return tmp_path / "table.parquet"


def test_the_footer_says_what_pyarrow_says(path: Path) -> None:
    found, about = row_groups(path), pq.ParquetFile(path).metadata
    assert [group.n_rows for group in found] == [50, 50, 20]
    for number, group in enumerate(found):
        theirs = [about.row_group(number).column(n) for n in range(about.num_columns)]
        assert [(c.name, c.n_values, c.unpacked_bytes) for c in group.columns] == [
            (c.path_in_schema.split(".")[0], c.num_values, c.total_uncompressed_size)
            for c in theirs
        ]
    assert read_bounded(path, None, 200, 1 << 20).equals(TABLE)


def test_statistics_that_end_pyarrow_are_refused(tmp_path: Path) -> None:
    """`ColumnChunkMetaData` of pyarrow calls std::terminate for this file."""
    pq.write_table(pa.table({"path": ["a.png"]}), tmp_path / "list.parquet")
    whole = (tmp_path / "list.parquet").read_bytes()
    optional, required = b"\x25\x02\x18\x04path", b"\x25\x00\x18\x04path"
    assert whole.count(optional) == 1
    (tmp_path / "list.parquet").write_bytes(whole.replace(optional, required))
    (found,) = enumerate_pictures([tmp_path / "list.parquet"], tmp_path / "out")
    assert isinstance(found, InputProblem)
    assert "no Parquet table that can be read" in found.problem
    with pytest.raises(DatasetError, match="damaged"):
        read_part(tmp_path / "list.parquet", pa.schema({"path": pa.string()}))


def test_damaged_footers_are_a_value_error(path: Path) -> None:
    whole = path.read_bytes()
    rng = random.Random(0)
    for number in range(150):
        data = bytearray(whole)
        for _ in range(1 + number % 3):
            data[rng.randrange(len(data) * 2 // 3, len(data))] = rng.randrange(256)
        if number % 5 == 0:
            del data[rng.randrange(len(data)) :]
        path.unlink()
        path.write_bytes(data)
        with suppress(ValueError):
            assert all(group.n_rows >= 0 for group in row_groups(path))


def test_values_without_end_are_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_parts, "_MOST_VALUES", 60)
    with pytest.raises(ValueError, match="has 67 values"):
        read_bounded(path, ["lists"], 200, 1 << 20)
    assert len(read_bounded(path, ["path"], 200, 1 << 20)) == 120


def test_a_footer_is_read_anew_when_the_file_changes(tmp_path: Path) -> None:
    one, two = TABLE.slice(0, 10), TABLE.slice(0, 20)
    assert row_groups(write_part(tmp_path, "a", one))[0].n_rows == 10
    assert row_groups(write_part(tmp_path, "a", two))[0].n_rows == 20
