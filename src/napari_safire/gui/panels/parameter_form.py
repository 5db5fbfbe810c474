"""A form made of a function's parameters, by magicgui."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, cast, get_args, get_origin, get_type_hints

from magicgui import magicgui
from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_safire.gui.panels.section import leave_wheel


class ParameterForm(QWidget):
    """A field for each parameter of a function, named, ranged and explained as it is there.

    Parameters
    ----------
    function : callable
        Its parameters have annotations (`typing.Annotated` with magicgui's options) and defaults;
        their part of its numpydoc docstring becomes the tooltips.
    automatic : mapping of str to str
        What a number says at its least value: {"eps": "auto"}.

    Attributes
    ----------
    changed : Signal()
        The user changed a value.
    """

    changed = Signal()

    def __init__(
        self, function: Callable[..., Any], automatic: Mapping[str, str] | None = None
    ) -> None:
        super().__init__()
        options: dict[str, Any] = {name: _options(h) for name, h in _hints(function).items()}
        self._gui: Any = magicgui(
            function, call_button=False, auto_call=False, persist=False, **options
        )
        self._gui.margins = (0, 0, 0, 0)
        for name, text in (automatic or {}).items():
            cast(Any, self.field(name)).setSpecialValueText(text)
        for part in self._gui:
            self.field(part.name).setAccessibleName(part.label)
            leave_wheel(self.field(part.name))
        body = QVBoxLayout(self)
        body.setContentsMargins(0, 0, 0, 0)
        body.addWidget(self._gui.native)
        self._gui.changed.connect(self._tell)

    @property
    def values(self) -> dict[str, Any]:
        """What the fields hold, by the names of the parameters."""
        return dict(self._gui.asdict())

    def field(self, name: str) -> QWidget:
        """The Qt widget of a parameter."""
        return cast(QWidget, self._gui[name].native)

    def show_values(self, **values: Any) -> None:
        """Show values that are not the user's choice: nothing is emitted.

        A number that a script has chosen may lie outside what the field offers: it offers it then.
        """
        with self._gui.changed.blocked():
            for name, value in values.items():
                field = self._gui[name]
                if hasattr(field, "max"):
                    field.min, field.max = min(field.min, value), max(field.max, value)
            self._gui.update(values)

    def show_field(self, name: str, shown: bool) -> None:
        """Show or hide a parameter with its label."""
        self._gui[name].visible = shown

    def _tell(self) -> None:
        self.changed.emit()


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    hints = get_type_hints(function, include_extras=True)
    return {name: hint for name, hint in hints.items() if name != "return"}


def _options(hint: Any) -> dict[str, Any]:
    """Options for magicgui in an annotation, which it loses where annotations are text."""
    return dict(get_args(hint)[1]) if get_origin(hint) is Annotated else {}
