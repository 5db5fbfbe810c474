"""Fine-tuning in a process of its own, as a viewer sees it: it starts, tells, and can be stopped.

The viewer's process never loads a model for it and holds none of a GPU's memory. Whatever becomes
of the viewer, the other process ends cleanly: it stops when its stdin ends.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

from psygnal import Signal

from napari_safire.images.masks import MaskKind
from napari_safire.learning.comparison import Comparison
from napari_safire.learning.events import (
    BASIS,
    RESULT,
    Divided,
    Event,
    Failed,
    Outcome,
    Scoring,
    Warned,
    from_line,
)
from napari_safire.learning.run_log import RunEvent
from napari_safire.learning.stopping import STOP

if TYPE_CHECKING:
    from napari_safire.session.workers import Deliver  # which brings the engine, and torch

_MODULE = ("-m", "napari_safire")
_LAST_BYTES = 4000  # of what the process complained of
_LONGEST = 300  # characters of it that are shown


def folder_state(folder: Path) -> Literal["free", "stopped", "finished"]:
    """Say whether a fine-tuning can begin in a folder, go on there, or was finished there."""
    if not (folder / BASIS).is_file():
        return "free"
    return "finished" if (folder / RESULT).is_file() else "stopped"


def fresh_folder(folder: Path) -> Path:
    """Return the folder; where that exists, the first of ``folder_2``, ``folder_3`` … not there."""
    number, fresh = 1, folder
    while fresh.exists():
        number += 1
        fresh = folder.with_name(f"{folder.name}_{number}")
    return fresh


@dataclass(frozen=True, slots=True)
class FineTuneRequest:
    """What is asked of ``napari-safire train``.

    Parameters
    ----------
    lists : tuple of Path
        Lists of pictures and masks.
    folder : Path
        For the run and its result.
    kind : {"sources", "binary"}
        What masks say.
    model : str
        The old model: a name or a file.
    root : Path, optional
        Folder of the lists' paths; default: each list's own.
    resume : bool
        Go on with what was stopped in the folder.
    options : tuple of str
        Further options of the command, such as ``("--steps", "200", "--device", "cuda")``.
    left_out : tuple of str
        What is not in the lists, and why, in plain sentences; it is shown beside what the command
        leaves out.
    """

    lists: tuple[Path, ...]
    folder: Path
    kind: MaskKind = "sources"
    model: str = "safire-lite"
    root: Path | None = None
    resume: bool = False
    options: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.lists:
            raise ValueError("There is no list to learn from: give at least one.")

    def arguments(self) -> list[str]:
        """Arguments of ``napari-safire`` that ask for it."""
        given = ["train", "--json", "--output", str(self.folder), "--kind", self.kind]
        given += ["--from", self.model]
        if self.root is not None:
            given += ["--root", str(self.root)]
        if self.resume:
            given.append("--resume")
        return [*given, *self.options, "--", *map(str, self.lists)]


class FineTuning:
    """One fine-tuning, from `start` to one of `finished` and `failed`, exactly one of them.

    Parameters
    ----------
    request : FineTuneRequest
    deliver : callable, optional
        Makes a call in the thread that shall hear the signals, such as
        ``napari_safire.gui.controllers.gui_thread.gui_thread().deliver``. Default: they come in a
        thread of
        this object's own.
    patience_s : float
        How long the process may take to stop when asked (it finishes an update, and writes the
        run); then it is terminated, and after as long again killed.
    command : sequence of str, optional
        What to run instead of this Python's ``-m napari_safire``.

    Attributes
    ----------
    progressed : Signal(RunEvent)
        From begin to end of the training; see `napari_safire.learning.run_log`.
    divided : Signal(Divided)
        Once, at first: how many pictures are learned from, and how many judge.
    warned : Signal(str)
        A file that cannot be used; the others go on.
    scored : Signal(Scoring)
        After the training, for each held-out picture.
    compared : Signal(Comparison)
        Old and new model.
    finished : Signal(Outcome)
        It was accepted, rejected, or stopped as asked.
    failed : Signal(str)
        The one sentence that says why not.
    """

    progressed = Signal(RunEvent)
    divided = Signal(Divided)
    warned = Signal(str)
    scored = Signal(Scoring)
    compared = Signal(Comparison)
    finished = Signal(Outcome)
    failed = Signal(str)

    def __init__(
        self,
        request: FineTuneRequest,
        *,
        deliver: Deliver | None = None,
        patience_s: float = 30.0,
        command: Sequence[str] | None = None,
    ) -> None:
        self.request = request
        self._deliver: Deliver = deliver or (lambda call: call())
        self._patience_s = patience_s
        self._command = list(command or (sys.executable, *_MODULE))
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._stopping = threading.Lock()  # of the first who asks
        self._ender: threading.Thread | None = None
        self._insisted = False
        self._silent = False

    @property
    def running(self) -> bool:
        """Whether the process, or the last word on it, is still under way."""
        return self._reader is not None and self._reader.is_alive()

    def start(self) -> None:
        """Start the process; returns at once.

        Raises
        ------
        RuntimeError
            It was started before: make a new one.
        """
        if self._reader is not None:  # not the process, which may have failed to start
            raise RuntimeError("A FineTuning is started once: make another one.")
        complaints = tempfile.TemporaryFile()  # noqa: SIM115 (closed by the thread)
        # A daemon: a viewer that is closed without `close` must not wait for hours. Its end is the
        # end of the process's stdin, and so the process ends as well.
        self._reader = threading.Thread(
            target=self._attend, args=(complaints,), name="fine-tuning", daemon=True
        )
        try:
            self._process = subprocess.Popen(
                [*self._command, *self.request.arguments()],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints,
                encoding="utf-8", errors="replace",
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),  # Windows
            )  # fmt: skip
        except OSError as error:
            complaints.close()
            self._tell(Failed(f"{self._command[0]} cannot be started: {error.strerror or error}."))
            return
        self._reader.start()

    def stop(self) -> None:
        """Ask it to stop: it saves and ends, else it is ended; returns at once."""
        if self._process is None or not self._stopping.acquire(blocking=False):
            return
        self._ender = threading.Thread(target=self._end, name="fine-tuning end", daemon=True)
        with suppress(
            RuntimeError
        ):  # Python is ending: so is the process's stdin, which says it too
            self._ender.start()

    def close(self) -> None:
        """Stop it, and tell nothing any more: for a dock that is closed."""
        self._silent = True
        self.stop()

    def join(self, timeout: float | None = None) -> bool:
        """Wait until it has ended and everything was told; false if it did not in time."""
        for thread in (self._reader, self._ender):
            if thread is not None and thread.ident is not None:
                thread.join(timeout)
        return not self.running

    def _attend(self, complaints: IO[bytes]) -> None:
        """Read to the end; the last word is said when the process is gone."""
        process = self._process
        assert process is not None
        assert process.stdout is not None
        last: Outcome | Failed | None = None
        try:
            for line in process.stdout:
                try:
                    event = from_line(line)
                except ValueError:
                    continue  # what some library printed
                if isinstance(event, Outcome | Failed):
                    last = event
                else:
                    self._tell(event)
        except BaseException:  # a listener's: nobody would read on, and the process would wait
            process.stdout.close()
            self.stop()
            raise
        code = process.wait()
        process.stdout.close()
        with suppress(OSError, ValueError):  # a wish to stop that nobody is there to read
            self._stdin.close()
        with complaints:
            self._tell(last or self._explain(code, complaints))

    @property
    def _stdin(self) -> IO[str]:
        assert self._process is not None
        assert self._process.stdin is not None
        return self._process.stdin

    def _explain(self, code: int, complaints: IO[bytes]) -> Outcome | Failed:
        """Say why there was no last word."""
        if self._insisted:
            return Outcome(
                "stopped",
                ("It did not stop by itself and was ended; --resume goes on from its last save.",),
            )
        complaints.seek(0, 2)
        complaints.seek(max(0, complaints.tell() - _LAST_BYTES))
        lines = complaints.read().decode("utf-8", "replace").split("\n")
        said = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return Failed(
            f"Fine-tuning {how} ({said[:_LONGEST]}): start it again and resume, it goes on from "
            f"its last save in {self.request.folder}."
        )

    def _tell(self, event: Event) -> None:
        def emit() -> None:
            if self._silent:
                return
            match event:
                case RunEvent():
                    self.progressed.emit(event)
                case Divided():
                    self.divided.emit(event)
                case Warned():
                    self.warned.emit(event.text)
                case Scoring():
                    self.scored.emit(event)
                case Comparison():
                    self.compared.emit(event)
                case Outcome():
                    self.finished.emit(event)
                case Failed():
                    self.failed.emit(event.text)

        if not self._silent:  # whoever delivers may be gone by then
            self._deliver(emit)

    def _end(self) -> None:
        process = self._process
        assert process is not None
        with suppress(OSError, ValueError):  # it has ended, or is about to
            self._stdin.write(f"{STOP}\n")
            self._stdin.flush()
        for harder in (process.terminate, process.kill):
            try:
                process.wait(self._patience_s)
                return
            except subprocess.TimeoutExpired:
                self._insisted = True
                harder()
