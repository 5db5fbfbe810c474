"""An image layer as pictures: its planes, its channels, and where a place in the world lies in it.

The only module that knows how napari's layer axes become the rows and columns of a picture.
"""

from __future__ import annotations

import uuid
import weakref
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from napari.components import Dims
from napari.layers import Image, Layer

from napari_safire.geometry import inside

Matrix = npt.NDArray[np.float64]
_RENAMED: weakref.WeakKeyDictionary[Layer, Hashable] = weakref.WeakKeyDictionary()
"""Image layers that showed another picture before, with the names of those that they show now."""


def picture_id(layer: Layer) -> Hashable:
    """Return the unique name of what an image layer shows: its picture's, in the session.

    It is the layer's own until the layer was given to another picture by `give_to_another`.
    """
    return _RENAMED.get(layer, layer.unique_id)


def give_to_another(layer: Layer) -> None:
    """Let an image layer be another picture's from now on; its data are the caller's business.

    A layer's own name stays the same for as long as it lives, and a picture's must not: work,
    history and results of the one would be the other's.
    """
    _RENAMED[layer] = uuid.uuid4()


@dataclass(frozen=True, slots=True)
class Channels:
    """Which values of the first axis are the colours of one picture.

    Parameters
    ----------
    picks : tuple of int
        One (grey) or three (red, green, blue) indices along the layer's first axis.
    """

    picks: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.picks) not in (1, 3) or min(self.picks) < 0:
            raise ValueError(
                f"Channels {self.picks} are no picture: choose one, or three for red, green, blue."
            )


@dataclass(frozen=True, slots=True, eq=False)
class PictureLayer:
    """An image layer seen as one picture or a stack of pictures.

    Parameters
    ----------
    layer : napari.layers.Image
    channels : Channels, optional
        The first axis holds colours; without, every position along it is a picture.
    """

    layer: Image
    channels: Channels | None = None

    @property
    def array(self) -> Any:
        """The layer's data, of multiscale layers the full resolution; nothing is copied."""
        return self.layer.data[0] if self.layer.multiscale else self.layer.data

    @property
    def file(self) -> str | None:
        """Path of the file that it is said to come from: whether it holds the pixels is open."""
        known = self.layer.metadata.get("napari_safire", {}).get("image_path")
        path = known or self.layer.source.path
        return None if path is None else str(path)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of a picture."""
        spatial = self._spatial_shape
        return int(spatial[-2]), int(spatial[-1])

    @property
    def stack_shape(self) -> tuple[int, ...]:
        """Lengths of the axes before rows and columns, without that of the channels."""
        leading = self._spatial_shape[:-2]
        return tuple(int(n) for n in (leading[1:] if self.channels else leading))

    @property
    def lengths(self) -> tuple[int, ...]:
        """Lengths of the axes of layers that go with it: those of the stack, rows, columns."""
        return (*self.stack_shape, *self.shape)

    @property
    def ndim(self) -> int:
        """Number of these axes."""
        return len(self.lengths)

    def problem(self) -> str:
        """Why this layer cannot be worked on, as a sentence; empty if it can."""
        array = self.array
        name = self.layer.name
        dtype = np.dtype(array.dtype)
        if dtype.kind not in "buif":
            return f"{name} holds {dtype} values: only real numbers can be read as a picture."
        if self.layer.ndim < 2:
            return f"{name} has one axis only: a picture has rows and columns."
        if 0 in array.shape:
            return f"{name} is empty: its shape is {tuple(array.shape)}."
        if self.channels and self.layer.ndim < 3:
            return f"{name} has no axis of channels."
        if self.channels and max(self.channels.picks) >= self._spatial_shape[0]:
            return (
                f"{name} has {self._spatial_shape[0]} channels, there is no channel "
                f"{max(self.channels.picks)}."
            )
        return ""

    def view_problem(self, dims: Dims) -> str:
        """Why clicks in the present view are not places on a picture; empty if they are."""
        if dims.ndisplay != 2:
            return "Prompts are places on a flat picture: switch the viewer to 2-D."
        if set(dims.displayed) != {dims.ndim - 2, dims.ndim - 1}:
            return "The viewer shows other axes than rows and columns: roll the axes back."
        return ""

    def index_at(self, point: Sequence[float]) -> tuple[int, ...]:
        """Position in the stack that a world point (the viewer's slider positions) lies in."""
        if not self.stack_shape:
            return ()
        inside = np.rint(self._from_world(np.asarray(point, dtype=float)[None]))[0]
        leading = inside[: len(self.stack_shape)].astype(int)
        return tuple(
            int(np.clip(i, 0, n - 1)) for i, n in zip(leading, self.stack_shape, strict=True)
        )

    def reader(self, index: tuple[int, ...]) -> Callable[[], Any]:
        """Return a function that gives the picture at a position of the stack.

        Nothing is read before it is called, and dask arrays stay lazy even then.
        """
        array, channels = self.array, self.channels
        if channels is None:
            return lambda: array[index] if index else array
        if len(channels.picks) == 1:
            return lambda: array[(channels.picks[0], *index)]

        def read() -> Any:
            planes = [array[(pick, *index)] for pick in channels.picks]
            if hasattr(planes[0], "dask"):
                import dask.array

                return dask.array.stack(planes, axis=-1)
            return np.stack(planes, axis=-1)

        return read

    def to_picture(
        self, layer: Layer, coordinates: npt.ArrayLike, point: Sequence[float]
    ) -> Matrix:
        """Coordinates in the data of another layer as coordinates in this one's.

        Parameters
        ----------
        layer : Layer
        coordinates : (N, layer.ndim) array_like
        point : sequence of float
            World position of the viewer, for axes that the other layer does not have.

        Returns
        -------
        (N, ndim) float array
            Position in the stack, row, column.
        """
        coordinates = np.asarray(coordinates, np.float64).reshape(-1, layer.ndim)
        world = _apply(world_matrix(layer), coordinates)
        missing = self.layer.ndim - world.shape[1]
        if missing > 0:
            here = np.asarray(point, dtype=float)[-self.layer.ndim :][:missing]
            world = np.hstack([np.tile(here, (len(world), 1)), world])
        return self._from_world(world)

    def from_picture(self, layer: Layer, coordinates: npt.ArrayLike) -> Matrix:
        """The inverse of `to_picture`, for layers with at most this one's axes."""
        coordinates = np.asarray(coordinates, np.float64).reshape(-1, self.ndim)
        if self.channels:
            coordinates = np.hstack([np.zeros((len(coordinates), 1)), coordinates])
        world = _apply(world_matrix(self.layer), coordinates)
        return _apply(np.linalg.inv(world_matrix(layer)), world[:, -layer.ndim :])

    def contains(self, coordinates: Matrix) -> npt.NDArray[np.bool_]:
        """Whether places of the picture lie on one of its pixels.

        Parameters
        ----------
        coordinates : (N, ndim) float array
            As `to_picture` gives them; not a number is nowhere.

        Returns
        -------
        (N,) bool array
        """
        return inside(self.lengths, coordinates)

    def placement(self) -> dict[str, Any]:
        """Arguments that lay a layer of `ndim` axes exactly over this one."""
        if not self.channels:
            return {
                "scale": self.layer.scale,
                "translate": self.layer.translate,
                "rotate": self.layer.rotate,
                "shear": self.layer.shear,
                "affine": self.layer.affine.affine_matrix,
                "units": self.layer.units,
                "axis_labels": self.layer.axis_labels,
            }
        return {
            "affine": world_matrix(self.layer)[1:, 1:],
            "units": self.layer.units[1:],
            "axis_labels": self.layer.axis_labels[1:],
        }

    @property
    def _spatial_shape(self) -> tuple[int, ...]:
        shape = tuple(self.array.shape)
        return shape[:-1] if self.layer.rgb else shape

    def _from_world(self, world: Matrix) -> Matrix:
        data = _apply(np.linalg.inv(world_matrix(self.layer)), world[:, -self.layer.ndim :])
        return data[:, 1:] if self.channels else data


def world_matrix(layer: Layer) -> Matrix:
    """The (n + 1, n + 1) matrix that takes a layer's data coordinates to the world's.

    It comes from where the layer itself puts the origin and the unit vectors, so that scale,
    translation, rotation, shear and affine are all in it.
    """
    n = layer.ndim
    origin = np.asarray(layer.data_to_world(np.zeros(n)), dtype=float)
    matrix = np.eye(n + 1)
    matrix[:n, n] = origin
    for axis in range(n):
        matrix[:n, axis] = np.asarray(layer.data_to_world(np.eye(n)[axis]), dtype=float) - origin
    return matrix


def _apply(matrix: npt.NDArray[Any], coordinates: npt.NDArray[Any]) -> Matrix:
    n = len(matrix) - 1
    return np.asarray(coordinates @ matrix[:n, :n].T + matrix[:n, n], np.float64)
