"""Make the table of pictures in docs/formats.md of the tests' cases.

``python docs/format_table.py`` prints it, with ``--write`` it is put into the page.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent / "tests"))

from picture_cases import CASES, Case  # noqa: E402

from napari_safire.errors import ImageReadError  # noqa: E402
from napari_safire.images.reading import read_image  # noqa: E402

_CHANNELS = {2: "grey", 3: "RGB"}


def table() -> str:
    """Return the table, one row a case."""
    with tempfile.TemporaryDirectory() as folder:
        rows = [_row(case, Path(folder)) for case in CASES]
    head = "| format | kind | becomes | said or refused |\n|---|---|---|---|\n"
    return head + "".join(rows)


def _row(case: Case, folder: Path) -> str:
    path = folder / case.name
    path.write_bytes(case.make())
    try:
        image = read_image(path)
    except ImageReadError as error:
        return _line(case, "refused", _shown(str(error), path))
    channels = {2: "grey"}.get(image.pixels.ndim) or {3: "RGB", 4: "RGBA"}[image.pixels.shape[2]]
    steps = [*image.decoding.converted, *map(_counted, image.decoding.besides)]
    said = " ".join(_shown(warning, path) for warning in image.warnings)
    if steps:
        said += f"{' ' * bool(said)}(in the record: {'; '.join(steps)})"
    return _line(case, f"{image.pixels.dtype} {channels}", said)


def _line(case: Case, becomes: str, said: str) -> str:
    return f"| {case.format} | {case.what} | {becomes} | {said} |\n"


def _shown(sentence: str, path: Path) -> str:
    text = sentence.removeprefix(f"{path} ")
    text = _counted(text)
    return re.sub(r"\s+", " ", text).replace("|", "/")


def _counted(text: str) -> str:
    """Leave out numbers of bytes, which depend on the version of Pillow."""
    return re.sub(r"\b\d+ bytes", "n bytes", text)


if __name__ == "__main__":
    made = table()
    if "--write" in sys.argv:
        page = DOCS / "formats.md"
        text = page.read_text(encoding="utf-8")
        begin, end = text.index("| format | kind |"), text.index("<!-- end of the table -->")
        page.write_text(text[:begin] + made + "\n" + text[end:], encoding="utf-8")
    sys.stdout.write(made)
