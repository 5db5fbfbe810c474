"""Label images packed to kilobytes, compared by their digest."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

# On label images of 24 megapixels level 6 takes four times as long and saves two fifths.
_LEVEL = 1


@dataclass(frozen=True, slots=True)
class PackedLabels:
    """A label image or mask, compressed; equal to any other of the same content.

    Make one with `pack`. Equality and hash go by the digest, so that comparing two states of a
    history does not unpack them.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns.
    dtype : str
        What the image was given in and comes back in, as NumPy writes it.
    stored_dtype : str
        The smallest type that holds the labels: what was compressed.
    data : bytes
        One label only, if all are the same: a picture that nothing was done on costs nothing.
    digest : str
        SHA-256 of shape, type and labels.

    Examples
    --------
    >>> packed = PackedLabels.pack(np.full((1000, 1000), 7))
    >>> packed == PackedLabels.pack(np.full((1000, 1000), 7))
    True
    >>> packed.unpack()[999, 999], packed.nbytes < 10_000
    (np.int64(7), True)
    """

    shape: tuple[int, int] = field(compare=False)
    dtype: str = field(compare=False)
    stored_dtype: str = field(compare=False, repr=False)
    data: bytes = field(compare=False, repr=False)
    digest: str

    @classmethod
    def pack(cls, labels: npt.NDArray[Any]) -> PackedLabels:
        """Compress a label image or mask.

        Parameters
        ----------
        labels : (H, W) int or bool array

        Raises
        ------
        ValueError
            For arrays that are no label image.
        """
        labels = np.asarray(labels)
        if labels.ndim != 2:
            raise ValueError(f"The labels have shape {labels.shape}: give an (H, W) array.")
        if labels.dtype.kind not in "biu":
            raise ValueError(f"The labels have dtype {labels.dtype}: give integers or bool.")
        shape = (labels.shape[0], labels.shape[1])
        if labels.size and (labels[0] == labels[0, 0]).all() and (labels == labels[0, 0]).all():
            return cls.uniform(shape, labels[:1, :1].reshape(()))  # keeps the byte order
        stored = _smallest_dtype(labels)
        values = np.ascontiguousarray(labels, dtype=stored)
        # Eight pixels a byte: masks take a sixth of the time and a third of the room.
        raw = np.packbits(values) if stored.kind == "b" else values
        return cls._made(shape, labels.dtype, raw.data, stored)

    @classmethod
    def uniform(cls, shape: tuple[int, int], label: np.generic | npt.NDArray[Any]) -> PackedLabels:
        """Pack an image of one label without making it.

        Parameters
        ----------
        shape : (int, int)
        label : integer or bool, NumPy's or () array
            Its type is that of the image.
        """
        value = np.asarray(label)
        if value.dtype.kind == "b":
            stored = np.dtype(np.uint8)
            raw = np.array([255 if value else 0], stored)  # no bits of a mixed mask look like these
        else:
            stored, raw = value.dtype, value.reshape(1)
        return cls._made(shape, value.dtype, raw.data, stored)

    @classmethod
    def _made(
        cls, shape: tuple[int, int], dtype: np.dtype[Any], raw: memoryview, stored: np.dtype[Any]
    ) -> PackedLabels:
        digest = hashlib.sha256(f"{shape} {dtype.str} {stored.str} ".encode())
        digest.update(raw)
        return cls(
            shape=shape,
            dtype=dtype.str,
            stored_dtype=stored.str,
            data=zlib.compress(raw, _LEVEL),
            digest=digest.hexdigest(),
        )

    @property
    def nbytes(self) -> int:
        """Bytes kept, compressed."""
        return len(self.data)

    def unpack(self) -> npt.NDArray[Any]:
        """Decompress.

        Returns
        -------
        (H, W) array of the original dtype
            A new one at each call; the caller may write to it.
        """
        stored = np.dtype(self.stored_dtype)
        size = self.shape[0] * self.shape[1]
        # zlib refuses a buffer of size 0.
        raw = zlib.decompress(self.data, bufsize=max(1, size * stored.itemsize))
        if stored.kind != "b" and len(raw) == stored.itemsize:
            return np.full(self.shape, np.frombuffer(raw, stored)[0], self.dtype)
        if stored.kind == "b":
            bits = np.unpackbits(np.frombuffer(raw, np.uint8), count=size)
            return bits.view(np.bool_).reshape(self.shape)
        # Always a copy: what lies in `raw` cannot be written to.
        return np.frombuffer(raw, stored).reshape(self.shape).astype(self.dtype)


def _smallest_dtype(labels: npt.NDArray[Any]) -> np.dtype[Any]:
    if labels.dtype.kind == "b" or not labels.size:
        return labels.dtype
    low, high = int(labels.min()), int(labels.max())
    # A signed type that holds -1 - high holds high.
    return np.min_scalar_type(high if low >= 0 else min(low, -1 - high))
