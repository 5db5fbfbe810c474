"""Series: picture after picture of a folder or list, each with its own masks and state."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from napari.layers import Image, Layer
from qtpy.QtCore import QSignalBlocker, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QComboBox, QFileDialog

from napari_safire.curation.series import (
    STATES,
    EntryContents,
    EntryState,
    Series,
    SeriesEntry,
    count_states,
    following,
    preceding,
    read_entry,
    refuse_foreign_record,
)
from napari_safire.data.record import FROM_ONE
from napari_safire.errors import SafireError
from napari_safire.gui.desk import Desk
from napari_safire.gui.place import work_facts
from napari_safire.gui.reader import about_picture, picture_layer
from napari_safire.gui.sections.section import (
    Section,
    button,
    elided_combo,
    form,
    in_rows,
    run_guarded,
    sentence,
    wrapped,
)
from napari_safire.gui.writer import write_labels
from napari_safire.session.annotation import MOST_SOURCES, Annotation, SourcePrompt
from napari_safire.session.findings import AnnotatedPlane
from napari_safire.session.history import PackedLabels
from napari_safire.session.planes import PlaneKey
from napari_safire.types import PointPrompt

T = TypeVar("T")

LISTS = "Lists (*.txt *.csv);;All files (*)"
_LIST_SUFFIXES = (".txt", ".csv")
_TO_DO: tuple[EntryState, ...] = ("untouched", "begun")


@dataclass(frozen=True, slots=True)
class _Work:
    """What is saved of a picture."""

    settled: PackedLabels
    prompts: tuple[SourcePrompt, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Opened:
    """The picture of the series that is in the viewer, and what of it is on disk."""

    entry: SeriesEntry
    image: Image
    saved: _Work


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """What a worker read for a place in a series; a problem instead of a picture."""

    series: Series
    entries: tuple[SeriesEntry, ...]
    position: int
    contents: EntryContents | None = None
    annotation: Annotation | None = None
    problem: str = ""


class SeriesSection(Section):
    """Go through the pictures of a folder or list; what was made is saved on the way.

    Files are read and written in the lane of the states: that of the model may be busy for long
    with the picture that is left, and what is saved there is in order with what was done.

    Parameters
    ----------
    desk : Desk
    """

    changed = Signal()
    """Emitted when another series is open, or the states of its pictures were read anew."""

    def __init__(self, desk: Desk) -> None:
        super().__init__("Series")
        self._desk = desk
        self._series: Series | None = None
        self._entries: tuple[SeriesEntry, ...] = ()
        self._position = -1
        self._problem = ""
        self._opened: _Opened | None = None
        self._busy = False
        self._listed: list[int] = []  # what the combo box shows: positions and their names
        self._named: list[str] = []
        self.setAcceptDrops(True)

        self.folder = button(
            "Folder …",
            "Go through the pictures of a folder. You can also drop it here.",
            self._browse_folder,
        )
        self.list_file = button(
            "List …",
            "Go through the pictures of a list file with lines image,mask. The masks that it names "
            "are where work begins; they are never written to.",
            self._browse_list,
        )
        self.output = button("Masks …", "", self._browse_output)
        self.place = wrapped()
        self.place.setTextFormat(Qt.TextFormat.PlainText)
        self.place.setAccessibleName("Place in the series")
        self.filter = QComboBox()
        self.filter.setToolTip("Which pictures Previous, Next and Go to consider.")
        self.filter.setAccessibleName("Which pictures of the series to go through")
        self.filter.addItem("all", STATES)
        for state in STATES:
            self.filter.addItem(state, (state,))
        self.jump = QComboBox()
        self.jump.setToolTip("Go to a picture: choose it, or type a part of its name and Enter.")
        self.jump.setAccessibleName("Go to a picture of the series")
        self.jump.setEditable(True)
        self.jump.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        completer = self.jump.completer()
        if completer is not None:
            completer.setFilterMode(Qt.MatchFlag.MatchContains)
            completer.setCompletionMode(completer.CompletionMode.PopupCompletion)
        for combo in (self.filter, self.jump):
            elided_combo(combo)
        self.back = button(
            "Previous", "Save what was changed and go to the previous picture.", self.go_back
        )
        self.forward = button(
            "Next", "Save what was changed and go to the next picture.", self.go_on
        )
        self.done = button(
            "Done, next", "Save this picture as done and go to the next one.", self.finish
        )
        fields = form()
        fields.addRow("Show", self.filter)
        fields.addRow("Go to", self.jump)
        self.body.addLayout(in_rows([self.folder, self.list_file, self.output], 3))
        self.body.addWidget(self.place)
        self.body.addLayout(fields)
        self.body.addLayout(in_rows([self.back, self.forward, self.done], 3))
        self._form = fields

        self.connections.connect(desk.viewer.layers.events.removed, self._layer_removed)
        self.filter.activated.connect(self._show)
        self.jump.activated.connect(self._jump)
        self._show()

    # ---------------------------------------------------------------- what users do

    @property
    def series(self) -> Series | None:
        """The series that is open."""
        return self._series

    @property
    def entries(self) -> tuple[SeriesEntry, ...]:
        """Its pictures, and how far each of them was when it was last looked up."""
        return self._entries

    @property
    def entry(self) -> SeriesEntry | None:
        """The picture of the series that is gone to."""
        return self._entries[self._position] if self._entries else None

    def open_series(self, path: str | os.PathLike[str]) -> None:
        """Begin with the first picture of a folder or list file that is not done.

        Parameters
        ----------
        path : path-like
            What cannot be opened is told, and the series before stays.
        """
        if self._busy:
            return

        def found(answer: tuple[Series, tuple[SeriesEntry, ...]]) -> None:
            series, entries = answer
            self._go(series, entries, following(entries, -1, _TO_DO) or 0)

        self._begin(f"Looking into {Path(path).name} …")
        self._run(lambda: _with_entries(Series.open(path)), found)

    def choose_output(self, folder: str | os.PathLike[str]) -> None:
        """Keep masks and records of the series in another folder from now on.

        The open picture is saved where it was. Where that is not possible, it goes along.

        Parameters
        ----------
        folder : path-like
            Need not exist.
        """
        series, position = self._series, self._position
        if self._busy or series is None:
            return

        def found(answer: tuple[Series, tuple[SeriesEntry, ...]]) -> None:
            moved, entries = answer

            def not_saved(error: Exception) -> None:
                opened = self._opened
                if opened is None or entries[position].state != "untouched":
                    self._not_saved(error)
                    return
                nothing = _work_of(Annotation.empty(opened.saved.settled.shape))
                self._opened = replace(opened, entry=entries[position], saved=nothing)
                self._series, self._entries = moved, entries
                self._end()

            self._keep(None, lambda: self._go(moved, entries, position), not_saved)

        self._begin(f"Looking into {Path(folder).name} …")
        absolute = Path(os.path.abspath(folder))
        self._run(lambda: _with_entries(replace(series, output=absolute)), found)

    def go_on(self) -> None:
        """Save what was changed as begun, and open the next picture that the filter lets by."""
        self._go_to(following(self._entries, self._position, self._states))

    def go_back(self) -> None:
        """Save what was changed as begun, and open the picture before."""
        self._go_to(preceding(self._entries, self._position, self._states))

    def go_to(self, number: int) -> None:
        """Save what was changed as begun, and open another picture.

        Parameters
        ----------
        number : int
            From 0, whatever the filter is.
        """
        self._go_to(number if 0 <= number < len(self._entries) else None)

    def finish(self) -> None:
        """Save the open picture as done and open the next one, if there is one."""
        series = self._series
        if self._busy or series is None or self._opened is None:
            return
        target = following(self._entries, self._position, self._states)
        if target is not None:
            self._go(series, self._entries, target, "done")
            return

        def saved() -> None:
            self._desk.notice.emit("Saved as done. There is no further picture to show.", False)
            self._look_again()

        self._begin("Saving …")
        self._keep("done", saved)

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        """Accept folders and list files."""
        if event is not None and _dropped_series(event):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:
        """Open the folder or list file that was dropped."""
        path = _dropped_series(event) if event is not None else None
        if event is not None and path is not None:
            event.acceptProposedAction()
            self.open_series(path)

    def _browse_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Choose a folder of pictures")
        if path:
            self.open_series(path)

    def _browse_list(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Choose a list of pictures", "", LISTS)
        if path:
            self.open_series(path)

    def _browse_output(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Choose a folder for the masks")
        if path:
            self.choose_output(path)

    def _jump(self, row: int) -> None:
        if 0 <= row < len(self._listed):
            self._go_to(self._listed[row])

    # ---------------------------------------------------------------- from picture to picture

    def _go_to(self, target: int | None) -> None:
        if not self._busy and self._series is not None and target is not None:
            self._go(self._series, self._entries, target)

    def _go(
        self,
        series: Series,
        entries: tuple[SeriesEntry, ...],
        target: int,
        mark: EntryState | None = None,
    ) -> None:
        """Read a picture, then save the open one, then put the one in the other's place.

        In this order, so that nothing is lost that is done to the open picture meanwhile.
        """
        self._begin(f"Opening {entries[target].picture.name} …")

        def read(found: _Found) -> None:
            self._keep(mark, lambda: self._swap(found))

        self._run(lambda: _read(series, target), read)

    def _keep(
        self,
        mark: EntryState | None,
        then: Callable[[], None],
        failed: Callable[[Exception], None] | None = None,
    ) -> None:
        """Save the open picture if it was changed, or its state; go on once all of it is saved."""
        opened = self._opened
        planes = [] if opened is None else self._desk.session.planes.of(opened.image.unique_id)
        if opened is None or not planes:
            then()
            return
        plane = planes[0]
        self._desk.work_on(opened.image)
        self._desk.edits.read_strokes()
        about = dict(opened.image.metadata.get("napari_safire", {}))
        confidences = plane.confidences
        state: EntryState = mark or "begun"

        def work() -> _Opened | None:
            made = _work_of(plane.history.state)
            if made == opened.saved and mark in (None, opened.entry.state):
                return None
            facts = work_facts(plane, made.prompts, confidences)
            _write(opened.entry, made, about | facts | {"state": state})
            return replace(opened, entry=replace(opened.entry, state=state), saved=made)

        def done(kept: _Opened | None) -> None:
            if kept is None:
                then()
                return
            if self._opened is opened:
                self._opened = kept
            self._keep(mark, then, failed)  # what was done while it was being written

        self._run(work, done, failed or self._not_saved)

    def _swap(self, found: _Found) -> None:
        """Put the layers of a picture that was read in the place of the last one's."""
        desk, viewer = self._desk, self._desk.viewer
        last, leaving = self._opened, []
        was_armed = False
        if last is not None:
            desk.work_on(last.image)
            companions = desk.companions
            if companions is not None:
                prompts = companions.prompts
                active = viewer.layers.selection.active
                was_armed = prompts is not None and active is prompts and prompts.mode == "add"
                leaving = companions.layers()
            leaving = [*leaving, last.image]
        self._series, self._entries, self._position = found.series, found.entries, found.position
        self._opened, self._problem = None, found.problem
        if found.contents is not None and found.annotation is not None:
            image = _image_layer(found.entries[found.position].picture, found.contents)
            self._opened = _Opened(found.entries[found.position], image, _work_of(found.annotation))
            viewer.add_layer(image)  # before the others go: the desk would take another image
            desk.work_on(image)
            desk.mode.source, desk.mode.exclude = 1, False
            self._restore(image, found.annotation)
        for layer in leaving:  # the image comes last: without it the others are no companions
            if layer in viewer.layers:
                viewer.layers.remove(layer)
        if self._opened is not None:
            if last is None or last.image.extent.world.tolist() != image.extent.world.tolist():
                viewer.reset_view()
            if was_armed:
                desk.add_prompts()
        for warning in () if found.contents is None else found.contents.warnings:
            desk.notice.emit(warning, False)
        if found.problem:
            desk.notice.emit(found.problem, True)
        self._look_again()

    def _restore(self, image: Image, annotation: Annotation) -> None:
        if annotation == Annotation.empty(annotation.settled.shape):
            return
        picture, session = self._desk.picture, self._desk.session
        if picture is not None and picture.layer is image:
            key = PlaneKey(image.unique_id)
            session.open(key, picture.shape, picture.reader(()))
            session.states.open_saved(key, AnnotatedPlane(annotation))

    def _look_again(self) -> None:
        """Read the states anew, and let the user go on."""
        series = self._series
        if series is None:
            self._end()
            return

        def found(entries: tuple[SeriesEntry, ...]) -> None:
            self._entries = entries
            self._end()

        self._run(series.entries, found)

    def _layer_removed(self, event: Any) -> None:
        if self._opened is not None and event.value is self._opened.image:
            self._opened = None  # by the user, who gave it up
            self._show()

    # ---------------------------------------------------------------- jobs

    def _run(
        self,
        work: Callable[[], T],
        then: Callable[[T], None],
        failed: Callable[[Exception], None] | None = None,
    ) -> None:
        """Do something off the GUI thread; a failure leaves all as it is."""
        run_guarded(self._desk.session, work, then, failed or self._failed)

    def _failed(self, error: Exception) -> None:
        self._desk.notice.emit(sentence(error), True)
        self._end()

    def _not_saved(self, error: Exception) -> None:
        name = "The picture" if self._opened is None else self._opened.entry.picture.name
        self._desk.notice.emit(
            f"{name} stays open, because it could not be saved. {sentence(error)}", True
        )
        self._end()

    def _begin(self, what: str) -> None:
        self._busy = True
        self._show()
        self.place.setText(what)

    def _end(self) -> None:
        self._busy = False
        self._show()
        self.changed.emit()

    # ---------------------------------------------------------------- what is shown

    @property
    def _states(self) -> tuple[EntryState, ...]:
        states: tuple[EntryState, ...] = self.filter.currentData()
        return states

    def _show(self, _: object = None) -> None:
        entries, here, free = self._entries, self._position, not self._busy
        self.folder.setEnabled(free)
        self.list_file.setEnabled(free)
        for widget in (self.filter, self.jump, self.output):
            widget.setEnabled(free and bool(entries))
        self.back.setEnabled(free and preceding(entries, here, self._states) is not None)
        self.forward.setEnabled(free and following(entries, here, self._states) is not None)
        self.done.setEnabled(free and self._opened is not None)
        self.output.setToolTip(
            "Choose the folder for masks and records."
            + (f" Now: {self._series.output}" if self._series is not None else "")
        )
        if self._busy:
            return
        self.place.setText(self._describe())
        listed = [n for n, entry in enumerate(entries) if entry.state in self._states]
        with QSignalBlocker(self.jump):
            named = [f"{n + 1}  {entries[n].picture.name}" for n in listed]
            if named != self._named:  # thousands, and mostly the same ones
                self.jump.clear()
                self.jump.addItems(named)
            self._listed, self._named = listed, named
            self.jump.setCurrentIndex(listed.index(here) if here in listed else -1)
            if here not in listed:
                self.jump.setEditText("")

    def _describe(self) -> str:
        entry = self.entry
        if entry is None:
            return "Choose a folder of pictures, or a list file."
        state: str = entry.state
        if self._problem:
            state = "cannot be opened"
        elif self._opened is None:
            state += ", closed"
        counts = ", ".join(f"{n} {what}" for what, n in count_states(self._entries).items() if n)
        return (
            f"{self._position + 1} of {len(self._entries)} · {state}\n{entry.picture.name}\n"
            f"({counts})"
        )


def _with_entries(series: Series) -> tuple[Series, tuple[SeriesEntry, ...]]:
    return series, series.entries()


def _read(series: Series, position: int) -> _Found:
    entries = series.entries()
    try:
        contents = read_entry(entries[position])
    except (SafireError, MemoryError) as error:
        return _Found(series, entries, position, problem=sentence(error))
    return _Found(series, entries, position, contents, _annotation_of(contents))


def _annotation_of(contents: EntryContents) -> Annotation:
    height, width = contents.image.pixels.shape[:2]
    empty = Annotation.empty((height, width))
    if contents.labels is None:
        return empty
    prompts = tuple(
        SourcePrompt(PointPrompt(p.row, p.col), p.source, p.role == "exclude", live)
        for p, live in zip(contents.prompts, contents.live, strict=True)
        if 1 <= p.source <= MOST_SOURCES
        and -0.5 <= p.row <= height - 0.5
        and -0.5 <= p.col <= width - 0.5
    )
    return replace(empty, settled=PackedLabels.pack(contents.labels), prompts=prompts)


def _work_of(annotation: Annotation) -> _Work:
    """What to save: with the preview, unless it is a stand-in for answers yet to come."""
    kept = annotation.commit() if annotation.is_answered else annotation
    return _Work(kept.settled, kept.prompts)


def _write(entry: SeriesEntry, made: _Work, about: dict[str, Any]) -> None:
    refuse_foreign_record(entry)
    try:
        entry.record.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SafireError(
            f"The folder {entry.record.parent} cannot be made ({error.strerror}): choose another "
            "one for the masks."
        ) from error
    labels = np.asarray(made.settled.unpack())
    attributes = {
        "name": f"{entry.picture.name}: sources",
        "metadata": {"napari_safire": about | {"numbering": FROM_ONE}},
    }
    write_labels(str(entry.record), labels, attributes)


def _image_layer(picture: Path, contents: EntryContents) -> Image:
    image = contents.image
    made = Layer.create(
        *picture_layer(image.pixels, picture.name, about_picture(image), rgb=image.pixels.ndim == 3)
    )
    assert isinstance(made, Image)
    return made


def _dropped_series(event: QDropEvent) -> str | None:
    data = event.mimeData()
    paths = [Path(url.toLocalFile()) for url in data.urls()] if data is not None else []
    fitting = (p for p in paths if p.is_dir() or p.suffix.lower() in _LIST_SUFFIXES)
    return next((str(path) for path in fitting), None)
