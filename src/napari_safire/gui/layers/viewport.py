"""Which part of a picture is on screen, in its own rows and columns; and the way back."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from napari.components import ViewerModel

from napari_safire.errors import DatasetError
from napari_safire.gui.layers.image_planes import PictureLayer
from napari_safire.review.values import Viewport


def viewport_of(
    viewer: ViewerModel, picture: PictureLayer, index: tuple[int, ...]
) -> Viewport | None:
    """Say which part of a picture is on screen.

    Parameters
    ----------
    viewer : ViewerModel
    picture : PictureLayer
    index : tuple of int
        Position in the stack.

    Returns
    -------
    Viewport or None
        The smallest rectangle of whole and half pixels of the picture around it, inside the
        picture; None where nothing of it is on screen.
    """
    if picture.view_problem(viewer.dims):
        return None
    corners = _corners(viewer)
    world = np.tile(np.asarray(viewer.dims.point, float), (4, 1))
    world[:, -2:] = corners
    places = picture.to_picture(picture.layer, _data_of(picture, world), viewer.dims.point)[:, -2:]
    height, width = picture.shape
    low = np.clip(places.min(axis=0), -0.5, [height - 0.5, width - 0.5])
    high = np.clip(places.max(axis=0), -0.5, [height - 0.5, width - 0.5])
    low, high = np.round(low, 1), np.round(high, 1)
    try:
        return Viewport(
            float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1]), index
        )
    except DatasetError:
        return None


def show_viewport(viewer: ViewerModel, picture: PictureLayer, viewport: Viewport) -> None:
    """Bring a part of a picture on screen, all of it, as large as it can be.

    Parameters
    ----------
    viewer : ViewerModel
    picture : PictureLayer
    viewport : Viewport
        Its plane is ignored where the picture has other axes.
    """
    if len(viewport.plane) == len(picture.stack_shape):
        _go_to_plane(viewer, picture, viewport.plane)
    ends = np.array(
        [
            (viewport.row + down * viewport.height, viewport.col + right * viewport.width)
            for down in (0, 1)
            for right in (0, 1)
        ]
    )
    index = viewport.plane if len(viewport.plane) == len(picture.stack_shape) else ()
    leading = np.tile(np.resize(np.asarray(index or (0,), float), picture.ndim - 2), (4, 1))
    world = _to_world(picture, np.hstack([leading, ends]))[:, -2:]
    low, high = world.min(axis=0), world.max(axis=0)
    camera: Any = getattr(viewer, "scene", viewer).camera
    camera.center = (*camera.center[:-2], *((low + high) / 2))
    size = np.maximum(high - low, 1e-6)
    camera.zoom = float((_canvas_size(viewer) / size).min())


def _go_to_plane(viewer: ViewerModel, picture: PictureLayer, plane: tuple[int, ...]) -> None:
    if not plane:
        return
    world = _to_world(picture, np.array([[*plane, 0.0, 0.0]]))[0]
    leading = viewer.dims.ndim - 2
    for axis, value in zip(
        range(leading - len(plane), leading), world[:-2][-len(plane) :], strict=True
    ):
        viewer.dims.set_point(axis, float(value))


def _corners(viewer: ViewerModel) -> npt.NDArray[np.float64]:
    """World rows and columns of the four corners of the canvas."""
    camera: Any = getattr(viewer, "scene", viewer).camera
    half = _canvas_size(viewer) / camera.zoom / 2
    centre = np.asarray(camera.center[-2:], float)
    return np.array([centre + half * (down, right) for down in (-1, 1) for right in (-1, 1)])


def _canvas_size(viewer: ViewerModel) -> npt.NDArray[np.float64]:
    """Height and width of the canvas or a cell of its grid; before napari 0.9 the viewer's own."""
    canvas: Any = getattr(viewer, "canvas", None)
    if canvas is not None:
        size = canvas.viewbox_size(viewer.layers)
    else:
        size = getattr(viewer, "_canvas_size")  # noqa: B009
    return np.maximum(np.asarray(size, float), 1.0)


def _data_of(picture: PictureLayer, world: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    layer = picture.layer
    return np.array([layer.world_to_data(tuple(place)) for place in world[:, -layer.ndim :]])


def _to_world(picture: PictureLayer, places: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    data = picture.from_picture(picture.layer, places)
    return np.array([picture.layer.data_to_world(tuple(place)) for place in data])
