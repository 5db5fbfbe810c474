"""A Points layer as prompts: every point is one prompt, its features say what it is for.

Features of a point: ``source`` (whole number from 1), ``exclude``, ``live`` (false once its region
was committed), ``confidence`` (predicted pixel accuracy, NaN before it was asked). The layer may be
one that the user made: what is missing is added, what cannot be read is replaced, and points, other
features and sizes of the user's stay as they are. Points outside the picture are no prompts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from napari.layers import Points
from psygnal import Signal

from napari_safire.annotation.annotation import MOST_SOURCES, PLACE_DECIMALS, SourcePrompt
from napari_safire.gui.controllers.connections import Connections
from napari_safire.gui.layers.colours import face_colours, source_rgba
from napari_safire.gui.layers.image_planes import PictureLayer
from napari_safire.types import PointPrompt

_UNDER_WAY = ("adding", "removing", "changing")
_DEFAULTS: dict[str, Any] = {"source": 1, "exclude": False, "live": True, "confidence": np.nan}
_COMMITTED_OPACITY = 0.5

Index = tuple[int, ...]
_Place = tuple[Index, PointPrompt]


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
        self._dragging = False
        self._new = dict(_DEFAULTS)
        self._seen: tuple[Any, ...] = ()
        # What the user's own features said of places: undo brings points back with it.
        self._remembered: dict[_Place, dict[str, Any]] = {}
        self.n_outside = 0
        self._connections = Connections()
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
        # napari would give these to the selected points, too.
        with self._quietly(), self.layer.block_update_properties():
            self._set_feature_defaults()
            self.layer.current_symbol = "x" if exclude else "disc"
            border = np.array([source_rgba(source - 1)])
            self.layer.current_border_color = border[0]
            self.layer.current_face_color = face_colours(border, np.array([np.nan]))[0]

    def read(self, viewer_point: Sequence[float]) -> dict[Index, tuple[SourcePrompt, ...]]:
        """All prompts by position in the stack, in the order of the points.

        Points outside the picture are left out; `n_outside` counts them.

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
        places = self._places(viewer_point)
        self.n_outside = places.count(None)
        self._remember(places)
        features = _readable(self.layer.features)
        columns = (features[name].tolist() for name in ("source", "exclude", "live"))
        for place, source, exclude, live in zip(places, *columns, strict=True):
            if place is not None:
                index, point = place
                found[index].append(SourcePrompt(point, source, exclude, live))
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
        places = self._places(viewer_point)
        rows = [row for row, place in enumerate(places) if place and place[0] == index]
        with self._quietly():
            if [places[row] for row in rows] != [_place(index, p.point) for p in prompts]:
                self._remember(places)
                rows = self._replace(rows, places, index, prompts)
            features = _readable(self.layer.features)
            for name, values in (
                ("source", [p.source for p in prompts]),
                ("exclude", [p.exclude for p in prompts]),
                ("live", [p.live for p in prompts]),
                ("confidence", [confidences.get(p.point, np.nan) for p in prompts]),
            ):
                column = features[name].to_numpy(copy=True)
                column[rows] = values
                features[name] = column
            if not features.equals(self.layer.features):
                self.layer.features = features
                self._set_feature_defaults()  # napari takes them from the last point
            self._colour()
        self._seen = self._said()

    def select(self, index: Index, prompts: Sequence[PointPrompt], point: Sequence[float]) -> None:
        """Select the points of some prompts."""
        wanted = {_place(index, prompt) for prompt in prompts}
        places = self._places(point)
        self.layer.selected_data = {row for row, place in enumerate(places) if place in wanted}

    def _places(self, viewer_point: Sequence[float]) -> list[_Place | None]:
        """Where in the picture each point lies; None for points outside it."""
        coordinates = self._picture.to_picture(self.layer, self.layer.data, viewer_point)
        inside = self._picture.contains(coordinates)
        return [
            _place(tuple(round(i) for i in values[:-2]), PointPrompt(*values[-2:]))
            if is_inside
            else None
            for values, is_inside in zip(coordinates.tolist(), inside.tolist(), strict=True)
        ]

    def _replace(
        self,
        rows: list[int],
        places: Sequence[_Place | None],
        index: Index,
        prompts: Sequence[SourcePrompt],
    ) -> list[int]:
        """Put other points in the place of some; gives their rows, which are the last ones.

        Points that stay keep all that napari and the user know of them.
        """
        layer = self.layer
        free: dict[_Place | None, list[int]] = defaultdict(list)
        for row in reversed(rows):
            free[places[row]].append(row)
        others: list[int] = np.setdiff1d(np.arange(len(places)), rows).tolist()
        stay = [
            free[place].pop() if free[place] else -1
            for p in prompts
            if (place := _place(index, p.point))
        ]
        origin = np.array(others + stay, int)  # row that each point had, -1 for those that come
        new = origin < 0

        data = layer.data[origin] if len(layer.data) else np.zeros((len(origin), layer.ndim))
        come = [p.point for p, row in zip(prompts, stay, strict=True) if row < 0]
        if come:
            data[new] = self._picture.from_picture(layer, [(*index, p.row, p.col) for p in come])
        features = layer.features.reindex(origin).reset_index(drop=True)
        for row, point in zip(np.flatnonzero(new).tolist(), come, strict=True):
            for name, value in self._remembered.get(_place(index, point), {}).items():
                features.loc[row, name] = value
        drawn = {
            "size": (layer.size, layer.current_size),
            "border_width": (layer.border_width, layer.current_border_width),
            "shown": (layer.shown, True),
        }
        layer.selected_data = set()
        layer.data = data
        layer.features = _readable(features)
        for name, (values, of_new) in drawn.items():
            was = np.append(values, of_new)  # -1 takes the last one
            setattr(layer, name, was[origin])
        return list(range(len(others), len(origin)))

    def _remember(self, places: Sequence[_Place | None]) -> None:
        features = self.layer.features
        own = [name for name in features if name not in _DEFAULTS]
        if own:
            for place, values in zip(places, features[own].to_dict("records"), strict=True):
                if place is not None:
                    self._remembered[place] = values

    def _complete_features(self) -> None:
        """Make what is ours readable; where it was in words, they are kept under another name."""
        features = self.layer.features
        readable = _readable(features)
        for name in _DEFAULTS:
            if name in features and any(isinstance(value, str) for value in features[name]):
                readable[f"{name} (as it was)"] = features[name]
        if not readable.equals(features):
            with self._quietly():
                self.layer.features = readable
                self._set_feature_defaults()

    def _set_feature_defaults(self) -> None:
        now = self.layer.feature_defaults
        known = {name: now[name].iloc[0] for name in now}
        self.layer.feature_defaults = known | self._new

    def _said(self) -> tuple[Any, ...]:
        """What the features say of the prompts."""
        features = _readable(self.layer.features)
        return tuple(features[name].tolist() for name in ("source", "exclude", "live"))

    def _colour(self) -> None:
        """Border: the source. Face: the confidence. A cross excludes; faint is committed."""
        features = _readable(self.layer.features)
        if not len(features):
            return
        live = features["live"].to_numpy(bool)
        borders = np.array([source_rgba(n - 1) for n in features["source"]])
        faces = face_colours(borders, features["confidence"].to_numpy(float))
        for colours in (borders, faces):
            colours[~live, 3] = _COMMITTED_OPACITY
        symbols = ["x" if e else "disc" for e in features["exclude"]]
        # Each of these makes napari build all markers anew: only what differs is set.
        if not np.array_equal(self.layer.face_color, faces):
            self.layer.face_color = faces
        if not np.array_equal(self.layer.border_color, borders):
            self.layer.border_color = borders
        if [str(symbol) for symbol in self.layer.symbol] != symbols:
            self.layer.symbol = symbols

    def _data_changed(self, event: Any) -> None:
        action = str(getattr(event, "action", "changed"))
        if self._writing:
            return
        # While a point is dragged napari tells of features at each move: one step, not fifty.
        self._dragging = action == "changing"
        if action in _UNDER_WAY:
            return
        rows = getattr(event, "data_indices", ())
        if action == "added":
            self._label(rows, self._new)
        elif action == "changed":
            self._label(rows, {"live": True})  # a committed prompt that is moved is asked again
        self._seen = self._said()
        what = {"added": "add prompt", "removed": "remove prompt"}.get(action, "move prompt")
        self.changed.emit(what)

    def _features_changed(self, event: Any = None) -> None:
        if self._writing or self._dragging:
            return
        self._complete_features()
        # napari says so after every change of points as well.
        if self._said() != self._seen:
            self._seen = self._said()
            self.changed.emit("change prompt")

    def _label(self, rows: Any, values: Mapping[str, Any]) -> None:
        """Say what points are for, whatever napari made of the last or the selected one."""
        features = _readable(self.layer.features)
        those = np.arange(len(features))[list(rows)]
        for name, value in values.items():
            column = features[name].to_numpy(copy=True)
            column[those] = value
            features[name] = column
        if not features.equals(self.layer.features):
            with self._quietly():
                self.layer.features = features
                self._set_feature_defaults()

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        before, self._writing = self._writing, True
        try:
            yield
        finally:
            self._writing = before


def _place(index: Index, point: PointPrompt) -> _Place:
    """Name a place so that it can be compared."""
    return index, PointPrompt(round(point.row, PLACE_DECIMALS), round(point.col, PLACE_DECIMALS))


def _is_readable(features: Any) -> bool:
    """Whether all is as we write it: then there is nothing to make sense of."""
    if any(name not in features for name in _DEFAULTS):
        return False
    kinds = "".join(features[name].dtype.kind for name in _DEFAULTS)
    source = features["source"]
    return kinds == "ibbf" and bool(source.between(1, MOST_SOURCES).all())


def _readable(features: Any) -> Any:
    """A table of features in which ours are there and make sense.

    Users edit them by hand: what is no source number becomes the nearest one, what says neither
    yes nor no what a new point says.
    """
    import pandas as pd  # slow; napari itself loads it late

    features = features.copy()
    if _is_readable(features):
        return features
    for name, default in _DEFAULTS.items():
        given = features[name].astype(object) if name in features else [default] * len(features)
        numbers = pd.to_numeric(pd.Series(given, dtype=object), errors="coerce")
        values = numbers.to_numpy(float, copy=True)
        if name == "confidence":
            features[name] = values
            continue
        values[~np.isfinite(values)] = default
        if name == "source":
            features[name] = np.clip(values, 1, MOST_SOURCES).round().astype(np.int64)
        else:
            features[name] = values != 0
    return features
