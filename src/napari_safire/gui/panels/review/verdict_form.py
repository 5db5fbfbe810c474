"""The form of a verdict: of the picture, of its sources, how strongly, and what findings mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qtpy.QtCore import QSignalBlocker, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_safire.gui.panels.review.text_box import TextBox
from napari_safire.gui.panels.section import Rows, elided_combo, plain, sharing
from napari_safire.gui.panels.swatch import swatch
from napari_safire.review.scale import LEAST_RATIOS, SCALE, SUPPORTS
from napari_safire.review.values import MANIPULATIONS, VERDICTS, Judgement, SourceVerdict

_NONE = "\N{EN DASH}"
_OPEN_VERDICT = "cannot be determined"
_MOST_SOURCES = 24  # rows; of more, nobody gives verdicts one by one
_LINES = 5


class Choice(QWidget):
    """Verdict, types of manipulation and strength of support, of the picture or a source.

    Parameters
    ----------
    about : str
        What it is a verdict on, for screen readers.
    several : bool
        Whether several types may be named.

    Attributes
    ----------
    edited : Signal()
    """

    edited = Signal()

    def __init__(self, about: str, *, several: bool) -> None:
        super().__init__()
        self.verdict = _combo(f"Verdict on {about}", "What it is.", VERDICTS)
        self.support = _combo(
            f"Support for the verdict on {about}",
            f"How strongly the findings support it, in words of {SCALE}.",
            SUPPORTS[1:],
        )
        for row in range(1, self.support.count()):
            self.support.setItemData(row, ratio_words(row), Qt.ItemDataRole.ToolTipRole)
        self.types = [QCheckBox(kind) for kind in MANIPULATIONS] if several else []
        self._types: QWidget
        if several:
            self._types = Rows([*self.types], 3)
        else:
            self.type = _combo(f"Type of manipulation of {about}", "Which one.", MANIPULATIONS)
            self.type.activated.connect(lambda _: self._chosen())
            self._types = self.type
        for box in (self.verdict, self.support):
            box.activated.connect(lambda _: self._chosen())
        for check in self.types:
            check.toggled.connect(lambda _: self._chosen())
        body = QVBoxLayout(self)
        body.setContentsMargins(0, 0, 0, 0)
        body.setSpacing(4)
        body.addWidget(sharing(self.verdict, self.support))
        body.addWidget(self._types)
        self._show()

    @property
    def values(self) -> dict[str, Any]:
        """What is chosen: verdict, types and confidence; empty where no verdict is."""
        verdict = self.verdict.currentText()
        if verdict == _NONE:
            return {}
        types = [check.text() for check in self.types if check.isChecked()]
        if not self.types and self.type.currentText() != _NONE:
            types = [self.type.currentText()]
        support = self.support.currentText()
        return {
            "verdict": verdict,
            "types": types if verdict == "manipulated" else [],
            "confidence": None if support == _NONE or verdict == _OPEN_VERDICT else support,
        }

    @property
    def missing(self) -> str:
        """What is still to be chosen; empty where nothing is."""
        verdict = self.verdict.currentText()
        if verdict not in (_NONE, _OPEN_VERDICT) and self.support.currentText() == _NONE:
            return "how strongly the findings support it"
        return ""

    def show_values(self, values: Mapping[str, Any]) -> None:
        """Show a choice; what does not fit is left open."""
        types = values.get("types") or ()
        with QSignalBlocker(self.verdict), QSignalBlocker(self.support):
            _choose(self.verdict, values.get("verdict"))
            _choose(self.support, values.get("confidence"))
        if not self.types:
            with QSignalBlocker(self.type):
                _choose(self.type, next(iter(types), None))
        for check in self.types:
            with QSignalBlocker(check):
                check.setChecked(check.text() in types)
        self._show()

    def _chosen(self) -> None:
        self._show()
        self.edited.emit()

    def _show(self) -> None:
        verdict = self.verdict.currentText()
        self.support.setVisible(verdict not in (_NONE, _OPEN_VERDICT))
        self._types.setVisible(verdict == "manipulated")


class VerdictForm(QWidget):
    """A reviewer's verdict, and what they make of the findings.

    Attributes
    ----------
    edited : Signal()
        The user has changed something.
    """

    edited = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.picture = Choice("the picture", several=True)
        self.picture.edited.connect(self.edited)
        self.interpretation = TextBox(
            "Interpretation",
            "What the findings mean; what you saw is in the findings.",
            _LINES,
        )
        self.interpretation.setPlaceholderText("What the findings mean")
        self.interpretation.edited.connect(self.edited)
        self.of_sources = plain("On its sources, where something can be said of one:")
        self.sources: dict[int, Choice] = {}
        self._rows = QWidget()
        self._layout = QVBoxLayout(self._rows)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(6)
        body = QVBoxLayout(self)
        body.setContentsMargins(0, 0, 0, 0)
        for widget in (
            plain("Verdict on the picture:"), self.picture, self.of_sources, self._rows,
            self.interpretation,
        ):  # fmt: skip
            body.addWidget(widget)
        self.show_sources(())

    @property
    def values(self) -> dict[str, Any]:
        """What stands in the form; empty where nothing does."""
        sources = {str(n): choice.values for n, choice in self.sources.items() if choice.values}
        values = {
            "picture": self.picture.values,
            "sources": sources,
            "interpretation": self.interpretation.text,
        }
        return values if any(values.values()) else {}

    @property
    def missing(self) -> str:
        """Why it is no verdict yet; empty where it is one."""
        if not self.picture.values:
            return "Choose a verdict."
        if self.picture.missing:
            return f"Choose {self.picture.missing}."
        for number, choice in self.sources.items():
            if choice.missing:
                return f"Source {number}: choose {choice.missing}."
        return ""

    @property
    def speaks_of_sources(self) -> bool:
        """Whether a source has a verdict."""
        return any(choice.values for choice in self.sources.values())

    def show_values(self, values: Mapping[str, Any], sources: Sequence[int]) -> None:
        """Show a verdict as it was typed or given.

        Parameters
        ----------
        values : mapping
            As of `values`.
        sources : sequence of int
            That the picture has.
        """
        of_sources = _mapping(values.get("sources"))
        self.show_sources(sources, of_sources)
        self.picture.show_values(_mapping(values.get("picture")))
        for number, choice in self.sources.items():
            choice.show_values(_mapping(of_sources.get(str(number))))
        self.interpretation.show_text(str(values.get("interpretation") or ""))

    def show_sources(self, numbers: Sequence[int], said: Mapping[str, Any] | None = None) -> None:
        """Offer a verdict on each source; those that something is said of stay."""
        known = {int(n) for n in said or {} if str(n).isdecimal()}
        known |= {n for n, choice in self.sources.items() if said is None and choice.values}
        several = list(numbers)[:_MOST_SOURCES] if len(numbers) > 1 else []  # one: the picture
        wanted = sorted({*several, *known})
        for number in [n for n in self.sources if n not in wanted]:
            self._drop(number)
        for at, number in enumerate(wanted):
            if number not in self.sources:
                self._layout.insertWidget(at, self._make(number))
        self.of_sources.setText(
            "On its sources, where something can be said of one:" if wanted else ""
        )
        self.of_sources.setVisible(bool(wanted))

    def _make(self, number: int) -> QWidget:
        choice = Choice(f"source {number}", several=False)
        choice.edited.connect(self.edited)
        self.sources[number] = choice
        colour, row = QLabel(), QWidget()
        colour.setPixmap(swatch(number))
        line = QHBoxLayout(row)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(4)
        for widget in (colour, QLabel(str(number)), choice):
            line.addWidget(widget, int(widget is choice))
        return row

    def _drop(self, number: int) -> None:
        row = self.sources.pop(number).parentWidget()
        if row is not None:
            self._layout.removeWidget(row)
            row.hide()
            row.deleteLater()


def ratio_words(row: int) -> str:
    """Say which likelihood ratios a word of the scale stands for.

    Parameters
    ----------
    row : int
        Of `SUPPORTS`.
    """
    least = f"{LEAST_RATIOS[row]:,.0f}"
    if row + 1 == len(LEAST_RATIOS):
        return f"Likelihood ratio {least} or more."
    return f"Likelihood ratio {least} to {LEAST_RATIOS[row + 1]:,.0f}."


def values_of(judgement: Judgement) -> dict[str, Any]:
    """Return a verdict that was given as `VerdictForm.show_values` takes it."""
    return {
        "picture": _of(judgement),
        "sources": {str(source.source): _of(source) for source in judgement.sources},
        "interpretation": judgement.interpretation,
    }


def judgement_of(values: Mapping[str, Any], labels: str | None) -> Judgement:
    """Return what stands in the form as a verdict.

    Parameters
    ----------
    values : mapping
        As of `VerdictForm.values`, of a form in which nothing is missing.
    labels : str or None
        SHA-256 of the labels whose sources are meant.

    Raises
    ------
    DatasetError
        Parts contradict each other, or a text is too long.
    """
    sources = tuple(
        SourceVerdict(int(number), **_as_arguments(said))
        for number, said in values["sources"].items()
    )
    return Judgement(
        **_as_arguments(values["picture"]),
        sources=sources,
        interpretation=values["interpretation"].strip(),
        labels=labels if sources else None,
    )


def _of(given: Judgement | SourceVerdict) -> dict[str, Any]:
    return {
        "verdict": given.verdict,
        "types": list(given.types),
        "confidence": given.confidence,
    }


def _as_arguments(values: Mapping[str, Any]) -> dict[str, Any]:
    return {**values, "types": tuple(values["types"])}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _choose(box: QComboBox, text: object) -> None:
    box.setCurrentIndex(max(0, box.findText(str(text))))


def _combo(name: str, help_text: str, words: Sequence[str]) -> QComboBox:
    box = elided_combo(name, help_text)
    box.addItems([_NONE, *words])
    return box
