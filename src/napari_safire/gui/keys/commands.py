"""What the command palette and napari's menus offer: one function a command of the manifest.

napari hands in the current viewer. Where the SAFIRE widget is not open there, it is opened first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import napari
from napari.layers import Layer
from napari.qt.threading import create_worker
from napari.utils.notifications import show_error, show_info
from qtpy.QtWidgets import QFileDialog

from napari_safire.errors import SafireError
from napari_safire.gui.controllers.adjudication import AdjudicationController
from napari_safire.gui.controllers.queue import QueueController
from napari_safire.gui.curate import CurateWidget
from napari_safire.gui.dock import bring_forward, open_dock
from napari_safire.gui.io.reader import read_mask_file
from napari_safire.gui.review import ReviewWidget
from napari_safire.gui.widget import SafireWidget
from napari_safire.gui.workspace import Workspace, workspace_of

if TYPE_CHECKING:
    from napari.types import LayerData

_MASKS = "Source masks (*.png *.tif *.tiff *.bmp);;All files (*)"


def add_prompts(viewer: napari.Viewer) -> None:
    """Arm the prompt tool."""
    open_widget(viewer).controller.add_prompts()


def segment(viewer: napari.Viewer) -> None:
    """Find the source regions of all prompts now."""
    open_widget(viewer).controller.segment()


def exclude(viewer: napari.Viewer) -> None:
    """Let new prompts take their region away, or add it again."""
    open_widget(viewer).controller.mode.toggle_exclude()


def paint(viewer: napari.Viewer) -> None:
    """Take the brush of the current source."""
    open_widget(viewer).controller.edits.paint()


def next_click(viewer: napari.Viewer) -> None:
    """Mark where a click settles most uncertain pixels, or place the prompt that is marked."""
    open_widget(viewer).workspace.next_click.take()


def snap(viewer: napari.Viewer) -> None:
    """Move the edge of the last stroke to the edge of the picture that lies near it."""
    open_widget(viewer).controller.edits.snap()


def commit(viewer: napari.Viewer) -> None:
    """Keep the preview."""
    open_widget(viewer).controller.edits.commit()


def discard(viewer: napari.Viewer) -> None:
    """Drop the preview and its prompts."""
    open_widget(viewer).controller.edits.discard()


def next_source(viewer: napari.Viewer) -> None:
    """Let new prompts belong to the next source."""
    open_widget(viewer).controller.mode.next_source()


def previous_source(viewer: napari.Viewer) -> None:
    """Let new prompts belong to the previous source."""
    open_widget(viewer).controller.mode.previous_source()


def undo(viewer: napari.Viewer) -> None:
    """Take back the last step."""
    open_widget(viewer).controller.edits.undo()


def redo(viewer: napari.Viewer) -> None:
    """Bring back the step that was taken back."""
    open_widget(viewer).controller.edits.redo()


def toggle_preview(viewer: napari.Viewer) -> None:
    """Show or hide the preview."""
    open_widget(viewer).controller.toggle_preview()


def partition(viewer: napari.Viewer) -> None:
    """Divide the picture into its sources."""
    open_widget(viewer).controller.partition()


def partition_all(viewer: napari.Viewer) -> None:
    """Divide every slice of the stack into its sources."""
    open_widget(viewer).controller.partition_all()


def show_picture(viewer: napari.Viewer) -> None:
    """Look at the picture alone, or at what was shown before."""
    open_widget(viewer).workspace.switch.toggle("picture")


def show_sources(viewer: napari.Viewer) -> None:
    """Look at the sources, or at what was shown before."""
    open_widget(viewer).workspace.switch.toggle("sources")


def show_forgery_map(viewer: napari.Viewer) -> None:
    """Look at the forgery map, partitioning the picture first where there is none yet."""
    open_widget(viewer).workspace.switch.toggle("forgery map")


def show_uncertainty(viewer: napari.Viewer) -> None:
    """Look at how close the two strongest sources of each pixel are."""
    open_widget(viewer).workspace.switch.toggle("uncertainty")


def next_picture(viewer: napari.Viewer) -> None:
    """Open the next picture of the queue."""
    _queue(viewer).go_on()


def previous_picture(viewer: napari.Viewer) -> None:
    """Open the previous picture of the queue."""
    _queue(viewer).go_back()


def finish_picture(viewer: napari.Viewer) -> None:
    """Save the open picture of the queue as done, and open the next one."""
    _queue(viewer).finish()


def finish_as_authentic(viewer: napari.Viewer) -> None:
    """Save the open picture of the queue as one source, done, and open the next one."""
    _queue(viewer).finish_as_authentic()


def skip_picture(viewer: napari.Viewer) -> None:
    """Leave the open picture of the queue for later, and open the next one."""
    _queue(viewer).skip()


def find_picture(viewer: napari.Viewer) -> None:
    """Let the user type which picture of the queue to go to."""
    _queue(viewer).find()


def waive_picture(viewer: napari.Viewer) -> None:
    """Ask why pixels may be without a source, and save the open picture as done."""
    _queue(viewer).waive()


def reject_picture(viewer: napari.Viewer) -> None:
    """Ask what is to be done on the open picture of a project, and send it back."""
    _queue(viewer).reject()


def accept_picture(viewer: napari.Viewer) -> None:
    """Accept the open picture of a project, and open the next one."""
    _queue(viewer).accept()


def add_note(viewer: napari.Viewer) -> None:
    """Let the user write a note on the open picture of a project."""
    _queue(viewer).note()


def take_first(viewer: napari.Viewer) -> None:
    """Give the region of disagreement that is looked at to A."""
    _adjudication(viewer).take_first()


def take_second(viewer: napari.Viewer) -> None:
    """Give the region of disagreement that is looked at to B."""
    _adjudication(viewer).take_second()


def take_neither(viewer: napari.Viewer) -> None:
    """Say that nobody has the region of disagreement right."""
    _adjudication(viewer).take_neither()


def next_region(viewer: napari.Viewer) -> None:
    """Look at the next region of disagreement."""
    _adjudication(viewer).go_on()


def previous_region(viewer: napari.Viewer) -> None:
    """Look at the region of disagreement before."""
    _adjudication(viewer).go_back()


def blink(viewer: napari.Viewer) -> None:
    """Look at the next view that is compared, or at the next annotator's sources."""
    _workspace(viewer).blink()


def side_by_side(viewer: napari.Viewer) -> None:
    """Give each compared view a cell of the canvas, or end that."""
    _workspace(viewer).comparison.toggle("grid")


def swipe(viewer: napari.Viewer) -> None:
    """Show one view on one side of a line, another on the other, or end that."""
    _workspace(viewer).comparison.toggle("swipe")


def fade(viewer: napari.Viewer) -> None:
    """Lay one view over another, as opaque as chosen, or end that."""
    _workspace(viewer).comparison.toggle("opacity")


def less_of_b(viewer: napari.Viewer) -> None:
    """Show less of the second of two compared views."""
    _workspace(viewer).comparison.less()


def more_of_b(viewer: napari.Viewer) -> None:
    """Show more of the second of two compared views."""
    _workspace(viewer).comparison.more()


def renumber(viewer: napari.Viewer) -> None:
    """Close the gaps between the numbers of the sources."""
    open_widget(viewer).controller.edits.renumber()


def fine_tune(viewer: napari.Viewer) -> None:
    """Show what a model can learn from, and start it there."""
    open_widget(viewer).fine_tune.unfold()


def cancel(viewer: napari.Viewer) -> None:
    """Stop what runs."""
    workspace = workspace_of(viewer)
    if workspace is None:
        show_info("SAFIRE is not open in this viewer, so nothing of it runs.")
    else:
        workspace.session.cancel()


def note_finding(viewer: napari.Viewer) -> None:
    """Note what is seen in the open view, in the dock for reviews."""
    bring_forward(viewer, ReviewWidget).workspace.review.note()


def copy_diagnostics(viewer: napari.Viewer) -> None:
    """Put versions, devices, memory, model and cache on the clipboard."""
    open_widget(viewer).copy_diagnostics()


def clear_cache(viewer: napari.Viewer) -> None:
    """Remove all prepared pictures from the disk."""
    open_widget(viewer).clear_cache()


def open_mask(viewer: napari.Viewer) -> None:
    """Ask for a mask in SafireMS encoding, whatever its name, and open it with its picture."""
    path, _ = QFileDialog.getOpenFileName(None, "Open a mask of sources", "", _MASKS)
    if not path:
        return

    def show(layers: list[LayerData]) -> None:
        for layer in layers:
            viewer.add_layer(Layer.create(*layer))

    def complain(error: Exception) -> None:
        if not isinstance(error, SafireError):
            raise error  # napari shows it with its traceback
        show_error(str(error))

    create_worker(read_mask_file, path, _connect={"returned": show, "errored": complain})


def open_widget(viewer: napari.Viewer) -> SafireWidget:
    """The SAFIRE widget of a viewer, opened if it is not.

    Parameters
    ----------
    viewer : napari.Viewer

    Returns
    -------
    SafireWidget
    """
    return open_dock(viewer, SafireWidget)


def _workspace(viewer: napari.Viewer) -> Workspace:
    """What the docks of a viewer share; without any, the SAFIRE dock is opened."""
    return workspace_of(viewer) or open_widget(viewer).workspace


def _adjudication(viewer: napari.Viewer) -> AdjudicationController:
    """What adjudicates the open picture of a viewer's queue."""
    workspace = workspace_of(viewer) or bring_forward(viewer, CurateWidget).workspace
    return workspace.adjudication


def _queue(viewer: napari.Viewer) -> QueueController:
    """The queue of a viewer; without any, the dock where one is opened comes forward."""
    workspace = workspace_of(viewer)
    if workspace is None or workspace.queue.work.store is None:
        return bring_forward(viewer, CurateWidget).workspace.queue
    return workspace.queue
