"""The bytes of one file by HTTP: gone on with after a cut, stoppable, never led astray."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import requests
from rich.filesize import decimal
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from napari_safire import __version__
from napari_safire.errors import Cancelled, CheckpointError
from napari_safire.model.catalogue.entry import is_safe_address, is_this_machine
from napari_safire.progress import Cancel, Progress
from napari_safire.text import printable

_TIMEOUT = (10.0, 20.0)  # seconds to connect; between two blocks
_PAUSES = (0.5, 1.0, 2.0, 4.0)  # seconds before each new attempt
POLL = 0.1
"""Seconds between two looks at `cancel`, and between two reports."""
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


@dataclass(frozen=True, slots=True)
class Job:
    """What is being done, and for whom.

    Parameters
    ----------
    name : str
        Of the model, for sentences.
    size : int
        Bytes of the whole file.
    progress, cancel : callable, optional
        As of `napari_safire.model.download_model`.
    """

    name: str
    size: int
    progress: Progress | None = None
    cancel: Cancel | None = None

    def report(self, done: int, stage: str = "downloading") -> None:
        """Tell how many bytes there are."""
        if self.progress is not None:
            self.progress(done, self.size, f"{stage} {self.name}")

    def is_cancelled(self) -> bool:
        """Whether the caller has asked to stop."""
        return self.cancel is not None and self.cancel()

    def check_cancelled(self) -> None:
        """Raise `Cancelled` if the caller has asked to stop."""
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
class Part:
    """What has come of a file, and beside it the server's ETag for it, if it gave a strong one.

    Parameters
    ----------
    path : Path
    size : int
        Bytes of the whole file.
    """

    path: Path
    size: int

    def length(self) -> int:
        """Bytes that an earlier attempt has left; a part longer than the file is none of it."""
        if not self.path.is_file():
            return 0
        length = self.path.stat().st_size
        if length > self.size:
            self.discard()
            return 0
        return length

    def etag(self) -> str:
        """What the server called it; empty if that is not known, or nothing to be sent."""
        if not self._etag_file.is_file():
            return ""
        etag = self._etag_file.read_text(encoding="latin-1")
        return etag if _ETAG.fullmatch(etag) else ""

    def start_again(self, etag: str) -> None:
        """Throw away what has come; what comes now is called ``etag``."""
        self.discard()
        if _ETAG.fullmatch(etag):  # a weak one, W/"...", does not vouch for every byte
            self._etag_file.write_text(etag, encoding="latin-1")

    def discard(self) -> None:
        """Throw away what has come."""
        self.path.unlink(missing_ok=True)
        self._etag_file.unlink(missing_ok=True)

    @property
    def _etag_file(self) -> Path:
        return self.path.with_name(f"{self.path.name}.etag")


def receive(url: str, part: Part, job: Job) -> None:
    """Make a part whole, going on where an earlier attempt, or an earlier process, ended.

    Raises
    ------
    CheckpointError, Cancelled
        As `napari_safire.model.download_model`; the hash is not looked at here.
    OSError
        The disk is full or not writable.
    """
    with _SafeSession(url) as session:
        session.headers["User-Agent"] = f"napari-safire/{__version__}"
        # The bytes as they are stored: a packed transfer has no positions to go on from.
        session.headers["Accept-Encoding"] = "identity"
        for number, pause in enumerate((*_PAUSES, None)):
            job.check_cancelled()
            try:
                return _receive_once(session, url, part, job)
            except _Cut as cut:
                job.check_cancelled()  # which may have been the reason
                if isinstance(cut, _Unreachable) and number == 0:
                    raise CheckpointError(
                        f"{cut}: check the network connection; {_what_is_kept(part)}."
                    ) from cut
                if pause is None:
                    raise CheckpointError(
                        f"The download of {job.name!r} failed {number + 1} times, the last "
                        f"time because {cut}; {_what_is_kept(part)}."
                    ) from cut
            until = time.monotonic() + pause
            while time.monotonic() < until:
                job.check_cancelled()
                time.sleep(min(pause, POLL))


def _receive_once(session: requests.Session, url: str, part: Part, job: Job) -> None:
    """One request; afterwards the part is whole, or the reason why not has been raised."""
    have = part.length()
    job.report(have)
    if have == job.size:
        return
    headers = {}
    if have:
        headers["Range"] = f"bytes={have}-"
        if etag := part.etag():
            headers["If-Range"] = etag
    try:
        answer = session.get(url, headers=headers, stream=True, timeout=_TIMEOUT)
    except OSError as error:  # all errors of requests are
        raise _opening_failure(error, url) from error
    with answer, _ended_by(job, answer):
        goes_on = _check_answer(answer, have, part, job)
        if not goes_on:
            part.start_again(answer.headers.get("ETag", ""))
        _write(answer, have if goes_on else 0, part, job)


def _write(answer: requests.Response, have: int, part: Part, job: Job) -> None:
    """Add what comes to the ``have`` bytes that are there."""
    reported = time.monotonic()
    with open(part.path, "ab" if have else "wb") as stream:
        for block in _blocks(answer):
            job.check_cancelled()
            if not have and _is_web_page(answer, block):
                raise CheckpointError(
                    f"{_host(answer.url)} sent a web page for {job.name!r}, perhaps one "
                    "to log in: open a browser, then start again."
                )
            stream.write(block)
            have += len(block)
            if have > job.size:
                break
            if time.monotonic() - reported >= POLL:
                reported = time.monotonic()
                job.report(have)
    if have > job.size:
        part.discard()
        raise _wrong_size(answer, f"more than {job.size}", job)
    if have < job.size:
        raise _Cut(f"{_host(answer.url)} sent less than the whole file")
    job.report(have)


def _check_answer(answer: requests.Response, have: int, part: Part, job: Job) -> bool:
    """Whether the answer goes on at ``have``, or starts from nothing."""
    host, status = _host(answer.url), answer.status_code
    if status == requests.codes.partial_content:
        found = re.fullmatch(
            r"bytes ([0-9]{1,18})-[0-9]+/([0-9]+|\*)", answer.headers.get("Content-Range", "")
        )
        if found and int(found[1]) == have and found[2] in ("*", str(job.size)):
            return True
    if status in (requests.codes.partial_content, requests.codes.range_not_satisfiable):
        part.discard()
        raise _Cut(f"{host} has nothing that fits what had come before")
    told = f"{host} answered {status} {printable(answer.reason):.80}"
    if status in _BUSY:
        raise _Cut(told)
    if status != requests.codes.ok:
        way_out = _WAYS_OUT.get(status, "start again later")
        raise CheckpointError(f"{told} when asked for {job.name!r}: {way_out}.")
    length = answer.headers.get("Content-Length", "")
    packed = "Content-Encoding" in answer.headers  # then it is the length of the packed file
    known = re.fullmatch("[0-9]{1,18}", length) is not None
    if known and int(length) != job.size and not packed:
        raise _wrong_size(answer, length, job)
    return False


def _wrong_size(answer: requests.Response, found: str, job: Job) -> CheckpointError:
    return CheckpointError(
        f"{_host(answer.url)} offers a file of {found} bytes for {job.name!r} instead of "
        f"{job.size}: it is not the registered one; tell those who keep its registry."
    )


def _what_is_kept(part: Part) -> str:
    if not (have := part.length()):
        return "nothing has come yet, so start again later"
    amount = decimal(have)
    return f"{amount} of {decimal(part.size)} is kept; start again to go on from {amount}"


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
def _ended_by(job: Job, answer: requests.Response) -> Iterator[None]:
    """Break off the wait for a silent server as soon as the caller cancels."""
    if job.cancel is None:
        yield
        return
    over = threading.Event()

    def watch() -> None:
        while not over.wait(POLL):
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
