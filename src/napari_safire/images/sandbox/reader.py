"""Ask children to decode pictures: reused, replaced where one ends or takes too long."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

from napari_safire.decoding.coefficients import StoredCoefficients
from napari_safire.errors import ImageReadError, SafireError
from napari_safire.images.reading import ReadImage, read_bytes
from napari_safire.images.sandbox.messages import (
    Untrusted,
    close_all,
    coefficients_of,
    decoding_of,
    pixels_of,
    receive,
    send,
    shared_copy,
    texts_of,
)
from napari_safire.text import printable

T = TypeVar("T")

_KEPT = (
    "PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV",
    "LD_LIBRARY_PATH", "PYTHONDONTWRITEBYTECODE",
)  # fmt: skip
_BEGINS_WITHIN = 60.0  # seconds, of a child on a machine with much to do


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """What a child may take.

    Parameters
    ----------
    memory_bytes : int
        Besides what it takes before the first picture.
    seconds : int
        For one picture.
    pictures : int
        That a child decodes before it is replaced, so that nothing can gather in it.
    """

    memory_bytes: int = 6 << 30
    seconds: int = 60
    pictures: int = 1_000


class SandboxedDecoder:
    """Decodes picture files in children that can do nothing else. May be called from any thread.

    Parameters
    ----------
    limits : SandboxLimits

    Attributes
    ----------
    filtered : bool or None
        Whether system calls of the children are filtered; None before the first one.

    Raises
    ------
    SafireError
        The system is not Linux.
    """

    def __init__(self, limits: SandboxLimits | None = None) -> None:
        if not sys.platform.startswith("linux"):
            raise SafireError(
                "Pictures can be decoded in a sandbox on Linux only: leave out --sandbox, or use "
                "a Linux machine or container."
            )
        self.limits = limits or SandboxLimits()
        self.filtered: bool | None = None
        self._idle: list[_Child] = []
        self._lock = threading.Lock()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def begin(self) -> bool:
        """Start the first child now, and tell whether its system calls are filtered.

        Raises
        ------
        SafireError
            It does not begin.
        """
        self._give_back(self._child())
        return bool(self.filtered)

    def close(self) -> None:
        """End the children that have nothing to do; those at work end when they have answered."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for child in idle:
            child.end()

    def read(self, path: str | os.PathLike[str]) -> ReadImage:
        """As `napari_safire.images.reading.read_image`.

        Raises
        ------
        ImageReadError
            As there; and where the child ended, took too long or too much memory.
        """
        path = Path(path)
        data = read_bytes(path)

        def taken(message: dict[str, Any], files: list[int]) -> ReadImage:
            pixels, decoding = pixels_of(message, files), decoding_of(message)
            if decoding.shape != pixels.shape[:2] or message.get("format") != decoding.format:
                raise Untrusted("its pixels do not fit what it says of them")
            digest = hashlib.sha256(data).hexdigest()
            warnings = texts_of(message.get("warnings"))
            return ReadImage(pixels, path, digest, decoding.format, warnings, decoding, self)

        return self._asked("pixels", path, data, taken)

    def shape(self, path: str | os.PathLike[str]) -> tuple[int, int]:
        """As `napari_safire.images.reading.image_shape`.

        Raises
        ------
        ImageReadError
            As `read`.
        """
        path = Path(path)
        return self._asked(
            "shape", path, read_bytes(path), lambda message, files: decoding_of(message).shape
        )

    def coefficients(self, path: str | os.PathLike[str]) -> StoredCoefficients:
        """As `napari_safire.decoding.coefficients.stored_coefficients`.

        Raises
        ------
        ValueError
            As there; and as `read`.
        """
        path = Path(path)
        try:
            return self._asked("coefficients", path, read_bytes(path), coefficients_of)
        except ImageReadError as error:
            raise ValueError(str(error)) from error

    def _asked(
        self,
        wanted: str,
        path: Path,
        data: bytes,
        taken: Callable[[dict[str, Any], list[int]], T],
    ) -> T:
        child = self._child()
        try:
            message, files = child.ask(wanted, path, data, self.limits.seconds)
        except _Lost as lost:
            raise ImageReadError(f"{printable(path)} {lost}") from lost
        except BaseException:
            child.kill()
            raise
        try:
            if isinstance(message.get("refused"), str):
                raise ImageReadError(printable(message["refused"]))
            if isinstance(message.get("lacking"), str):
                raise ImageReadError(
                    f"{printable(path)} takes more to decode than the sandbox gives "
                    f"({printable(message['lacking'])}): cut it into parts, or allow more."
                )
            answer = taken(message, files)
        except Untrusted as error:
            child.kill()
            raise ImageReadError(
                f"{printable(path)} made its decoder answer what none answers ({error}): it may "
                "have been made to do harm."
            ) from error
        finally:
            close_all(files)
        self._give_back(child)
        return answer

    def _child(self) -> _Child:
        with self._lock:
            if self._closed:
                raise SafireError("The sandbox is closed: make another one.")
            if self._idle:
                return self._idle.pop()
        child = _Child(self.limits.memory_bytes)
        self.filtered = child.filtered
        return child

    def _give_back(self, child: _Child) -> None:
        with self._lock:
            if not self._closed and child.n_asked < self.limits.pictures:
                self._idle.append(child)
                return
        child.end()


class _Lost(Exception):
    """A child ended or was ended; the text goes on after the name of the picture."""


class _Child:
    """One process that decodes."""

    def __init__(self, memory_bytes: int) -> None:
        self.n_asked = 0
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-P", "-m", "napari_safire.images.sandbox.child"]
            one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
            self._process = subprocess.Popen(
                [*command, str(theirs.fileno()), str(memory_bytes)],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()], env={**_environment(), **one_thread},
                start_new_session=True,  # no terminal that it could type into
            )  # fmt: skip
        try:
            self._socket.settimeout(_BEGINS_WITHIN)
            message, files = receive(self._socket)
        except (OSError, EOFError, Untrusted) as error:
            self.kill()
            raise SafireError(
                "The sandbox does not begin: install napari-safire again, or leave out --sandbox."
            ) from error
        close_all(files)
        self.filtered = message.get("filtered") is True

    def ask(
        self, wanted: str, path: Path, data: bytes, seconds: int
    ) -> tuple[dict[str, Any], list[int]]:
        """Ask for something of a picture; a `_Lost` where no answer comes."""
        self.n_asked += 1
        question = {"wanted": wanted, "path": os.fsencode(path).hex(), "seconds": seconds}
        file = shared_copy("picture", data)
        try:
            # Patience for machines on which the child gets little of a core.
            self._socket.settimeout(4 * seconds)
            send(self._socket, question, file)
            return receive(self._socket)
        except TimeoutError:
            self.kill()
            raise _Lost(
                f"took more than {4 * seconds} s to decode: leave it out, or allow more."
            ) from None
        except (OSError, EOFError):
            raise _Lost(self._why_ended(seconds)) from None
        except Untrusted as error:
            self.kill()
            raise _Lost(f"made its decoder answer what none answers ({error}).") from error
        finally:
            os.close(file)

    def _why_ended(self, seconds: int) -> str:
        self._socket.close()
        try:
            code = self._process.wait(5)
        except subprocess.TimeoutExpired:
            self.kill()
            code = -int(signal.SIGKILL)
        if code == -int(signal.SIGXCPU):
            return f"took more than {seconds} s to decode: leave it out, or allow more."
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return (
            f"ended the process that decodes it ({how}): it is damaged, or was made to do harm; "
            "have it repaired, or leave it out."
        )

    def end(self) -> None:
        """Let the process end: it has nothing to do."""
        self._socket.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End the process now."""
        self._socket.close()
        self._process.kill()
        self._process.wait()


def _environment() -> dict[str, str]:
    """Return what of the environment a decoder needs: no passwords and tokens of other programs."""
    return {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT or name.startswith("NAPARI_SAFIRE_")
    }
