"""Write a model card from what training/evaluate_card.py has measured.

python training/evaluate_card.py training/card.toml
python training/model_card.py runs/card -o docs/models/safire-lite.md

What people say of the model (data, hardware, uses, limits) stands in training/model_card.toml;
every figure comes from the folder, or from the checkpoint. The same inputs give the same card.
Exit code 0: done; 1: something is missing; 2: wrong arguments.
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from card_gallery import failures
from card_tables import CardInputs, all_tables, read_inputs, reliabilities
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from napari_safire.atomic import atomic_path
from napari_safire.errors import SafireError
from napari_safire.evaluation.charts import reliability_chart

HERE = Path(__file__).parent
LEVEL = "95 %"  # of every interval in napari_safire.evaluation.summary
TEXTS = (
    "title", "what_it_is", "data", "training", "training_commands", "hardware", "time",
    "intended_use", "unintended_use", "limits",
)  # fmt: skip
_COUNT = 4  # failures of each kind


@dataclass(frozen=True)
class ModelFacts:
    """What the checkpoint itself says.

    Parameters
    ----------
    name : str
    sha256 : str
    n_parameters : int
    metadata : dict
        Of the checkpoint: licence, calibration, source_distance.
    """

    name: str
    sha256: str
    n_parameters: int
    metadata: dict[str, Any]


def main() -> int:
    """Run the script; return its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="what training/evaluate_card.py left")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.md")
    parser.add_argument("--text", type=Path, default=HERE / "model_card.toml")
    parser.add_argument("--model", help="name or file, instead of the one that was evaluated")
    parser.add_argument("--failures", type=int, default=_COUNT, help="of each kind; 0 for none")
    options = parser.parse_args()
    try:
        text = read_text(options.text)
        facts = model_facts(options.model or evaluated_model(options.folder))
        inputs = read_inputs(options.folder, facts.sha256)
        write_card(options.output, inputs, facts, text, options.failures)
    except (SafireError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    print(f"Model card: {options.output}")
    return 0


def read_text(path: Path) -> dict[str, Any]:
    """Read what people say of the model; see `TEXTS`.

    Raises
    ------
    SafireError
        The file cannot be read, or says too little or too much.
    """
    try:
        text = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SafireError(f"The text {path} cannot be read: {error}.") from error
    missing, unknown = [n for n in TEXTS if n not in text], sorted(text.keys() - set(TEXTS))
    if missing or unknown:
        raise SafireError(
            f"{path} lacks {', '.join(missing) or 'nothing'} and has "
            f"{', '.join(unknown) or 'nothing'} too much: a card says {', '.join(TEXTS)}."
        )
    return text


def evaluated_model(folder: Path) -> str:
    """Name or file of the model that the folder is about."""
    path = folder / "commands.json"
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["model"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SafireError(
            f"{path} cannot be read: {error}. Make it by training/evaluate_card.py."
        ) from error


def model_facts(name: str) -> ModelFacts:
    """Load a model and look at it."""
    from napari_safire.model import load_model

    model = load_model(name)
    n_parameters = sum(parameter.numel() for parameter in model.parameters())
    return ModelFacts(name, model.checkpoint_sha256, n_parameters, dict(model.metadata))


def write_card(
    path: Path, inputs: CardInputs, facts: ModelFacts, text: dict[str, Any], count: int = _COUNT
) -> None:
    """Write the card, its reliability diagram and its thumbnails.

    Parameters
    ----------
    path : Path
    inputs : CardInputs
    facts : ModelFacts
    text : dict
        From `read_text`.
    count : int
        Failures of each kind.
    """
    measured = reliabilities(inputs)
    diagram = path.with_name(f"{path.stem}-reliability.svg")
    path.parent.mkdir(parents=True, exist_ok=True)
    page = _template().render(
        text=text,
        facts=facts,
        level=LEVEL,
        tables=all_tables(inputs),
        reliability=[(title, found) for title, (_, _, found) in measured.items()],
        diagram=diagram.name,
        failures=failures(inputs, path, count),
        folder=inputs.folder,
    )
    drawn = {title: (x, y, found) for title, (x, y, found) in measured.items() if found}
    for file, content in ((diagram, reliability_chart(drawn)), (path, page)):
        with atomic_path(file) as temporary:
            temporary.write_text(content.rstrip() + "\n", encoding="utf-8", newline="\n")


def _template() -> Any:
    return Environment(
        loader=FileSystemLoader(HERE),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # reviewed: Markdown of our own; names of files stand in code spans
        autoescape=False,  # noqa: S701
    ).get_template("model_card.md.j2")


if __name__ == "__main__":
    sys.exit(main())
