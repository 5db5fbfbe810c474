"""Training runs: what they save, how they go on after a kill, on one process and on two."""

from __future__ import annotations

import csv
import math
import os
import signal
import stat
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from itertools import count, cycle, islice, repeat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from script_runs import TRAINING, run_script
from synthetic import photo_bank, photo_table
from systems import posix
from torch.utils.data import Dataset

from napari_safire.errors import CheckpointError
from napari_safire.learning.devices import launched
from napari_safire.learning.estimate import estimate
from napari_safire.learning.prompts import PromptedCrops, PromptSettings
from napari_safire.learning.run import run
from napari_safire.learning.run_log import RunEvent, print_event
from napari_safire.learning.settings import RunSettings
from napari_safire.learning.stages import (
    PARTS,
    ContrastStage,
    PromptStage,
    StageSettings,
    parts_of,
)
from napari_safire.learning.streams import CompositeDataset, CropPlan, stream
from napari_safire.model import ModelConfig, SafireModel, load_checkpoint
from napari_safire.synthesis.composite_settings import CompositeSettings

TOY = ModelConfig(
    architecture="lite",
    stage_widths=(8, 8, 8, 16),
    embed_dim=16,
    depth=1,
    num_heads=2,
    mlp_ratio=1.0,
    global_attention=(),
    prompt_dim=16,
    decoder_depth=1,
    decoder_mlp_dim=16,
    decoder_heads=2,
    confidence_dim=8,
    mask_in_chans=4,
    prompt_from_embedding=True,
)
PLAN = CropPlan(sides=(64,), pixels_per_batch=2 * 64 * 64)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Small products: with the tests of other workers beside them, threads wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def composites(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The first batches of a stream, made once."""
    bank = photo_bank(tmp_path_factory.mktemp("photos"))
    dataset = CompositeDataset(bank, CompositeSettings(), 0)
    batches = list(islice(stream(dataset, PLAN, workers=0), 14))
    return lambda start, rank, world: iter(batches[start * world + rank :: world])


def halves(count: int = 1, side: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures of two sources: quiet above, noisy below."""
    rng = np.random.default_rng(0)
    pixels = rng.normal(128, 2, (count, 3, side, side))
    pixels[:, :, side // 2 :] += rng.normal(0, 30, (count, 3, side // 2, side))
    labels = np.zeros((count, side, side), np.uint8)
    labels[:, side // 2 :] = 1
    return torch.from_numpy(pixels.clip(0, 255).astype(np.uint8)), torch.from_numpy(labels)


class Pictures(Dataset[Any]):
    """The pictures of a batch, one by one."""

    def __init__(self, pixels: torch.Tensor, labels: torch.Tensor) -> None:
        self.pixels, self.labels = pixels, labels

    def __getitem__(self, key: tuple[int, int]) -> Any:
        return self.pixels[key[0]], self.labels[key[0]], ()


def with_prompts(batch: tuple[torch.Tensor, torch.Tensor], seed: int) -> tuple[torch.Tensor, ...]:
    """Add two prompts for each picture of a batch."""
    crops = PromptedCrops(Pictures(*batch), PromptSettings(per_image=2), seed)
    items = [crops[i, 0][:-1] for i in range(len(batch[0]))]
    return tuple(torch.stack(some) for some in zip(*items, strict=True))


def go(stage: Any, model: SafireModel, source: Any, folder: Path, **settings: Any) -> str:
    """Run a stage in this process, on the CPU."""
    asks = settings.pop("asks", StageSettings())
    options = {
        name: settings.pop(name)
        for name in ("resume", "validation", "listen", "stop")
        if name in settings
    }
    batches = source
    if stage is PromptStage:

        def batches(start: int, rank: int, world: int) -> Iterator[Any]:
            for seed, batch in enumerate(source(start=start, rank=rank, world=world), start=start):
                yield with_prompts(batch, seed)

    chosen = RunSettings(**{"steps": 6, "save_every": 3, "learning_rate": 1e-3} | settings)
    with launched(chosen.precision, accelerator="cpu") as fabric:
        return run(fabric, stage(model, asks), batches, chosen, folder, **options)


def held_out(count: int = 1) -> list[Any]:
    """A validation batch with two prompts for each picture."""
    return [with_prompts(halves(count), seed=99)]


def toy() -> SafireModel:
    torch.manual_seed(0)
    return SafireModel(TOY)


def toy_vit() -> SafireModel:
    torch.manual_seed(0)
    return SafireModel(
        ModelConfig(
            architecture="vit", image_size=64, patch_size=16, embed_dim=32, depth=2, num_heads=2,
            mlp_ratio=2.0, window_size=2, global_attention=(1,), adaptor_reduction=4,
            prompt_dim=32, decoder_depth=2, decoder_mlp_dim=32, decoder_heads=2,
            confidence_dim=16, mask_in_chans=4,
        )
    )  # fmt: skip


def rows(folder: Path) -> list[dict[str, str]]:
    """The log without what depends on the clock."""
    with (folder / "log.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def assert_same_weights(one: Path, other: Path, tolerance: float = 0.0) -> None:
    a, b = load_checkpoint(one).state_dict(), load_checkpoint(other).state_dict()
    assert a.keys() == b.keys()
    for name, value in a.items():
        torch.testing.assert_close(value, b[name], rtol=tolerance, atol=tolerance, msg=name)


# -- one process ---------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", [ContrastStage, PromptStage])
def test_a_stage_runs_and_saves(
    stage, composites: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = toy()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    folder = tmp_path / "run"
    go(stage, model, composites, folder, encoder_factor=0.5)
    told = capsys.readouterr().out
    assert "step 6/6" in told
    counts = [p.numel() for p in model.parameters()]
    learning = model.image_encoder if stage is ContrastStage else model
    trainable = sum(p.numel() for p in learning.parameters())
    assert f"{trainable:,} trainable, {sum(counts) - trainable:,} frozen" in told
    assert not model.training
    changed = {name for name, value in model.state_dict().items() if not value.equal(before[name])}
    assert any(name.startswith("image_encoder") for name in changed)
    assert any(name.startswith("mask_decoder") for name in changed) == (stage is PromptStage)
    assert all(bool(torch.isfinite(value).all()) for value in model.state_dict().values())

    saved = load_checkpoint(folder / "last.safetensors")
    assert saved.config == TOY
    assert saved.metadata["step"] == 6
    for name, value in saved.state_dict().items():
        assert value.equal(model.state_dict()[name]), name

    names = {"contrast", "compactness"} | (
        {"segmentation", "confidence"} if stage is PromptStage else set()
    )
    (row,) = rows(folder)
    assert set(row) == {"step"} | names
    assert row["step"] == "6"
    assert all(np.isfinite(float(row[name])) for name in names)


def test_the_log_has_rows_as_often_as_asked_and_one_at_the_end(tmp_path: Path) -> None:
    go(ContrastStage, toy(), lambda **_: repeat(halves()), tmp_path, steps=3, log_every=2)
    assert [row["step"] for row in rows(tmp_path)] == ["2", "3"]


@pytest.mark.parametrize("stage", [ContrastStage, PromptStage])
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not(
    stage, composites: Any, tmp_path: Path
) -> None:
    source = composites
    go(stage, toy(), source, tmp_path / "whole", steps=7, accumulate=2, log_every=2)

    def dies(start: int, rank: int, world: int) -> Iterator[Any]:
        yield from islice(
            source(start=start, rank=rank, world=world), 2 * 5
        )  # two steps after a save
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        go(stage, toy(), dies, tmp_path / "parts", steps=7, accumulate=2, log_every=2)
    other = SafireModel(TOY)  # whatever a new process begins with
    go(stage, other, source, tmp_path / "parts", steps=7, accumulate=2, log_every=2, resume=True)
    assert_same_weights(*(tmp_path / part / "last.safetensors" for part in ("whole", "parts")))
    assert rows(tmp_path / "whole") == rows(tmp_path / "parts")
    assert [row["step"] for row in rows(tmp_path / "parts")] == ["2", "4", "6", "7"]


def test_resuming_what_has_not_begun_begins_it(composites: Any, tmp_path: Path) -> None:
    go(ContrastStage, toy(), composites, tmp_path / "run", resume=True)
    assert load_checkpoint(tmp_path / "run" / "last.safetensors").metadata["step"] == 6


def test_a_run_is_not_resumed_with_other_settings(composites: Any, tmp_path: Path) -> None:
    source = composites
    go(ContrastStage, toy(), source, tmp_path / "run")
    with pytest.raises(CheckpointError, match=r"learning_rate 0\.001, now 0\.002\)"):
        go(ContrastStage, toy(), source, tmp_path / "run", resume=True, learning_rate=2e-3)


@pytest.mark.parametrize("damage", ["cut", "text", "flipped bit", "other model"])
def test_a_damaged_state_is_refused_with_its_path(
    damage: str, composites: Any, tmp_path: Path
) -> None:
    source = composites
    folder = tmp_path / "run"
    go(ContrastStage, toy(), source, folder)
    state = folder / "resume.pt"
    if damage == "cut":
        state.write_bytes(state.read_bytes()[:5000])
    elif damage == "text":
        state.write_text("no state")
    elif damage == "flipped bit":  # in the weights, which torch.load does not notice
        changed = bytearray(state.read_bytes())
        changed[len(changed) // 2] ^= 1
        state.write_bytes(changed)
    else:
        kept = torch.load(state, weights_only=True)
        kept["model"].popitem()
        torch.save(kept, state)
    with pytest.raises(CheckpointError, match=r"resume\.pt cannot be gone on with"):
        go(ContrastStage, toy(), source, folder, resume=True)


@posix
def test_files_of_a_run_may_be_read_by_whom_the_umask_lets(composites: Any, tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        go(ContrastStage, toy(), composites, tmp_path / "run")
    finally:
        os.umask(before)
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "run").glob("*.*")}
    assert {"last.safetensors", "resume.pt"} <= modes.keys()
    assert set(modes.values()) == {0o644}


def test_updates_that_are_not_finite_are_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = count()
    monkeypatch.setattr(
        "napari_safire.learning.stages.compactness",
        lambda cells, _: cells.sum() * (torch.nan if next(calls) in (1, 2) else 0.0),
    )
    model = toy()
    go(ContrastStage, model, lambda **_: repeat(halves()), tmp_path)
    assert all(bool(torch.isfinite(value).all()) for value in model.state_dict().values())
    assert "2 updates were skipped" in capsys.readouterr().out
    assert float(rows(tmp_path)[0]["contrast"]) > 0


def test_gradients_that_are_never_finite_stop_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "napari_safire.learning.stages.compactness", lambda cells, _: cells.sum() * torch.nan
    )
    with pytest.raises(FloatingPointError, match="up to step 10 are not finite: lower the learn"):
        go(
            ContrastStage,
            toy(),
            lambda **_: repeat(halves()),
            tmp_path,
            steps=20,
            save_every=20,
        )
    assert not (tmp_path / "last.safetensors").exists()


def test_the_best_weights_are_kept_and_a_run_without_progress_stops(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[RunEvent] = []
    ending = go(
        PromptStage, toy(), lambda **_: repeat(halves(2)), tmp_path,
        steps=400, save_every=2, learning_rate=0.5, patience=2, validation=held_out(2),
        listen=lambda progress: told.append(progress) or print_event(progress),
    )  # fmt: skip
    assert ending == "no progress"
    losses = [p.values["loss"] for p in told if p.event == "validation"]
    assert "the last validations were no better" in capsys.readouterr().out
    assert losses[-3] == min(losses)
    best = load_checkpoint(tmp_path / "best.safetensors").metadata["step"]
    assert best == 2 * (len(losses) - 2)


def test_a_run_that_is_asked_to_stop_is_saved_and_goes_on_exactly(
    composites: Any, tmp_path: Path
) -> None:
    go(PromptStage, toy(), composites, tmp_path / "whole", steps=7)
    asked = iter([False, False, False, True])  # in the middle between two saves
    ending = go(
        PromptStage, toy(), composites, tmp_path / "parts", steps=7, stop=lambda: next(asked)
    )
    assert ending == "asked"
    assert load_checkpoint(tmp_path / "parts" / "last.safetensors").metadata["step"] == 4
    assert go(PromptStage, toy(), composites, tmp_path / "parts", steps=7, resume=True) == "done"
    assert_same_weights(*(tmp_path / part / "last.safetensors" for part in ("whole", "parts")))
    assert rows(tmp_path / "whole") == rows(tmp_path / "parts")


def test_a_finished_run_may_be_made_longer(composites: Any, tmp_path: Path) -> None:
    go(ContrastStage, toy(), composites, tmp_path, steps=3)
    go(ContrastStage, toy(), composites, tmp_path, steps=5, resume=True)
    assert load_checkpoint(tmp_path / "last.safetensors").metadata["step"] == 5
    assert [row["step"] for row in rows(tmp_path)] == ["3", "5"]


def test_a_run_does_not_go_on_asking_for_something_else(composites: Any, tmp_path: Path) -> None:
    go(ContrastStage, toy(), composites, tmp_path)
    asks = StageSettings(temperature=0.2)
    with pytest.raises(CheckpointError, match=r"temperature 0\.1, now 0\.2"):
        go(ContrastStage, toy(), composites, tmp_path, resume=True, asks=asks)


@pytest.mark.parametrize(("stage", "columns"), [(ContrastStage, 3), (PromptStage, 4)])
def test_a_validation_is_drawn(stage: Any, columns: int, composites: Any, tmp_path: Path) -> None:
    batch = held_out(2) if stage is PromptStage else [halves(2)]
    go(stage, toy(), composites, tmp_path, validation=batch)
    for step in (3, 6):
        with Image.open(tmp_path / "samples" / f"{step:07d}.png") as picture:
            drawn = np.asarray(picture)
        assert drawn.shape == (2 * 64 + 4, columns * 68 - 4, 3)
        np.testing.assert_array_equal(drawn[:64, :64], halves(2)[0][0].permute(1, 2, 0))
        assert len(np.unique(drawn[:64, 68:132].reshape(-1, 3), axis=0)) == 2  # the two regions


def test_only_what_is_named_learns(composites: Any, tmp_path: Path) -> None:
    model = toy_vit()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    go(PromptStage, model, composites, tmp_path)
    changed = {name for name, value in model.state_dict().items() if not value.equal(before[name])}
    adaptor = {name for name in changed if ".adaptor_" in name or ".hfp_" in name}
    assert adaptor
    assert all(name in adaptor or name.startswith("mask_decoder.") for name in changed)


def test_what_would_not_learn_anything_is_refused() -> None:
    with pytest.raises(ValueError, match="This model has no adaptor: nothing would learn"):
        ContrastStage(toy(), StageSettings(learns=("adaptor",)))
    with pytest.raises(ValueError, match=r"learns must name parts .* not \('neck',\)"):
        StageSettings(learns=("neck",))


def test_parts_of_the_published_model_have_the_published_sizes(parity: Any) -> None:
    """Counted from the published file's keys; stage 2 trains adaptor (if at all) and decoder."""
    sizes: Counter[str] = Counter()
    for name, (shape, _) in parity.vit_b.items():
        room, _, inner = name.partition(".")
        part = {"mask_decoder": "decoder", "prompt_encoder": "prompt encoder"}.get(room, "backbone")
        if room == "image_encoder" and inner.startswith(("adaptor_", "hfp_")):
            part = "adaptor"
        sizes[part] += math.prod(shape)
    with torch.device("meta"):
        parts = parts_of(SafireModel(ModelConfig()))
    counted = {part: sum(p.numel() for p in some) for part, some in parts.items()}
    # The file holds a buffer of the prompt encoder, no parameter; a ViT has no filters, no stem.
    expected = dict(sizes) | {
        "prompt encoder": sizes["prompt encoder"] - 256, "filters": 0, "stem": 0,
    }  # fmt: skip
    assert counted == expected
    assert counted["backbone"] + counted["adaptor"] == 92_956_224
    assert counted["adaptor"] + counted["decoder"] == 7_343_652


def test_a_dry_run_measures_and_keeps_nothing(composites: Any, tmp_path: Path) -> None:
    settings = RunSettings(steps=1000)
    with launched(accelerator="cpu") as fabric:
        stage = ContrastStage(toy(), StageSettings())
        found = estimate(fabric, stage, composites, settings, warm_up=1, updates=2)
    assert found.updates == 1000
    assert found.seconds_per_update > 0
    assert found.seconds_waiting >= 0
    assert found.device_bytes is None
    assert found.trainable == sum(p.numel() for p in stage.model.image_encoder.parameters())
    assert f"{found.trainable:,} trainable, {found.frozen:,} frozen" in str(found)
    assert not list(tmp_path.iterdir())


def test_the_published_schedule_restarts_after_10_30_and_70_epochs() -> None:
    """CosineAnnealingWarmRestarts(T_0=10, T_mult=2, eta_min=1e-6) from 1e-4, asked each epoch."""
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=1e-4)
    theirs = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(
        optimizer, T_0=10, T_mult=2, eta_min=1e-6
    )
    ours = RunSettings(steps=800, learning_rate=1e-4, schedule="warm restarts", epoch=5)
    for epoch in range(150):
        expected = optimizer.param_groups[0]["lr"]
        for step in range(5 * epoch, 5 * epoch + 5):
            assert 1e-4 * ours.rate(step) == pytest.approx(expected, rel=1e-9)
        optimizer.step()
        theirs.step()


def test_bfloat16_learns_too(composites: Any, tmp_path: Path) -> None:
    model = toy()
    go(PromptStage, model, composites, tmp_path / "run", precision="bf16")
    assert all(value.dtype != torch.bfloat16 for value in model.state_dict().values())


def test_the_vit_learns(tmp_path: Path) -> None:
    model = toy_vit()
    batches = [halves(4, 64)]
    go(
        PromptStage, model, lambda **_: cycle(batches), tmp_path,
        steps=200, save_every=200, learning_rate=3e-3,
        asks=StageSettings(learns=PARTS, contrast_weight=0.1),  # there is no SAM to begin with
    )  # fmt: skip
    losses = [float(row["segmentation"]) for row in rows(tmp_path)]
    assert losses[-1] < 0.75 * losses[0]


@pytest.mark.parametrize("name", ["steps", "epoch", "accumulate", "save_every", "patience"])
def test_settings_are_checked(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be at least 1, not 0"):
        RunSettings(**{"steps": 1} | {name: 0})


def test_more_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="prompts_per_image must be at least 1, not 0"):
        PromptSettings(per_image=0)
    for bad, sentence in (
        ({"precision": "half"}, "Unknown precision 'half': use float32, bf16, fp16"),
        ({"schedule": "step"}, "Unknown schedule 'step': use cosine, warm restarts"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0, not 0"),
        ({"averaging": 1.0}, r"averaging must lie in \[0, 1\), not 1"),
    ):
        with pytest.raises(ValueError, match=sentence):
            RunSettings(steps=1, **bad)
    with pytest.raises(ValueError, match="offset of targets must be 0 to 3, not 4"):
        PromptSettings(offset=4)


# -- the scripts, in processes of their own ------------------------------------------------------


def configure(folder: Path, **stage: Any) -> Path:
    """A TOML file for the toy model and synthetic photographs."""
    table = photo_table(folder / "photos.csv")
    model = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in TOY.to_dict().items()
        if value is not None
    }
    tables = {
        "model": model,
        "data": {"photos_csv": str(table), "held_out_groups": 0.0, "workers": 0, "seed": 1},
        "pretrain": {"first_index": 0, "sides": [64], "pixels_per_batch": 2 * 64 * 64} | stage,
    }
    tables["train"] = tables["pretrain"] | {"prompts_per_image": 2}
    lines = []
    for title, entries in tables.items():
        lines.append(f"[{title}]")
        for name, value in entries.items():
            text = str(value).lower() if isinstance(value, bool) else repr(value)
            lines.append(f"{name} = {text}".replace("'", '"'))
    path = folder / "toy.toml"
    path.write_text("\n".join(lines))
    return path


def command(script: str, *arguments: object) -> list[str]:
    return [sys.executable, str(TRAINING / script), *map(str, arguments), "--accelerator", "cpu"]


ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def here(script: str, *arguments: object) -> str:
    done = run_script(script, *arguments, "--accelerator", "cpu")
    assert done.returncode == 0, done.stderr
    return done.stdout


def finish(script: str, *arguments: object) -> str:
    done = subprocess.run(
        command(script, *arguments),
        capture_output=True, text=True, timeout=240, env=ENVIRONMENT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@posix
def test_a_run_that_was_killed_goes_on_as_if_it_had_not(tmp_path: Path) -> None:
    """kill -9 after the first save; the same command with --resume gives the same weights."""
    config = configure(tmp_path, steps=30, save_every=10, learning_rate=1e-3)
    here("train.py", config, "-o", tmp_path / "whole")
    killed = tmp_path / "killed"
    running = subprocess.Popen(
        command("train.py", config, "-o", killed), stdout=subprocess.DEVNULL, env=ENVIRONMENT
    )
    try:
        end = time.monotonic() + 120
        while not (killed / "resume.pt").is_file():
            assert time.monotonic() < end
            assert running.poll() is None
            time.sleep(0.01)
        running.send_signal(signal.SIGKILL)
    finally:
        running.kill()
        running.wait()
    saved = load_checkpoint(killed / "last.safetensors").metadata["step"]
    assert saved < 30
    here("train.py", config, "-o", killed, "--resume")
    assert_same_weights(tmp_path / "whole" / "last.safetensors", killed / "last.safetensors")
    assert rows(tmp_path / "whole") == rows(killed)


@pytest.mark.by_hand
def test_a_photograph_that_breaks_is_told_once_and_training_goes_on(tmp_path: Path) -> None:
    config = configure(tmp_path, steps=12, save_every=12, learning_rate=1e-3)
    for name, content in (("photo3", b""), ("photo5", b"\x89PNG no picture")):
        (tmp_path / "photos" / f"{name}.png").write_bytes(content)
    whole = tmp_path / "photos" / "photo4.png"
    whole.write_bytes(whole.read_bytes()[:3000])
    told = here("pretrain.py", config, "-o", tmp_path / "run")
    assert "step 12/12" in told
    warnings = [line for line in told.splitlines() if line.startswith("Warning:")]
    assert len(warnings) == 3
    for name in ("photo3", "photo4", "photo5"):
        assert sum(f"{name}.png" in line for line in warnings) == 1
    assert "3 pictures could not be used" in told
    again = here("pretrain.py", config, "-o", tmp_path / "again")
    assert rows(tmp_path / "run") == rows(tmp_path / "again")
    assert again.count("Warning:") == 3


def test_what_cannot_learn_is_one_sentence_for_the_user(tmp_path: Path) -> None:
    config = configure(tmp_path, steps=2, learns=["adaptor"])
    done = run_script("pretrain.py", config, "-o", tmp_path / "run", "--accelerator", "cpu")
    assert done.returncode == 1
    assert "Error: This model has no adaptor: nothing would learn." in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.by_hand
def test_two_processes_do_what_one_does_with_both_their_batches(tmp_path: Path) -> None:
    both = {"save_every": 4, "learning_rate": 1e-3, "steps": 4}
    (tmp_path / "two").mkdir()
    config = configure(tmp_path / "two", **both)
    told = finish("train.py", config, "-o", tmp_path / "two" / "run", "--devices", 2)
    assert told.count("step 4/4") == 1  # only one of them speaks
    alone = configure(tmp_path, **both, accumulate=2)
    finish("train.py", alone, "-o", tmp_path / "one")
    a, b = (
        load_checkpoint(folder / "last.safetensors")
        for folder in (tmp_path / "two" / "run", tmp_path / "one")
    )
    for (name, value), other in zip(a.named_parameters(), b.parameters(), strict=True):
        torch.testing.assert_close(value, other, rtol=1e-3, atol=1e-5, msg=name)
    (two,), (one,) = rows(tmp_path / "two" / "run"), rows(tmp_path / "one")
    assert two.keys() == one.keys()
    for name in two:
        assert float(two[name]) == pytest.approx(float(one[name]), abs=2e-3)


SKIPPING = """
import sys, torch
sys.path[:0] = [{tests!r}, {tests!r} + "/.."]
from itertools import repeat
from pathlib import Path
from test_training_runs import TOY, halves
from napari_safire.learning import stages
from napari_safire.learning.devices import launched
from napari_safire.learning.run import run
from napari_safire.learning.settings import RunSettings
from napari_safire.model import SafireModel

settings = RunSettings(steps=50, save_every=50, learning_rate=1e-3)
calls = iter(range(100))

with launched(accelerator="cpu", devices=2) as fabric:
    def compactness(cells, _):
        bad = fabric.global_rank == 1 and next(calls) == 2  # on one device only
        return cells.sum() * (torch.nan if bad else 0.0)

    stages.compactness = compactness
    torch.manual_seed(0)
    model = SafireModel(TOY)
    asked = iter(range(1, 100))
    ending = run(
        fabric, stages.ContrastStage(model, stages.StageSettings()), lambda **_: repeat(halves()),
        settings, Path({folder!r}),
        stop=lambda: fabric.global_rank == 1 and next(asked) == 5,  # one is asked, both stop
    )
    assert ending == "asked"
    sums = fabric.all_gather(sum(p.double().sum() for p in model.parameters()))
    assert torch.isfinite(sums).all()
    assert sums[0] == sums[1], sums
"""


@pytest.mark.by_hand
def test_all_processes_skip_the_update_that_is_bad_on_one_and_stop_when_one_is_asked(
    tmp_path: Path,
) -> None:
    script = tmp_path / "skipping.py"
    script.write_text(
        SKIPPING.format(tests=str(Path(__file__).parent), folder=str(tmp_path / "run"))
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=240, env=ENVIRONMENT
    )
    assert done.returncode == 0, done.stderr
    assert "stopped as asked, after step 5/50" in done.stdout
    assert "1 updates were skipped" in done.stdout
