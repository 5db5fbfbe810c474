"""docs/curate.md says what the Curate dock does; what of it can be compared is compared here."""

from __future__ import annotations

import re
from pathlib import Path

from napari_safire.gui.keys.keymap import ACTIONS
from napari_safire.project.projections import STAGES
from napari_safire.project.truth import SOURCE_TYPES

DOCS = Path(__file__).parents[2] / "docs"
GUIDE = (DOCS / "curate.md").read_text(encoding="utf-8")


def test_its_keys_are_those_of_the_plugin() -> None:
    known = {action.default.replace("-", "+"): action.title for action in ACTIONS}
    table = GUIDE[GUIDE.index("| key | does |") :].split("\n\n", 1)[0].splitlines()[2:]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in table]
    written = {key: title for row in cells for key, title in (row[:2], row[3:])}
    assert len(written) == 10
    assert written.items() <= known.items()


def test_its_pictures_are_small_and_all_of_them_are_used() -> None:
    named = set(re.findall(r"images/(curate-[\w-]+\.png)", GUIDE))
    made = {path.name for path in (DOCS / "images").glob("curate-*.png")}
    assert named == made
    assert [name for name in made if (DOCS / "images" / name).stat().st_size > 200_000] == []


def test_it_names_all_types_and_stages() -> None:
    flat = " ".join(GUIDE.split())
    assert all(name in flat for name in (*SOURCE_TYPES, *STAGES))
