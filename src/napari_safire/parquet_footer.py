"""What footer and pages of a Parquet file say of its columns, read here and not by pyarrow.

pyarrow ends the process where a column's statistics are damaged, before anybody can refuse them
(its objects of single columns are made outside of its handling of errors); and it believes a footer
that calls a column small. Its pages cannot lie: what they say is what pyarrow unpacks. Footer and
heads of pages are structs of Thrift's compact protocol; all but what is wanted is passed over.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import BinaryIO

_MAGIC = b"PAR1"
_TAIL = 8  # length of the footer, and the magic number
_MOST_BYTES = 8 << 20  # of a footer: 1,000 groups of 30 columns take less
_MOST_ELEMENTS = 1 << 16
_DEEPEST = 12
_HEADS = (1 << 9, 1 << 14, 1 << 22)  # bytes of a page's head that are tried
# Numbers of fields, and of types of values, in the format's own definition.
_SCHEMA, _ROW_GROUPS, _COLUMNS, _ROWS, _META_DATA = 2, 4, 1, 3, 3
_REPETITION, _CHILDREN, _REPEATED = 3, 5, 2
_PATH, _PACKED, _DATA, _DICTIONARY = 3, 7, 9, 11
_PAGE_UNPACKED, _PAGE_PACKED, _PAGES_OF_DATA, _PAGE_OF_DICTIONARY, _PAGE_VALUES = 2, 3, (5, 8), 7, 1
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 11, 12
_NUMBERS = (4, 5, 6)


@dataclass(frozen=True, slots=True)
class ColumnChunk:
    """A column of one group of rows, as its file describes it.

    Parameters
    ----------
    name : str
        Of the column of the table, of which it may be a part.
    repeated : bool
        A row may have many of its values, as in a list.
    begin, packed_bytes : int
        Where its pages lie in the file.
    """

    name: str
    repeated: bool
    begin: int
    packed_bytes: int


@dataclass(frozen=True, slots=True)
class Pages:
    """The pages of a column chunk, added up.

    Parameters
    ----------
    n_values : int
    longest : int
        Bytes of the largest page, unpacked: no value is longer.
    data, dictionary : int
        Bytes of all pages of values, and of those that values may name.
    """

    n_values: int
    longest: int
    data: int
    dictionary: int


@dataclass(frozen=True, slots=True)
class RowGroup:
    """Rows that lie together.

    Parameters
    ----------
    n_rows : int
    columns : tuple of ColumnChunk
    """

    n_rows: int
    columns: tuple[ColumnChunk, ...]


def row_groups(path: str | os.PathLike[str]) -> tuple[RowGroup, ...]:
    """Return what the footer of a Parquet file says of its groups of rows.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    tuple of RowGroup

    Raises
    ------
    OSError
    ValueError
        It has no footer that can be read.
    """
    about = os.stat(path)
    return _row_groups(os.fspath(path), about.st_ino, about.st_size, about.st_mtime_ns)


@lru_cache(maxsize=2)
def _row_groups(path: str, *_of_this_file: int) -> tuple[RowGroup, ...]:
    """Groups of rows are read one by one, their footer once."""
    reader = _Compact(_footer(path))
    found: list[RowGroup] = []
    repeated: list[bool] = []
    try:
        for field, kind in reader.fields():
            if (field, kind) == (_SCHEMA, _LIST):
                repeated = _repeated([_element(reader) for _ in range(reader.elements(_STRUCT))])
            elif (field, kind) == (_ROW_GROUPS, _LIST):
                found += [_row_group(reader, repeated) for _ in range(reader.elements(_STRUCT))]
            else:
                reader.skip(kind)
    except (IndexError, UnicodeDecodeError) as error:
        raise ValueError("its footer is damaged") from error
    return tuple(found)


def measure(file: BinaryIO, chunk: ColumnChunk, most_pages: int) -> Pages:
    """Add up the pages of a column.

    Parameters
    ----------
    file : file
    chunk : ColumnChunk
    most_pages : int

    Returns
    -------
    Pages

    Raises
    ------
    ValueError
        There are more pages, or they cannot be told.
    """
    at, n_pages = chunk.begin, 0
    n_values = longest = data = dictionary = 0
    while at < chunk.begin + chunk.packed_bytes:
        n_pages += 1
        if n_pages > most_pages:
            raise ValueError("it has too many pages")
        page = _page(file, at)
        n_values += page.n_values
        longest = max(longest, page.unpacked_bytes)
        if page.is_dictionary:
            dictionary += page.unpacked_bytes
        else:
            data += page.unpacked_bytes
        at += page.length
    return Pages(n_values, longest, data, dictionary)


@dataclass(frozen=True, slots=True)
class _Page:
    n_values: int
    unpacked_bytes: int
    is_dictionary: bool
    length: int


def _page(file: BinaryIO, at: int) -> _Page:
    for most in _HEADS:
        file.seek(at)
        data = file.read(most)
        reader = _Compact(data)
        try:
            sizes = {_PAGE_UNPACKED: -1, _PAGE_PACKED: -1}
            n_values, is_dictionary = 0, False
            for field, kind in reader.fields():
                is_dictionary |= field == _PAGE_OF_DICTIONARY
                if field in sizes and kind in _NUMBERS:
                    sizes[field] = reader.number()
                elif field in _PAGES_OF_DATA and kind == _STRUCT:
                    n_values += _values_of(reader)
                else:
                    reader.skip(kind)
        except IndexError as error:
            if len(data) == most and most != _HEADS[-1]:
                continue  # statistics may be long
            raise ValueError("a page of it is damaged") from error
        if min(*sizes.values(), n_values) < 0:
            raise ValueError("a page of it does not say how large it is")
        length = reader.at + sizes[_PAGE_PACKED]
        return _Page(n_values, sizes[_PAGE_UNPACKED], is_dictionary, length)
    raise ValueError("a page of it is damaged")


def _values_of(reader: _Compact) -> int:
    found = -1
    for field, kind in reader.fields():
        if field == _PAGE_VALUES and kind in _NUMBERS:
            found = reader.number()
        else:
            reader.skip(kind)
    return found


def _footer(path: str | os.PathLike[str]) -> bytes:
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        if size < _TAIL + len(_MAGIC):
            raise ValueError("it is too short")
        file.seek(-_TAIL, os.SEEK_END)
        tail = file.read(_TAIL)
        length = int.from_bytes(tail[:4], "little")
        if tail[4:] != _MAGIC or length > size - _TAIL:
            raise ValueError("it has no footer")
        if length > _MOST_BYTES:
            raise ValueError(f"its footer has {length >> 20} MiB")
        file.seek(-_TAIL - length, os.SEEK_END)
        return file.read(length)


@dataclass(frozen=True, slots=True)
class _Element:
    """A node of the schema: a column, or what columns lie in."""

    repeated: bool
    n_children: int


def _element(reader: _Compact) -> _Element:
    told = {_REPETITION: 0, _CHILDREN: 0}
    for field, kind in reader.fields():
        if field in told and kind in _NUMBERS:
            told[field] = reader.number()
        else:
            reader.skip(kind)
    return _Element(told[_REPETITION] == _REPEATED, told[_CHILDREN])


def _repeated(elements: list[_Element]) -> list[bool]:
    """Of each column, whether it or something it lies in may be there many times in a row."""
    found: list[bool] = []
    open_nodes: list[tuple[int, bool]] = []  # children that are still to come, and whether repeated
    for element in elements:
        above = open_nodes[-1][1] if open_nodes else False
        here = above or (element.repeated and bool(open_nodes))
        if element.n_children > 0:
            open_nodes.append((element.n_children, here))
            continue
        found.append(here)
        while open_nodes:
            left, of_node = open_nodes.pop()
            if left > 1:
                open_nodes.append((left - 1, of_node))
                break
    return found


def _row_group(reader: _Compact, repeated: list[bool]) -> RowGroup:
    n_rows, columns = -1, []
    for field, kind in reader.fields():
        if (field, kind) == (_COLUMNS, _LIST):
            if reader.elements(_STRUCT) != len(repeated):
                raise ValueError("its columns are not those of its schema")
            columns += [_column(reader, one) for one in repeated]
        elif field == _ROWS and kind in _NUMBERS:
            n_rows = reader.number()
        else:
            reader.skip(kind)
    if n_rows < 0:
        raise ValueError("it does not say how many rows it has")
    return RowGroup(n_rows, tuple(columns))


def _column(reader: _Compact, repeated: bool) -> ColumnChunk:
    found = None
    for field, kind in reader.fields():
        if (field, kind) == (_META_DATA, _STRUCT):
            found = _chunk(reader, repeated)
        else:
            reader.skip(kind)
    if found is None:
        raise ValueError("one of its columns is not described")
    return found


def _chunk(reader: _Compact, repeated: bool) -> ColumnChunk:
    name, numbers = "", {_PACKED: -1, _DATA: -1, _DICTIONARY: 0}
    for field, kind in reader.fields():
        if (field, kind) == (_PATH, _LIST):
            parts = [reader.binary() for _ in range(reader.elements(_BINARY))]
            name = parts[0].decode() if parts else ""
        elif field in numbers and kind in _NUMBERS:
            numbers[field] = reader.number()
        else:
            reader.skip(kind)
    if min(numbers.values()) < 0:
        raise ValueError("one of its columns does not say where it is")
    data, dictionary = numbers[_DATA], numbers[_DICTIONARY]
    return ColumnChunk(name, repeated, min(data, dictionary or data), numbers[_PACKED])


class _Compact:
    """Bytes of Thrift's compact protocol, read from the front; an IndexError at their end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def fields(self) -> Iterator[tuple[int, int]]:
        """Tell number and type of each field of a struct; its value is to be read at once."""
        number = 0
        while head := self._byte():
            delta = head >> 4
            number = number + delta if delta else self.number()
            yield number, head & 15

    def elements(self, kind: int) -> int:
        """Begin a list of one type, and return how many there are."""
        found, number = self._list()
        if number and found != kind:
            raise ValueError("its footer holds other things than it should")
        if number > _MOST_ELEMENTS:
            raise ValueError(f"its footer tells of {number:,} columns or groups of rows")
        return number

    def number(self) -> int:
        whole = self._varint()
        return (whole >> 1) ^ -(whole & 1)

    def binary(self) -> bytes:
        length = self._varint()
        data = self._data[self.at : self.at + length]
        self._pass(length)
        return data

    def skip(self, kind: int, depth: int = 0) -> None:
        """Pass over a value."""
        if depth > _DEEPEST:
            raise ValueError("its footer is nested too deep")
        if kind in _NUMBERS:
            self._varint()
        elif kind == _BINARY:
            self._pass(self._varint())
        elif kind == _STRUCT:
            for _, of_kind in self.fields():
                self.skip(of_kind, depth + 1)
        elif kind in (_LIST, _SET):
            of_kind, number = self._list()
            for _ in range(number):
                self._skip_element(of_kind, depth)
        elif kind == _MAP:
            number = self._varint()
            kinds = self._byte() if number else 0
            for _ in range(number):
                self._skip_element(kinds >> 4, depth)
                self._skip_element(kinds & 15, depth)
        elif kind in (_BYTE, _DOUBLE):
            self._pass(1 if kind == _BYTE else 8)
        elif kind not in (_TRUE, _FALSE):
            raise ValueError("its footer holds what nobody knows")

    def _skip_element(self, kind: int, depth: int) -> None:
        if kind in (_TRUE, _FALSE):  # a byte of their own, but in structs
            self._pass(1)
        else:
            self.skip(kind, depth + 1)

    def _list(self) -> tuple[int, int]:
        head = self._byte()
        number = head >> 4
        return head & 15, self._varint() if number == 15 else number

    def _varint(self) -> int:
        whole = shift = 0
        while shift < 70:
            byte = self._byte()
            whole |= (byte & 0x7F) << shift
            if byte < 0x80:
                return whole
            shift += 7
        raise ValueError("its footer holds a number that is too large")

    def _byte(self) -> int:
        byte = self._data[self.at]
        self.at += 1
        return byte

    def _pass(self, length: int) -> None:
        self.at += length
        if self.at > len(self._data):
            raise IndexError(self.at)
