"""training/average.py: the weights half way between two models of one line."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from napari_safire.model import ModelConfig, SafireModel, load_model, save_checkpoint

TRAINING = Path(__file__).parents[2] / "training"


@pytest.fixture
def average(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(TRAINING))
    import average

    yield average
    sys.modules.pop("average", None)


def saved(path: Path, seed: int, config: ModelConfig) -> SafireModel:
    torch.manual_seed(seed)
    model = SafireModel(config)
    save_checkpoint(model, path, metadata={"calibration": "of these weights"})
    return model


def test_weights_lie_between_those_of_both(
    average: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    config = ModelConfig.lite()
    paths = [tmp_path / f"{n}.safetensors" for n in range(2)]
    first, second = (saved(path, n, config).state_dict() for n, path in enumerate(paths))
    out = tmp_path / "mean.safetensors"
    monkeypatch.setattr(sys, "argv", ["average.py", *map(str, paths), "-o", str(out)])
    assert average.main() == 0
    mean = load_model(str(out))
    assert "calibration" not in mean.metadata
    different = 0
    for key, value in mean.state_dict().items():
        if not value.is_floating_point():  # counters of the normalisation
            continue
        torch.testing.assert_close(value, (first[key] + second[key]) / 2)
        different += not torch.equal(first[key], second[key])
    assert different > 100
    # The averaged weights are those of a whole model: it answers.
    with torch.no_grad():
        assert mean.encode(torch.zeros(1, 3, 64, 64)).isfinite().all()
    quarter = average.averaged(load_model(str(paths[0])), load_model(str(paths[1])), 0.25)
    key = "mask_decoder.iou_token.weight"
    torch.testing.assert_close(quarter.state_dict()[key], 0.75 * first[key] + 0.25 * second[key])


def test_what_has_no_average_is_one_sentence(
    average: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    config = ModelConfig.lite()
    paths = [tmp_path / f"{n}.safetensors" for n in range(2)]
    saved(paths[0], 0, config)
    saved(paths[1], 1, replace(config, depth=config.depth + 1))
    out = tmp_path / "mean.safetensors"
    for some, words in (
        (paths, "have different sizes"),
        ([paths[0], tmp_path / "none.safetensors"], "is neither a file"),
    ):
        monkeypatch.setattr(sys, "argv", ["average.py", *map(str, some), "-o", str(out)])
        assert average.main() == 1
        assert words in capsys.readouterr().err
    assert not out.exists()
    command = ["average.py", str(paths[0]), str(paths[0]), "-o", str(out), "--share", "1"]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit):
        average.main()
    assert "--share must lie between 0 and 1" in capsys.readouterr().err
