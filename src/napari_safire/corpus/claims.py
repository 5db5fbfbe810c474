"""Who examines which content now, so that two workers do not examine copies of one picture at once.

::

    <output>/known/claims/<run>/ab/<first 16 bytes of a SHA-256>   holds the key of a picture

Nobody waits for a claim. A picture whose bytes another one has claimed is put off: its task is done
without it, and it is asked again when all tasks that were under way are done. A claim that a lost
worker has left costs that much, no more.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from napari_safire.atomic import not_written
from napari_safire.corpus.content_index import KEY_DIGITS, KNOWN
from napari_safire.corpus.inputs.picture import CorpusPicture
from napari_safire.corpus.known_content import make_known
from napari_safire.corpus.manifest_schema import KEY_BYTES
from napari_safire.errors import SafireError
from napari_safire.text import printable

_CLAIMS = "claims"
_ASIDE = ".claims-"


class Superseded(SafireError):
    """Another run has begun in the output folder: what this one answers is the other's to do."""


@dataclass(frozen=True, slots=True)
class PutOffPicture:
    """A picture that gets no row yet.

    Parameters
    ----------
    content : str
        Begin of the SHA-256 of its bytes.
    picture : CorpusPicture
    attempt : int
    """

    content: str
    picture: CorpusPicture
    attempt: int


class Claims:
    """The claims of a run.

    Parameters
    ----------
    output : Path
    run : str
    """

    def __init__(self, output: Path, run: str) -> None:
        self._output = output
        self._folder = output / KNOWN / _CLAIMS / run

    def begin(self) -> None:
        """Make the folder of the claims; raises as `make_known`."""
        try:
            make_known(self._output)
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise not_written(self._folder, error) from error

    def check(self) -> None:
        """Raise `Superseded` where a later run has begun."""
        if not self._folder.is_dir():
            raise Superseded(
                f"Another run has begun in {printable(self._output)}, or its folder {KNOWN} was "
                "removed: what is kept stays; the same command goes on."
            )

    def make(self, content: str, key: bytes) -> bool:
        """Claim content for a picture; false where another one has.

        Parameters
        ----------
        content : str
            Begin of its hash.
        key : bytes
            Of the picture.

        Raises
        ------
        Superseded, NotWritten
        """
        path = self._path(content)
        try:
            try:
                claim = _create(path)
            except FileNotFoundError:
                path.parent.mkdir(exist_ok=True)  # not the run's own, which a later run removes
                claim = _create(path)
            except FileExistsError:
                with path.open("rb") as file:
                    return file.read(KEY_BYTES) == key  # its task was lost with a worker
            try:
                os.write(claim, key)
            finally:
                os.close(claim)
        except OSError as error:
            self.check()
            if isinstance(error, FileNotFoundError | FileExistsError):
                return False  # it came or went just now
            raise not_written(path.parent, error) from error
        return True

    def remove(self, contents: Iterable[str]) -> None:
        """Remove claims on content that is known by now, or that nothing could be found of."""
        for content in contents:
            with suppress(OSError):  # one that is left goes with the folder of the run
                self._path(content).unlink()

    def _path(self, content: str) -> Path:
        return self._folder / content[:2] / content


class TaskClaims:
    """Claims of one task, as a worker makes them.

    Parameters
    ----------
    claims : Claims
    regardless : bool
        No picture is put off, for all of these were once.

    Attributes
    ----------
    made : list of str
        Content that is claimed.
    put_off : list of PutOffPicture
    """

    def __init__(self, claims: Claims, *, regardless: bool) -> None:
        self._claims = claims
        self._regardless = regardless
        self.made: list[str] = []
        self.put_off: list[PutOffPicture] = []

    def make(self, picture: CorpusPicture, attempt: int, file_sha256: str) -> bool:
        """Claim the content of a picture, or put the picture off; raises as `Claims.make`."""
        content = file_sha256[:KEY_DIGITS]
        if content in self.made:
            return True
        if self._claims.make(content, picture.key):
            self.made.append(content)
        elif not self._regardless:
            self.put_off.append(PutOffPicture(content, picture, attempt))
            return False
        return True


def remove_claims(output: Path) -> None:
    """Remove the claims of runs that were here before; the folder is locked.

    Workers of a lost run that are still at work notice it, and keep nothing that the next one does.

    Raises
    ------
    NotWritten
        They cannot be removed.
    """
    known = output / KNOWN
    if known.is_symlink() or not known.is_dir():
        return
    folder = known / _CLAIMS
    try:
        if folder.is_symlink() or folder.is_file():
            folder.unlink()
        elif folder.is_dir():  # at once: a worker finds all of it or nothing
            os.replace(folder, known / f"{_ASIDE}{secrets.token_hex(6)}")
        for name in os.listdir(known):
            if name.startswith(_ASIDE):
                shutil.rmtree(known / name, ignore_errors=True)  # a worker may write to it yet
    except OSError as error:
        raise not_written(known, error) from error


def _create(path: Path) -> int:
    return os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
