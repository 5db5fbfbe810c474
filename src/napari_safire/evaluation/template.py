"""Templates of pages: everything that comes from outside is escaped."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from napari_safire.text import printable

_FOLDER = Path(__file__).parent / "templates"


@cache
def environment(folder: Path) -> Environment:
    """Return the templates of a folder: strings are escaped, a missing value is an error.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    Environment
        The same one for the same folder.
    """
    return Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _shown(value: Any) -> Any:
    """Text that comes from outside without what would turn or hide the text around it."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def render(name: str, *, templates: Path = _FOLDER, **values: Any) -> str:
    """Fill a template in; strings are made printable and escaped unless they are markup already.

    Parameters
    ----------
    name : str
        A file in the folder of templates.
    templates : Path
        Default: those of the report.
    **values
        What the template asks for; a missing one is an error.

    Returns
    -------
    str
    """
    return environment(templates).get_template(name).render(**values)
