"""A Points layer as prompts: every point is one prompt, its features say what it is for.

Features of a point: ``source`` (whole number from 1), ``exclude``, ``live`` (false once its region
was committed), ``confidence`` (predicted pixel accuracy, NaN before it was asked). The layer may be
one that the user made: what is missing is added, nothing is taken away.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
from napari.layers import Points
from napari.utils.colormaps import ensure_colormap
from psygnal import Signal

from napari_safire.gui.colours import source_rgba
from napari_safire.gui.connections import Connections
from napari_safire.gui.pictures import PictureLayer
from napari_safire.session.annotation import MOST_SOURCES, SourcePrompt
from napari_safire.types import PointPrompt

_UNDER_WAY = ("adding", "removing", "changing")
_DEFAULTS: dict[str, Any] = {"source": 1, "exclude": False, "live": True, "confidence": np.nan}
_COMMITTED_OPACITY = 0.35
_UNKNOWN_COLOUR = (0.6, 0.6, 0.6, 1.0)
_LOW, _HIGH = 0.5, 1.0  # confidence is a pixel accuracy: half is guessing

Index = tuple[int, ...]


class PromptLayer:
    """Prompts of a picture in a Points layer.

    Parameters
    ----------
    layer : napari.layers.Points
    picture : PictureLayer

    Attributes
    ----------
    changed : Signal(str)
        The user changed prompts; what they did, for the history.
    """

    changed = Signal(str)

    def __init__(self, layer: Points, picture: PictureLayer) -> None:
        self.layer = layer
        self._picture = picture
        self._writing = False
        self._new = dict(_DEFAULTS)
        self._connections = Connections()
        with self._quietly():
            self._complete_features()
        self._connections.connect(layer.events.data, self._data_changed)
        self._connections.connect(layer.events.features, self._features_changed)

    def close(self) -> None:
        """Let go of the layer."""
        self._connections.disconnect()
        self.changed.disconnect()

    def set_defaults(self, source: int, exclude: bool) -> None:
        """What the next point will be for."""
        self._new = {**_DEFAULTS, "source": source, "exclude": exclude}
        with self._quietly():
            self.layer.feature_defaults = self._new
            self.layer.current_symbol = "x" if exclude else "disc"
            self.layer.current_border_color = np.array(source_rgba(source - 1))

    def read(self, viewer_point: Sequence[float]) -> dict[Index, tuple[SourcePrompt, ...]]:
        """All prompts by position in the stack, in the order of the points.

        Parameters
        ----------
        viewer_point : sequence of float
            Where the viewer's sliders are: there lie points of layers without those axes.

        Returns
        -------
        dict
            Without positions that have no prompt.
        """
        found: dict[Index, list[SourcePrompt]] = defaultdict(list)
        for row, (index, place) in enumerate(self._places(viewer_point)):
            values = self.layer.features.iloc[row]
            found[index].append(
                SourcePrompt(
                    PointPrompt(*place),
                    _source_number(values["source"]),
                    bool(values["exclude"]),
                    bool(values["live"]),
                )
            )
        return {index: tuple(prompts) for index, prompts in found.items()}

    def write(
        self,
        index: Index,
        prompts: Sequence[SourcePrompt],
        confidences: Mapping[PointPrompt, float],
        viewer_point: Sequence[float],
    ) -> None:
        """Show the prompts of one position of the stack; the others stay as they are.

        Parameters
        ----------
        index : tuple of int
        prompts : sequence of SourcePrompt
        confidences : mapping of PointPrompt to float
            Of those that were asked.
        viewer_point : sequence of float
        """
        places = list(self._places(viewer_point))
        rows = [row for row, (where, _) in enumerate(places) if where == index]
        with self._quietly():
            shown = [PointPrompt(*places[row][1]) for row in rows]
            if shown != [prompt.point for prompt in prompts]:
                rows = self._replace(rows, index, prompts)
            features = self.layer.features.copy()
            features.loc[rows, "source"] = [p.source for p in prompts]
            features.loc[rows, "exclude"] = [p.exclude for p in prompts]
            features.loc[rows, "live"] = [p.live for p in prompts]
            known = [confidences.get(p.point, np.nan) for p in prompts]
            features.loc[rows, "confidence"] = known
            if not features.equals(self.layer.features):
                self.layer.features = features
            self._colour()

    def select(self, index: Index, prompts: Sequence[PointPrompt], point: Sequence[float]) -> None:
        """Select the points of some prompts."""
        wanted = set(prompts)
        self.layer.selected_data = {
            row
            for row, (where, place) in enumerate(self._places(point))
            if where == index and PointPrompt(*place) in wanted
        }

    def _places(self, viewer_point: Sequence[float]) -> Iterator[tuple[Index, tuple[float, float]]]:
        coordinates = self._picture.to_picture(self.layer, self.layer.data, viewer_point)
        for values in coordinates.tolist():
            index = tuple(round(value) for value in values[:-2])
            # Where the layer lies over the picture the way there and back costs a rounding error:
            # prompts are compared, so they are given to a thousandth of a pixel.
            yield index, (round(values[-2], 3), round(values[-1], 3))

    def _replace(self, rows: list[int], index: Index, prompts: Sequence[SourcePrompt]) -> list[int]:
        """Put other points in the place of some; gives their rows, which are the last ones."""
        kept = np.setdiff1d(np.arange(len(self.layer.data)), rows)
        features = self.layer.features.iloc[kept]
        places = [(*index, p.point.row, p.point.col) for p in prompts]
        new = self._picture.from_picture(self.layer, places) if places else None
        data = self.layer.data[kept]
        if new is not None:
            data = np.vstack([data, new]) if len(data) else new
            import pandas as pd  # type: ignore[import-untyped] # slow; napari itself loads it late

            added = pd.DataFrame([_DEFAULTS] * len(new))
            features = pd.concat([features, added], ignore_index=True) if len(features) else added
        self.layer.selected_data = set()
        self.layer.data = data
        self.layer.features = features.reset_index(drop=True)
        return list(range(len(kept), len(data)))

    def _complete_features(self) -> None:
        features = self.layer.features.copy()
        for name, value in _DEFAULTS.items():
            if name not in features:
                features[name] = value
        self.layer.features = features

    def _colour(self) -> None:
        """Border: the source. Face: the confidence. A cross excludes; faint is committed."""
        features = self.layer.features
        if not len(features):
            return
        live = features["live"].to_numpy(bool)
        borders = np.array([source_rgba(_source_number(n) - 1) for n in features["source"]])
        faces = confidence_colours(features["confidence"].to_numpy(float))
        for colours in (borders, faces):
            colours[~live, 3] = _COMMITTED_OPACITY
        self.layer.face_color = faces
        self.layer.border_color = borders
        self.layer.symbol = ["x" if e else "disc" for e in features["exclude"]]

    def _data_changed(self, event: Any) -> None:
        action = str(getattr(event, "action", "changed"))
        if self._writing or action in _UNDER_WAY:
            return
        rows = getattr(event, "data_indices", ())
        if action == "added":
            self._label_new(rows)
        elif action == "changed":
            self._revive(rows)
        what = {"added": "add prompt", "removed": "remove prompt"}.get(action, "move prompt")
        self.changed.emit(what)

    def _features_changed(self, event: Any = None) -> None:
        if not self._writing:
            with self._quietly():
                self._complete_features()
            self.changed.emit("change prompt")

    def _label_new(self, rows: Any) -> None:
        """New points are what the desk says, not what the last or selected point was."""
        features = self.layer.features.copy()
        added = np.arange(len(features))[list(rows)]
        for name, value in self._new.items():
            features.loc[added, name] = value
        with self._quietly():
            self.layer.features = features

    def _revive(self, rows: Any) -> None:
        """A committed prompt that is moved is asked again."""
        features = self.layer.features.copy()
        moved = [row for row in np.arange(len(features))[list(rows)] if not features["live"][row]]
        if moved:
            features.loc[moved, "live"] = True
            with self._quietly():
                self.layer.features = features

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        before, self._writing = self._writing, True
        try:
            yield
        finally:
            self._writing = before


def confidence_colours(confidences: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Colours of confidences: viridis from 0.5 (dark) to 1 (bright), grey where not known.

    Parameters
    ----------
    confidences : (N,) float array

    Returns
    -------
    (N, 4) float array
    """
    scaled = np.clip((np.nan_to_num(confidences) - _LOW) / (_HIGH - _LOW), 0, 1)
    colours = np.asarray(ensure_colormap("viridis").map(scaled), dtype=float)
    colours[~np.isfinite(confidences)] = _UNKNOWN_COLOUR
    return colours


def _source_number(value: Any) -> int:
    """Users edit features by hand: what is no source number becomes the nearest one."""
    number = float(value)
    return int(np.clip(round(number), 1, MOST_SOURCES)) if np.isfinite(number) else 1
