"""The document of a report: one JSON value, of which HTML and PDF are made and nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from napari_safire.project.chain.events import canonical

FORMAT = "napari-safire report"
VERSION = 1
_NOT_DIGESTED = ("digest", "files")


def content_digest(document: Mapping[str, Any]) -> str:
    """SHA-256 of a document's canonical form, without its "digest" and "files"."""
    kept = {name: value for name, value in document.items() if name not in _NOT_DIGESTED}
    return hashlib.sha256(canonical(kept).encode()).hexdigest()


def identified(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document with its digest, and no files yet."""
    return {**document, "digest": content_digest(document), "files": {}}
