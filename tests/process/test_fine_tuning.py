"""Fine-tuning from end to end: in this process, on the command line, and as a viewer sees it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from PIL import Image
from synthetic import photo_files, photograph
from systems import posix
from test_training_runs import TOY, assert_same_weights, toy_vit
from typer.testing import CliRunner

from napari_safire.basis import ALGORITHM
from napari_safire.cli import app
from napari_safire.datasets.groups import GroupedEntries
from napari_safire.engine import Engine
from napari_safire.errors import SafireError
from napari_safire.images.lists import ListEntry, read_list, write_list
from napari_safire.images.masks import encode_sources
from napari_safire.learning.candidate import Task, train_candidate
from napari_safire.learning.comparison import PictureScore, compare
from napari_safire.learning.events import (
    Divided,
    Event,
    Outcome,
    Scoring,
    Warned,
    from_line,
    to_line,
)
from napari_safire.learning.finetuning import FineTuneSettings, Parts, divide_parts
from napari_safire.learning.recalibration import recalibrated
from napari_safire.learning.run_log import RunEvent
from napari_safire.learning.stopping import stoppable
from napari_safire.model import SafireModel, load_checkpoint, save_checkpoint
from napari_safire.session.fine_tuning import FineTuneRequest, FineTuning

SIDE = 64
CALIBRATION = {
    "slope": 1.0, "intercept": 0.0, "forged_above": 0.9, "clean_below": 0.1,
    "false_alarm_rate": 0.1, "basis": "made up.",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "old.safetensors"
    metadata = {
        "name": "toy", "calibration": CALIBRATION, "source_distance": 0.2,
        "confidence_calibration": {"raw": [0.2, 0.9], "accuracy": [0.3, 0.8], "basis": "A test."},
    }  # fmt: skip
    save_checkpoint(SafireModel(TOY), path, metadata=metadata)
    return path


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A list of 24 pictures, an origin each; every third is authentic."""
    folder = tmp_path_factory.mktemp("pictures")
    entries = []
    for i in range(24):
        pixels = photograph(i, (SIDE, SIDE))
        labels = np.zeros((SIDE, SIDE), np.uint8)
        if i % 3:
            labels[SIDE // 2 :] = 1
            noise = np.random.default_rng(i).normal(0, 30, (SIDE // 2, SIDE, 3))
            pixels[SIDE // 2 :] = np.clip(pixels[SIDE // 2 :] + noise, 0, 255)
            Image.fromarray(encode_sources(labels)).save(folder / f"m{i}.png")
        Image.fromarray(pixels).save(folder / f"p{i}.png")
        mask = folder / f"m{i}.png" if i % 3 else None
        entries.append(ListEntry(folder / f"p{i}.png", mask, (f"camera {i}",)))
    return write_list(folder / "list.txt", entries)


# -- in this process -----------------------------------------------------------------------------


@pytest.fixture
def score_as(monkeypatch: pytest.MonkeyPatch) -> Callable[[float, float, Path], None]:
    """Scores that know which model is the better one."""

    def patch(old: float, new: float, model: Path) -> None:
        sha256 = hashlib.sha256(model.read_bytes()).hexdigest()

        def score(engine: Engine, entries: Any, *_: object) -> Iterator[PictureScore]:
            value = old if engine.model.checkpoint_sha256 == sha256 else new
            for entry in entries:
                authentic = entry.mask is None
                yield PictureScore(value, 0.1 if authentic else 0.9, authentic)

        monkeypatch.setattr("napari_safire.learning.candidate.score_pictures", score)

    return patch


def task(pictures: Path, model: Path, *, held_out: slice = slice(12, 24)) -> Task:
    entries = read_list(pictures)
    groups = [f"g{i}" for i in range(24)]
    judging = GroupedEntries(tuple(entries[held_out]), tuple(groups[held_out]))
    learned = GroupedEntries(tuple(entries[:12]), tuple(groups[:12]))
    settings = FineTuneSettings(steps=2, per_batch=2, side=SIDE, device="cpu", patience=None)
    return Task(
        str(model), {str(pictures): "hash"}, "sources",
        Parts(learned, GroupedEntries((), ()), judging), settings,
    )  # fmt: skip


def never() -> bool:
    return False


def test_a_better_model_is_proposed_beside_the_old_one(
    pictures: Path, model: Path, tmp_path: Path, score_as: Any
) -> None:
    before = model.read_bytes()
    told: list[Event] = []
    score_as(0.5, 0.6, model)
    asked = task(pictures, model)
    outcome = train_candidate(asked, tmp_path / "run", listen=told.append, stop=never)
    assert outcome.decision == "accepted"
    assert told[-1] == outcome
    assert model.read_bytes() == before
    assert outcome.model is not None
    new = load_checkpoint(outcome.model)
    assert new.metadata["name"] == "toy-tuned"
    assert new.metadata["parent"] == {"name": "toy", "sha256": hashlib.sha256(before).hexdigest()}
    assert "12 pictures of 12 groups (list.txt)" in new.metadata["trained_on"]
    assert "confidence_calibration" not in new.metadata  # true of the old weights alone
    assert "calibration" not in new.metadata  # too few pictures for another one
    assert "needs 10 authentic and 10 forged" in " ".join(outcome.reasons)
    pixels = np.asarray(Image.open(pictures.parent / "p1.png"))
    engine = Engine(new)
    assert engine.localize(engine.embed(pixels)).verdict == "inconclusive"
    assert outcome.result is not None
    result = json.loads(Path(outcome.result).read_text())
    assert result["decision"] == "accepted"
    assert result["proposed"]["sha256"] == new.checkpoint_sha256
    assert result["old"]["sha256"] == hashlib.sha256(before).hexdigest()
    assert result["comparison"]["difference"] == pytest.approx(0.1)
    assert result["lists"] == {str(pictures): "hash"}
    assert len(result["held_out"]) == 12
    assert [type(event) for event in told if not isinstance(event, RunEvent | Scoring)] == [
        Divided, type(compare(["g"] * 5, *[[PictureScore(1.0)] * 5] * 2)), Outcome,
    ]  # fmt: skip


def test_a_model_that_is_no_better_is_not_proposed(
    pictures: Path, model: Path, tmp_path: Path, score_as: Any
) -> None:
    score_as(0.5, 0.5, model)
    asked = task(pictures, model)
    outcome = train_candidate(asked, tmp_path, listen=lambda _: None, stop=never)
    assert (outcome.decision, outcome.model) == ("rejected", None)
    assert not list(tmp_path.glob("tuned-*"))
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["decision"] == "rejected"
    assert result["proposed"] is None
    assert len(result["candidate"]["sha256"]) == 64
    assert "calibration" not in load_checkpoint(tmp_path / "last.safetensors").metadata


def test_the_new_model_is_calibrated_where_enough_was_held_out(
    pictures: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, score_as: Any
) -> None:
    monkeypatch.setattr("napari_safire.learning.recalibration._FEWEST_TO_CALIBRATE", 4)
    monkeypatch.setattr("napari_safire.learning.recalibration._FEWEST_OF_A_NUMBER", 4)
    score_as(0.5, 0.6, model)
    asked = task(pictures, model)
    outcome = train_candidate(asked, tmp_path, listen=lambda _: None, stop=never)
    said = " ".join(outcome.reasons)
    forged = asked.parts.held_out.entries
    engine = Engine(load_checkpoint(str(outcome.model)))
    found, notes = recalibrated(engine, [e for e in forged if e.mask], "sources", never)
    assert found.calibration is None  # nothing to hold forgeries against
    assert found.threshold == engine.rules.threshold
    assert "there are 0 and 8" in notes[0]
    assert "is still that of the old model" in notes[1]
    metadata = load_checkpoint(str(outcome.model)).metadata
    # Whether forgeries look more forged to a toy is chance; what is said must be what is stored.
    assert ("calibration" in metadata) == ("4 authentic and 8 forged pictures held out" in said)
    if "calibration" in metadata:
        assert "its fine-tuning" in metadata["calibration"]["basis"]
    else:
        assert "do not look more like forgeries" in said
    assert f'"auto" is {metadata["source_distance"]:.2f}' in said


def test_another_run_in_the_folder_is_refused(
    pictures: Path, model: Path, tmp_path: Path, score_as: Any
) -> None:
    score_as(0.5, 0.5, model)
    asked = task(pictures, model)
    train_candidate(asked, tmp_path, listen=lambda _: None, stop=never)
    with pytest.raises(SafireError, match="holds a fine-tuning already: give --resume"):
        train_candidate(asked, tmp_path, listen=lambda _: None, stop=never)
    other = task(pictures, tmp_path / "last.safetensors")
    with pytest.raises(SafireError, match="had other model: give the same"):
        train_candidate(other, tmp_path, resume=True, listen=lambda _: None, stop=never)
    fewer = task(pictures, model, held_out=slice(12, 22))
    with pytest.raises(SafireError, match=r"had other settings \(judges\): give the same"):
        train_candidate(fewer, tmp_path, resume=True, listen=lambda _: None, stop=never)
    basis = json.loads((tmp_path / "fine-tuning.json").read_text())
    basis["algorithm"] += 1
    (tmp_path / "fine-tuning.json").write_text(json.dumps(basis))
    with pytest.raises(
        SafireError,
        match=rf"had other algorithm \({ALGORITHM + 1} and {ALGORITHM}\): give the same",
    ):
        train_candidate(asked, tmp_path, resume=True, listen=lambda _: None, stop=never)
    (tmp_path / "fine-tuning.json").write_text("[]")
    with pytest.raises(SafireError, match="does not say what its run rests on"):
        train_candidate(asked, tmp_path, resume=True, listen=lambda _: None, stop=never)
    (tmp_path / "fine-tuning.json").write_text("{")
    with pytest.raises(SafireError, match=r"fine-tuning\.json is damaged"):
        train_candidate(asked, tmp_path, resume=True, listen=lambda _: None, stop=never)


def test_the_vit_is_fine_tuned_with_rehearsal(
    pictures: Path, tmp_path: Path, score_as: Any
) -> None:
    save_checkpoint(toy_vit(), tmp_path / "vit.safetensors")
    photo_files(tmp_path / "photos", 3)
    score_as(0.5, 0.5, pictures)
    asked = task(pictures, tmp_path / "vit.safetensors")
    settings = FineTuneSettings(
        steps=2, per_batch=2, device="cpu", photos=tmp_path / "photos", rehearsal=0.5
    )
    kept = asked.parts.learned
    parts = divide_parts(kept, asked.parts.held_out, settings)
    assert 0 < len(parts.watched) < len(kept)
    assert not set(parts.watched.groups) & set(parts.learned.groups)
    told: list[Event] = []
    again = Task(asked.model, {}, "sources", parts, settings, ("lost.png is lost.",))
    outcome = train_candidate(again, tmp_path / "run", listen=told.append, stop=never)
    assert outcome.decision == "rejected"
    assert (tmp_path / "run" / "best.safetensors").is_file()
    assert Warned("lost.png is lost.") in told
    assert json.loads((tmp_path / "run" / "result.json").read_text())["problems"]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"steps": 0}, "steps must be at least 1, not 0"),
        ({"patience": 0}, "patience must be at least 1, not 0"),
        ({"per_batch": 1}, "per_batch must be at least 2, not 1"),
        ({"held_out": 1.0}, "held_out is a share between 0 and 1"),
        ({"rehearsal": 0.0}, "rehearsal is a share"),
        ({"learning_rate": 0.0}, r"learning_rate must lie in \(0, 1\)"),
        ({"side": 100}, "side must be a multiple of 16"),
        ({"seed": -1}, "seed is -1"),
        ({"precision": "half"}, "Unknown precision 'half'"),
        ({"device": "cuda:1"}, "Unknown device 'cuda:1': use auto, cpu, cuda, mps"),
    ],
)
def test_settings_are_checked(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        FineTuneSettings(**wrong)


# -- the command line ----------------------------------------------------------------------------


def options(model: Path, folder: Path, *more: object) -> list[str]:
    given = ["--from", model, "-o", folder, "--device", "cpu", "--side", SIDE, "--per-batch", 2]
    return [*map(str, given), *map(str, more)]


def cli(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["train", *map(str, arguments)])


def events_of(stdout: str) -> list[Event]:
    return [from_line(line) for line in stdout.splitlines()]


def start(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "napari_safire", "train", "--json", *map(str, arguments)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_people_are_told_what_was_decided_and_on_what(
    pictures: Path, model: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "p99.png").write_bytes(b"no picture")
    more = write_list(
        broken / "list.txt", [ListEntry(broken / "p99.png"), ListEntry(broken / "p98.png")]
    )
    result = cli(pictures, more, *options(model, tmp_path / "run", "--steps", 9))
    assert result.exit_code == 0, result.output
    assert "to learn from" in result.stdout
    assert "step 9/9" in result.stdout
    assert "p_miou_hungarian" in result.stdout
    assert "held-out pictures of" in result.stdout
    told = json.loads((tmp_path / "run" / "result.json").read_text())
    assert sum("p98.png" in text for text in told["problems"]) == 1
    assert sum("p99.png" in text for text in told["problems"]) == 1
    assert result.stderr.count("Warning:") == 2


@pytest.mark.by_hand
def test_a_line_stops_it_and_resume_goes_on_to_the_same_weights(
    pictures: Path, model: Path, tmp_path: Path
) -> None:
    whole = cli(pictures, *options(model, tmp_path / "whole", "--steps", 24, "--patience", 0))
    assert whole.exit_code == 0, whole.output
    asked = [pictures, *options(model, tmp_path / "parts", "--steps", 24, "--patience", 0)]
    running = start(*asked)
    assert running.stdin is not None
    assert running.stdout is not None
    told = []
    for line in running.stdout:
        told.append(from_line(line))
        if isinstance(told[-1], RunEvent) and told[-1].event == "saved":
            running.stdin.write("stop\n")
            running.stdin.flush()
            break
    rest, complaints = running.communicate(timeout=120)
    assert running.returncode == 0, complaints
    told += events_of(rest)
    assert isinstance(told[0], Divided)
    assert told[-1].decision == "stopped"
    assert not (tmp_path / "parts" / "result.json").exists()
    done = cli(*asked, "--resume")
    assert done.exit_code == 0, done.output
    assert "goes on after step" in done.stdout
    assert "Rejected" in done.stdout
    assert_same_weights(*(tmp_path / name / "last.safetensors" for name in ("whole", "parts")))


def until(wished: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not wished():
        assert time.monotonic() < end
        time.sleep(0.001)


@posix
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_are_wishes_and_a_second_interrupt_is_none(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with stoppable() as wished:
        assert not wished()
        os.kill(os.getpid(), number)
        until(wished)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(number) == before


@pytest.mark.parametrize(
    ("parts", "stops"),
    [([b"stop\n"], True), ([b"go\r\nst", b"op\r\n"], True), ([b"stop"], False), ([b""], False)],
)
def test_a_line_on_stdin_is_a_wish_and_so_is_its_end(
    parts: list[bytes], stops: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, writing = os.pipe()
    monkeypatch.setattr("napari_safire.learning.stopping._STDIN", reading)
    with stoppable(by_stdin=True) as wished:
        for part in parts:
            assert not wished()
            os.write(writing, part)
        if stops:
            until(wished)
        os.close(writing)
        until(wished)
    os.close(reading)


def test_errors_are_one_sentence_and_one_event(pictures: Path, model: Path, tmp_path: Path) -> None:
    few = write_list(tmp_path / "few.txt", [ListEntry(tmp_path / f"p{i}.png") for i in range(4)])
    for i in range(4):
        Image.fromarray(photograph(i, (SIDE, SIDE))).save(tmp_path / f"p{i}.png")
    (tmp_path / "bad.txt").write_text("only one field\n")
    (tmp_path / "empty.txt").write_text("# nothing\n")
    lost = write_list(tmp_path / "lost.txt", [ListEntry(tmp_path / "nowhere.png")])
    bare = write_list(  # nothing to find in them: seen before the training
        tmp_path / "bare.txt", [ListEntry(tmp_path / f"p{i}.png", None, ("x",)) for i in range(4)]
    )
    later = ("Only 0 held-out pictures", "no photo table")
    for given, code, sentence in (
        (
            [few],
            1,
            "4 pictures are of 4 groups that share no origin (0 of them",
        ),
        ([tmp_path / "bad.txt"], 1, "line 1"),
        ([tmp_path / "empty.txt"], 1, "has no entries"),
        ([lost], 1, "1 files that do not exist"),
        ([tmp_path / "none.txt"], 1, "cannot be read"),
        ([pictures, "--kind", "binary", "--held-out-list", bare], 1, "Only 0 held-out pictures"),
        ([pictures, "--held-out-list", pictures], 1, "shares 24 origins"),
        ([pictures, "--photos", tmp_path / "none"], 1, "no photo table"),
        ([pictures, "--steps", 0], 2, "steps must be at least 1"),
        ([pictures, "--from", tmp_path / "none.safetensors"], 1, "neither a file nor a model"),
    ):
        result = cli(*options(model, tmp_path / "run"), *given)
        assert result.exit_code == code, result.output
        assert sentence in result.stderr
        assert "Traceback" not in result.stderr
        if sentence in later:  # here stdin has ended, and so it stops before it gets there
            continue
        result = cli(*options(model, tmp_path / "run"), *given, "--json")
        assert result.exit_code == code
        told = json.loads(result.stdout.splitlines()[-1])
        assert told["event"] == "error"
        assert sentence in told["text"]


def test_without_lightning_it_says_how_to_install_it(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    result = cli(pictures, "-o", tmp_path / "run")
    assert result.exit_code == 1
    assert 'pip install "napari-safire[train]"' in result.stderr


# -- as a viewer sees it -------------------------------------------------------------------------


class Heard:
    """What a `FineTuning` said."""

    def __init__(self, tuning: FineTuning) -> None:
        self.events: list[Any] = []
        self.began = threading.Event()
        tuning.progressed.connect(lambda _: self.began.set())
        for name in ("progressed", "divided", "warned", "scored", "compared", "finished"):
            getattr(tuning, name).connect(self.events.append)
        tuning.failed.connect(lambda text: self.events.append(f"failed: {text}"))


def fake(code: str) -> list[str]:
    """A command that pretends to be ``napari-safire``."""
    return [sys.executable, "-c", code]


def over(tuning: FineTuning) -> None:
    """It has ended, and nothing is left of it."""
    assert tuning.join(120)
    assert not [t for t in threading.enumerate() if t.name.startswith("fine-tuning")]
    assert tuning._process is None or tuning._process.returncode is not None


def test_a_viewer_hears_of_everything_and_loads_no_torch(
    pictures: Path, model: Path, tmp_path: Path
) -> None:
    code = f"""
import sys
from pathlib import Path
from napari_safire.session.fine_tuning import FineTuning, FineTuneRequest
more = ("--device", "cpu", "--side", "{SIDE}", "--per-batch", "2", "--steps", "3")
asked = FineTuneRequest(
    (Path({str(pictures)!r}),), Path({str(tmp_path / "run")!r}), model={str(model)!r}, options=more
)
tuning = FineTuning(asked)
for name in ("progressed", "divided", "scored", "compared", "finished", "failed"):
    getattr(tuning, name).connect(lambda value: print(type(value).__name__, flush=True))
tuning.start()
assert tuning.join(120)
assert not {{"torch", "lightning_fabric", "napari", "qtpy"}} & sys.modules.keys()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    said = done.stdout.split()
    assert said[:2] == ["Divided", "Scoring"]
    assert "RunEvent" in said
    assert said[-2:] == ["Comparison", "Outcome"]
    assert said.count("Outcome") == 1


def test_a_process_that_is_killed_is_reported() -> None:
    asked = FineTuneRequest((Path("list.txt"),), Path("run"))
    line = to_line(RunEvent("begun", 0, 10, 0.0))
    tuning = FineTuning(
        asked, command=fake(f"import time; print('{line}', flush=True); time.sleep(300)")
    )
    heard = Heard(tuning)
    tuning.start()
    assert heard.began.wait(60)
    assert tuning.running
    assert tuning._process is not None
    tuning._process.kill()
    over(tuning)
    assert "failed: Fine-tuning was killed by signal 9" in heard.events[-1]
    assert "start it again and resume" in heard.events[-1]
    with pytest.raises(RuntimeError, match="started once"):
        tuning.start()


def test_a_viewer_that_is_killed_leaves_nothing_behind(
    pictures: Path, model: Path, tmp_path: Path
) -> None:
    code = f"""
import sys, time
from pathlib import Path
from napari_safire.session.fine_tuning import FineTuning, FineTuneRequest
more = ("--device", "cpu", "--side", "{SIDE}", "--per-batch", "2", "--steps", "100000")
tuning = FineTuning(FineTuneRequest(
    (Path({str(pictures)!r}),), Path({str(tmp_path / "run")!r}), model={str(model)!r}, options=more
))
tuning.progressed.connect(lambda _: print(tuning._process.pid, flush=True))
tuning.start()
time.sleep(300)
"""
    viewer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert viewer.stdout is not None
    child = int(viewer.stdout.readline())
    viewer.kill()
    viewer.wait()
    viewer.stdout.close()
    end = time.monotonic() + 120
    while _alive(child):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert (tmp_path / "run" / "resume.pt").is_file()


def test_a_program_that_ends_in_the_middle_says_nothing() -> None:
    code = """
import atexit, sys, threading
from pathlib import Path
from napari_safire.session.fine_tuning import FineTuning, FineTuneRequest
asked = FineTuneRequest((Path("list.txt"),), Path("run"))
tuning = FineTuning(asked, command=[sys.executable, "-c", sys.argv[1]])
on = threading.Event()
tuning.warned.connect(lambda _: on.set())
tuning.start()
assert on.wait(60)
print(tuning._process.pid, flush=True)
atexit.register(tuning.close)  # from Python 3.12 on, no thread can be started there
"""
    child = """print('{"event": "warning", "text": "on"}', flush=True); input()"""
    done = subprocess.run(
        [sys.executable, "-c", code, child], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    end = time.monotonic() + 60
    while _alive(int(done.stdout)):
        assert time.monotonic() < end
        time.sleep(0.02)


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_stop_asks_and_then_insists() -> None:
    asked = FineTuneRequest((Path("list.txt"),), Path("run"))
    polite = """
import sys
print('{"event": "warning", "text": "on"}', flush=True)
assert sys.stdin.readline() == "stop\\n"
print('{"event": "stopped"}', flush=True)
"""
    deaf = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('{"event": "warning", "text": "on"}', flush=True)
time.sleep(300)
"""
    for code, patience, reasons in ((polite, 60.0, 0), (deaf, 0.05, 1)):
        tuning = FineTuning(asked, command=fake(code), patience_s=patience)
        heard = Heard(tuning)
        on = threading.Event()
        tuning.warned.connect(lambda _, on=on: on.set())
        tuning.start()
        assert on.wait(60)
        tuning.stop()
        tuning.stop()
        over(tuning)
        assert heard.events[0] == "on"
        assert heard.events[-1].decision == "stopped"
        assert len(heard.events[-1].reasons) == reasons
        assert len(heard.events) == 2


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (
            "import sys; print('garbage'); sys.exit('no memory')",
            r"exit code 1 \(no memory\)",
        ),
        ("print('[1]\\n{}')", r"exit code 0 \(it said nothing\)"),
        ("""print('{"event": "error", "text": "No list."}'); exit(1)""", r"failed: No list\."),
        ("import os; os.write(1, bytes(range(256))); os.abort()", "killed by signal 6"),
        ("import sys; sys.stderr.write('x' * 100_000)", "ended with exit code 0"),
    ],
)
def test_whatever_goes_wrong_is_one_sentence(code: str, sentence: str) -> None:
    tuning = FineTuning(FineTuneRequest((Path("list.txt"),), Path("run")), command=fake(code))
    heard = Heard(tuning)
    tuning.start()
    over(tuning)
    (said,) = heard.events
    assert re.search(sentence, said), said
    assert "\n" not in said
    assert len(said) < 600


def test_a_command_that_is_not_there_is_reported_too() -> None:
    asked = FineTuneRequest((Path("list.txt"),), Path("run"))
    tuning = FineTuning(asked, command=["/nowhere/python"])
    heard = Heard(tuning)
    tuning.start()
    over(tuning)
    tuning.stop()
    assert heard.events == ["failed: /nowhere/python cannot be started: No such file or directory."]


def test_calls_are_delivered_and_a_closed_one_is_silent() -> None:
    asked = FineTuneRequest((Path("list.txt"),), Path("run"))
    calls: list[Callable[[], None]] = []
    tuning = FineTuning(asked, command=fake("print('x')"), deliver=calls.append)
    heard = Heard(tuning)
    tuning.start()
    over(tuning)
    assert not heard.events
    tuning.close()
    for call in calls:
        call()
    assert calls
    assert not heard.events


def test_what_ends_after_it_was_closed_calls_nobody() -> None:
    calls: list[Callable[[], None]] = []
    code = """input(); print('{"event": "stopped"}', flush=True)"""
    asked = FineTuneRequest((Path("list.txt"),), Path("run"))
    tuning = FineTuning(asked, command=fake(code), deliver=calls.append)
    tuning.start()
    tuning.close()
    over(tuning)
    assert calls == []  # who delivers may be gone with the program's windows


def test_a_request_becomes_the_command() -> None:
    asked = FineTuneRequest(
        (Path("-list.txt"), Path("b.txt")), Path("run"), "binary", "m", Path("r"), True, ("--x",)
    )
    assert asked.arguments() == [
        "train", "--json", "--output", "run", "--kind", "binary", "--from", "m", "--root", "r",
        "--resume", "--x", "--", "-list.txt", "b.txt",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="no list to learn from"):
        FineTuneRequest((), Path("run"))
