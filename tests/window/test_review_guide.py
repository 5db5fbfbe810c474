"""docs/review.md says what the Review dock does; what of it can be compared is compared here."""

from __future__ import annotations

import re
from pathlib import Path

from napari_safire.gui.keys.keymap import ACTIONS
from napari_safire.review.regions import MEASURES
from napari_safire.review.scale import LEAST_RATIOS, SUPPORTS

DOCS = Path(__file__).parents[2] / "docs"
GUIDE = (DOCS / "review.md").read_text(encoding="utf-8")


def _rows(heading: str) -> list[list[str]]:
    table = GUIDE[GUIDE.index(heading) :].split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table]


def test_its_keys_are_those_of_the_plugin() -> None:
    known = {action.default.replace("-", "+"): action.title.lower() for action in ACTIONS}
    written = {key: does.split(":")[0].lower() for key, does in _rows("| key | does |")}
    *single, (both, does) = written.items()
    less, more = both.split(", ")
    assert len(single) == 4
    assert dict(single).items() <= known.items()
    assert does == f"{known[less]}, {known[more]}"


def test_its_scale_is_that_of_the_verdict() -> None:
    rows = _rows("| words of the scale |")
    assert [row[0] for row in rows] == list(SUPPORTS)
    assert [row[1].split(" ")[0] for row in rows] == [f"{least:,.0f}" for least in LEAST_RATIOS]


def test_its_limits_are_those_of_the_region_table() -> None:
    limits = {measure.name: measure.limit for measure in MEASURES if measure.limit < 1}
    rows = _rows("| measure | limit |")[:-1]
    assert {row[0]: float(row[1]) for row in rows} == limits


def test_its_pictures_are_small_and_all_of_them_are_used() -> None:
    named = set(re.findall(r"images/(review-[\w-]+\.png)", GUIDE))
    made = {path.name for path in (DOCS / "images").glob("review-*.png")}
    assert named == made
    assert [name for name in made if (DOCS / "images" / name).stat().st_size > 150_000] == []
