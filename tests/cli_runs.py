"""The command line, run here or as users do, with a tiny random model on a small picture."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from toys import tiny_lite
from typer.testing import CliRunner, Result

from napari_safire.cli import app
from napari_safire.images.demo import demo_composite
from napari_safire.model.files.checkpoint import save_checkpoint
from napari_safire.model.safire import SafireModel

SHAPE = (96, 128)
ONLY = ("--points", "1,1", "--only-points")


def cli(*arguments: object) -> Result:
    """Run in this process; an exception that is no exit is raised."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


MAIN = "from napari_safire.cli import main; main()"


def process(
    *arguments: object, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run as users do."""
    return subprocess.run(
        [sys.executable, "-c", MAIN, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=900,
        env={**os.environ, "OMP_NUM_THREADS": "1", **(env or {})},
    )


def one_error(stderr: str) -> str:
    """The only complaint, which is one line and no traceback."""
    assert "Traceback" not in stderr
    (line,) = [line for line in stderr.splitlines() if line.startswith("Error:")]
    return line


def make_model(path: Path) -> Path:
    torch.manual_seed(0)
    save_checkpoint(SafireModel(tiny_lite()), path)
    return path


def make_picture(path: Path) -> Path:
    image, _ = demo_composite()
    Image.fromarray(image[: SHAPE[0], : SHAPE[1]]).save(path)
    return path


def predict(model: Path, *arguments: object) -> Result:
    return cli("predict", "--model", model, "--points-per-side", 4, *arguments)


def make_batch(folder: Path, picture: Path, count: int = 3) -> Path:
    """A folder of different pictures."""
    folder.mkdir()
    pixels = np.array(Image.open(picture))
    for number in range(count):
        pixels[0, 0, :2] = divmod(number, 256)
        Image.fromarray(pixels).save(folder / f"p{number}.png")
    return folder


def damaged_models(folder: Path, good: Path) -> dict[str, Path]:
    from safetensors.torch import load_file, save_file

    class Code:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(folder / "code-was-run"),)

    tensors = load_file(good)
    made = {name: folder / f"{name}.safetensors" for name in ("keys", "truncated", "text")}
    made |= {name: folder / f"{name}.pth" for name in ("shapes", "code", "other keys")}
    save_file({"some.weight": torch.zeros(3)}, made["keys"])
    made["truncated"].write_bytes(good.read_bytes()[:-1000])
    made["text"].write_text("not a model")
    state = {f"module.{key}": torch.zeros(2, *value.shape) for key, value in tensors.items()}
    torch.save({"model": state}, made["shapes"])
    torch.save({"model": Code()}, made["code"])
    torch.save({"model": {"a.b": torch.zeros(3)}}, made["other keys"])
    return made
