"""Series: picture after picture of a folder or list, each with its own masks and state."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from napari.layers import Image, Layer
from napari.utils.notifications import show_warning
from qtpy.QtCore import QSignalBlocker, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QComboBox, QFileDialog, QFrame, QVBoxLayout

from napari_safire.annotation.annotation import MOST_SOURCES, Annotation, Labels, Mask, SourcePrompt
from napari_safire.annotation.codec import decode_annotation
from napari_safire.annotation.completeness import Completeness, completeness
from napari_safire.annotation.packed_labels import PackedLabels
from napari_safire.annotation.predictions import AnnotatedPlane, Predictions
from napari_safire.annotation.recorded import ANNOTATED
from napari_safire.annotation.saving import Saved, save_labels
from napari_safire.corpus.queue import (
    STATES,
    EntryContents,
    EntryState,
    PictureQueue,
    QueueEntry,
    count_states,
    following,
    preceding,
    read_entry,
    refuse_foreign_record,
)
from napari_safire.errors import DatasetError, SafireError
from napari_safire.geometry import inside
from napari_safire.gui.controllers.image import picture_facts
from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.gui.io.layer_data import about_picture, picture_layer
from napari_safire.gui.panels.section import (
    FoldedSection,
    button,
    form,
    in_rows,
    may_be_narrow,
    run_guarded,
    sentence,
    wrapped,
)
from napari_safire.images.records.head import FROM_ONE
from napari_safire.session.messages import ANYWHERE, Topic
from napari_safire.session.planes import Plane, PlaneKey
from napari_safire.text import printable
from napari_safire.types import PointPrompt

T = TypeVar("T")

LISTS = "Lists (*.txt *.csv);;All files (*)"
_TO_DO: tuple[EntryState, ...] = ("untouched", "begun")


@dataclass(eq=False)
class _File:
    """What is on disk of the picture that is open; for the lane of the states alone.

    Parameters
    ----------
    entry : QueueEntry
    made : AnnotatedPlane
        What the record holds; nothing, if there is none.
    record_sha256 : str or None
        Of the record as it was read or written last.
    state : {"untouched", "begun", "done"}
    authentic : bool
        Somebody has said that all of it is one source.
    is_whole : bool
        False: the mask beside the record is not the one that it was saved with.
    """

    entry: QueueEntry
    made: AnnotatedPlane
    record_sha256: str | None = None
    state: EntryState = "untouched"
    authentic: bool = False
    is_whole: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class _Opened:
    """The picture of the series that is in the viewer."""

    image: Image
    file: _File


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """What a worker read for a place in a series; a problem instead of a picture."""

    series: PictureQueue
    entries: tuple[QueueEntry, ...]
    position: int
    contents: EntryContents | None = None
    file: _File | None = None
    problem: str = ""
    warnings: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class _Mark:
    """What the user says of the picture that is to be saved."""

    authentic: bool = False


class _NotDone(SafireError):
    """A picture cannot be saved as done, and why."""

    def __init__(self, text: str, found: Completeness) -> None:
        super().__init__(text)
        self.found = found


class QueueSection(FoldedSection):
    """Go through the pictures of a folder or list; what was made is saved on the way.

    Files are read and written in the lane of the states: that of the model may be busy for long
    with the picture that is left, and what is saved there is in order with what was done. A picture
    is also saved when its layer is removed, and when the controller closes.

    Parameters
    ----------
    controller : ViewerController
    """

    changed = Signal()
    """Emitted when another series is open, or the states of its pictures were read anew."""

    def __init__(self, controller: ViewerController) -> None:
        super().__init__("Queue", "Go through the pictures of a folder or a list.")
        self._controller = controller
        self._series: PictureQueue | None = None
        self._entries: tuple[QueueEntry, ...] = ()
        self._position = -1
        self._problem = ""
        self._opened: _Opened | None = None
        self._busy = False
        self._closing = False
        self._told = ""  # of the picture that was left
        self._listed: list[int] = []  # what the combo box shows: positions and their names
        self._named: list[str] = []

        self.folder = button(
            "Folder …",
            "Go through the pictures of a folder. You can also drop it on the dock.",
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
        self.place.setAccessibleName("Place in the queue")
        self.filter = QComboBox()
        self.filter.setToolTip("Which pictures Previous, Next and Go to consider.")
        self.filter.setAccessibleName("Which pictures of the queue to go through")
        self.filter.addItem("all", STATES)
        for state in STATES:
            self.filter.addItem(state, (state,))
        self.jump = QComboBox()
        self.jump.setToolTip("Go to a picture: choose it, or type a part of its name and Enter.")
        self.jump.setAccessibleName("Go to a picture of the queue")
        self.jump.setEditable(True)
        self.jump.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        completer = self.jump.completer()
        if completer is not None:
            completer.setFilterMode(Qt.MatchFlag.MatchContains)
            completer.setCompletionMode(completer.CompletionMode.PopupCompletion)
        for combo in (self.filter, self.jump):
            may_be_narrow(combo)
        self.back = button(
            "Previous picture",
            "Save what was changed and go to the previous picture.",
            self.go_back,
        )
        self.forward = button(
            "Next picture", "Save what was changed and go to the next picture.", self.go_on
        )
        self.done = button(
            "Done, next",
            "Save this picture as done and go to the next one. Every pixel must have a source.",
            self.finish,
        )
        self.authentic = button(
            "Authentic, next",
            "Say that all of this picture is one source, that nothing was put into it, and go to "
            "the next one.",
            self.finish_as_authentic,
        )
        self.question = QFrame()
        self.question.setFrameShape(QFrame.Shape.StyledPanel)
        self.asked = wrapped()
        self.asked.setTextFormat(Qt.TextFormat.PlainText)
        self.show_rest = button(
            "Show them", "Look at the largest place without a source.", self._show_rest
        )
        self.fill_rest = button("", "Give one source to all of them.", self._fill_rest)
        asking = QVBoxLayout(self.question)
        asking.setContentsMargins(4, 4, 4, 4)
        asking.addWidget(self.asked)
        asking.addLayout(in_rows([self.show_rest, self.fill_rest], 2))
        self.question.hide()
        self._missing: Completeness | None = None
        fields = form()
        fields.addRow("Show", self.filter)
        fields.addRow("Go to", self.jump)
        self.body.addLayout(in_rows([self.folder, self.list_file, self.output], 3))
        self.body.addWidget(self.place)
        self.body.addLayout(fields)
        self.body.addLayout(in_rows([self.back, self.forward, self.done, self.authentic], 2))
        self.body.addWidget(self.question)
        self._form = fields

        self.connections.connect(controller.leaving, self._leaving)
        self.connections.connect(controller.viewer.layers.events.removed, self._layer_removed)
        self.connections.connect(controller.shown, self._hide_answered)
        self.filter.activated.connect(self._show)
        self.jump.activated.connect(self._jump)
        self._show()

    # ---------------------------------------------------------------- what users do

    @property
    def series(self) -> PictureQueue | None:
        """The series that is open."""
        return self._series

    @property
    def entries(self) -> tuple[QueueEntry, ...]:
        """Its pictures, and how far each of them was when it was last looked up."""
        return self._entries

    @property
    def entry(self) -> QueueEntry | None:
        """The picture of the series that is gone to."""
        return self._entries[self._position] if self._entries else None

    def open_queue(self, path: str | os.PathLike[str]) -> None:
        """Begin with the first picture of a folder or list file that is not done.

        Parameters
        ----------
        path : path-like
            What cannot be opened is told, and the series before stays.
        """
        if self._busy:
            return

        def found(answer: tuple[PictureQueue, tuple[QueueEntry, ...]]) -> None:
            series, entries = answer
            for note in series.notes:
                self._controller.notice.emit(note, False, ANYWHERE)
            self._go(series, entries, following(entries, -1, _TO_DO) or 0)

        self.unfold()
        self._begin(f"Looking into {Path(path).name} …")
        self._run(lambda: _with_entries(PictureQueue.open(path)), found)

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

        def found(answer: tuple[PictureQueue, tuple[QueueEntry, ...]]) -> None:
            moved, entries = answer

            def not_saved(error: Exception) -> None:
                opened = self._opened
                if opened is None or entries[position].state != "untouched":
                    self._not_saved(error)
                    return
                shape = opened.file.made.annotation.settled.shape
                nothing = AnnotatedPlane(Annotation.empty(shape))
                self._opened = replace(opened, file=_File(entries[position], nothing))
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
        """Save the open picture as done and open the next one, if there is one.

        Refused, with what is missing, unless every pixel has a source, of which there are two at
        least.
        """
        self._finish(_Mark())

    def finish_as_authentic(self) -> None:
        """Say that all of the open picture is one source, and save it as done.

        Refused where something else is marked.
        """
        opened = self._opened
        if self._busy or opened is None:
            return
        planes = self._planes_of(opened)
        if planes:
            self._controller.work_on(opened.image)
            self._controller.edits.read_strokes()
            self._controller.session.states.edit(
                planes[0].key, _one_source, "authentic: one source"
            )
        self._finish(_Mark(authentic=True))

    def _finish(self, mark: _Mark) -> None:
        series = self._series
        if self._busy or series is None or self._opened is None:
            return
        target = following(self._entries, self._position, self._states)
        if target is not None:
            self._go(series, self._entries, target, mark)
            return

        def saved() -> None:
            self._controller.notice.emit(
                "Saved as done. There is no further picture to show.", False
            )
            self._look_again()

        self._begin("Saving …")
        self._keep(mark, saved)

    def _browse_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Choose a folder of pictures")
        if path:
            self.open_queue(path)

    def _browse_list(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Choose a list of pictures", "", LISTS)
        if path:
            self.open_queue(path)

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
        series: PictureQueue,
        entries: tuple[QueueEntry, ...],
        target: int,
        mark: _Mark | None = None,
    ) -> None:
        """Read a picture, then save the open one, then put the one in the other's place.

        In this order, so that nothing is lost that is done to the open picture meanwhile.
        """
        self._begin(f"Opening {printable(entries[target].picture.name)} …")

        def read(found: _Found) -> None:
            self._keep(mark, lambda: self._swap(found))

        self._run(lambda: _read(series, target), read)

    def _keep(
        self,
        mark: _Mark | None,
        then: Callable[[], None],
        failed: Callable[[Exception], None] | None = None,
    ) -> None:
        """Save the open picture if it was changed, or its state; go on once all of it is saved."""
        opened = self._opened
        planes = [] if opened is None else self._planes_of(opened)
        if opened is None or not planes:
            then()
            return
        self._controller.work_on(opened.image)
        self._controller.edits.read_strokes()

        def done(saved: Saved | None) -> None:
            if saved is None:
                then()
                return
            self._note(opened, planes[0], saved)
            self._keep(mark, then, failed)  # what was done while it was being written

        self._run(self._saving(opened, planes[0], mark), done, failed or self._not_saved)

    def _planes_of(self, opened: _Opened) -> list[Plane]:
        return self._controller.session.planes.of(opened.image.unique_id)

    def _saving(
        self, opened: _Opened, plane: Plane, mark: _Mark | None
    ) -> Callable[[], Saved | None]:
        """Work that saves a picture, in the lane of the states; None where that is not needed."""
        predictions = self._controller.session.states.findings_of(plane)
        about = dict(opened.image.metadata.get("napari_safire", {}))
        about |= picture_facts(opened.image, plane)
        file = opened.file

        def work() -> Saved | None:
            state: Annotation = plane.history.state
            # What another model said once stays, until the present one has said something.
            said = (
                predictions
                if predictions.forgery or predictions.partition
                else file.made.predictions
            )
            made = AnnotatedPlane(
                state, replace(said, confidences=predictions.confidences).of(state)
            )
            changed = state != file.made.annotation or _says_more(made.predictions, file)
            if not changed and (mark is None or _is_marked(file, mark)):
                return None
            authentic = False
            if mark is not None:
                said_before = file.authentic and not changed
                authentic = _refuse_undone(made, mark.authentic or said_before)
            marked: EntryState = "begun" if mark is None else "done"
            saved = _write(file, made, about | {"state": marked, "authentic": authentic})
            file.made, file.record_sha256 = made, saved.record_sha256
            file.state, file.authentic, file.is_whole = marked, authentic, True
            return saved

        return work

    def _note(self, opened: _Opened, plane: Plane, saved: Saved) -> None:
        """Note that a picture was saved, and tell what the user would not think."""
        self._controller.session.states.mark_saved(plane, opened.file.made.annotation)
        if not saved.in_mask:
            name = printable(opened.file.entry.picture.name)
            # Told once the next picture is there: messages go with theirs.
            self._told = (
                f"{name} has more sources than a mask holds: its labels are in "
                f"{printable(Path(saved.files[1]).name)}, and nothing is learned from it."
            )

    def _leaving(self, image: Image) -> None:
        """Save the open picture whose layer is removed, or of which the controller lets go."""
        opened = self._opened
        if opened is None or image is not opened.image:
            return
        self._closing = self._closing or image in self._controller.viewer.layers
        planes = self._planes_of(opened)
        if not planes:
            return
        name = printable(opened.file.entry.picture.name)

        def done(saved: Saved | None) -> None:
            if saved is None:
                return
            self._note(opened, planes[0], saved)
            if not self._closing:
                self._controller.notice.emit(
                    f"{name} was closed. What was made of it is saved.", False
                )
                if not self._busy:
                    self._look_again()

        def failed(error: Exception) -> None:
            text = f"{name} could not be saved: {sentence(error)}"
            if self._closing:  # the dock is gone, and with it the place for sentences
                show_warning(text)
            else:
                self._controller.notice.emit(text, True)

        run_guarded(self._controller.session, self._saving(opened, planes[0], None), done, failed)

    def _swap(self, found: _Found) -> None:
        """Put the layers of a picture that was read in the place of the last one's."""
        controller, viewer = self._controller, self._controller.viewer
        last, leaving = self._opened, []
        was_armed = False
        if last is not None:
            controller.work_on(last.image)
            layer_group = controller.layer_group
            if layer_group is not None:
                prompts = layer_group.prompts
                active = viewer.layers.selection.active
                was_armed = prompts is not None and active is prompts and prompts.mode == "add"
                leaving = layer_group.layers()
            leaving = [*leaving, last.image]
        self._series, self._entries, self._position = found.series, found.entries, found.position
        self._opened, self._problem = None, found.problem
        self._ask(None)
        if found.contents is not None and found.file is not None:
            image = _image_layer(found.entries[found.position].picture, found.contents)
            self._opened = _Opened(image, found.file)
            viewer.add_layer(image)  # before the others go: the controller would take another image
            controller.work_on(image)
            controller.mode.source, controller.mode.exclude = 1, False
            self._restore(image, found.file.made)
        for layer in leaving:  # the image comes last: without it the others are no layer_group
            if layer in viewer.layers:
                viewer.layers.remove(layer)
        if self._opened is not None:
            if last is None or last.image.extent.world.tolist() != image.extent.world.tolist():
                viewer.reset_view()
            if was_armed:
                controller.add_prompts()
        for warning in found.warnings:
            controller.notice.emit(warning, False)
        if found.problem:
            controller.notice.emit(found.problem, True)
        self._look_again()

    def _restore(self, image: Image, made: AnnotatedPlane) -> None:
        empty = Annotation.empty(made.annotation.settled.shape)
        if made.annotation == empty and made.predictions == Predictions():
            return
        picture, session = self._controller.picture, self._controller.session
        if picture is not None and picture.layer is image:
            key = PlaneKey(image.unique_id)
            session.open(key, picture.shape, picture.reader(()))
            session.states.open_saved(key, made)

    def _look_again(self) -> None:
        """Read the states anew, and let the user go on."""
        series = self._series
        if series is None:
            self._end()
            return

        def found(entries: tuple[QueueEntry, ...]) -> None:
            self._entries = entries
            self._end()
            told, self._told = self._told, ""
            if told:
                self._controller.notice.emit(told, False)

        self._run(series.entries, found)

    def _layer_removed(self, event: Any) -> None:
        if self._opened is not None and event.value is self._opened.image:
            self._opened = None  # by the user; `_leaving` has seen to what was made of it
            self._ask(None)
            self._show()

    # ---------------------------------------------------------------- what is missing

    def _ask(self, found: Completeness | None) -> None:
        """Show what is missing for a picture to be done, or that nothing is."""
        self._missing = found
        self.question.setVisible(found is not None and found.n_unassigned > 0)
        if found is not None and found.n_unassigned:
            self.unfold()
            self.asked.setText(
                f"{found.n_unassigned:,} pixels have no source. Most lie around row "
                f"{round(found.row)}, column {round(found.col)}."
            )
            self.fill_rest.setText(f"Rest to source {found.free_number}")

    def _hide_answered(self, snapshot: Any) -> None:
        """Ask no longer where something has changed since."""
        missing = self._missing
        if missing is not None:
            n_assigned = sum(snapshot.areas.values())
            if snapshot.labels.size - n_assigned != missing.n_unassigned:
                self._ask(None)

    def _show_rest(self) -> None:
        opened, missing = self._opened, self._missing
        if opened is None or missing is None:
            return
        viewer = self._controller.viewer
        camera = getattr(viewer, "scene", viewer).camera  # before napari 0.9 the viewer's own
        row, col = opened.image.data_to_world((missing.row, missing.col))[-2:]
        camera.center = (*camera.center[:-2], row, col)

    def _fill_rest(self) -> None:
        opened, missing = self._opened, self._missing
        planes = [] if opened is None else self._planes_of(opened)
        if missing is None or not planes:
            return
        number = missing.free_number

        def filled(labels: Labels, protected: Mask) -> Labels:
            return np.where(labels == 0, np.uint8(number), labels)

        self._controller.session.states.edit(planes[0].key, filled, f"rest to source {number}")

    # ---------------------------------------------------------------- jobs

    def _run(
        self,
        work: Callable[[], T],
        then: Callable[[T], None],
        failed: Callable[[Exception], None] | None = None,
    ) -> None:
        """Do something off the GUI thread; a failure leaves all as it is."""

        def go_on(answer: T) -> None:
            if not self._closing:
                then(answer)

        run_guarded(self._controller.session, work, go_on, failed or self._failed)

    def _failed(self, error: Exception) -> None:
        self._controller.notice.emit(sentence(error), True)
        self._end()

    def _not_saved(self, error: Exception) -> None:
        opened = self._opened
        name = "The picture" if opened is None else printable(opened.file.entry.picture.name)
        if isinstance(error, _NotDone):
            self._ask(error.found)
            key = self._controller.key
            topic = None if key is None else Topic(key, "labels")  # until something is changed
            self._controller.notice.emit(f"{name} is not done yet. {error}", True, topic)
        else:
            self._controller.notice.emit(
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
        for finishing in (self.done, self.authentic):
            finishing.setEnabled(free and self._opened is not None)
        self.question.setEnabled(free)
        self.output.setToolTip(
            "Choose the folder for masks and records."
            + (f" Now: {self._series.output}" if self._series is not None else "")
        )
        if self._busy:
            return
        self.place.setText(self._describe())
        self.say_beside_title(f"{here + 1} of {len(entries)}" if entries else "")
        listed = [n for n, entry in enumerate(entries) if entry.state in self._states]
        with QSignalBlocker(self.jump):
            named = [f"{n + 1}  {printable(entries[n].picture.name)}" for n in listed]
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
            f"{self._position + 1} of {len(self._entries)} · {state}\n"
            f"{printable(entry.picture.name)}\n"
            f"({counts})"
        )


def _with_entries(series: PictureQueue) -> tuple[PictureQueue, tuple[QueueEntry, ...]]:
    return series, series.entries()


def _read(series: PictureQueue, position: int) -> _Found:
    entries = series.entries()
    try:
        contents = read_entry(entries[position])
        file, told = _file_of(entries[position], contents)
    except (SafireError, MemoryError) as error:
        return _Found(series, entries, position, problem=sentence(error))
    return _Found(series, entries, position, contents, file, warnings=contents.warnings + told)


def _file_of(entry: QueueEntry, contents: EntryContents) -> tuple[_File, tuple[str, ...]]:
    """What is on disk of a picture, and what is to be said of it."""
    height, width = contents.image.pixels.shape[:2]
    shape, results = (height, width), contents.results
    made = AnnotatedPlane(_annotation_of_labels(contents, shape))
    told: tuple[str, ...] = ()
    if results is not None and results.annotations:
        try:
            made = decode_annotation(results.annotations[0], shape)
        except DatasetError as error:
            if contents.labels is None:
                raise
            told = (f"{error} Only the labels of its mask are opened.",)
    if results is None:
        return _File(entry, made, state=entry.state), told
    layer = results.record.get("layer", {})
    return _File(
        entry,
        made,
        contents.record_sha256,
        entry.state,
        layer.get("authentic") is True,
        contents.labels is not None,
    ), told


def _annotation_of_labels(contents: EntryContents, shape: tuple[int, int]) -> Annotation:
    """What a mask alone, or a record of the first format, says of a picture."""
    annotation = Annotation.empty(shape)
    if contents.labels is not None:
        annotation = replace(annotation, settled=PackedLabels.pack(contents.labels))
    if contents.results is None:
        return annotation
    facts = contents.results.record.get("layer", {}).get("prompts") or ()
    prompts = tuple(
        SourcePrompt(
            PointPrompt(p.row, p.col), p.source, p.role == "exclude", bool(fact.get("live"))
        )
        for p, fact in zip(contents.results.prompts, facts, strict=False)
        if 1 <= p.source <= MOST_SOURCES and inside(shape, (p.row, p.col))
    )
    return replace(annotation, prompts=prompts)


def _is_marked(file: _File, mark: _Mark) -> bool:
    """Whether the record says already what is to be said of a picture, and its mask is there."""
    said = file.authentic or not mark.authentic
    return file.state == "done" and file.is_whole and said


def _says_more(predictions: Predictions, file: _File) -> bool:
    """Whether a model has said something new of a picture that was saved before."""
    if file.record_sha256 is None:
        return False
    before = file.made.predictions
    new_map = predictions.forgery is not None and predictions.forgery is not before.forgery
    return new_map or (
        predictions.partition is not None and predictions.partition != before.partition
    )


def _shown_for_good(annotation: Annotation) -> Labels:
    """Labels for the mask: with the preview, unless that stands in for answers yet to come."""
    kept = annotation.commit() if annotation.is_answered else annotation
    labels: Labels = kept.settled.unpack()
    return labels


def _refuse_undone(made: AnnotatedPlane, authentic: bool) -> bool:
    """Raise unless a picture is complete; whether it is authentic otherwise.

    Raises
    ------
    _NotDone
    """
    labels = _shown_for_good(made.annotation)
    found = completeness(labels)
    if not made.annotation.is_answered:
        raise _NotDone("Prompts still wait for their regions.", found)
    if authentic and (found.n_sources != 1 or found.n_unassigned):
        raise _NotDone(
            f"{found.n_sources} sources are marked in it: take them back first, or it is not "
            "authentic.",
            Completeness(0, found.n_sources),
        )
    if not found.n_sources:
        raise _NotDone(
            "Nothing is marked: give every pixel a source, or say that it is authentic.",
            Completeness(0, 0),
        )
    if found.n_unassigned:
        raise _NotDone(f"{found.n_unassigned:,} pixels have no source.", found)
    if found.n_sources == 1 and not authentic:
        raise _NotDone('All of it is one source: press "Authentic, next" if that is meant.', found)
    return authentic


def _one_source(labels: Labels, protected: Mask) -> Labels:
    """Give all of a picture to one source, unless something else is marked in it."""
    first = labels.flat[0]
    if (labels == first).all():
        return np.full_like(labels, first or 1)
    return labels


def _write(file: _File, made: AnnotatedPlane, about: dict[str, Any]) -> Saved:
    entry = file.entry
    refuse_foreign_record(entry)
    try:
        entry.record.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SafireError(
            f"The folder {printable(entry.record.parent)} cannot be made ({error.strerror}): "
            "choose another one for the masks."
        ) from error
    attributes = {
        "name": f"{entry.picture.name}: sources",
        "metadata": {"napari_safire": about | {"numbering": FROM_ONE, ANNOTATED: {(): made}}},
    }
    labels = _shown_for_good(made.annotation)
    return save_labels(entry.record, labels, attributes, file.record_sha256)


def _image_layer(picture: Path, contents: EntryContents) -> Image:
    image = contents.image
    made = Layer.create(
        *picture_layer(
            image.pixels,
            printable(picture.name),
            about_picture(image),
            rgb=image.pixels.ndim == 3,
        )
    )
    assert isinstance(made, Image)
    return made
