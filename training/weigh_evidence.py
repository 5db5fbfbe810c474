"""Weigh evidence views and the network together, and store the rule with the model.

python training/evidence_pictures.py ../shared -o runs/evidence
python training/weigh_evidence.py runs/evidence/pictures.csv -o runs/evidence/looks --docs docs
python training/weigh_evidence.py runs/evidence/pictures.csv -o runs/evidence/looks \\
    --store src/napari_safire/model/weights/safire-lite.safetensors

Looks at every picture once (what was looked at before is kept, until the code of a view changes),
fits a logistic regression with weights of at least 0 over the scores, every kind of picture
counting the same on its side, and chooses the lowest threshold that no authentic kind passes more
often than one time in twenty. All rates that are told are cross-fitted: each picture is judged by a
rule and thresholds fitted on the other fold, which shares no origin with it. What is stored is
fitted on both. Exit code 0: done; 1: it failed; 2: wrong arguments.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from evidence_looks import Look, look_at_all
from evidence_pictures import EDITED, read_pictures
from evidence_tables import Judged, write_tables

from napari_safire.engine.rules import read_rules, with_rules
from napari_safire.errors import SafireError
from napari_safire.forgery import NETWORK
from napari_safire.images.files import file_sha256
from napari_safire.learning.combination import (
    WeighedPicture,
    combinations_without,
    fit_combination,
)
from napari_safire.model import load_model, save_checkpoint
from napari_safire.partitioning.combination import CombinationRule, combine

# Not "network-made content", which is wrong of one in fifteen JPEGs that were made smaller by less
# than one per cent.
COUNTED = ("copy-move", "double compression", "compression grid", "JPEG compatibility")
# Kinds with few pictures are judged together, so that a rate can be seen in them.
_TOGETHER = {
    "screenshots": "screens, text and repetition",
    "pages of text": "screens, text and repetition",
    "repetitive scenes and text": "screens, text and repetition",
    "originals of forgeries": "untouched originals",
    "originals of network edits": "untouched originals",
    **dict.fromkeys(EDITED.values(), "network edits"),
}
_RATES = {"false_alarm_rate": 0.05, "miss_rate": 0.2}
_BASIS = (
    "calibrated, with all evidence, on {n_forged} forged and {n_authentic} authentic pictures of "
    "{n_groups} origins; the authentic ones are of {n_kinds} kinds."
)


def main() -> int:
    """Run the script; return its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pictures", type=Path, metavar="TABLE")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--model", default="safire-lite")
    parser.add_argument("--views", nargs="*", default=COUNTED, metavar="VIEW")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--docs", type=Path, metavar="FOLDER", help="write figures and chart here")
    parser.add_argument("--store", type=Path, metavar="MODEL", help="write the rule to this file")
    options = parser.parse_args()
    try:
        pictures = read_pictures(options.pictures)
        looks = look_at_all(pictures, options.views, options.output, options.model, options.jobs)
        _weigh(looks, options.views, options.output, options.docs, options.store)
    except (SafireError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _weigh(
    looks: list[Look], views: tuple[str, ...], folder: Path, docs: Path | None, store: Path | None
) -> None:
    weighed = [
        WeighedPicture(
            bool(look.known.forged),
            _TOGETHER.get(look.known.kind, look.known.kind),
            look.known.fold,
            look.scores,
        )
        for look in looks
    ]
    authentic = [look.known for look in looks if not look.known.forged]
    basis = _BASIS.format(
        n_forged=len(looks) - len(authentic),
        n_authentic=len(authentic),
        n_groups=len({look.known.group for look in looks}),
        n_kinds=len({one.kind for one in authentic}),
    )
    names = (NETWORK, *views)
    asked = (weighed, names, _RATES["false_alarm_rate"], basis, _RATES["miss_rate"])
    by_fold = combinations_without(*asked)
    judged = [
        Judged(look, combine(look.forgery, look.findings, by_fold[look.known.fold]))
        for look in looks
    ]
    rule = _with_rates(fit_combination(*asked), judged)
    figures, chart = folder / "figures.md", folder / "roc.svg"
    if docs is not None:
        figures, chart = docs / "evidence-figures.md", docs / "images" / "evidence-roc.svg"
    print(write_tables(judged, rule, figures, chart))
    if store is not None:
        model = load_model(str(store))
        rules = replace(read_rules(model.metadata), combination=rule)
        model.metadata = with_rules(model.metadata, rules)
        save_checkpoint(model, store)
        sums = store.with_name("SHA256SUMS")
        if sums.exists():  # else it would not be believed
            sums.write_text(f"{file_sha256(store)}  {store.name}\n", encoding="utf-8")


def _with_rates(rule: CombinationRule, judged: list[Judged]) -> CombinationRule:
    """Tell how often verdicts are wrong of pictures that a rule has not seen."""
    kinds: dict[str, list[bool]] = {}
    missed = []
    for one in judged:
        known = one.look.known
        if known.forged:
            missed.append(one.forgery.verdict == "no forgery found")
        else:
            kind = _TOGETHER.get(known.kind, known.kind)
            kinds.setdefault(kind, []).append(one.forgery.verdict == "forged")
    alarms = [alarm for some in kinds.values() for alarm in some]
    calibration = replace(
        rule.calibration,
        false_alarm_rate=sum(alarms) / len(alarms),
        highest_false_alarm_rate=max(sum(some) / len(some) for some in kinds.values()),
        miss_rate=sum(missed) / len(missed),
    )
    return replace(rule, calibration=calibration)


if __name__ == "__main__":
    sys.exit(main())
