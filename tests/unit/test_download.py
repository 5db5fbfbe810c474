"""Downloads from a server on this machine that misbehaves as servers and networks do."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
from file_server import CUT, FileServer, register, serving
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refusal
from systems import posix
from toys import tiny_lite
from typer.testing import CliRunner, Result

from napari_safire.cli import app
from napari_safire.errors import Cancelled, CheckpointError
from napari_safire.model import (
    SafireModel,
    download_model,
    load_model,
    model_path,
    model_state,
    save_checkpoint,
)
from napari_safire.model.catalogue import download, transfer
from napari_safire.model.catalogue.registry import models_folder
from napari_safire.model.catalogue.user_models import REGISTRIES_VARIABLE

refused = partial(refusal, CheckpointError, download_model, "lab")


@pytest.fixture
def serve() -> Iterator[Callable[..., FileServer]]:
    with serving() as start:
        yield start


@pytest.fixture
def offer(serve, payload) -> Callable[..., FileServer]:
    """Serves the model and registers it as ``lab``."""

    def start(body: bytes | None = None, **manners: Any) -> FileServer:
        server: FileServer = serve(payload if body is None else body, **manners)
        register(server.url, payload)
        return server

    return start


@pytest.fixture(scope="module")
def served() -> Iterator[FileServer]:
    """A server that all examples of a property share."""
    with serving() as start:
        yield start(b"")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without downloaded models, who does not wait long before a new attempt."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv(REGISTRIES_VARIABLE, str(tmp_path / "models.toml"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(transfer, "_PAUSES", (0.0, 0.0, 0.0, 0.0))
    return tmp_path


@pytest.fixture(scope="module")
def payload(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A real model file of 180 kB."""
    config = tiny_lite()
    path = tmp_path_factory.mktemp("payload") / "tiny.safetensors"
    save_checkpoint(SafireModel(config), path, metadata={"name": "tiny"})
    return path.read_bytes()


def part(content: bytes) -> Path:
    digest = hashlib.sha256(content).hexdigest()
    return models_folder() / f"lab.safetensors.{digest[:12]}.part"


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def left_behind() -> set[str]:
    """Names of all files in the folder of models, without the lock."""
    return {path.name for path in models_folder().iterdir()} - {".lab.safetensors.lock"}


# --- as it should be ------------------------------------------------------------------------------


def test_a_registered_model_is_downloaded_and_loaded(offer, payload):
    offer()
    reports: list[tuple[int, int, str]] = []
    path = download_model("lab", progress=lambda *report: reports.append(report))
    assert path == model_path("lab") == models_folder() / "lab.safetensors"
    assert path.read_bytes() == payload
    assert left_behind() == {"lab.safetensors"}
    assert model_state("lab") == "downloaded"
    assert load_model("lab", device="cpu").metadata["name"] == "tiny"
    assert reports[0] == (0, len(payload), "downloading lab")
    assert reports[-1] == (len(payload), len(payload), "downloading lab")
    assert [done for done, _, _ in reports] == sorted(done for done, _, _ in reports)


def test_what_is_at_hand_is_not_downloaded_again(offer):
    server = offer()
    download_model("lab")
    download_model("lab")
    assert len(server.requests) == 1
    assert download_model("safire-lite") == model_path("safire-lite")


def test_what_is_at_hand_needs_no_right_to_write(payload):
    register("http://127.0.0.1:9/x", payload)
    path = put(models_folder() / "lab.safetensors", payload)
    assert download_model("lab") == path
    assert {one.name for one in models_folder().iterdir()} == {path.name}  # not even a lock


@posix
def test_the_umask_decides_who_may_read_a_download(offer):
    offer()
    before = os.umask(0o022)
    try:
        path = download_model("lab")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("damaged", [b"", b"x" * 10, None], ids=["empty", "short", "altered"])
def test_a_damaged_file_is_replaced(offer, payload, damaged):
    offer()
    altered = payload[:-1] + bytes([payload[-1] ^ 1])
    put(models_folder() / "lab.safetensors", altered if damaged is None else damaged)
    assert download_model("lab").read_bytes() == payload


def test_unknown_models_are_not_downloaded():
    with pytest.raises(CheckpointError, match="no model 'lab'"):
        download_model("lab")


def test_downloading_loads_no_torch_and_says_nothing_by_itself(offer):
    offer()
    done = python(
        "import sys; from napari_safire.model import download_model; download_model('lab');"
        "print(sorted({'torch', 'napari', 'qtpy', 'numpy'} & sys.modules.keys()))"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")


# --- cut, resumed, started again ------------------------------------------------------------------


@pytest.mark.parametrize("etag", ['"v1"', 'W/"v1"', None], ids=["etag", "weak", "none"])
@pytest.mark.parametrize("length", [True, False], ids=["length", "no length"])
def test_a_cut_download_goes_on_where_it_was(offer, payload, etag, length):
    server = offer(cuts=[CUT, 40_000], etag=etag, length=length)
    assert download_model("lab").read_bytes() == payload
    first, second, third = server.asked_from
    assert first == 0
    assert CUT - transfer._BLOCK < second <= CUT
    assert second < third
    wanted = '"v1"' if etag == '"v1"' else None
    assert [headers.get("If-Range") for headers in server.requests] == [None, wanted, wanted]
    assert left_behind() == {"lab.safetensors"}


def test_after_many_cuts_the_part_is_kept_for_the_next_time(offer, payload):
    server = offer(cuts=[CUT, 0, 0, 0, 0])
    sentence = refused()
    kept = part(payload).stat().st_size
    assert CUT - transfer._BLOCK < kept <= CUT
    assert f"{kept / 1000:.1f} kB of {len(payload) / 1000:.1f} kB is kept" in sentence
    assert f"start again to go on from {kept / 1000:.1f} kB" in sentence
    assert "127.0.0.1 was cut" in sentence
    assert model_state("lab") == "not downloaded"

    reports: list[int] = []
    assert download_model("lab", progress=lambda done, *_: reports.append(done)).is_file()
    assert server.asked_from[-1] == reports[0] == kept
    assert server.requests[-1]["If-Range"] == '"v1"'
    assert model_path("lab").read_bytes() == payload


def test_a_whole_part_needs_no_server(payload):
    register("http://127.0.0.1:9/x", payload)
    put(part(payload), payload)
    assert download_model("lab").read_bytes() == payload


def test_a_server_that_ignores_ranges_sends_all_again(offer, payload):
    server = offer(cuts=[CUT], ranges=False)
    assert download_model("lab").read_bytes() == payload
    assert server.asked_from[1] > 0


def test_a_part_of_a_file_that_changed_on_the_server_is_not_gone_on_with(offer, payload):
    server = offer(b"x" * len(payload), cuts=[CUT, 0, 0, 0, 0])
    refused()
    server.body, server.etag = payload, '"v2"'
    assert download_model("lab").read_bytes() == payload
    assert server.requests[-1]["If-Range"] == '"v1"'


@pytest.mark.parametrize(
    "manners",
    [
        {"content_range": "bytes 0-9/*"},
        {"content_range": "bytes 5000-5009/5010"},
        {"content_range": "nonsense"},
        {"status": [416]},
    ],
)
def test_what_does_not_fit_the_part_is_started_again(offer, payload, manners):
    server = offer(**manners)
    put(part(payload), payload[:5000])
    assert download_model("lab").read_bytes() == payload
    assert server.asked_from == [5000, 0]
    assert left_behind() == {"lab.safetensors"}


def test_a_part_longer_than_the_file_is_thrown_away(offer, payload):
    server = offer()
    put(part(payload), payload + b"x")
    assert download_model("lab").read_bytes() == payload
    assert server.asked_from == [0]


def test_a_part_of_an_older_version_of_the_model_is_not_used(offer, payload):
    server = offer()
    put(part(b"older"), b"older bytes")
    assert download_model("lab").read_bytes() == payload
    assert server.asked_from == [0]


@settings(max_examples=30)
@given(cuts=st.lists(st.integers(0, 300), max_size=4), etag=st.sampled_from(['"a"', None]))
def test_wherever_it_is_cut_the_file_comes_out_right(served, cuts, etag):
    content = os.urandom(300)
    served.body, served.etag, served.cuts = content, etag, list(cuts)
    register(served.url, content)
    (models_folder() / "lab.safetensors").unlink(missing_ok=True)
    assert download_model("lab").read_bytes() == content


# --- wrong files, errors of the server ------------------------------------------------------------


def test_a_wrong_file_is_removed_and_both_hashes_are_told(offer, payload):
    wrong = b"x" * len(payload)
    server = offer(wrong)
    sentence = refused()
    assert hashlib.sha256(wrong).hexdigest() in sentence
    assert hashlib.sha256(payload).hexdigest() in sentence
    assert left_behind() == set()
    server.body = payload
    assert download_model("lab").read_bytes() == payload


def test_a_file_of_another_size_is_not_even_begun(offer, payload):
    server = offer(payload + b"more")
    assert f"{len(payload) + 4} bytes for 'lab' instead of {len(payload)}" in refused()
    assert left_behind() == set()
    assert len(server.requests) == 1


def test_a_file_without_end_is_stopped_at_the_size_of_the_entry(offer, payload):
    offer(payload * 3, length=False)
    assert f"more than {len(payload)} bytes" in refused()
    assert left_behind() == set()


@pytest.mark.parametrize(
    ("status", "told"),
    [(404, "not there any more"), (403, "may not be taken"), (401, "login"), (500, "later")],
)
def test_errors_of_the_server_are_one_sentence(offer, status, told):
    server = offer(status=[status])
    sentence = refused()
    assert f"127.0.0.1 answered {status}" in sentence
    assert "'lab'" in sentence
    assert told in sentence
    assert len(server.requests) == 1


def test_a_busy_server_is_asked_again_but_not_for_ever(offer, payload):
    server = offer(status=[503, 429, 502])
    assert download_model("lab").read_bytes() == payload
    assert len(server.requests) == 4
    model_path("lab").unlink()
    server.status = [503] * 9
    sentence = refused()
    assert "failed 5 times" in sentence
    assert "answered 503" in sentence
    assert "nothing has come yet" in sentence


def test_no_server_leads_away_from_https(offer):
    offer(location="http://models.example.org/lab")
    sentence = refused()
    assert "models.example.org" in sentence
    assert "no https address" in sentence


def test_redirections_on_safe_ways_are_followed(offer, serve, payload):
    goal = serve(payload, cuts=[CUT])
    offer(location=goal.url)
    assert download_model("lab").read_bytes() == payload
    assert goal.asked_from[1] > 0


def test_from_another_machine_nobody_is_led_to_this_one(payload):
    """A redirection to 127.0.0.1 asks whatever runs here."""
    answer = requests.Response()
    answer.status_code, answer.url = 302, "https://models.example.org/lab"
    for entry, target, followed in (
        ("https://models.example.org/lab", "http://127.0.0.1:8080/lab", False),
        ("https://models.example.org/lab", "http://localhost/lab", False),
        ("https://models.example.org/lab", "https://[::1]/lab", False),
        ("https://models.example.org/lab", "http://models.example.org/lab", False),
        ("https://models.example.org/lab", "https://elsewhere.example.org/lab", True),
        ("https://models.example.org/lab", "/other", True),
        ("http://127.0.0.1/lab", "http://127.0.0.1:8080/lab", True),
        ("http://127.0.0.1/lab", "https://models.example.org/lab", True),
    ):
        answer.headers["location"] = target
        session = transfer._SafeSession(entry)
        if followed:
            assert session.get_redirect_target(answer) == target
        else:
            with pytest.raises(CheckpointError, match="leads on to"):
                session.get_redirect_target(answer)


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", None])
@pytest.mark.parametrize("length", [True, False])
def test_a_page_to_log_in_is_told_and_not_kept(offer, payload, kind, length):
    page = b"\n<!DOCTYPE html><html>Please log in</html>"
    page = page.ljust(len(payload)) if length else page
    server = offer(page, kind=kind, length=length)
    assert "127.0.0.1 sent a web page for 'lab', perhaps one to log in" in refused()
    assert len(server.requests) == 1
    assert left_behind() <= {f"{part(payload).name}.etag", part(payload).name}
    assert not part(payload).is_file() or not part(payload).stat().st_size
    server.body = payload  # the kind stays: some servers call everything a page
    assert download_model("lab").read_bytes() == payload


def test_what_a_server_says_is_printed_and_not_obeyed(offer):
    offer(status=[500], reason="\x1b]0;owned\x07" + "x" * 500)
    sentence = refused()
    assert "\\x1b]0;owned\\x07" in sentence
    assert sentence.isprintable()
    assert len(sentence) < 300


@pytest.mark.parametrize(
    "manners",
    [
        {"etag": '"\x01"'},
        {"etag": '"' + "x" * 5000 + '"'},
        {"content_range": f"bytes {'9' * 5000}-1/*"},
    ],
)
def test_odd_headers_do_not_get_in_the_way(offer, payload, manners):
    server = offer(cuts=[CUT], **manners)
    assert download_model("lab").read_bytes() == payload
    assert [headers.get("If-Range") for headers in server.requests[:2]].count(None) >= 1


# --- no network, no room --------------------------------------------------------------------------


def test_a_refused_connection_is_one_sentence_with_the_host(payload):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        register(f"http://127.0.0.1:{taken.getsockname()[1]}/x", payload)
        sentence = refused()
    assert sentence.startswith("127.0.0.1 cannot be reached (Connection refused)")
    assert "check the network connection" in sentence


def test_an_unknown_host_is_one_sentence_with_the_host(payload, monkeypatch):
    def resolve(*arguments: object, **named: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    register("https://models.example.org/lab", payload)
    sentence = refused()
    assert sentence.startswith("models.example.org cannot be reached (Temporary failure")


def test_offline_later_says_that_the_part_is_kept(payload):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        register(f"http://127.0.0.1:{taken.getsockname()[1]}/x", payload)
        models_folder().mkdir(parents=True)
        part(payload).write_bytes(payload[:5000])
        assert "start again to go on from 5.0 kB" in refused()
    assert part(payload).read_bytes() == payload[:5000]


def test_something_that_is_no_web_server_is_given_up(payload):
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def hang_up() -> None:
            for _ in range(5):
                listening.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        register(f"http://127.0.0.1:{listening.getsockname()[1]}/x", payload)
        assert "127.0.0.1 broke off or did not answer" in refused()
        thread.join()


def test_a_full_disk_is_noticed_before(offer, payload, monkeypatch):
    server = offer()
    full = type("Usage", (), {"free": len(payload) - 5001})
    monkeypatch.setattr(download.shutil, "disk_usage", lambda path: full)
    sentence = refused()
    assert f"needs {len(payload) / 1000:.1f} kB" in sentence
    assert str(models_folder()) in sentence
    assert server.requests == []
    part(payload).write_bytes(payload[:5001])  # what is there needs no room
    assert download_model("lab").read_bytes() == payload


@posix
def test_a_disk_that_takes_no_more_is_one_sentence_and_the_part_is_kept(offer, payload):
    import resource

    server = offer()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (CUT, hard))
    try:
        sentence = refused()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert str(models_folder() / "lab.safetensors") in sentence
    assert "File too large" in sentence
    kept = part(payload).stat().st_size
    assert 0 < kept <= CUT
    download_model("lab")
    assert server.asked_from[-1] == kept


def test_a_folder_that_cannot_be_made_is_one_sentence(payload, home):
    register("http://127.0.0.1:9/x", payload)
    (home / "data").write_text("a file where the folder should be")
    assert str(home / "data") in refused()


# --- stopping, and two at once --------------------------------------------------------------------


def test_cancelling_keeps_the_part(offer, payload, monkeypatch):
    """Also while the server is silent: it never sends another byte here."""
    monkeypatch.setattr(transfer, "_TIMEOUT", (10.0, 3600.0))
    server = offer(cuts=[CUT], stall=threading.Event())
    cancel = threading.Event()
    raised: list[BaseException] = []

    def work() -> None:
        try:
            download_model("lab", cancel=cancel.is_set)
        except Cancelled as error:
            raised.append(error)

    thread = threading.Thread(target=work, daemon=True)
    n_threads = threading.active_count()
    thread.start()
    wait_for(lambda: part(payload).is_file() and part(payload).stat().st_size > 0)
    cancel.set()
    thread.join(60)
    assert not thread.is_alive()
    assert "kept" in str(raised[0])
    kept = part(payload).stat().st_size
    server.stall.set()
    wait_for(lambda: threading.active_count() <= n_threads)
    assert download_model("lab").read_bytes() == payload
    assert server.asked_from == [0, kept]


def test_cancelling_before_the_start_asks_nobody(offer):
    server = offer()
    with pytest.raises(Cancelled):
        download_model("lab", cancel=lambda: True)
    assert server.requests == []


def test_cancelling_between_two_attempts_does_not_wait(offer, monkeypatch):
    monkeypatch.setattr(transfer, "_PAUSES", (3600.0,))
    server = offer(status=[503])
    with pytest.raises(Cancelled):
        download_model("lab", cancel=lambda: bool(server.requests))
    assert len(server.requests) == 1


def test_two_processes_download_once(offer):
    """The second one waits until the first is done, and then has nothing to do."""
    server = offer(cuts=[CUT], stall=threading.Event())
    script = (
        "from napari_safire.model import download_model;"
        "show = lambda done, total, stage: print(stage, flush=True);"
        "print(download_model('lab', progress=show))"
    )
    with start(script) as first, start_after(server, script) as second:
        assert second.stdout.readline() == "waiting for another download of lab\n"
        server.stall.set()
        said = [process.communicate(timeout=60)[0].splitlines() for process in (first, second)]
    assert first.returncode == second.returncode == 0
    assert said[0][-1] == said[1][-1] == str(model_path("lab"))
    assert len(server.requests) == 1


def test_a_waiting_process_can_be_cancelled(offer):
    server = offer(cuts=[CUT], stall=threading.Event())
    with start("from napari_safire.model import download_model; download_model('lab')") as first:
        wait_for(lambda: server.requests)
        stages: list[str] = []
        with pytest.raises(Cancelled):
            download_model(
                "lab",
                progress=lambda done, total, stage: stages.append(stage),
                cancel=lambda: bool(stages),
            )
        server.stall.set()
        first.communicate(timeout=60)
    assert set(stages) == {"waiting for another download of lab"}
    assert first.returncode == 0


# --- the command line -----------------------------------------------------------------------------


def cli(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def test_models_are_listed_downloaded_and_verified_by_command(offer, payload):
    offer()
    size = f"{len(payload) / 1000:.1f} kB"
    assert f"not downloaded, {size}; trained on our own pictures" in cli("models", "list").stdout
    assert "lab" not in cli("models", "verify").stdout
    for command in ("path", "verify"):
        result = cli("models", command, "lab")
        assert result.exit_code == 1
        assert "models download lab" in result.stderr

    result = cli("models", "download", "lab")
    assert (result.exit_code, result.stdout) == (0, f"{model_path('lab')}\n")
    assert f"lab  (lite, CC0-1.0)  A model of our lab.\n    downloaded, {size}" in (
        cli("models", "list").stdout
    )
    assert cli("models", "path", "lab").stdout == f"{model_path('lab')}\n"
    digest = hashlib.sha256(payload).hexdigest()
    assert f"lab: intact, SHA-256 {digest}\n" in cli("models", "verify").stdout

    model_path("lab").write_bytes(b"x" * len(payload))
    result = cli("models", "verify", "lab")
    assert result.exit_code == 1
    assert "models download lab" in result.stderr


def test_problems_of_a_registry_are_listed_on_stderr(payload):
    register("ftp://example.org", payload)
    result = cli("models", "list")
    assert result.exit_code == 0
    assert "safire-lite" in result.stdout
    assert "lab" not in result.stdout
    assert result.stderr.startswith("Warning: ")
    assert "url is 'ftp://example.org'" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code"), [(("download",), 2), (("download", "none"), 1), (("download", "lab"), 1)]
)
def test_failed_downloads_have_the_exit_codes_of_other_commands(offer, arguments, code):
    offer(status=[404])
    result = cli("models", *arguments)
    assert result.exit_code == code
    assert "Traceback" not in result.stderr


def test_ctrl_c_keeps_the_part(offer, payload):
    server = offer(cuts=[CUT], stall=threading.Event())
    script = "import sys; sys.argv[1:] = ['models', 'download', 'lab'];"
    script += "from napari_safire.cli import main; main()"
    with start(script) as process:
        wait_for(lambda: part(payload).is_file() and part(payload).stat().st_size > 0)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert err == (
        "Cancelled; what has come is kept: `napari-safire models download lab` goes on.\n"
    )
    server.stall.set()
    assert cli("models", "download", "lab").exit_code == 0
    assert server.asked_from[-1] > 0


# --- helpers --------------------------------------------------------------------------------------


def python(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60
    )


def start(script: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def start_after(server: FileServer, script: str) -> subprocess.Popen[str]:
    """A process that starts when the server has been asked."""
    wait_for(lambda: server.requests)
    return start(script)


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "It did not happen within a minute."
        time.sleep(0.01)
