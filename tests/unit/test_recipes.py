"""The TOML files of training/: what they say, and that wrong ones are refused."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from napari_safire.errors import SafireError
from napari_safire.learning.stages import ContrastStage, PromptStage
from napari_safire.model import SafireModel, load_model

TRAINING = Path(__file__).parents[2] / "training"
VITS = ("vit_b.toml", "vit_l.toml", "vit_h.toml")
# SAM's image encoders, without the adaptor: 89,670,912 for ViT-B is the published SAFIRE's.
BACKBONES = {"vit_b.toml": 89_670_912, "vit_l.toml": 308_278_272, "vit_h.toml": 637_026_048}


@pytest.fixture(autouse=True)
def _scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scripts import what lies beside them."""
    monkeypatch.syspath_prepend(str(TRAINING))
    yield
    for name in ("settings", "pictures"):
        sys.modules.pop(name, None)


def plan(name: str | Path, stage: str, **options: Any) -> Any:
    from settings import read_plan

    return read_plan(TRAINING / name, stage, **options)


@pytest.mark.parametrize("name", ["lite.toml", "lite_7.toml", *VITS])
@pytest.mark.parametrize(("stage", "make"), [("pretrain", ContrastStage), ("train", PromptStage)])
def test_every_recipe_fits_its_model(name: str, stage: str, make: Any) -> None:
    chosen = plan(name, stage)
    with torch.device("meta"):
        trained = make(SafireModel(chosen.model), chosen.asks).trained()
    assert sum(p.numel() for p in trained) > 0


@pytest.mark.parametrize("name", VITS)
def test_the_backbones_are_those_of_sam(name: str) -> None:
    from napari_safire.learning.stages import parts_of

    with torch.device("meta"):
        parts = parts_of(SafireModel(plan(name, "train").model))
    assert sum(p.numel() for p in parts["backbone"]) == BACKBONES[name]


def test_the_last_step_trains_the_shipped_model() -> None:
    chosen = plan("lite_7.toml", "train")
    assert chosen.model == load_model("safire-lite").config
    assert chosen.run.steps == 2400
    assert chosen.data["composites"]["source_counts"] == [0.26, 0.30, 0.25, 0.19]


def test_the_published_recipe() -> None:
    """Numbers of the published scripts: six devices, 150 epochs, three pairs of points."""
    first, second = plan("vit_b.toml", "pretrain"), plan("vit_b.toml", "train")
    assert first.crops.batch_size(1024) * 6 == 12
    assert second.crops.batch_size(1024) * 6 == 36
    assert first.run.epoch == math.ceil(4 * 2000 / 12)
    assert first.run.steps == pytest.approx(150 * first.run.epoch, rel=1e-3)
    assert second.run.epoch == math.floor(9 * 1869 / 36)
    assert second.run.steps == 150 * second.run.epoch
    reference = plan("vit_b.toml", "pretrain", reference=True)
    assert reference.data["pictures"] == {"how": "squash", "degraded_share": 0.5}
    for chosen in (first, second):
        assert (chosen.run.learning_rate, chosen.run.weight_decay) == (1e-4, 0.01)
        assert chosen.run.schedule == "warm restarts"
        assert chosen.data["pictures"] == {"how": "squash"}
    assert second.asks.prompts.per_image == 6
    assert second.asks.prompts.connected
    assert second.asks.confidence_weight == 0.1
    assert len(first.lists) == 4
    assert len(second.lists) == 9
    assert not any("IMD2020" in str(table.get("validation")) for table in second.lists)


@pytest.mark.parametrize("reference", [False, True])
def test_what_learns_is_what_the_recipe_says(reference: bool) -> None:
    """As published no gradient reaches the adaptor in stage 2: 4,058,340 instead of 7,343,652."""
    learns = {}
    for stage, make in (("pretrain", ContrastStage), ("train", PromptStage)):
        chosen = plan("vit_b.toml", stage, reference=reference)
        with torch.device("meta"):
            trained = make(SafireModel(chosen.model), chosen.asks).trained()
        learns[stage] = sum(p.numel() for p in trained)
    assert learns == {"pretrain": 92_956_224, "train": 4_058_340 if reference else 7_343_652}


def test_the_reference_recipe_changes_what_it_names_only() -> None:
    ours, theirs = (plan("vit_b.toml", "train", reference=flag) for flag in (False, True))
    assert theirs.run.averaging == 0
    assert math.isinf(theirs.run.largest_gradient)
    assert theirs.asks.contrast_weight == 0
    assert theirs.asks.prompts.offset == 0
    assert theirs.run.steps == ours.run.steps
    assert theirs.lists == ours.lists


def test_larger_models_differ_from_the_base_only_where_they_say_so() -> None:
    base, large = plan("vit_b.toml", "train"), plan("vit_l.toml", "train")
    assert large.model.depth == 24
    assert large.run.accumulate * large.crops.batch_size(1024) == base.crops.batch_size(1024)
    assert large.lists == base.lists


WRONG = {
    "no table": ("[model]\n[data]\nworkers = 0\nseed = 0\n", r"has no table \[train\]"),
    "unknown entry": (
        "[model]\n[data]\nworkers = 0\nseed = 0\n[train]\nsteps = 1\nspeed = 2\n",
        "unknown entries speed",
    ),
    "bad value": (
        "[model]\n[data]\nworkers = 0\nseed = 0\n[train]\nsteps = 0\n",
        "steps must be at least 1, not 0",
    ),
    "no steps": ("[model]\n[data]\nworkers = 0\nseed = 0\n[train]\n", "steps"),
    "bad model": (
        "[model]\ndepth = 0\n[data]\nworkers = 0\nseed = 0\n[train]\nsteps = 1\n",
        "depth is 0",
    ),
    "no seed": ("[model]\n[data]\nworkers = 0\n[train]\nsteps = 1\n", "no seed"),
    "unknown data": (
        "[model]\n[data]\nworkers = 0\nseed = 0\nfotos = 1\n[train]\nsteps = 1\n",
        "unknown entries fotos",
    ),
    "no TOML": ("[model\n", "cannot be read"),
    "no base": ('base = "nowhere.toml"\n', "nowhere.toml cannot be read"),
    "no recipe": (
        "[model]\n[data]\nworkers = 0\nseed = 0\n[train]\nsteps = 1\n",
        "leave --reference-recipe out",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_file_is_refused_with_a_sentence(wrong: str, tmp_path: Path) -> None:
    text, sentence = WRONG[wrong]
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(SafireError, match=sentence):
        plan(path, "train", reference=wrong == "no recipe")


# -- pictures ------------------------------------------------------------------------------------


def picture_list(folder: Path, name: str, count: int) -> str:
    """Pictures with masks, one that is cut off and one that is missing; the name of their list."""
    rng = np.random.default_rng(0)
    lines = []
    for number in range(count):
        stem = f"{name}{number}"
        Image.fromarray(rng.integers(0, 255, (96, 80, 3), np.uint8)).save(folder / f"{stem}.png")
        mask = np.zeros((96, 80), np.uint8)
        mask[20:60, 20:60] = 255
        Image.fromarray(mask).save(folder / f"{stem}_mask.png")
        lines.append(f"{stem}.png,{stem}_mask.png")
    cut = folder / f"{name}1.png"
    cut.write_bytes(cut.read_bytes()[:200])
    lines.append(f"{name}_nowhere.png,None")
    (folder / f"{name}.txt").write_text("\n".join(lines))
    return f"{name}.txt"


def listed(tmp_path: Path, how: str) -> Any:
    text = f"""
[model]
[data]
workers = 0
seed = 1
validation_batches = 2
[data.pictures]
how = "{how}"
[train]
steps = 1
sides = [64]
pixels_per_batch = 8_192
prompts_per_image = 2
[[train.lists]]
set = "default"
root = "{tmp_path}"
training = "{picture_list(tmp_path, "t", 4)}"
validation = "{picture_list(tmp_path, "v", 3)}"
"""
    path = tmp_path / "lists.toml"
    path.write_text(text)
    return plan(path, "train")


@pytest.mark.parametrize("how", ["crop", "squash"])
def test_a_stage_learns_from_lists(how: str, tmp_path: Path) -> None:
    from pictures import training_batches, validation_batches

    heard: list[str] = []
    chosen = listed(tmp_path, how)
    source = training_batches(chosen, heard.append, prompts=True)(start=0, rank=0, world=1)
    for _ in range(10):
        pixels, labels, points, targets = next(source)
        assert pixels.shape == (2, 3, 64, 64)
        assert set(labels.unique().tolist()) <= {0, 1}
        assert points.shape == (2, 2, 2)
        assert targets.shape == (2, 2, 16, 16)
    assert len(heard) == 2  # each once
    assert sum("t1.png" in sentence for sentence in heard) == 1
    assert sum("t_nowhere.png" in sentence for sentence in heard) == 1
    one, other = (validation_batches(chosen, heard.append, prompts=True) for _ in range(2))
    assert len(one) == 2
    for a, b in zip(one, other, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    assert any("v1.png" in sentence for sentence in heard)


def test_a_list_that_leads_out_of_its_root_is_refused(tmp_path: Path) -> None:
    from pictures import training_batches

    chosen = listed(tmp_path, "crop")
    (tmp_path / "t.txt").write_text("../../etc/passwd,None")
    with pytest.raises(SafireError, match="leads out of the root folder"):
        training_batches(chosen, print, prompts=False)


def test_without_pictures_there_is_nothing_to_train_on(tmp_path: Path) -> None:
    from pictures import training_batches

    path = tmp_path / "empty.toml"
    path.write_text("[model]\n[data]\nworkers = 0\nseed = 0\n[train]\nsteps = 1\n")
    with pytest.raises(
        SafireError, match="nothing to train on: name photos_csv, photos_folder or lists"
    ):
        training_batches(plan(path, "train"), print, prompts=False)


def test_photographs_of_a_folder_will_do(tmp_path: Path) -> None:
    from pictures import training_batches, validation_batches

    rng = np.random.default_rng(0)
    for group in ("anna", "bert", "çelik", "dora"):
        (tmp_path / "photos" / group).mkdir(parents=True)
        picture = rng.integers(0, 255, (150, 150, 3), np.uint8)
        Image.fromarray(picture).save(tmp_path / "photos" / group / "1.png")
    path = tmp_path / "folder.toml"
    for composites, sentence in (("", None), ("[data.composites]\nsmallest = 2\n", "smallest")):
        path.write_text(
            f'[model]\n[data]\nphotos_folder = "{tmp_path / "photos"}"\nheld_out_groups = 0.5\n'
            f"workers = 0\nseed = 0\nvalidation_batches = 1\n{composites}"
            "[train]\nsteps = 1\nsides = [64]\npixels_per_batch = 8_192\n"
        )
        chosen = plan(path, "train")
        if sentence is not None:
            with pytest.raises(SafireError, match=sentence):
                training_batches(chosen, print, prompts=True)
            continue
        pixels, *_ = next(training_batches(chosen, print, prompts=True)(start=0, rank=0, world=1))
        assert pixels.shape == (2, 3, 64, 64)
        ((pixels, *_),) = validation_batches(chosen, print, prompts=True)
        assert pixels.shape == (2, 3, 64, 64)


def test_a_wrong_way_to_take_pictures_is_refused_with_a_sentence(tmp_path: Path) -> None:
    from pictures import training_batches

    chosen = listed(tmp_path, "stretch")
    with pytest.raises(SafireError, match="Unknown way to take a crop 'stretch'"):
        training_batches(chosen, print, prompts=False)
