"""Make everything a model card rests on, by the commands anyone could type.

python training/evaluate_card.py training/card.toml
python training/model_card.py runs/card -o docs/models/safire-lite.md

Each step is a command of its own, printed before it is run and kept in commands.json, which the
card shows. An interrupted run is continued by the same command: every step goes on where it was.
Exit code 0: done; 1: a step failed; 2: wrong arguments.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from napari_safire.atomic import atomic_path

HERE = Path(__file__).parent
SCRIPTS = ("training", "benchmarks")


@dataclass(frozen=True)
class CardPlan:
    """What is evaluated; see training/card.toml."""

    output: str
    photos: str
    forgeries: str
    originals: str | None = None
    model: str = "safire-lite"
    split: str = "val"
    size: str = "1024x768"
    seed: int = 7
    composites: int = 200
    operations: int = 120
    authentic: int = 1000
    forged: int = 1000
    degraded: int = 40
    confidence: int = 40
    examples: int = 6
    workers: int = 2
    degradations: tuple[str, ...] = ()
    recompressions: tuple[str, ...] = ()


def main() -> int:
    """Run the script; return its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", type=Path, help="TOML file, for example training/card.toml")
    parser.add_argument("-o", "--output", help="folder, instead of that in the file")
    parser.add_argument("--model", help="instead of that in the file")
    options = parser.parse_args()
    try:
        plan = read_plan(options.config)
    except (OSError, ValueError, TypeError) as error:
        parser.error(str(error))
    given = {"output": options.output, "model": options.model}
    plan = replace(plan, **{name: value for name, value in given.items() if value})
    commands = commands_of(plan)
    folder = Path(plan.output)
    folder.mkdir(parents=True, exist_ok=True)
    told = {
        "model": plan.model,
        "photos": plan.photos,
        "forgeries": plan.forgeries,
        "commands": commands,
    }
    with atomic_path(folder / "commands.json") as temporary:
        temporary.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    for step, command in commands.items():
        print(f"\n{step}: {command}", flush=True)
        if code := subprocess.run(_runnable(command), check=False).returncode:
            print(f"Error: the step {step} failed with exit code {code}.", file=sys.stderr)
            return 1
    return 0


def read_plan(path: Path) -> CardPlan:
    """Read the TOML file.

    Raises
    ------
    ValueError
        It is none, or has entries that mean nothing or lacks some.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path} is no TOML file: {error}.") from error
    unknown = sorted(table.keys() - {field.name for field in fields(CardPlan)})
    missing = sorted({"output", "photos", "forgeries"} - table.keys())
    if unknown or missing:
        raise ValueError(
            f"{path} has {', '.join(unknown) or 'no ' + ', no '.join(missing)}: its entries are "
            f"{', '.join(field.name for field in fields(CardPlan))}."
        )
    return CardPlan(**{n: tuple(v) if isinstance(v, list) else v for n, v in table.items()})


def commands_of(plan: CardPlan) -> dict[str, str]:
    """Return the command lines, by step, in the order in which they have to be run."""
    out, model = plan.output, ["--model", plan.model]
    made = ["--split", plan.split, "--size", plan.size]
    seeded = [*made, "--seed", plan.seed, "--workers", plan.workers]
    make, evaluate = "python training/make_dataset.py", "napari-safire evaluate"
    composites, operations = f"{out}/composites/list.txt", f"{out}/operations/list.txt"
    authentic, forged = f"{out}/authentic/list.txt", f"{out}/forged.txt"
    root = str(Path(plan.forgeries).with_suffix(""))
    degradations = [part for name in plan.degradations for part in ("--degradation", name)]
    recompressions = [part for name in plan.recompressions for part in ("--degradation", name)]
    untouched = [authentic]
    originals: dict[str, list[Any]] = {}
    if plan.originals:
        untouched.append(f"{out}/originals/list.txt")
        originals["originals"] = [
            "python training/authentic_crops.py", plan.originals, "-o", f"{out}/originals",
            "--unlike", plan.photos, "--split", "train", "--size", plan.size,
        ]  # fmt: skip
    unseen = ["--worst", 0]  # only composites may be shown
    operation_names = "splicing,copy-move,removal,reconstruction"
    steps: Mapping[str, list[Any]] = {
        "composites": [make, plan.photos, "-o", f"{out}/composites", "--count", plan.composites,
                       "--sources", "2,3,4", *seeded],
        "operations": [make, plan.photos, "-o", f"{out}/operations", "--count", plan.operations,
                       "--sources", 2, "--operations", operation_names, *seeded],
        "authentic": ["python training/authentic_crops.py", plan.photos, "-o", f"{out}/authentic",
                      "--limit", plan.authentic, *made],
        **originals,
        "forged": ["python training/forged_list.py", plan.forgeries, "-o", forged],
        "compared": ["python benchmarks/classical.py", composites, "--kind sources", *model,
                     "-o", f"{out}/compared"],
        "compared-forged": ["python benchmarks/classical.py", forged, "--root", root,
                            "--kind binary", "--limit", plan.forged, *model,
                            "-o", f"{out}/compared-forged"],
        "auto": [evaluate, composites, *untouched, "--sources auto", *model, "--worst",
                 plan.examples, "-o", f"{out}/auto"],
        "by-operation": [evaluate, operations, *model, *unseen, "-o", f"{out}/by-operation"],
        "degraded": [evaluate, composites, "--limit", plan.degraded, *degradations, *model, *unseen,
                     "-o", f"{out}/degraded"],
        "verdicts": [evaluate, *untouched, "--kind binary", *recompressions, *model, *unseen,
                     "-o", f"{out}/verdicts"],
        "confidence": ["python training/confidence.py", composites, "--limit", plan.confidence,
                       *model, "-o", f"{out}/confidence.csv"],
    }  # fmt: skip
    return {step: " ".join(_quoted(part) for part in parts) for step, parts in steps.items()}


def _quoted(part: object) -> str:
    """Quote what came from outside; the words of a command stay words."""
    text = str(part)
    known = text.startswith(("python ", "napari-safire ", "--"))
    return text if known else shlex.quote(text)


def _runnable(command: str) -> list[str]:
    """Arguments of a process: this Python, and this checkout's scripts."""
    first, *rest = shlex.split(command)
    if first == "napari-safire":
        return [sys.executable, "-m", "napari_safire", *rest]
    script, *arguments = rest
    if script.split("/")[0] not in SCRIPTS:
        raise ValueError(f"The card names {script}, which is no script of this repository.")
    return [sys.executable, str(HERE.parent / script), *arguments]


if __name__ == "__main__":
    sys.exit(main())
