"""Run a benchmark: models on named sets, one report with a table for each set.

python training/evaluate.py training/evaluation.toml
python training/evaluate.py training/evaluation.toml --model runs/train/best.safetensors

An interrupted run is continued by the same command. Exit code 0: done; 1: it failed, or no picture
could be scored; 2: wrong arguments.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_safire.cli.evaluate import show_scores
from napari_safire.cli.terminal import open_engine, progress_bar
from napari_safire.datasets.catalogue import find_set, read_entries
from napari_safire.errors import SafireError
from napari_safire.evaluation import EvaluationSet, ScoringSettings, Study, run_study
from napari_safire.evaluation.report import write_report
from napari_safire.synthesis.degradations import GRID, Degradation

RUN_DEFAULTS: dict[str, Any] = {
    "output": None,
    "models": ["safire-lite"],
    "device": "auto",
    "precision": "float32",
    "jobs": 1,
    "seed": 0,
    "points_per_side": 16,
    "examples": 8,
    "robustness": False,
    "sets": {},
}
SET_DEFAULTS: dict[str, Any] = {
    "list": None,  # of a published set also its folder
    "root": None,
    "set": None,
    "kind": "sources",
    "sources": "given",
    "at": None,
    "limit": None,
}


def main() -> int:
    """Run the script; return its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", type=Path, help="TOML file, for example training/evaluation.toml")
    parser.add_argument("-o", "--output", type=Path, help="folder, instead of that in the file")
    parser.add_argument(
        "--model", action="append", dest="models", help="instead of those in the file; repeatable"
    )
    options = parser.parse_args()
    try:
        settings = _read(options.config)
        given = {"output": options.output, "models": options.models}
        settings |= {name: value for name, value in given.items() if value}
        study = _study(settings)
        with progress_bar("evaluating") as show:
            scores = run_study(
                study,
                lambda model: open_engine(model, settings["device"], settings["precision"]),
                show,
            )
        report = write_report(scores, Path(settings["output"])).resolve()
        show_scores(scores)
        print(f"\nReport: {report}")
    except (ValueError, TypeError) as error:
        parser.error(str(error))
    except (SafireError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped: run the same command again to go on.", file=sys.stderr)
        return 1
    return 0 if any(of_model.good() for of_model in scores) else 1


def _read(path: Path) -> dict[str, Any]:
    """Return the file's settings, completed; refuse names that mean nothing."""
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path} is no TOML file: {error}.") from error
    settings = _completed(found, RUN_DEFAULTS, str(path))
    settings["sets"] = {
        name: _completed(table, SET_DEFAULTS, f"[sets.{name}] of {path}")
        for name, table in settings["sets"].items()
    }
    if not settings["sets"]:
        raise ValueError(f"{path} names no set: add a table [sets.NAME] with a list.")
    for name, table in settings["sets"].items():
        if table["list"] is None:
            raise ValueError(f'The set {name} has no list: add `list = "FILE"` to [sets.{name}].')
    if settings["output"] is None:
        raise ValueError(f'{path} names no output folder: add `output = "FOLDER"`.')
    return settings


def _completed(found: dict[str, Any], defaults: dict[str, Any], where: str) -> dict[str, Any]:
    unknown = sorted(found.keys() - defaults.keys())
    if unknown:
        raise ValueError(
            f"{where} sets {', '.join(unknown)}, which mean nothing here: choose from "
            f"{', '.join(defaults)}."
        )
    return defaults | found


def _study(settings: Mapping[str, Any]) -> Study:
    listed = {
        name: read_entries(table["list"], table["root"], table["set"])
        for name, table in settings["sets"].items()
    }
    sets = tuple(
        EvaluationSet(
            name,
            listed[name].entries[: table["limit"]],
            ScoringSettings(
                kind=table["kind"] if table["set"] is None else find_set(table["set"])[0].rule.kind,
                sources=table["sources"],
                seed=settings["seed"],
                points_per_side=settings["points_per_side"],
                side=table["at"],
            ),
            listed[name].notes,
        )
        for name, table in settings["sets"].items()
    )
    return Study(
        sets,
        tuple(settings["models"]),
        _degradations(settings["robustness"]),
        Path(settings["output"]),
        settings["jobs"],
        settings["examples"],
    )


def _degradations(wanted: bool | list[str]) -> tuple[Degradation, ...]:
    if isinstance(wanted, bool):
        return GRID if wanted else GRID[:1]
    return tuple(Degradation.parse(name) for name in wanted)


if __name__ == "__main__":
    sys.exit(main())
