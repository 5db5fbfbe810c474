"""The parameters of a view as a function that nothing but forms are made of."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

from napari_safire.forensics import View


def as_form(view: View) -> Callable[..., None]:
    """Return a function with a view's parameters, without its picture, progress and cancel.

    Parameters
    ----------
    view : View

    Returns
    -------
    callable
        It does nothing; `ParameterForm` reads its signature.
    """

    def parameters(**_: Any) -> None:
        pass

    hints = get_type_hints(view.function, include_extras=True)
    chosen = inspect.signature(view.function).parameters
    shown = [chosen[name].replace(annotation=hints[name]) for name in view.parameters]
    parameters.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    parameters.__annotations__ = {name: hints[name] for name in view.parameters}
    return parameters
