"""Footers of Parquet files, read without pyarrow: the same as it says, and never its end."""

from __future__ import annotations

import random
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from napari_safire import parquet_parts
from napari_safire.corpus.inputs.enumeration import enumerate_pictures
from napari_safire.corpus.inputs.picture import InputProblem
from napari_safire.errors import DatasetError
from napari_safire.parquet_footer import measure, row_groups
from napari_safire.parquet_parts import batch_rows, read_bounded, read_part, write_part

TABLE = pa.table(
    {
        "path": ["a.png", None, "b" * 300] * 40,
        "lists": pa.array([["x", "y"], [], None] * 40, pa.list_(pa.string())),
        "maps": pa.array([[("k", 1.0)], [], None] * 40, pa.map_(pa.string(), pa.float64())),
        "inside": [{"a": 1, "b": "x"}, None, {"a": None, "b": "y"}] * 40,
        "sure": [True, False, None] * 40,
    }
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    pq.write_table(TABLE, tmp_path / "table.parquet", row_group_size=50)
    return tmp_path / "table.parquet"


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("dictionary", [True, False])
def test_footer_and_pages_say_what_pyarrow_says(
    tmp_path: Path, version: str, dictionary: bool
) -> None:
    path = tmp_path / "table.parquet"
    pq.write_table(
        TABLE, path, row_group_size=50, use_dictionary=dictionary, data_page_version=version,
        data_page_size=100, compression="zstd",
    )  # fmt: skip
    found, about = row_groups(path), pq.ParquetFile(path).metadata
    assert [group.n_rows for group in found] == [50, 50, 20]
    with path.open("rb") as file:
        for number, group in enumerate(found):
            for n, chunk in enumerate(group.columns):
                theirs = about.row_group(number).column(n)
                pages = measure(file, chunk, 99)
                assert chunk.name == theirs.path_in_schema.split(".")[0]
                assert chunk.repeated == (chunk.name in ("lists", "maps"))
                assert pages.n_values == theirs.num_values
                heads = theirs.total_uncompressed_size - pages.data - pages.dictionary
                assert 0 < heads < 2_000  # which they count as well
                assert bool(pages.dictionary) == theirs.has_dictionary_page
    assert read_bounded(path, None, 200, 1 << 20).equals(TABLE)


def test_a_footer_that_calls_a_long_text_short_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, long = tmp_path / "lie.parquet", "a" * 1_000_000
    many = pa.DictionaryArray.from_arrays(np.zeros(60_000, np.int32), pa.array([long]))
    pq.write_table(pa.table({"path": many}), path, compression="zstd", store_schema=False)
    size = pq.ParquetFile(path).metadata.row_group(0).column(0).total_uncompressed_size
    whole, (true, lie) = path.read_bytes(), (varint(size, 3), varint(100, 3))
    assert whole.count(true) == 2  # of the column and of its group
    path.write_bytes(whole.replace(true, lie))
    assert 100 < batch_rows(path, None, 1 << 16) <= 134
    monkeypatch.setattr(parquet_parts, "_MOST_BYTES", 8 << 20)
    with pytest.raises(ValueError, match="unpacks to more than 4 MiB"):
        read_bounded(path, None, 1 << 16, 4 << 20)


def test_a_list_that_names_a_long_text_again_and_again_is_refused(tmp_path: Path) -> None:
    many = pa.DictionaryArray.from_arrays(np.zeros(50_000, np.int32), pa.array(["a" * 1_000_000]))
    one_row = pa.ListArray.from_arrays(pa.array([0, 50_000]), many)
    pq.write_table(pa.table({"path": one_row}), tmp_path / "a.parquet", store_schema=False)
    with pytest.raises(ValueError, match="lists may unpack"):
        read_bounded(tmp_path / "a.parquet", None, 10, 1 << 30)


def test_lists_are_written_so_that_many_can_be_read(tmp_path: Path) -> None:
    outputs = [[f"pictures/{n:060}.png"] for n in range(8_192)]
    table = pa.table({"outputs": outputs, "verdict": ["forged"] * len(outputs)})
    path = write_part(tmp_path, "a", table)
    assert read_bounded(path, None, 1 << 16, 1 << 30).equals(table)
    assert batch_rows(path, None, 1 << 16) > 100


def varint(number: int, length: int) -> bytes:
    """A number as Thrift writes it, lengthened so that it can stand in another's place."""
    zigzag = number << 1
    parts = [zigzag >> 7 * n & 0x7F for n in range(length)]
    return bytes([*(part | 0x80 for part in parts[:-1]), parts[-1]])


def test_pages_without_end_are_refused(path: Path) -> None:
    (first, *_), *_ = (group.columns for group in row_groups(path))
    with path.open("rb") as file, pytest.raises(ValueError, match="too many pages"):
        measure(file, first, 1)


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
            data[rng.randrange(len(data))] = rng.randrange(256)
        if number % 5 == 0:
            del data[rng.randrange(len(data)) :]
        path.unlink()
        path.write_bytes(data)
        with suppress(ValueError):
            assert batch_rows(path, None, 200) > 0


def test_values_without_end_are_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_parts, "_MOST_VALUES", 60)
    with pytest.raises(ValueError, match="has 67 values"):
        read_bounded(path, ["lists"], 200, 1 << 20)
    assert len(read_bounded(path, ["path"], 200, 1 << 20)) == 120


def test_a_footer_is_read_anew_when_the_file_changes(tmp_path: Path) -> None:
    one, two = TABLE.slice(0, 10), TABLE.slice(0, 20)
    assert row_groups(write_part(tmp_path, "a", one))[0].n_rows == 10
    assert row_groups(write_part(tmp_path, "a", two))[0].n_rows == 20
