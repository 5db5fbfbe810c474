"""docs/use.md says what the plugin does; what of it can be compared is compared here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from napari_safire.gui.keys.keymap import ACTIONS
from napari_safire.model.catalogue.registry import available_models, registry_problems

DOCS = Path(__file__).parents[2] / "docs"
GUIDE = (DOCS / "use.md").read_text(encoding="utf-8")


def anchor(heading: str) -> str:
    """As GitHub makes it of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_the_table_of_keys_is_that_of_the_plugin() -> None:
    table = GUIDE[GUIDE.index("| key | action |") :].split("\n\n", 1)[0].splitlines()[2:]
    rows = [tuple(cell.strip() for cell in row.strip("|").split("|")) for row in table]
    assert rows == [(a.default.replace("-", "+"), a.title, a.help) for a in ACTIONS]


def headings_of(page: str) -> set[str]:
    """Where a link into a page may lead."""
    return {f"#{anchor(line)}" for line in re.findall(r"^#+ (.+)$", page, re.MULTILINE)}


def test_links_lead_to_pictures_pages_and_headings_that_are_there() -> None:
    targets = re.findall(r"\]\(([^)]+)\)", GUIDE)
    here = [target for target in targets if target.startswith("#")]
    files = [target for target in targets if not target.startswith(("#", "http"))]
    assert here
    assert files
    assert set(here) <= headings_of(GUIDE)
    pages = [(name, *name.split("#")) for name in files]
    assert [name for name, path, *_ in pages if not (DOCS / path).is_file()] == []
    assert [
        name
        for name, path, *places in pages
        for place in places
        if f"#{place}" not in headings_of((DOCS / path).read_text("utf-8"))
    ] == [], "headings of other pages"


def test_pictures_are_small_and_all_of_them_are_used() -> None:
    made = sorted((DOCS / "images").glob("[0-9][0-9]-*.png"))
    assert 0 < len(made) <= 9
    assert [path.name for path in made if path.stat().st_size > 250_000] == []
    assert [path.name for path in made if f"images/{path.name}" not in GUIDE] == []


def test_the_example_of_a_registry_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example = re.search(r"```toml\n(.+?)```", GUIDE, re.DOTALL)
    assert example is not None
    registry = tmp_path / "models.toml"
    registry.write_text(example[1], encoding="utf-8")
    monkeypatch.setenv("NAPARI_SAFIRE_MODELS", str(registry))
    assert "our-safire" in [entry.name for entry in available_models()]
    assert registry_problems() == ()
