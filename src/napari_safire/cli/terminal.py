"""What all commands share: errors as sentences, progress on stderr, the engine."""

from __future__ import annotations

import errno
import io
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from napari_safire.errors import SafireError
from napari_safire.text import printable

if TYPE_CHECKING:
    from napari_safire.cli.options import Precision
    from napari_safire.engine import Engine

FAILED = 1
WRONG_USE = 2


def say(line: object = "", *, err: bool = False) -> None:
    """Print one line: whatever stands in it, it stays one, and no character commands the terminal.

    All output of all commands goes through here. Names, messages of servers and metadata may hold
    anything.

    Parameters
    ----------
    line : object
    err : bool
        On stderr.
    """
    stream = sys.stderr if err else sys.stdout
    text = printable(line)
    encoding = getattr(stream, "encoding", None) or "utf-8"
    # Under `main` the stream itself does so; in other programs it may be a strict one.
    typer.echo(text.encode(encoding, "backslashreplace").decode(encoding), err=err)


def complain(message: object) -> None:
    """Say on stderr, in one line, what went wrong."""
    say(f"Error: {message}", err=True)


def warn(message: object) -> None:
    """Say on stderr, in one line, what was mended or guessed."""
    say(f"Warning: {message}", err=True)


class _Patient(io.FileIO):
    """Where text goes: if nobody reads it any more, the work goes on all the same."""

    failure: OSError | None = None

    def write(self, data: Any, /) -> int | None:  # type: ignore[override]  # typing.IO's is wider
        """Write bytes, and say that they are written whether they are or not."""
        try:
            return super().write(data)
        except OSError as error:
            # A closed pipe, which Windows calls an invalid argument, is the wish of who reads it
            # (`| head`). Anything else, as a full disk, is told when the work is done.
            if error.errno not in (errno.EPIPE, errno.EINVAL):
                self.failure = self.failure or error
            return len(memoryview(data).cast("B"))


def open_streams() -> Callable[[], OSError | None]:
    """Make stdout and stderr take any text, and never raise.

    Returns
    -------
    callable
        Tells what kept text from being written to stdout; None if nothing did.
    """
    raw: list[_Patient] = []
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        buffer = getattr(stream, "buffer", None)
        # Without buffering (PYTHONUNBUFFERED) it is the raw file itself.
        if type(getattr(buffer, "raw", buffer)) is not io.FileIO:  # a console of Windows, or none
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
            continue
        patient = _Patient(stream.fileno(), "w", closefd=False)
        raw += [patient] if name == "stdout" else []
        stream.flush()
        whole = stream.write_through
        text = io.TextIOWrapper(
            patient if whole else io.BufferedWriter(patient),
            encoding=stream.encoding,
            errors="backslashreplace",
            line_buffering=stream.line_buffering or name == "stderr",
            write_through=whole,
        )
        setattr(sys, name, text)

    def failure() -> OSError | None:
        if sys.stdout is not None:
            sys.stdout.flush()
        return next((patient.failure for patient in raw if patient.failure), None)

    return failure


def stop_on_sigterm() -> None:
    """Let SIGTERM, by which systems end programs, do what Ctrl-C does."""
    if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:  # not where it is to be ignored
        signal.signal(signal.SIGTERM, signal.default_int_handler)


class ErrorReportingGroup(TyperGroup):
    """Turns errors a user can act on into a sentence and an exit code, without a traceback."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """Read the options; what is wrong with them is said in one line."""
        with _one_line():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:  # a click.Context; typer may bring a click of its own
        """Run the command of the context."""
        try:
            with _one_line():
                return super().invoke(ctx)
        except (SafireError, ValueError, TypeError, OSError, MemoryError) as error:
            if ctx.params.get("traceback"):
                raise
            code = FAILED
            if isinstance(error, (ValueError, TypeError)) and not isinstance(error, UnicodeError):
                code = WRONG_USE
            elif isinstance(error, MemoryError):
                error = MemoryError("There is not enough memory: use a smaller picture.")
            complain(error)
            raise typer.Exit(code) from error
        except KeyboardInterrupt as error:
            say("Cancelled; nothing half-written.", err=True)
            raise typer.Exit(FAILED) from error


@contextmanager
def _one_line() -> Iterator[None]:
    """Make what typer says of wrong use printable: it may quote names from anywhere."""
    try:
        yield
    except Exception as error:
        told: Any = error  # a UsageError of click, of which typer may bring one of its own
        # What a command without arguments tells is its help: of no name, and of many lines.
        is_help = type(told).__name__ == "NoArgsIsHelpError"
        if isinstance(getattr(told, "message", None), str) and hasattr(told, "exit_code"):
            told.message = told.message if is_help else printable(told.message)
        raise


def open_engine(model: str, device: str, precision: Precision = "float32") -> Engine:
    """Load a model; this is where torch is imported, which takes seconds."""
    with progress_bar("loading the model"):
        from napari_safire.engine import Engine
        from napari_safire.model.catalogue.registry import load_model

        return Engine(load_model(model, device=device), precision=precision)


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int, str], None]]:
    """A bar on stderr, on terminals only; yields what the engine calls with its progress."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task(printable(title), total=None)

        def show(done: int, total: int, stage: str) -> None:
            told = printable(f"{title}: {stage}")
            # Of a total that is not known yet: 0 of 0 would be the end, and stop its clock.
            bar.update(task, completed=done, total=total or None, description=told)

        yield show


def print_table(rows: list[tuple[str, ...]], header: tuple[str, ...] | None = None) -> None:
    """Columns on stdout: texts to the left, as the first; numbers to the right."""
    shown = [*([header] if header else []), *rows]
    columns = []
    for number, column in enumerate(zip(*shown, strict=True)):
        width = max(map(len, column))
        words = number == 0 or any(map(_is_words, column[1 if header else 0 :]))
        columns.append([cell.ljust(width) if words else cell.rjust(width) for cell in column])
    for cells in zip(*columns, strict=True):
        say("  ".join(cells).rstrip())


def _is_words(cell: str) -> bool:
    return bool(cell) and cell != "-" and not any(map(str.isdigit, cell))
