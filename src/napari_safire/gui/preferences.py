"""What the user has set in napari's Preferences."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

import yaml  # type: ignore[import-untyped]
from npe2 import PluginManager
from psygnal import Signal

from napari_safire.gui.controllers.connections import Connections

PartitionMethod = Literal["auto", "kmeans", "dbscan"]

_PLUGIN, _SECTION = "napari-safire", "start"  # as the manifest names them
_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")
# Limits of the numbers, both included; the manifest holds napari's own form to the same.
_LIMITS = {
    "points_per_side": (4, 64),
    "cache_gib": (0, 1024),
    "sources_opacity": (0, 1),
    "prior_percent": (0.01, 99.99),
}
EVEN_ODDS = 0.5
"""Prior probability of forgery at which models are calibrated."""


@dataclass(frozen=True, slots=True)
class Preferences:
    """What the widget starts with.

    Parameters
    ----------
    model : str
        Name of a registered model, or a path. Whether it is there is for `load_model` to say.
    device : str
        "auto", "cpu", "mps", "cuda" or "cuda:N".
    points_per_side : int
        Of the grid of prompts, 4 to 64.
    embed_on_selection : bool
        Embed a picture as soon as its layer is selected.
    cache_gib : float
        Size of the embedding cache on disk in GiB, 0 to 1024; 0: no cache.
    partition_method : {"auto", "kmeans", "dbscan"}
    sources_opacity : float
        0 to 1.
    prior_percent : float
        Probability of forgery before a picture was seen, in percent, 0.01 to 99.99.
    count_evidence : bool
        Let the verdict count forensic views.
    problems : tuple of str
        Settings that were wrong, and what is used instead, in plain sentences.

    Raises
    ------
    ValueError
        A value is not one of those above.
    """

    model: str = "safire-lite"
    device: str = "auto"
    points_per_side: int = 16
    embed_on_selection: bool = True
    cache_gib: float = 4.0
    partition_method: PartitionMethod = "auto"
    sources_opacity: float = 0.5
    prior_percent: float = 100 * EVEN_ODDS
    count_evidence: bool = True
    problems: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        for name in _DEFAULTS:
            if fault := _fault(name, getattr(self, name)):
                raise ValueError(fault)

    @classmethod
    def load(cls) -> Preferences:
        """Read napari's settings of this plugin. Nothing raises: see `problems`."""
        try:
            settings = _plugin_settings()
        except Exception as error:  # whatever napari raises, the widget must open
            return cls(
                problems=(f"The preferences are not there, so defaults are used: {_said(error)}",)
            )
        section = getattr(settings, _SECTION)
        chosen: dict[str, Any] = {name: getattr(section, name) for name in _DEFAULTS}
        # napari drops what breaks the manifest's rules from the file and says so in a log only.
        stored, problems = _stored(settings.config_path)
        for name, default in _DEFAULTS.items():
            for value in (stored.get(name, default), chosen[name]):
                if fault := _fault(name, value):
                    if _fault(name, chosen[name]):
                        chosen[name] = default
                    used = f"{chosen[name]!r} is used; set it in napari's Preferences under SAFIRE."
                    problems.append(f"{fault} {used}")
                    break
        return cls(**chosen, problems=tuple(problems))


_DEFAULTS: dict[str, Any] = {
    each.name: each.default for each in fields(Preferences) if each.name != "problems"
}


class PreferencesWatch:
    """Hear of changes in napari's Preferences, from the making of this object until `close`.

    Raises nothing where there are no preferences; there it hears nothing either.
    """

    changed = Signal(Preferences)
    """Emitted with the new preferences; once for a change in napari's form."""

    def __init__(self) -> None:
        self._last = Preferences.load()
        self._section: object | None = None
        self._of_section = Connections()
        self._of_plugins = Connections()
        # napari makes its settings anew when a plugin is installed or switched on or off.
        plugins = PluginManager.instance().events
        self._of_plugins.connect(plugins.plugins_registered, self._follow)
        self._of_plugins.connect(plugins.enablement_changed, self._follow)
        self._follow()

    def close(self) -> None:
        """Hear no more. May be called twice."""
        self._of_section.disconnect()
        self._of_plugins.disconnect()
        self._section = None

    def _follow(self) -> None:
        try:
            section = getattr(_plugin_settings(), _SECTION)
        except Exception:  # no preferences here; `Preferences.load` says why
            return
        if section is not self._section:
            self._of_section.disconnect()
            self._section = section
            self._of_section.connect(section.events, self._tell)

    def _tell(self, event: object) -> None:
        now = Preferences.load()
        if now != self._last:
            self._last = now
            self.changed.emit(now)


def _plugin_settings() -> Any:
    try:
        from napari.settings import get_plugin_settings
    except ImportError:
        raise LookupError("this napari has none for plugins, 0.9 and later have.") from None
    return get_plugin_settings(_PLUGIN)


def _said(error: Exception) -> str:
    return str(error.args[0]) if error.args else type(error).__name__


def _fault(name: str, value: object) -> str:
    """Say what is wrong with a value, in one sentence; nothing if it is right."""
    kind = type(_DEFAULTS[name])
    allowed = ""
    if name == "device":
        if not (isinstance(value, str) and _DEVICE.fullmatch(value)):
            allowed = '"auto", "cpu", "mps", "cuda" or "cuda:N"'
    elif name == "partition_method":
        if value not in get_args(PartitionMethod):
            allowed = '"auto", "kmeans" or "dbscan"'
    elif kind is str:
        if not (isinstance(value, str) and value.strip()):
            allowed = "a name or a path"
    elif kind is bool:
        if not isinstance(value, bool):
            allowed = "true or false"
    else:
        low, high = _LIMITS[name]
        fits = int if kind is int else (int, float)
        if isinstance(value, bool) or not isinstance(value, fits) or not low <= value <= high:
            number = "a whole number" if kind is int else "a number"
            allowed = f"{number} from {low} to {high}"
    return f"{name} is {value!r}, but must be {allowed}." if allowed else ""


def _stored(path: Path | None) -> tuple[Mapping[str, object], list[str]]:
    """Read what the settings file itself says, before napari mends it."""
    if path is None or not Path(path).is_file():
        return {}, []
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
        section = content.get(_SECTION) or {}
        return dict(section), []
    except (
        OSError,
        ValueError,
        TypeError,
        AttributeError,
        RecursionError,
        yaml.YAMLError,
    ) as error:
        return {}, [f"Defaults are used, because {path} cannot be read: {_said(error)}."]
