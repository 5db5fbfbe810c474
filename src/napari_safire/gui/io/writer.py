"""Writer of labels layers, as napari asks for it; what the files hold: `annotation.saving`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_safire.annotation.recorded import RECORD
from napari_safire.annotation.saving import save_labels
from napari_safire.errors import SafireError
from napari_safire.gui.io.saving import labels_written
from napari_safire.gui.layers.parts import is_evidence
from napari_safire.images.records.replacing import ANYTHING, Expected


def write_labels(path: str, data: Any, attributes: Mapping[str, Any]) -> list[str]:
    """Write a labels layer as napari asks for it.

    Parameters
    ----------
    path : str
        ``<name>.png`` or ``<name>.json``; see `save_labels`, also for the rest.
    data : (H, W) or (T, H, W) int or bool array
    attributes : mapping
        The layer's attributes.

    Returns
    -------
    list of str
        The files, all written or none.

    Raises
    ------
    SafireError
        As `save_labels`. Also for labels that show what a view found, and if the layer came from
        this very record, and somebody has saved it since.
    """
    target = Path(path)
    about = attributes.get("metadata", {}).get("napari_safire", {})
    if is_evidence(about):
        raise SafireError(
            f"{attributes.get('name', 'This layer')} shows what a view found, and is no "
            "annotation: save it as .tif, or import it into the sources first."
        )
    source = about.get(RECORD)
    expected: Expected = ANYTHING
    if isinstance(source, tuple) and Path(source[0]).absolute() == target.absolute():
        expected = source[1]
    saved = save_labels(target, data, attributes, expected)
    if expected is not ANYTHING and isinstance(about, dict):
        # The layer's own: what it was saved as is what it comes from now.
        about[RECORD] = (source[0], saved.record_sha256)
    labels_written.emit(data)
    return list(saved.files)
