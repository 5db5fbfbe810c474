"""The site of the documentation: ``make docs`` builds it into build/docs."""

from __future__ import annotations

from napari_safire import __version__

project = "napari-safire"
author = "napari-safire developers"
copyright = author
release = version = __version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build", "images"]
myst_heading_anchors = 3
# Pages are read on the code's own site too, where they link to folders and files of the repository.
suppress_warnings = ["myst.xref_missing", "misc.highlighting_failure"]

autodoc_typehints = "none"  # numpydoc's parameter lists hold them
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
autosummary_generate = True

html_theme = "napari_sphinx_theme"
html_title = f"napari-safire {release}"
html_theme_options = {"navbar_align": "left", "show_nav_level": 2}
html_static_path: list[str] = []
