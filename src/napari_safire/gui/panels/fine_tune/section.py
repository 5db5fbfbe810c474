"""Fine-tune: a model learns from the user's masks in another process, and is judged."""

from __future__ import annotations

import math
from itertools import pairwise

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QWidget

from napari_safire.gui.controllers.connections import Connections
from napari_safire.gui.controllers.gui_thread import gui_thread
from napari_safire.gui.controllers.queue import QueueController
from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.gui.panels.annotate.model_section import ModelSection
from napari_safire.gui.panels.fine_tune import words
from napari_safire.gui.panels.fine_tune.choice import FineTuneChoice, FineTunePlan
from napari_safire.gui.panels.section import (
    FoldedSection,
    Rows,
    button,
    progress_bar,
    run_guarded,
    sentence,
    show_progress,
    wrapped,
)
from napari_safire.images.lists import enumerated
from napari_safire.learning.comparison import Comparison
from napari_safire.learning.events import Divided, Outcome, Scoring
from napari_safire.learning.run_log import RunEvent
from napari_safire.session.fine_tuning import FineTuneRequest, FineTuning, folder_state
from napari_safire.session.messages import ANYWHERE


class FineTuneSection(FoldedSection):
    """Let the model in use learn from a queue or a list; propose the new one if it is better.

    The training is a process of its own: the viewer goes on, and its model is not touched.

    Parameters
    ----------
    controller : ViewerController
    queue : QueueController
        Whose done pictures may be learned from.
    model : ModelSection
        Whose model learns, and which takes up the new one.
    """

    def __init__(
        self, controller: ViewerController, queue: QueueController, model: ModelSection
    ) -> None:
        super().__init__("Fine-tune", "Let the model learn from masks that you made or corrected.")
        self._controller, self._model = controller, model
        self._busy = False  # from Start to the last word
        self._tuning: FineTuning | None = None
        self._of_tuning = Connections()
        self._stopping = False
        self._learning = ""  # what is learned from, once it is known
        self._warnings: list[str] = []
        self._compared: Comparison | None = None
        self._outcome: Outcome | None = None
        self._is_used = False  # the model that was proposed

        self.choice = FineTuneChoice(controller, queue, model)
        self.hint = wrapped()
        self.start = button(
            "Start", "Learn in another process; you can go on working meanwhile.", self._start
        )
        self.stop = button("Stop", "Save and stop; it can be gone on with later.", self._stop)
        self.progress = progress_bar("How far the fine-tuning is")
        self.status = wrapped()
        self.status.setAccessibleName("What the fine-tuning does")
        self.said = wrapped()
        self.said.setAccessibleName("How the fine-tuning ended")
        self.use = button("Use this model", "Choose the new model under Model.", self._use_proposed)
        self.more = button("Details", "What was left out, and what decided.", self._show_details)
        self.more.setCheckable(True)
        self.details = wrapped()
        for label in (self.hint, self.status, self.said, self.details):
            label.setTextFormat(Qt.TextFormat.PlainText)  # paths and names come from anywhere
        self.body.addWidget(self.choice)
        self.body.addWidget(self.hint)
        self.body.addWidget(Rows([self.start, self.stop], 2))
        below = (self.progress, self.status, self.said, self.use, self.more, self.details)
        for widget in below:
            self.body.addWidget(widget)
        order: list[QWidget] = [self.heading, *self.choice.fields, self.start, self.stop]
        order += [self.use, self.more]
        for before, after in pairwise(order):
            QWidget.setTabOrder(before, after)

        self.choice.changed.connect(self._show)
        self.choice.refused.connect(self._refuse)
        self._show()

    # ---------------------------------------------------------------- from start to end

    def _start(self) -> None:
        plan = self.choice.plan()
        if self._busy or isinstance(plan, str):
            return
        self._busy, self._stopping, self._is_used = True, False, False
        self._learning, self._warnings = "", []
        self._compared = self._outcome = None
        self.said.setText("")
        self.status.setText("Getting ready …")
        self.progress.setRange(0, 0)  # it moves without an end
        self.say_beside_title("running")
        self._show()
        run_guarded(
            self._controller.session,
            plan.request,
            self.connections.while_connected(self._begin),
            self.connections.while_connected(lambda error: self._fail(sentence(error))),
        )

    def _begin(self, request: FineTuneRequest) -> None:
        self._warnings = list(request.left_out)
        self._tuning = tuning = FineTuning(request, deliver=gui_thread().deliver)
        for signal, slot in (
            (tuning.divided, self._hear_division),
            (tuning.warned, self._hear_warning),
            (tuning.scored, self._hear_scoring),
            (tuning.progressed, self._hear_progress),
            (tuning.compared, self._hear_comparison),
            (tuning.finished, self._hear_outcome),
            (tuning.failed, self._fail),
        ):
            self._of_tuning.connect(signal, slot)
        tuning.start()
        self._show()

    def _stop(self) -> None:
        if self._tuning is not None:
            self._stopping = True
            self.status.setText("Stopping: it finishes what it is at, and saves …")
            self._tuning.stop()
            self._show()

    def _end(self, said: str, failed: bool = False) -> None:
        self._busy = False
        self._of_tuning.disconnect()
        self._tuning = None
        self.say_beside_title("")
        self._say(said, failed)
        self.choice.suggest_folder()  # the last one may be used up

    def _fail(self, text: str) -> None:
        self._end(text, failed=True)

    def _refuse(self, text: str) -> None:
        """Tell why a list cannot be used; what may have been started meanwhile goes on."""
        self._say(text, failed=True)

    def _say(self, said: str, failed: bool) -> None:
        self.said.setText(f"⚠ {said}" if failed else said)
        self._show()
        # The section is at the foot of the dock, and may be folded.
        self._controller.notice.emit(f"Fine-tuning: {words.small_begin(said)}", failed, ANYWHERE)

    def close_section(self) -> None:
        """Let go of everything, and let the process stop by itself; nothing waits for it."""
        super().close_section()
        self.choice.connections.disconnect()
        self._of_tuning.disconnect()
        if self._tuning is not None:
            self._tuning.close()

    def _use_proposed(self) -> None:
        if self._outcome is not None and self._outcome.model is not None:
            self._model.choose_file(self._outcome.model)
            self.said.setText(f"{self.said.text()} It is chosen under Model now.")
            self._is_used = True
            self._show()

    # ---------------------------------------------------------------- what the process tells

    def _hear_division(self, parts: Divided) -> None:
        self._learning = words.divided(parts)
        self._show()

    def _hear_warning(self, text: str) -> None:
        self._warnings.append(text)
        self._show_details()

    def _hear_scoring(self, scoring: Scoring) -> None:
        each = scoring.total // 2
        is_old = scoring.done <= each
        done = scoring.done if is_old else scoring.done - each
        text = f"The {'old' if is_old else 'new'} model is judged: picture {done} of {each}"
        self._show_progress(text, f"judging {done} of {each}", done, each)

    def _hear_progress(self, progress: RunEvent) -> None:
        if progress.event not in ("begun", "step", "ended"):
            return
        loss = sum(progress.values.values()) if progress.event == "step" else math.nan
        text = words.step(progress, loss)
        aside = f"step {progress.step} of {progress.steps}"
        self._show_progress(text, aside, progress.step, progress.steps)

    def _hear_comparison(self, found: Comparison) -> None:
        self._compared = found

    def _hear_outcome(self, outcome: Outcome) -> None:
        tuning = self._tuning
        assert tuning is not None
        self._outcome = outcome
        # One that is stopped after the comparison, while it is calibrated, has decided nothing.
        if outcome.decision != "stopped" and self._compared is not None:
            self.more.setChecked(True)  # among it what taking up the new model costs
            self._end(words.comparison(self._compared))
        elif folder_state(tuning.request.folder) == "stopped":
            self._end("Stopped. Go on takes it up from its last save.")
        else:
            self._end("Stopped before it had begun to learn.")

    # ---------------------------------------------------------------- what is shown

    def _show(self) -> None:
        plan, free = self.choice.plan(), not self._busy
        self.choice.set_free(free)
        if free:
            self.hint.setText(plan.describe() if isinstance(plan, FineTunePlan) else plan)
        else:
            self.hint.setText(self._learning)
        goes_on = isinstance(plan, FineTunePlan) and plan.resume
        self.start.setText("Go on" if goes_on and free else "Start")
        self.start.setEnabled(free and isinstance(plan, FineTunePlan))
        self.stop.setEnabled(self._tuning is not None and not self._stopping)
        for running in (self.progress, self.status):
            running.setVisible(self._busy)
        self.hint.setVisible(bool(self.hint.text()))
        self.said.setVisible(bool(self.said.text()))
        proposed = None if self._outcome is None else self._outcome.model
        self.use.setVisible(proposed is not None and not self._is_used)
        self._show_details()

    def _show_progress(self, text: str, aside: str, done: int, total: int) -> None:
        if not self._stopping:
            self.status.setText(text)
        show_progress(self.progress, done, total)
        self.say_beside_title(aside)

    def _show_details(self) -> None:
        told = [f"Left out: {enumerated(self._warnings)}"] if self._warnings else []
        outcome = self._outcome
        if outcome is not None and outcome.result is not None:
            told += [*outcome.reasons, f"All of it: {outcome.result}"]
        many = f" ({words.counted(len(self._warnings), 'warning')})" if self._warnings else ""
        self.more.setText(f"Details{many}")
        self.details.setText("\n".join(told))
        self.more.setVisible(bool(told))
        self.details.setVisible(bool(told) and self.more.isChecked())
