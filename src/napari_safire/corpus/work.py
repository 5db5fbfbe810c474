"""A task of a corpus answered: read ahead, asked one after the other, written behind."""

from __future__ import annotations

import errno
import os
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal, get_args

from napari_safire.atomic import not_written, rename, staging_folder
from napari_safire.basis import RunBasis
from napari_safire.corpus.claims import TaskClaims
from napari_safire.corpus.inputs.local import local_file
from napari_safire.corpus.inputs.picture import CorpusPicture, Input, InputProblem
from napari_safire.corpus.known_content import (
    KnownContent,
    PartContent,
    PublishedContent,
    row_of_copy,
)
from napari_safire.corpus.manifest import Manifest
from napari_safire.corpus.manifest_schema import ManifestRow
from napari_safire.corpus.tasks import CorpusTask, part_name
from napari_safire.corpus.under_way import UnderWay
from napari_safire.errors import Cancelled, NotWritten, SafireError, sentence
from napari_safire.examination import Examination, ExaminationSettings
from napari_safire.examination.export import (
    RESULT_ENDINGS,
    ResultKind,
    area_shares,
    require_few_sources,
    write_result,
)
from napari_safire.images.files import file_sha256
from napari_safire.images.reading import PictureDecoder, ReadImage, image_shape, read_image
from napari_safire.progress import Cancel
from napari_safire.text import printable

Ask = Callable[[ReadImage, Cancel | None], Examination]
"""Answers one picture."""
Which = Literal["none", "forged", "all"]
PICTURES = "pictures"

_LOST = "The program died again and again at this picture: examine it by itself."
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)  # for bytes that are unpacked or fetched
_READERS = 2
_AHEAD = 4  # pictures that are read before they are asked
_AHEAD_BYTES = 512 << 20  # of pixels, but for a single picture that is larger


@dataclass(frozen=True, slots=True)
class CorpusSettings:
    """What is asked of the pictures of a corpus, and what is written.

    Parameters
    ----------
    examination : ExaminationSettings
    write : {"none", "forged", "all"}
        Of which pictures files are written, beside the manifest: those called forged, or all.
    files : tuple of {"sources", "probabilities", "overlay", "heatmap"}
        Which files.

    Raises
    ------
    ValueError
        There is no such choice.
    """

    examination: ExaminationSettings = field(default_factory=ExaminationSettings)
    write: Which = "forged"
    files: tuple[ResultKind, ...] = ("sources",)

    def __post_init__(self) -> None:
        if self.write not in get_args(Which):
            raise ValueError(f'write is {self.write!r}: give "none", "forged" or "all".')
        unknown = [kind for kind in self.files if kind not in RESULT_ENDINGS]
        if unknown:
            raise ValueError(
                f"No file is called {unknown[0]!r}: choose of {', '.join(RESULT_ENDINGS)}."
            )

    def basis(self, checkpoint_sha256: str, precision: str) -> RunBasis:
        """Return what the rows of a manifest rest on; what is written counts too."""
        asked = self.examination.basis(checkpoint_sha256, precision)
        written = {"write": self.write, "files": list(self.files)}
        return replace(asked, settings={**asked.settings, **written})


class CorpusWork:
    """Answers tasks, one after the other.

    Parameters
    ----------
    manifest : Manifest
    settings : CorpusSettings
    basis : RunBasis
        `CorpusSettings.basis` of the model that answers.
    ask : callable
        ``ask(image, cancel) -> Examination``.
    known : PublishedContent, optional
        Content that was examined; default: as the one process that keeps the index knows it.

    Attributes
    ----------
    decoder : PictureDecoder or None
        Decodes the pictures elsewhere than in this process (`napari_safire.images.sandbox`), where
        it is set; not closed here.
    under_way : UnderWay or None
        Is told of each picture before it is begun, where the process is to be followed by another
        that goes on. After a death pictures are read one by one, for it may be the decoder's.
    claims : TaskClaims or None
        Where other processes are at work on the same corpus: of a picture whose bytes another one
        has claimed no row is made.
    """

    def __init__(
        self,
        manifest: Manifest,
        settings: CorpusSettings,
        basis: RunBasis,
        ask: Ask,
        known: PublishedContent | None = None,
    ) -> None:
        self.manifest = manifest
        self.settings = settings
        self.basis = basis
        self.decoder: PictureDecoder | None = None
        self.under_way: UnderWay | None = None
        self.claims: TaskClaims | None = None
        self._ask = ask
        self._known = KnownContent(manifest) if known is None else known

    def answer(
        self,
        task: CorpusTask,
        told: Callable[[ManifestRow], None] = lambda row: None,
        cancel: Cancel | None = None,
    ) -> Iterator[ManifestRow]:
        """Answer the pictures of a task in their order.

        Parameters
        ----------
        task : CorpusTask
        told : callable
            Takes each row as soon as it is made, in whichever thread.
        cancel : callable, optional
            Asked between pictures, and between the steps of one.

        Yields
        ------
        ManifestRow

        Raises
        ------
        Cancelled
        NotWritten
            What is known, or claimed, cannot be written down.
        """
        self._known.refresh()
        with (
            tempfile.TemporaryDirectory(prefix="napari-safire-") as scratch,
            _Reading(Path(scratch), self) as reading,
        ):
            attempts = zip(task.pictures, task.attempts, strict=True)
            for read, attempt in zip(
                reading.ahead(task.pictures), (attempt for _, attempt in attempts), strict=True
            ):
                with read.lease:
                    row = self._row(read, attempt, cancel)
                if row is None:
                    continue
                self._known.note(row)
                told(row)
                yield row

    @property
    def careful(self) -> bool:
        """Whether pictures are read one by one."""
        return self.under_way is not None and self.under_way.died

    def begin(self, picture: Input) -> None:
        """Note that a picture is under way."""
        if self.under_way is not None:
            self.under_way.begin(picture.key)

    def kills(self, picture: Input) -> bool:
        """Whether processes died again and again with this picture under way."""
        return self.under_way is not None and self.under_way.kills(picture.key)

    def commit(self, rows: list[ManifestRow]) -> PartContent:
        """Write the rows of a task, or of as many of its pictures as were answered."""
        name = part_name(rows)
        self.manifest.write_part(name, rows)
        content = PartContent.of_rows(name, rows)
        self._known.take_in(content)
        return content

    def end(self) -> None:
        """Write down what is known, for the next run; raises as `KnownContent.publish`."""
        self._known.publish()

    def _row(self, read: _Read, attempt: int, cancel: Cancel | None) -> ManifestRow | None:
        picture = read.picture
        if isinstance(picture, InputProblem):
            return failed_row(picture, attempt, "InputProblem", picture.problem)
        row = _row_of(picture, attempt)
        if read.kills:
            return failed_row(picture, attempt, "ProcessLost", _LOST)
        if not self.careful:
            self.begin(picture)
        if read.sha256:
            row = replace(row, file_sha256=read.sha256)
            known = self._known.find(read.sha256)
            if known is None and self.claims is not None and isinstance(read.decoded, ReadImage):
                if not self.claims.make(picture, attempt, read.sha256):
                    return None
                self._known.refresh()  # claims go when their content was published
                known = self._known.find(read.sha256)
            if known is not None:
                return row_of_copy(known, row)
        try:
            image = read.image()
            row = replace(row, format=image.format, height=image.pixels.shape[0],
                          width=image.pixels.shape[1])  # fmt: skip
            found = self._ask(image, cancel)
            row = _answered(row, found)
            return replace(row, outputs=self._written(found, row))
        except (Cancelled, NotWritten):
            raise
        except Exception as error:  # the other pictures can still be answered
            _require_room(error, error.__cause__)
            name = type(error).__name__
            told = sentence(error) if isinstance(error, SafireError) else f"{name}: {error}."
            return replace(row, error_class=name, error=_named(told, read.path, picture))

    def _written(self, found: Examination, row: ManifestRow) -> tuple[str, ...]:
        """Write the files of a picture, named by its content and what was asked."""
        settings = self.settings
        wanted = settings.write == "all" or (settings.write, row.verdict) == ("forged", "forged")
        if not wanted:
            return ()
        require_few_sources(found)
        base = replace(self.basis, picture_sha256=row.file_sha256).digest[:32]
        pictures = self.manifest.output / PICTURES
        folder = pictures / base[:2]
        names = ((kind, f"{base}{RESULT_ENDINGS[kind]}") for kind in settings.files)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with staging_folder(pictures) as staging:
                made = [name for kind, name in names if write_result(found, kind, staging / name)]
                for name in made:
                    rename(staging / name, folder / name)
        except OSError as error:
            raise not_written(pictures, error) from error
        return tuple((folder / name).relative_to(self.manifest.output).as_posix() for name in made)


def _require_room(*errors: BaseException | None) -> None:
    """Raise where a picture could not be unpacked or fetched because the disk is full."""
    for error in errors:
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            raise not_written(tempfile.gettempdir(), error) from error


def failed_row(picture: Input, attempt: int, error_class: str, error: str) -> ManifestRow:
    """Return the row of a picture that nothing was found of.

    Parameters
    ----------
    picture : CorpusPicture or InputProblem
    attempt : int
    error_class, error : str
        See `ManifestRow`.
    """
    return replace(_row_of(picture, attempt), error_class=error_class, error=error)


def _row_of(picture: Input, attempt: int) -> ManifestRow:
    name, place = printable(picture.name), os.fsencode(picture.name)
    return ManifestRow(picture.key, name, place, attempt=attempt)


def _answered(row: ManifestRow, found: Examination) -> ManifestRow:
    partition, forgery = found.partition, found.forgery
    values: dict[str, Any] = {
        "warnings": tuple(printable(text) for text in found.warnings),
        "seconds": {stage: round(value, 4) for stage, value in found.seconds.items()},
    }
    if partition is not None:
        most = max(partition.number_probabilities, default=0)
        values |= {
            "n_sources": partition.n_sources,
            "smallest_source": min(area_shares(partition)),
            "number_probabilities": tuple(
                float(partition.number_probabilities.get(n, 0.0)) for n in range(1, most + 1)
            ),
        }
    if forgery is not None:
        values |= {
            "verdict": forgery.verdict,
            "score": forgery.score,
            "likelihood_ratio": forgery.likelihood_ratio,
            "contributions": {n: c.log_odds for n, c in forgery.contributions.items()},
        }
    return replace(row, **values)


def _named(told: str, path: Path | None, picture: CorpusPicture) -> str:
    """A sentence that names the picture as the manifest does, not a file that held its bytes."""
    name = printable(picture.name)
    if path is None:
        return printable(told)
    return printable(told.replace(os.fspath(path), name).replace(printable(path), name))


@dataclass(slots=True)
class _Read:
    """A picture that was read, or why it was not; its file is there until the lease ends."""

    picture: Input
    lease: ExitStack = field(default_factory=ExitStack)
    path: Path | None = None
    kills: bool = False
    sha256: str = ""
    decoded: ReadImage | Exception | None = None

    def image(self) -> ReadImage:
        if isinstance(self.decoded, ReadImage):
            return self.decoded
        assert self.decoded is not None  # it was tried
        raise self.decoded


class _Reading:
    """Reads pictures in threads of its own, a few before they are wanted, not too many bytes.

    Room for pixels is given in the order of the pictures: else one that is read early could keep it
    from the one that is waited for.
    """

    def __init__(self, scratch: Path, work: CorpusWork) -> None:
        self._scratch, self._work = scratch, work
        self._threads = ThreadPoolExecutor(_READERS, "napari-safire-read")
        self._room = threading.Condition()
        self._held = 0
        self._turn = 0
        self._closed = False

    def __enter__(self) -> _Reading:
        return self

    def __exit__(self, *exception: object) -> None:
        self._close()
        self._threads.shutdown(cancel_futures=True)

    def ahead(self, pictures: tuple[Input, ...]) -> Iterator[_Read]:
        left = iter(enumerate(pictures))
        waiting: deque[Future[_Read]] = deque()

        def begin(count: int) -> None:
            for number, picture in islice(left, count):
                waiting.append(self._threads.submit(self._read, number, picture))

        careful = self._work.careful
        try:
            begin(1 if careful else _AHEAD)
            while waiting:
                read = waiting.popleft().result()
                if not careful:
                    begin(1)
                yield read
                if careful:
                    begin(1)
        finally:
            self._close()
            for future in waiting:
                if not future.cancel():
                    future.result().lease.close()

    def _read(self, number: int, picture: Input) -> _Read:
        read = _Read(picture, kills=self._work.kills(picture))
        try:
            if isinstance(picture, CorpusPicture) and not read.kills:
                if self._work.careful:
                    self._work.begin(picture)
                path = read.path = read.lease.enter_context(local_file(picture, self._scratch))
                read.sha256 = file_sha256(path)
                decoder = self._work.decoder
                height, width = (image_shape if decoder is None else decoder.shape)(path)
                self._take_room(number, 4 * height * width, read.lease)
                image = (read_image if decoder is None else decoder.read)(path)
                if image.sha256 != read.sha256:
                    raise SafireError(f"{printable(path)} was changed while it was read.")
                read.decoded = image
        except Exception as error:  # told in the row
            read.decoded = error
        finally:
            self._take_room(number, 0, read.lease)
        return read

    def _take_room(self, number: int, size: int, lease: ExitStack) -> None:
        """Wait for one's turn and for room; taken once for each picture, in their order."""
        with self._room:
            if self._turn > number:
                return
            self._room.wait_for(
                lambda: (
                    self._closed
                    or (
                        self._turn == number
                        and (not self._held or self._held + size <= _AHEAD_BYTES)
                    )
                )
            )
            self._held += size
            self._turn = number + 1
            self._room.notify_all()
        lease.callback(self._give_back, size)

    def _give_back(self, size: int) -> None:
        with self._room:
            self._held -= size
            self._room.notify_all()

    def _close(self) -> None:
        with self._room:
            self._closed = True
            self._room.notify_all()
