"""PyTorch's files of weights, read without PyTorch's reader: checksums first, and nothing is run.

Such a file is a zip archive of stored entries: ``data.pkl``, which says what there is, and the
bytes of each tensor under ``data/<key>``. PyTorch maps them from the disk and neither compares
their CRC-32 nor minds that an entry may be packed; here both are checked before anything is used.
The pickle is not unpickled but read, instruction by instruction, into plain values: there is
nothing in this module that could call what a file names.
"""

from __future__ import annotations

import pickletools
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import torch
from torch import Tensor

from napari_safire.model.files.tensors import MOST_AXES, Damage, mapped_file, tensor_of
from napari_safire.text import printable

_END, _END_SIZE = b"PK\x05\x06", 22
_LOCAL, _LOCAL_SIZE = b"PK\x03\x04", 30
_MOST_PICKLE = 1 << 21  # bytes; of the largest published model 150 thousand
_ENCRYPTED = 1

_STORAGES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
# What PyTorch itself writes beside plain tensors: no code, and no weights either.
_HARMLESS = {
    "collections Counter",
    "_codecs encode",
    "builtins set",
    "builtins bytearray",
    "builtins complex",
    "__builtin__ set",
    "__builtin__ bytearray",
    "__builtin__ complex",
    "torch Size",
    "torch device",
    "torch.storage UntypedStorage",
    "torch._tensor _rebuild_from_type_v2",
    "torch serialization._get_layout",
    "torch.serialization _get_layout",
}


class Foreign(Exception):
    """The pickle names something that is no tensor and no plain value; the text is its name."""


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A plain tensor as the pickle describes it."""

    dtype: torch.dtype
    key: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Storage:
    """The bytes that tensors are views of."""

    dtype: torch.dtype
    key: str


@dataclass(frozen=True, slots=True)
class _Name:
    """Something that the pickle names, and that is never looked up."""

    text: str


class _Opaque:
    """A value that is no weight and of which nothing has to be known."""


@dataclass(frozen=True, slots=True)
class TorchFile:
    """What a file holds.

    Parameters
    ----------
    payload : object
        Plain values; `StoredTensor` in place of tensors.
    entries : mapping of str to memoryview
        The archive, all checksums of which are right.
    """

    payload: Any
    entries: Mapping[str, memoryview]

    def tensors(self, described: Mapping[str, StoredTensor]) -> dict[str, Tensor]:
        """Bring tensors from the archive; they are pages of the file.

        Raises
        ------
        Damage
            They do not lie in their storages, or claim more values than the file holds: then they
            share memory or repeat a value, and the model would not be the size of its file.
        """
        found, storages = {}, {}
        for name, about in described.items():
            if (about.key, about.dtype) not in storages:
                data = self.entries.get(f"data/{about.key}")
                if data is None:
                    raise Damage(f"there are no data/{printable(about.key):.40}")
                count, rest = divmod(len(data), about.dtype.itemsize)
                if rest:
                    raise Damage("an entry holds no whole number of values")
                storages[about.key, about.dtype] = tensor_of(data, about.dtype, (count,))
            found[name] = _view(storages[about.key, about.dtype], about)
        held = sum(len(self.entries[f"data/{key}"]) for key in {key for key, _ in storages})
        claimed = sum(tensor.numel() * tensor.dtype.itemsize for tensor in found.values())
        if claimed > held:
            raise Damage(f"its tensors claim {claimed} bytes, but it holds {held}")
        return found


def _view(storage: Tensor, about: StoredTensor) -> Tensor:
    span = 1 + sum((n - 1) * step for n, step in zip(about.shape, about.strides, strict=True))
    if 0 in about.shape or about.offset + span > len(storage):
        raise Damage("a tensor reaches beyond its data")
    return storage.as_strided(about.shape, about.strides, about.offset)


def read_torch_file(data: memoryview) -> TorchFile:
    """Read a file that ``torch.save`` wrote, PyTorch 1.6 or newer.

    Parameters
    ----------
    data : memoryview

    Raises
    ------
    Damage
        It is cut short, packed, or a checksum is wrong.
    Foreign
        Its pickle names code or objects.
    """
    entries = check_archive(data)
    roots = [name[: -len("data.pkl")] for name in entries if name.endswith("/data.pkl")]
    if len(roots) != 1:
        raise Damage("it is no archive of weights")
    (root,) = roots
    inside = {n[len(root) :]: entry for n, entry in entries.items() if n.startswith(root)}
    order = bytes(inside.get("byteorder", b"little"))
    if order != b"little":
        raise Damage(f"its bytes are in the order {order[:20]!r}, not little")
    if len(inside["data.pkl"]) > _MOST_PICKLE:
        raise Damage(f"its pickle has {len(inside['data.pkl'])} bytes")
    try:
        payload = _read_pickle(bytes(inside["data.pkl"]))
    except (Damage, Foreign):
        raise
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, MemoryError) as error:
        raise Damage("its pickle makes no sense") from error
    return TorchFile(payload, inside)


def check_archive(data: memoryview) -> dict[str, memoryview]:
    """Names and bytes of all entries of a zip archive, whose checksums are right.

    Parameters
    ----------
    data : memoryview
        Of a mapped file or of bytes.

    Raises
    ------
    Damage
        The archive is cut short, changed, packed or odd.
    """
    entries: dict[str, memoryview] = {}
    for entry in _listed_entries(data):
        name = entry.filename
        if name in entries:
            raise Damage(f"it has two entries {printable(name):.60}")
        entries[name] = _stored(data, entry)
        if zlib.crc32(entries[name]) != entry.CRC:
            raise Damage(f"the checksum of its entry {printable(name):.60} is wrong")
    if sum(map(len, entries.values())) > len(data):
        raise Damage("its entries lie in each other")
    return entries


def _listed_entries(data: memoryview) -> list[zipfile.ZipInfo]:
    if data[-_END_SIZE : 4 - _END_SIZE] != _END:  # zipfile looks for it before what does not belong
        raise Damage("its end is missing")
    try:
        with zipfile.ZipFile(cast(IO[bytes], data.obj)) as archive:  # a mapped file can be read so
            return archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error) as error:
        raise Damage("its list of entries makes no sense") from error


def _stored(data: memoryview, entry: zipfile.ZipInfo) -> memoryview:
    """The bytes of an entry, which must not be packed and have the same name where it lies."""
    shown = f"its entry {printable(entry.filename):.60}"
    if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & _ENCRYPTED:
        raise Damage(
            f"{shown} is packed, as zip programs do: unpack it and save it again with torch.save"
        )
    head = data[entry.header_offset : entry.header_offset + _LOCAL_SIZE]
    if len(head) < _LOCAL_SIZE or head[:4] != _LOCAL:
        raise Damage(f"{shown} is not where it should be")
    n_name, n_extra = struct.unpack("<HH", head[-4:])
    name = entry.header_offset + _LOCAL_SIZE
    if data[name : name + n_name] != entry.orig_filename.encode("utf-8"):
        raise Damage(f"{shown} is not where it should be")
    start = name + n_name + n_extra
    found = data[start : start + entry.file_size]
    if not entry.compress_size == entry.file_size == len(found):
        raise Damage("an entry reaches beyond its place")
    return found


def check_torch_archive(path: Path) -> None:
    """Refuse a file of ``torch.save`` that was changed since it was written.

    Raises
    ------
    Damage
        It is cut short, or a checksum is wrong.
    CheckpointError
        It is missing, empty, or no file.
    """
    check_archive(mapped_file(path).data)


# --- the pickle -----------------------------------------------------------------------------------

_MARK = object()


def _since_mark(stack: list[Any]) -> list[Any]:
    """Take what lies above the last mark, and the mark."""
    at = len(stack) - 1
    while stack[at] is not _MARK:
        at -= 1
        if at < 0:
            raise Damage("its pickle makes no sense")
    values = stack[at + 1 :]
    del stack[at:]
    return values


def _read_pickle(code: bytes) -> Any:
    """What a pickle describes. Of the instructions those that ``torch.save`` writes are known."""
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    argument: Any
    for instruction, argument, _ in pickletools.genops(code):
        name = instruction.name
        if name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name in _LITERALS:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name == "MARK":
            stack.append(_MARK)
        elif name == "GLOBAL":
            stack.append(_named(argument))
        elif name in ("EMPTY_DICT", "EMPTY_LIST"):
            stack.append({} if name == "EMPTY_DICT" else [])
        elif name == "TUPLE":
            stack.append(tuple(_since_mark(stack)))
        elif name in _TUPLES:
            n_values = _TUPLES[name]
            values = stack[-n_values:]
            if len(values) < n_values:
                raise Damage("its pickle makes no sense")
            del stack[-n_values:]
            stack.append(tuple(values))
        elif name == "BINPERSID":
            stack.append(_storage(stack.pop()))
        elif name == "REDUCE":
            arguments = stack.pop()
            stack.append(_made(stack.pop(), arguments))
        elif name in ("SETITEM", "SETITEMS"):
            values = _since_mark(stack) if name == "SETITEMS" else [stack.pop(-2), stack.pop()]
            _set(stack[-1], values)
        elif name in ("APPEND", "APPENDS"):
            values = _since_mark(stack) if name == "APPENDS" else [stack.pop()]
            if not isinstance(stack[-1], (list, _Opaque)):
                raise Damage("its pickle makes no sense")
            if isinstance(stack[-1], list):
                stack[-1].extend(values)
        elif name == "BUILD":  # attributes of a mapping, such as the versions of its modules
            stack.pop()
            if not isinstance(stack[-1], (dict, _Opaque)):
                raise Damage("its pickle makes no sense")
        elif name == "STOP":
            (result,) = stack
            return result
        elif name not in ("PROTO", "FRAME"):
            raise Foreign(f"the instruction {name}")
    raise Damage("its pickle has no end")


_LITERALS = {
    "BINUNICODE",
    "SHORT_BINSTRING",
    "BINSTRING",
    "BININT",
    "BININT1",
    "BININT2",
    "LONG1",
    "LONG4",
    "BINFLOAT",
}
_CONSTANTS: Mapping[str, Any] = {
    "NONE": None,
    "NEWTRUE": True,
    "NEWFALSE": False,
    "EMPTY_TUPLE": (),
}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def _named(text: str) -> Any:
    module, _, name = text.partition(" ")
    known = (
        text == "collections OrderedDict"
        or text in _HARMLESS
        or (module == "torch" and name in _STORAGES)
        or (module == "torch._utils" and name.startswith("_rebuild_"))
        or (module == "torch" and isinstance(getattr(torch, name, None), torch.dtype))
    )
    if not known:
        raise Foreign(text)
    return _Name(text)


def _storage(identity: Any) -> Any:
    """What a persistent identity means: ("storage", type, key, device, number of values)."""
    if not isinstance(identity, tuple) or len(identity) != 5 or identity[0] != "storage":
        raise Damage("its pickle makes no sense")
    _, kind, key, _, count = identity
    if not isinstance(kind, _Name) or type(key) is not str or type(count) is not int:
        raise Damage("its pickle makes no sense")
    dtype = _STORAGES.get(kind.text.removeprefix("torch "))
    return _Opaque() if dtype is None else _Storage(dtype, key)


def _made(what: Any, arguments: Any) -> Any:
    """In place of calling something: what it would give, or a value that says nothing."""
    if not isinstance(what, _Name) or not isinstance(arguments, tuple):
        raise Damage("its pickle makes no sense")
    if what.text == "collections OrderedDict":
        if arguments:
            raise Damage("its pickle makes no sense")
        return {}
    if what.text == "torch._utils _rebuild_parameter":
        return arguments[0]
    if what.text != "torch._utils _rebuild_tensor_v2":
        return _Opaque()
    storage, offset, shape, strides, *others = arguments
    # The seventh argument marks tensors that are to be read as negative or conjugate.
    if isinstance(storage, _Opaque) or (len(others) > 2 and others[2]):
        return _Opaque()
    numbers = (offset, *shape, *strides)
    plain = isinstance(storage, _Storage) and all(type(n) is int and n >= 0 for n in numbers)
    if not plain or not len(shape) == len(strides) <= MOST_AXES:
        raise Damage("a tensor has an odd shape")
    return StoredTensor(storage.dtype, storage.key, offset, tuple(shape), tuple(strides))


def _set(target: Any, values: list[Any]) -> None:
    if isinstance(target, _Opaque):
        return
    if not isinstance(target, dict) or len(values) % 2:
        raise Damage("its pickle makes no sense")
    for key, value in zip(values[::2], values[1::2], strict=True):
        if type(key) not in (str, int, bool):  # others can be nested, and hashing them without end
            raise Damage("its pickle makes no sense")
        target[key] = value
