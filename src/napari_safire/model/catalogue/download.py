"""Downloading registered models: resumed after a cut, checked by SHA-256, stoppable.

pooch keeps the files (what is there is checked by its hash, what comes gets its name when it is
whole and right); this module brings the bytes, because pooch's own downloader starts from nothing
after each cut.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pooch  # type: ignore[import-untyped]
import requests
from filelock import FileLock, Timeout
from rich.filesize import decimal
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from napari_safire import __version__
from napari_safire.errors import Cancelled, CheckpointError
from napari_safire.model.catalogue.registry import (
    is_safe_address,
    is_this_machine,
    model_entry,
    model_path,
    model_state,
    models_folder,
)
from napari_safire.progress import Cancel, Progress
from napari_safire.text import printable

"""Asked several times a second, now and then from a second thread; true stops the download."""

_TIMEOUT = (10.0, 20.0)  # seconds to connect; between two blocks
_PAUSES = (0.5, 1.0, 2.0, 4.0)  # seconds before each new attempt
_POLL = 0.1  # seconds between two looks at `cancel`, and between two reports
_BLOCK = 1 << 15
_BUSY = (429, 502, 503, 504)  # answers after which asking again may help
_ETAG = re.compile('"[\x21\x23-\x7e\x80-\xff]{0,200}"')  # a strong one, and no control characters
_PAGES = (b"<!doctype html", b"<html")
_WAYS_OUT = {
    401: "it wants a login, so ask those who keep the registry for another address",
    403: "it may not be taken from there, so ask those who keep the registry",
    404: "it is not there any more, so ask those who keep the registry",
    410: "it is not there any more, so ask those who keep the registry",
}


def download_model(
    name: str, *, progress: Progress | None = None, cancel: Cancel | None = None
) -> Path:
    """Fetch a registered model, unless it is at hand already.

    Parameters
    ----------
    name : str
        One of `available_models`.
    progress : callable, optional
        Called as ``progress(done, total, stage)`` with bytes and "downloading <name>".
    cancel : callable, optional
        Returns true to stop. It has to be safe to call from any thread, as
        `threading.Event.is_set` is.

    Returns
    -------
    Path
        Of the file, whose hash is that of the entry.

    Raises
    ------
    CheckpointError
        The name is unknown; the server cannot be reached, has not the file, or its connection was
        cut several times (what has come is kept, and the next call goes on from there); the file
        is not the registered one (nothing is kept); the disk is full or not writable.
    Cancelled
        `cancel` asked for it. What has come is kept.

    Notes
    -----
    Two processes may ask for the same model: the second one waits for the first. A server that is
    silent before its first byte delays a cancelled download by 20 seconds at most.
    """
    entry = model_entry(name)
    if entry.url is None:
        return model_path(name)
    assert entry.sha256 is not None  # entries with an address have both
    assert entry.size is not None
    folder = models_folder()
    target = folder / entry.filename
    job = _Job(name, entry.size, progress, cancel)
    # What is at hand may lie where nobody may write: it is looked at before anything is locked.
    if model_state(name) == "downloaded" and pooch.file_hash(target) == entry.sha256:
        return target
    # The hash in its name: a part of another version of the model is not gone on with.
    part = folder / f"{entry.filename}.{entry.sha256[:12]}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(target, job), _quiet_pooch():
            found = pooch.retrieve(
                entry.url,
                known_hash=f"sha256:{entry.sha256}",
                fname=entry.filename,
                path=folder,
                downloader=ResumingDownloader(part, entry.sha256, job),
            )
    except OSError as error:
        raise CheckpointError(
            f"{target} cannot be written: {error.strerror or error}; make room or give the rights, "
            "then start again."
        ) from error
    return Path(found)


@dataclass(frozen=True, slots=True)
class _Job:
    """What is being done, and for whom."""

    name: str
    size: int
    progress: Progress | None
    cancel: Cancel | None

    def report(self, done: int, stage: str = "downloading") -> None:
        if self.progress is not None:
            self.progress(done, self.size, f"{stage} {self.name}")

    def is_cancelled(self) -> bool:
        return self.cancel is not None and self.cancel()

    def check_cancelled(self) -> None:
        if self.is_cancelled():
            raise Cancelled(f"The download of {self.name!r} was stopped; what has come is kept.")


class _Cut(Exception):
    """An attempt failed in a way that another one may mend; the text says how."""


class _Unreachable(_Cut):
    """There was no connection at all."""


class _SafeSession(requests.Session):
    """A session that is not led to an address that the entry itself could not have.

    Parameters
    ----------
    url : str
        Of the entry. From another machine nobody is led to this one: what runs here has not been
        asked by whoever wrote the entry.
    """

    def __init__(self, url: str) -> None:
        super().__init__()
        self._may_stay_here = is_this_machine(url)

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        target = super().get_redirect_target(resp)
        if target is None:
            return None
        goal = urljoin(resp.url, target)
        if not is_safe_address(goal) or (is_this_machine(goal) and not self._may_stay_here):
            raise CheckpointError(
                f"{_host(resp.url)} leads on to {target!r:.120}, which is no https address of "
                "another machine: tell those who keep the registry."
            )
        return target


@dataclass(frozen=True, slots=True)
class ResumingDownloader:
    """A pooch downloader that goes on where an earlier attempt, or an earlier process, ended.

    Parameters
    ----------
    part : Path
        Where the bytes are collected. Beside it lies the server's ETag for them, if it gave one.
    sha256 : str
        Hash of the whole file.
    job : _Job
        Name and size of the file, and who hears of it.
    """

    part: Path
    sha256: str
    job: _Job

    def __call__(
        self, url: str, output_file: str, pooch: object = None, check_only: bool = False
    ) -> bool | None:
        """Put the file at ``url`` under the name ``output_file``.

        Raises
        ------
        CheckpointError, Cancelled
            As `download_model`.
        OSError
            The disk is full or not writable.
        """
        with _SafeSession(url) as session:
            session.headers["User-Agent"] = f"napari-safire/{__version__}"
            # The bytes as they are stored: a packed transfer has no positions to go on from.
            session.headers["Accept-Encoding"] = "identity"
            if check_only:
                answer = session.head(url, timeout=_TIMEOUT, allow_redirects=True)
                return answer.status_code == requests.codes.ok
            self._check_room()
            self._receive_all(session, url)
        self._check_hash()
        os.replace(self.part, output_file)
        self._discard()
        return None

    def _receive_all(self, session: requests.Session, url: str) -> None:
        for number, pause in enumerate((*_PAUSES, None)):
            self.job.check_cancelled()
            try:
                return self._receive(session, url)
            except _Cut as cut:
                self.job.check_cancelled()  # which may have been the reason
                if isinstance(cut, _Unreachable) and number == 0:
                    raise CheckpointError(
                        f"{cut}: check the network connection; {self._what_is_kept()}."
                    ) from cut
                if pause is None:
                    raise CheckpointError(
                        f"The download of {self.job.name!r} failed {number + 1} times, the last "
                        f"time because {cut}; {self._what_is_kept()}."
                    ) from cut
            until = time.monotonic() + pause
            while time.monotonic() < until:
                self.job.check_cancelled()
                time.sleep(min(pause, _POLL))

    def _receive(self, session: requests.Session, url: str) -> None:
        """One request; afterwards the part is whole, or the reason why not has been raised."""
        have = self._length()
        self.job.report(have)
        if have == self.job.size:
            return
        headers = {}
        if have:
            headers["Range"] = f"bytes={have}-"
            if etag := self._kept_etag():
                headers["If-Range"] = etag
        try:
            answer = session.get(url, headers=headers, stream=True, timeout=_TIMEOUT)
        except OSError as error:  # all errors of requests are
            raise _opening_failure(error, url) from error
        with answer, _ended_by(self.job, answer):
            goes_on = self._check_answer(answer, have)
            if not goes_on:
                self._discard()
                etag = answer.headers.get("ETag", "")
                if _ETAG.fullmatch(etag):  # a weak one, W/"...", does not vouch for every byte
                    self._etag_file.write_text(etag, encoding="latin-1")
            self._write(answer, have if goes_on else 0)

    def _write(self, answer: requests.Response, have: int) -> None:
        """Add what comes to the ``have`` bytes that are there."""
        reported = time.monotonic()
        with open(self.part, "ab" if have else "wb") as stream:
            for block in _blocks(answer):
                self.job.check_cancelled()
                if not have and _is_web_page(answer, block):
                    raise CheckpointError(
                        f"{_host(answer.url)} sent a web page for {self.job.name!r}, perhaps one "
                        "to log in: open a browser, then start again."
                    )
                stream.write(block)
                have += len(block)
                if have > self.job.size:
                    break
                if time.monotonic() - reported >= _POLL:
                    reported = time.monotonic()
                    self.job.report(have)
        if have > self.job.size:
            self._discard()
            raise self._wrong_size(answer, f"more than {self.job.size}")
        if have < self.job.size:
            raise _Cut(f"{_host(answer.url)} sent less than the whole file")
        self.job.report(have)

    def _check_answer(self, answer: requests.Response, have: int) -> bool:
        """Whether the answer goes on at ``have``, or starts from nothing."""
        host, status = _host(answer.url), answer.status_code
        if status == requests.codes.partial_content:
            found = re.fullmatch(
                r"bytes ([0-9]{1,18})-[0-9]+/([0-9]+|\*)", answer.headers.get("Content-Range", "")
            )
            if found and int(found[1]) == have and found[2] in ("*", str(self.job.size)):
                return True
        if status in (requests.codes.partial_content, requests.codes.range_not_satisfiable):
            self._discard()
            raise _Cut(f"{host} has nothing that fits what had come before")
        told = f"{host} answered {status} {printable(answer.reason):.80}"
        if status in _BUSY:
            raise _Cut(told)
        if status != requests.codes.ok:
            way_out = _WAYS_OUT.get(status, "start again later")
            raise CheckpointError(f"{told} when asked for {self.job.name!r}: {way_out}.")
        length = answer.headers.get("Content-Length", "")
        packed = "Content-Encoding" in answer.headers  # then it is the length of the packed file
        known = re.fullmatch("[0-9]{1,18}", length) is not None
        if known and int(length) != self.job.size and not packed:
            raise self._wrong_size(answer, length)
        return False

    def _wrong_size(self, answer: requests.Response, found: str) -> CheckpointError:
        return CheckpointError(
            f"{_host(answer.url)} offers a file of {found} bytes for {self.job.name!r} instead of "
            f"{self.job.size}: it is not the registered one; tell those who keep its registry."
        )

    def _check_room(self) -> None:
        missing = self.job.size - self._length()
        free = shutil.disk_usage(self.part.parent).free
        if free < missing:
            raise CheckpointError(
                f"The download of {self.job.name!r} needs {decimal(missing)}, but only "
                f"{decimal(free)} are free for {self.part.parent}: make room, then start again."
            )

    def _check_hash(self) -> None:
        found = pooch.file_hash(self.part)
        if found != self.sha256:
            self._discard()
            raise CheckpointError(
                f"What came for {self.job.name!r} is not the registered file and was removed: its "
                f"SHA-256 is {found} instead of {self.sha256}; start again, and if that does not "
                "help, tell those who keep its registry."
            )

    def _what_is_kept(self) -> str:
        if not (have := self._length()):
            return "nothing has come yet, so start again later"
        amount = decimal(have)
        return f"{amount} of {decimal(self.job.size)} is kept; start again to go on from {amount}"

    def _length(self) -> int:
        """Bytes that an earlier attempt has left; a part longer than the file is none of it."""
        if not self.part.is_file():
            return 0
        length = self.part.stat().st_size
        if length > self.job.size:
            self._discard()
            return 0
        return length

    def _kept_etag(self) -> str:
        """What the server called the part; empty if it is not known, or nothing to be sent."""
        if not self._etag_file.is_file():
            return ""
        etag = self._etag_file.read_text(encoding="latin-1")
        return etag if _ETAG.fullmatch(etag) else ""

    @property
    def _etag_file(self) -> Path:
        return self.part.with_name(f"{self.part.name}.etag")

    def _discard(self) -> None:
        self.part.unlink(missing_ok=True)
        self._etag_file.unlink(missing_ok=True)


def _blocks(answer: requests.Response) -> Iterator[bytes]:
    try:
        yield from answer.iter_content(_BLOCK)
    except requests.RequestException as error:
        raise _Cut(f"the connection to {_host(answer.url)} was cut or fell silent") from error


def _opening_failure(error: OSError, url: str) -> _Cut | CheckpointError:
    """What to say of a request without an answer, and whether another one makes sense."""
    request = getattr(error, "request", None)  # after a redirect it goes to another host
    host = _host(getattr(request, "url", None) or url)
    cause = getattr(error.args[0], "reason", None) if error.args else None
    if isinstance(cause, (NewConnectionError, ConnectTimeoutError)):
        why = getattr(cause.__cause__, "strerror", None) or "it does not answer"
        return _Unreachable(f"{host} cannot be reached ({why})")
    if isinstance(error, requests.exceptions.ProxyError):
        return _Unreachable(f"{host} cannot be reached (the proxy refuses or does not answer)")
    if isinstance(error, requests.exceptions.SSLError):
        return CheckpointError(
            f"{host} offers no secure connection that can be trusted "
            f"({printable(cause or error):.200}): check the clock and the certificates of this "
            "machine."
        )
    if isinstance(error, (requests.ConnectionError, requests.Timeout)):
        return _Cut(f"{host} broke off or did not answer")
    return CheckpointError(f"{host} cannot be asked for the file: {printable(error):.200}.")


def _is_web_page(answer: requests.Response, start: bytes) -> bool:
    """Whether a page came in place of a file, as where a network wants a login first."""
    if start.startswith(b"PK\x03\x04") or start[8:9] == b"{":  # how model files start
        return False
    kind = answer.headers.get("Content-Type", "").lower()
    return kind.startswith("text/html") or start.lstrip().lower().startswith(_PAGES)


def _host(url: str) -> str:
    return printable(urlsplit(url).hostname or url)[:200]


@contextmanager
def _ended_by(job: _Job, answer: requests.Response) -> Iterator[None]:
    """Break off the wait for a silent server as soon as the caller cancels."""
    if job.cancel is None:
        yield
        return
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_POLL):
            if job.is_cancelled():
                with suppress(RuntimeError):  # the last byte came first
                    answer.raw.shutdown()
                return

    watcher = threading.Thread(target=watch, name=f"cancel {job.name}", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


@contextmanager
def _alone(target: Path, job: _Job) -> Iterator[None]:
    """Wait until no other process or thread downloads the same file."""
    lock = FileLock(target.with_name(f".{target.name}.lock"))
    while True:
        try:
            lock.acquire(timeout=_POLL)
            break
        except Timeout:
            job.check_cancelled()
            job.report(0, "waiting for another download of")
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _quiet_pooch() -> Iterator[None]:
    """Keep pooch from telling on stderr what the progress tells already; in this thread only."""
    here = threading.get_ident()

    def is_wanted(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.WARNING or record.thread != here

    logger = pooch.get_logger()
    logger.addFilter(is_wanted)
    try:
        yield
    finally:
        logger.removeFilter(is_wanted)
