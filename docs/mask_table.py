"""Write the table of masks in ``docs/formats.md`` from the cases of the tests.

Run it from the root of the repository: ``python docs/mask_table.py``. A test fails while the page
says anything else than the cases.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "formats.md"
BEGIN, END = "<!-- masks: begin -->", "<!-- masks: end -->"


def table() -> str:
    """Return the table in Markdown."""
    sys.path.insert(0, str(ROOT / "tests"))
    try:
        from mask_cases import CASES
    finally:
        sys.path.pop(0)
    rows = [f"| {case.what} | {case.binary} | {case.sources} |" for case in CASES]
    head = ["| mask | `--kind binary` | `--kind sources` |", "|---|---|---|"]
    return "\n".join([*head, *rows])


def page(text: str) -> str:
    """Return the page with the table in its place."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")
