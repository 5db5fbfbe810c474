"""Score classical methods and a model on the same pictures, by the same metrics.

python benchmarks/classical.py runs/val/list.txt --kind sources -o runs/classical
python benchmarks/classical.py runs/forged.txt --root ../shared/forged --kind binary -o runs/real

Methods: benchmarks/baselines; nothing in them was tuned on scored pictures. Of "sources" the true
number is given to all. Prints one table a list, differences to the model (paired) below it; the
folder holds what `napari-safire evaluate` leaves: scores per picture, summary.csv, report.html. An
interrupted run is continued by the same command. Exit code 0: done; 1: it failed, or no picture
could be scored; 2: wrong arguments.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from baselines import BASELINES
from baselines.engine import BaselineEngine

from napari_safire.cli.evaluate import sets_of_lists
from napari_safire.cli.terminal import complain, open_engine, print_table, progress_bar
from napari_safire.errors import SafireError
from napari_safire.evaluation import ScoringSettings, SetScores, Study, run_study, tables
from napari_safire.evaluation.report import write_report


def main() -> int:
    """Run the script; return its exit code."""
    options = _arguments()
    try:
        settings = ScoringSettings(options.kind, seed=options.seed)
        study = Study(
            sets_of_lists(options.lists, options.root, None, options.limit, settings),
            (options.model, *BASELINES),
            folder=options.output,
            examples=0,  # they may show pictures that must not be passed on
        )
        with progress_bar("scoring") as show:
            scores = run_study(study, lambda name: _open(name, options.device), show)
        _print(scores)
        print(f"\nReport: {write_report(scores, options.output).resolve()}")
    except (SafireError, ValueError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped: run the same command again to go on.", file=sys.stderr)
        return 1
    return 0 if any(of_model.good() for of_model in scores) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("lists", type=Path, nargs="+", metavar="LIST")
    add("--root", type=Path, help="folder of the lists' paths (default: each list's own)")
    add("--kind", choices=("binary", "sources"), required=True)
    add("--limit", type=int, help="only the first N entries of each list")
    add("--seed", type=int, default=0)
    add("--model", default="safire-lite", help="name or file")
    add("--device", default="auto")
    add("-o", "--output", type=Path, required=True, metavar="FOLDER")
    options = parser.parse_args()
    if options.limit is not None and options.limit < 1:
        parser.error(f"--limit must be at least 1, not {options.limit}.")
    return options


def _open(name: str, device: str) -> object:
    return BaselineEngine(name) if name in BASELINES else open_engine(name, device)


def _print(scores: list[SetScores]) -> None:
    for name, of_set in tables.of_sets(scores).items():
        print(f"\n{name}")
        for error in dict.fromkeys(r.error for of_model in of_set for r in of_model.broken):
            complain(error)
        for table in (tables.model_table(of_set), tables.difference_table(of_set)):
            print_table(list(table.rows), table.header)
            print()


if __name__ == "__main__":
    sys.exit(main())
