"""What a reviewer has typed and not kept yet: on disk a moment later, and gone once it is kept.

It does not become an event: what is written there stays for good and is handed over with the
report, and half a sentence is no statement of its author. It lies in the user's data folder, beside
the autosave, a file for each case, picture and reviewer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from platformdirs import user_data_path

from napari_safire.atomic import atomic_path
from napari_safire.errors import SafireError
from napari_safire.text import printable

_LARGEST = 4 << 20  # bytes; 30,000 characters take 180,000 at most
FORMAT = 1


class Drafts:
    """Keeps unfinished texts. For the file worker alone.

    Parameters
    ----------
    folder : Path, optional
        Default: ``drafts`` in the user's data folder.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or user_data_path("napari-safire") / "drafts"

    def find(self, *of: str) -> dict[str, Any]:
        """Return what was typed, by the names of the forms; empty where nothing was.

        Parameters
        ----------
        *of : str
            Case, picture and reviewer.

        Raises
        ------
        SafireError
            There is something, but it cannot be read; it stays where it is.
        """
        path = self._path(of)
        try:
            if path.stat().st_size > _LARGEST:
                raise ValueError("it is too large")
            kept = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(kept, dict) or kept.get("format") != FORMAT:
                raise ValueError("it is of another version")
            texts = kept.get("texts")
            if not isinstance(texts, dict):
                raise ValueError("it holds no texts")
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            raise SafireError(
                f"What you typed before cannot be read from {printable(path)} ({error}): the "
                "forms begin empty."
            ) from error
        return {name: values for name, values in texts.items() if isinstance(values, dict)}

    def keep(self, texts: Mapping[str, Mapping[str, Any]], *of: str) -> None:
        """Keep what was typed, in place of what was kept before; nothing typed: no file.

        Raises
        ------
        SafireError
            It cannot be written.
        """
        path = self._path(of)
        try:
            if not texts:
                with suppress(FileNotFoundError):
                    path.unlink()
                return
            self.folder.mkdir(parents=True, exist_ok=True)
            with atomic_path(path) as temporary:
                temporary.write_text(
                    json.dumps({"format": FORMAT, "texts": texts}), encoding="utf-8"
                )
        except OSError as error:
            raise SafireError(
                f"What you typed cannot be kept in {printable(self.folder)} ({error.strerror}): "
                "note it before you close this picture."
            ) from error

    def _path(self, of: tuple[str, ...]) -> Path:
        digest = hashlib.sha256(json.dumps(of).encode())
        return self.folder / f"{digest.hexdigest()[:32]}.json"
