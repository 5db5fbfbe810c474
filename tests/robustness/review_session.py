"""A whole expert review by a real mouse in real windows: two reviewers, reports, proofs of them.

    python tests/robustness/review_session.py /tmp/review          # pictures and files stay there
    python tests/robustness/review_session.py /tmp/review --forged A B C --authentic D

Three forgeries and an authentic picture are copied into the folder; without arguments they come
from ../shared. Anna reviews them blind in a napari under Xvfb, with presses, moves and releases of
the mouse and with keys: case, partition, views, comparison, region table, findings, checklist,
verdicts. Berta looks at the model's verdict, or gives one of her own, signs or disputes Anna's, and
has the reports written. Each report is drawn by a browser and page by page, where there are
programs for it, and proved by ``napari-safire report verify``; of one report one byte after the
other is changed: in the picture, the JSON, the pages, a figure, the case, the model.

It prints a line for each check, RIGHT or WRONG, and ends with exit code 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(Path(__file__).parents[1] / "window"), str(ROOT / "benchmarks")]  # hand, clock
SHARED = next(
    (up / "shared" for up in ROOT.parents if (up / "shared" / "forged").is_dir()),
    ROOT.parent / "shared",
)
FORGED = (
    SHARED / "forged/baheesa_demo/images/baheesa_1.png",
    SHARED / "forged/noso/images/13_mod.png",
    SHARED / "forged/imd2020/images/c8wu4jn_0.jpg",
)
AUTHENTIC = SHARED / "forged/imd2020/authentic/1b18vd_orig.jpg"
VIEWS = ("noise level", "error level analysis", "ghost regions", "residual")
MOST_VIEWS = 2
BLOCKED_MS = 100.0
ANNA, BERTA = "Anna", "Berta"
HOSTILE = "<script>alert(1)</script> \N{RIGHT-TO-LEFT OVERRIDE}txt.exe & \x07 {{ 7*7 }}"
COMMAND = (sys.executable, "-c", "from napari_safire.cli import main; main()")

wrong: list[str] = []


def check(what: str, right: object, why: object = "") -> bool:
    """Print a line, and note what is wrong."""
    told = f"  ({why})" if not right and str(why) else ""
    print(f"{'RIGHT' if right else 'WRONG'}  {what}{told}", flush=True)
    if not right:
        wrong.append(what)
    return bool(right)


# -------------------------------------------------------------------- a reviewer at work


class Window:
    """A napari with the Review dock, and the hand that works in it."""

    def __init__(self, shots: Path) -> None:
        import napari
        from gui_calls import GuiCalls
        from hand import Hand

        self.shots, self.calls = shots, GuiCalls()
        self._watching = self.calls.watching()
        self._watching.__enter__()
        self.viewer = napari.Viewer(show_welcome_screen=False)
        self.viewer.window.resize(1280, 800)
        self.viewer.window._qt_window.show()
        _, self.dock = self.viewer.window.add_plugin_dock_widget("napari-safire", "SAFIRE Review")
        self.review = self.dock.workspace.review
        self.hand = Hand(self.viewer)
        self.wait(lambda: self.dock.controller.session.engine is not None, 120)
        self.settle()

    def close(self) -> None:
        self._watching.__exit__(None, None, None)
        self.dock.close_work()
        self.viewer.close()

    def wait(self, until: Callable[[], bool], seconds: float = 300) -> None:
        from hand import wait_until

        wait_until(until, seconds)

    def settle(self, seconds: float = 300) -> None:
        from hand import pump, wait_idle

        pump(0.05)
        self.wait(lambda: not self.review.work.doing, seconds)
        wait_idle(self.dock.controller, seconds)
        pump(0.1)

    def shoot(self, name: str) -> None:
        from hand import pump

        pump(0.3)
        self.viewer.window._qt_window.grab().save(str(self.shots / f"{name}.png"))

    def open(self, path: Path) -> None:
        self.viewer.layers.clear()
        self.viewer.open(str(path), plugin="napari")
        self.settle()

    def unfold(self, section: Any) -> None:
        if not section.heading.isChecked():
            self.press(section.heading)

    def see(self, widget: Any) -> None:
        """Unfold what a control is in, and scroll to it."""
        from hand import pump

        from napari_safire.gui.panels.section import FoldedSection

        around = widget.parentWidget()
        while around is not None:
            if isinstance(around, FoldedSection) and widget is not around.heading:
                around.unfold()
            around = around.parentWidget()
        pump(0.05)
        self.dock.ensureWidgetVisible(widget, 0, 40)
        pump(0.05)

    def press(self, control: Any, *, wait: bool = True) -> None:
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        self.see(control)
        name = control.text() if hasattr(control, "text") else type(control).__name__
        if not control.isEnabled() or not control.isVisible():
            raise SystemExit(f"{name!r} cannot be pressed: {self.told()}")
        place = control.rect().center()
        if type(control).__name__ == "QCheckBox":  # a press beside its words does nothing
            place.setX(8)
        QTest.mouseClick(control, Qt.MouseButton.LeftButton, pos=place)
        if wait:
            self.settle()

    def key(self, keys: str) -> None:
        self.hand.press(keys)
        self.settle()

    def type(self, box: Any, text: str) -> None:
        from qtpy.QtTest import QTest

        self.see(box)
        box.setFocus()
        QTest.keyClicks(box, text)
        self.settle()

    def choose(self, box: Any, text: str) -> None:
        """Choose an entry of a box, as a press on it in the open list does."""
        self.see(box)
        at = box.findText(text)
        if at < 0:
            raise SystemExit(f"{box.accessibleName()}: there is no {text!r}")
        box.setCurrentIndex(at)
        box.activated.emit(at)
        self.settle()

    def told(self) -> list[str]:
        return [message.text for message in self.dock.workspace.messages.shown]

    @property
    def opened(self) -> Any:
        return self.review.work.opened


def begin_case(window: Window, path: Path, number: int) -> None:
    """Make the case, and say what it is about."""
    window.open(path)
    window.press(window.dock.case.make)
    check(f"{path.name}: a case is made beside it", window.opened is not None, window.told())
    form = window.dock.case.form
    window.type(form.lines["number"], f"2026-{number:04d}")
    window.type(form.lines["title"], f"Review of {path.stem}")
    window.type(form.boxes["question"], "Was anything put into this picture?")
    window.type(form.lines["received"], "by mail, on a stick")
    window.press(form.keep)
    kept = window.opened.case.description
    check(f"{path.name}: what the case is about is kept", kept.number == f"2026-{number:04d}")


def look_blind(window: Window, path: Path) -> None:
    """Partition; the verdict stays hidden."""
    window.key("Shift+G")
    plane = window.dock.controller.plane
    check(f"{path.name}: it is partitioned", plane.partition is not None, window.told())
    session = window.dock.controller.session
    check(f"{path.name}: the model's verdict is hidden", session.blind.hides(plane.key))
    check(f"{path.name}: the dock does not tell it", window.dock.verdict.is_hidden)
    window.key("Shift+H")
    names = [layer.name for layer in window.viewer.layers if layer.visible]
    check(f"{path.name}: no forgery map by its key", not any("forgery" in n for n in names), names)
    window.shoot(f"{path.stem} 1 blind")


def open_views(window: Window, path: Path) -> list[str]:
    """Make views and open them as layers."""
    section, opened = window.dock.evidence, []
    window.unfold(section)
    window.wait(lambda: window.dock.workspace.evidence.known is not None)
    window.wait(lambda: window.dock.workspace.evidence.known.seen is not None)
    known = window.dock.workspace.evidence.known
    for name in [n for n in known.views if n in VIEWS] + [n for n in known.views if n not in VIEWS]:
        card = section.cards[name]
        if len(opened) == MOST_VIEWS or known.views[name].why_not or name == "comparison":
            continue
        window.press(card.heading, wait=False)
        window.wait(lambda name=name: (s := known_of(window, name)).found is not None
                    and s.asked is None)  # fmt: skip
        window.settle()
        if known_of(window, name).found.drawn and card.layer_button.isVisible():
            window.press(card.layer_button)
            opened.append(name)
    there = [view.name for view in window.dock.workspace.comparison.views]
    check(f"{path.name}: views are open as layers: {', '.join(opened)}",
          opened and set(opened) <= set(there), there)  # fmt: skip
    window.shoot(f"{path.stem} 2 views")
    return opened


def known_of(window: Window, name: str) -> Any:
    return window.dock.workspace.evidence.known.views[name]


def compare_views(window: Window, path: Path, views: list[str]) -> None:
    """Grid, blink, swipe and opacity by keys; the line by the mouse."""
    from hand import pump
    from qtpy.QtCore import QPoint, Qt
    from qtpy.QtTest import QTest

    comparison, section = window.dock.workspace.comparison, window.dock.compare
    window.unfold(section)
    before = [(layer.name, layer.visible, layer.opacity) for layer in window.viewer.layers]
    window.choose(section.combos[0], "picture")
    window.choose(section.combos[1], views[-1])
    for keys, mode in (("Shift+Z", "grid"), ("/", "blink"), ("Shift+Q", "opacity"),
                       ("Shift+S", "swipe")):  # fmt: skip
        window.key(keys)
        check(f"{path.name}: {keys} begins {mode}", comparison.mode == mode, comparison.mode)
        window.shoot(f"{path.stem} 3 {mode}")
        if mode == "blink":
            shown = comparison.shown
            window.key("/")
            check(f"{path.name}: / shows the other view", comparison.shown != shown, shown)
    line, at = comparison.marks.line, comparison.line.position
    QTest.mousePress(line, Qt.MouseButton.LeftButton, pos=QPoint(4, 100))
    for step in range(8):
        QTest.mouseMove(line, QPoint(4 + (12 if at < 0.5 else -12) * step, 100))
        pump(0.02)
    QTest.mouseRelease(line, Qt.MouseButton.LeftButton, pos=QPoint(4, 100))
    check(f"{path.name}: the mouse drags the line", comparison.line.position != at)
    words = comparison.words
    check(f"{path.name}: what is compared is told", words.startswith("swipe: picture | "), words)
    window.key("Shift+B")
    begun = window.dock.findings.form.values
    check(f"{path.name}: Shift+B takes the comparison into a finding",
          begun and begun["comment"].startswith("swipe: "), begun)  # fmt: skip
    window.press(window.dock.findings.form.drop)
    window.key("Shift+S")
    after = [(layer.name, layer.visible, layer.opacity) for layer in window.viewer.layers]
    check(f"{path.name}: comparing leaves no trace", before == after and not comparison.mode,
          f"{before} -> {after}")  # fmt: skip


def compare_regions(window: Window, path: Path) -> None:
    """The table of each source against the rest; a row shows its region."""
    section = window.dock.regions
    window.press(section.compare)
    key = window.dock.controller.key
    window.wait(lambda: not window.review.regions.is_asked(key))
    window.settle()
    compared = window.review.regions.of(key)
    n_sources = len({row.source for row in section.table.rows})
    check(f"{path.name}: the regions are compared: {len(section.table.rows)} rows, "
          f"{n_sources} sources, {len(compared.table.outliers)} outliers",
          compared is not None, window.told())  # fmt: skip
    if section.table.rows:
        press_row(window, section.table, 0)
        row = section.table.rows[0]
        check(f"{path.name}: a row selects its source", window.review.source == row.source)
        check(f"{path.name}: and tells what it says", row.words in section.detail.text())
    window.shoot(f"{path.stem} 4 regions")


def press_row(window: Window, table: Any, row: int) -> None:
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    window.see(table)
    model = table.model()
    place = table.visualRect(model.index(row, model.columnCount() - 1)).center()
    QTest.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=place)
    window.settle()


def note_findings(window: Window, path: Path, views: list[str]) -> None:
    """Two findings, one of a view and one of the picture; selected again they show their part."""
    section = window.dock.findings
    canvas_zoom = window.viewer.camera.zoom
    window.viewer.camera.zoom = 2 * canvas_zoom
    window.settle()
    window.key("Shift+B")
    window.type(section.form.comment, "The marked part is smoother than what is around it. ")
    section.form.comment.insertPlainText(HOSTILE)  # as a paste
    begun = dict(section.form.values)
    window.press(section.form.keep)
    for layer in window.viewer.layers:
        if layer.name != window.dock.controller.image.name:
            layer.visible = False
    window.viewer.camera.zoom = canvas_zoom
    window.settle()
    window.key("Shift+B")
    window.type(section.form.comment, "Shadows fall the same way everywhere.")
    window.choose(section.form.kind, "inferred")
    window.press(section.form.keep)
    found = window.opened.review.findings
    check(f"{path.name}: two findings are noted", len(found) == 2, window.told())
    first = found[0].finding
    check(f"{path.name}: the first is of a view and a part", first.view and first.viewport, first)
    check(f"{path.name}: its view is one that was open", begun["view"] == first.view)
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    window.see(section.list)
    place = section.list.visualItemRect(section.list.item(0)).center()
    QTest.mouseClick(section.list.viewport(), Qt.MouseButton.LeftButton, pos=place)
    window.settle()
    shown = window.review.sight.now()
    check(f"{path.name}: a press on it shows its view again", shown.view == first.view, shown)
    part, seen = first.viewport, shown.viewport
    check(f"{path.name}: and its part",
          abs(part.row - seen.row) < 3 + 0.05 * part.height
          and abs(part.height - seen.height) < 3 + 0.05 * part.height,
          f"{part} {seen}")  # fmt: skip
    window.shoot(f"{path.stem} 5 findings")


def judge(window: Window, path: Path, verdict: str, *, blind: bool) -> None:
    """Checklist, verdict on picture and sources, signature."""
    section = window.dock.judgement
    window.unfold(section)
    check(f"{path.name}: nothing is signed before the checklist", not section.sign.isEnabled())
    for number, box in enumerate(section.questions.boxes.values()):
        window.choose(box, "no" if number == 2 else "yes")
    window.type(section.questions.notes["unmodified"], "It was saved again.")
    form = section.form
    window.choose(form.picture.verdict, verdict)
    if verdict != "cannot be determined":
        check(f"{path.name}: nothing is signed without a strength", not section.sign.isEnabled())
        window.choose(form.picture.support, "moderate support")
    if verdict == "manipulated":
        window.press(form.picture.types[0])
    if verdict == "manipulated" and form.sources:
        choice = form.sources[max(form.sources)]
        window.choose(choice.verdict, "manipulated")
        window.choose(choice.support, "weak support")
    window.type(form.interpretation, "The parts do not come from one recording.")
    window.shoot(f"{path.stem} 6 verdict")
    window.press(section.sign)
    mine = window.opened.mine
    given = mine.verdict
    if not check(f"{path.name}: {window.opened.case.reviewer}'s verdict is given and signed",
                 given is not None and given.signatures, window.told()):  # fmt: skip
        return
    check(f"{path.name}: the order is on record: {'blind' if blind else 'seen before'}",
          given.blind == blind, mine)  # fmt: skip
    hidden = window.dock.controller.session.blind.hides(window.dock.controller.key)
    check(f"{path.name}: the model's verdict is shown now", not hidden)
    window.shoot(f"{path.stem} 7 revealed")


def first_review(window: Window, path: Path, number: int, verdict: str) -> None:
    """All that Anna does with a picture."""
    begin_case(window, path, number)
    look_blind(window, path)
    views = open_views(window, path)
    compare_views(window, path, views)
    compare_regions(window, path)
    note_findings(window, path, views)
    judge(window, path, verdict, blind=True)


def second_review(window: Window, path: Path, number: int) -> None:
    """Berta: looks at the model's verdict or judges blind, then signs or disputes; the report."""
    from qtpy.QtWidgets import QPushButton

    window.open(path)
    check(f"{path.name}: {BERTA} finds the case", window.opened is not None, window.told())
    section = window.dock.judgement
    window.unfold(section)
    disputes = number == 1
    check(f"{path.name}: {BERTA} does not see the other verdict", not section._listed)
    window.key("Shift+G")
    if disputes:
        judge(window, path, "cannot be determined", blind=True)
    else:
        window.press(window.dock.reveal)
        check(f"{path.name}: that she saw the model's is noted", window.opened.mine.shown_at)
    buttons = {
        b.text(): b for b in section.others.findChildren(QPushButton) if b.isVisibleTo(section)
    }
    check(f"{path.name}: {BERTA} sees {ANNA}'s verdict now", "Sign too" in buttons, list(buttons))
    if disputes:
        window.press(buttons["Dispute …"])
        window.type(section.reason.line, "Too small to tell.")
        window.press(section.reason.yes)
    else:
        window.press(buttons["Sign too"])
    others = window.opened.review.of(ANNA).verdict.signatures
    stances = {(signed.by, signed.signature.stance) for signed in others}
    wanted = (BERTA, "disputes" if disputes else "signs")
    check(f"{path.name}: {' '.join(wanted)} {ANNA}'s verdict", wanted in stances, stances)
    window.press(window.dock.report.write)
    window.wait(lambda: not window.review.reports.is_asked, 600)
    window.settle()
    written = window.review.reports.written
    check(f"{path.name}: the report is written", written is not None, window.told())
    window.shoot(f"{path.stem} 8 report")


def work(folder: Path, name: str) -> None:
    """Go through all pictures as one of the two."""
    window = Window(folder / "shots" / name)
    for number, (path, verdict) in enumerate(pictures_of(folder)):
        if name == ANNA:
            first_review(window, path, number, verdict)
        else:
            second_review(window, path, number)
    longest = sorted(window.calls.calls, reverse=True)[:3]
    check(f"{name}: no call of ours holds the window for {BLOCKED_MS:g} ms",
          1000 * longest[0][0] < BLOCKED_MS)  # fmt: skip
    for seconds, what in longest:
        print(f"       {1000 * seconds:.0f} ms of processor: {what}", flush=True)
    window.close()


# -------------------------------------------------------------------- reports


@dataclass(frozen=True)
class Proof:
    """What ``report verify`` said."""

    code: int
    checks: tuple[dict[str, Any], ...]
    words: str

    @property
    def problems(self) -> list[str]:
        return [f"{c['what']}: {c['words']}" for c in self.checks if c["state"] == "wrong"]


def prove(report: Path, *words: object) -> Proof:
    done = subprocess.run(
        [*COMMAND, "report", "verify", str(report), "--json", *map(str, words)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines = done.stdout.strip().splitlines()
    told = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}
    return Proof(done.returncode, tuple(told.get("checks", ())), done.stderr.strip())


def look_at_pages(path: Path, report: Path, shots: Path) -> None:
    """Draw the page in a browser and the PDF page by page."""
    shots.mkdir(parents=True, exist_ok=True)
    page = (report / "report.html").read_text("utf-8")
    check(f"{path.name}: no word of ours became a tag", "<script>alert" not in page)
    check(f"{path.name}: no mark turns text around", "\N{RIGHT-TO-LEFT OVERRIDE}" not in page)
    if chromium := shutil.which("chromium"):
        done = subprocess.run(
            [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1100,3000",
             f"--screenshot={shots / f'{path.stem}.png'}", "--virtual-time-budget=3000",
             (report / "report.html").as_uri()],
            capture_output=True, text=True, check=False, timeout=180,
        )  # fmt: skip
        drawn = shots / f"{path.stem}.png"
        check(f"{path.name}: a browser draws the page", drawn.exists() and drawn.stat().st_size
              > 50_000, done.stderr[-300:])  # fmt: skip
    if pdftoppm := shutil.which("pdftoppm"):
        subprocess.run([pdftoppm, "-r", "60", "-png", str(report / "report.pdf"),
                        str(shots / f"{path.stem}-page")], check=True, timeout=180)  # fmt: skip
        pages = sorted(shots.glob(f"{path.stem}-page*.png"))
        blank = [one.name for one in pages if one.stat().st_size < 3_000]
        is_whole = len(pages) >= 3 and not blank
        check(f"{path.name}: {len(pages)} pages of the PDF are drawn", is_whole, blank)


def flipped(file: Path) -> Callable[[], None]:
    """Change a byte in the middle of a file; gives what changes it back."""
    whole = file.read_bytes()
    at = len(whole) // 2
    file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    return lambda: (file.write_bytes(whole), None)[1]


def change_bytes(folder: Path, path: Path, report: Path) -> None:
    """One byte after the other is changed; each has to be found."""
    from napari_safire.model.catalogue.registry import model_path

    figure = next((report / "figures").iterdir())
    kept = next(one for one in case_folder_of(path).glob("objects/**/*") if one.is_file())
    model = folder / "model" / "changed.ckpt"
    model.parent.mkdir()
    shutil.copy(model_path("safire-lite"), model)
    again = prove(report, "--no-rerun", "--model", model)
    check("a copy of the model is the same model", again.code == 0, again.problems or again.words)
    for what, file, words in (
        ("picture", path, ()),
        ("JSON", report / "report.json", ()),
        ("HTML", report / "report.html", ()),
        ("PDF", report / "report.pdf", ()),
        ("figure", figure, ()),
        ("case", kept, ()),
        ("model", model, ("--model", model)),
    ):
        back = flipped(file)
        proof = prove(report, "--no-rerun", *words)
        back()
        told = next(iter(proof.problems), proof.words)
        check(f"one changed byte in the {what} is found: {told[:110]}", proof.code == 1)
    again = prove(report, "--no-rerun")
    check("with all bytes back it holds again", again.code == 0, again.problems or again.words)


def case_folder_of(path: Path) -> Path:
    from napari_safire.review.case import case_folder_of as beside

    return beside(path)


# -------------------------------------------------------------------- the whole session


def pictures_of(folder: Path) -> list[tuple[Path, str]]:
    """The copies, and what Anna will say of each."""
    listed = json.loads((folder / "pictures.json").read_text("utf-8"))
    return [(folder / "pictures" / name, verdict) for name, verdict in listed]


def copy_pictures(folder: Path, forged: list[Path], authentic: Path) -> None:
    (folder / "pictures").mkdir(parents=True)
    listed = []
    for source in (*forged, authentic):
        shutil.copy(source, folder / "pictures" / source.name)
        listed.append((source.name, "authentic" if source == authentic else "manipulated"))
    (folder / "pictures.json").write_text(json.dumps(listed), "utf-8")


def run(folder: Path, name: str) -> None:
    """Let a reviewer work in a window of their own; take over what is wrong there."""
    (folder / "shots" / name).mkdir(parents=True)
    command = ["xvfb-run", "-a", "-s", "-screen 0 1280x800x24", sys.executable, __file__,
               str(folder), "--reviewer", name]  # fmt: skip
    environment = os.environ | {"NAPARI_SAFIRE_ANNOTATOR": name}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            if line.startswith("WRONG"):
                wrong.append(line[5:].strip())
    check(f"{name}'s window ends without an error", process.returncode == 0, process.returncode)


def session(folder: Path, forged: list[Path], authentic: Path) -> None:
    """Go through all of it."""
    if folder.exists():
        shutil.rmtree(folder)
    os.environ |= {f"XDG_{kind}_HOME": str(folder / kind.lower()) for kind in
                   ("CONFIG", "DATA", "CACHE")}  # fmt: skip
    copy_pictures(folder, forged, authentic)
    run(folder, ANNA)
    run(folder, BERTA)
    for path, _ in pictures_of(folder):
        report = case_folder_of(path) / "report"
        if not check(f"{path.name}: there is a report", (report / "report.json").is_file()):
            continue
        look_at_pages(path, report, folder / "shots" / "pages")
        check_document(path, report)
        proof = prove(report)
        check(f"{path.name}: the report is proved, {len(proof.checks)} things looked at",
              proof.code == 0, proof.problems or proof.words)  # fmt: skip
        for one in proof.checks:
            if one["state"] == "not checked":
                print(f"       not checked: {one['what']}: {one['words'][:120]}", flush=True)
    path = pictures_of(folder)[0][0]
    change_bytes(folder, path, case_folder_of(path) / "report")


def check_document(path: Path, report: Path) -> None:
    """What was said stands in the document."""
    document = json.loads((report / "report.json").read_text("utf-8"))
    reviewers = {review["reviewer"]: review for review in document["reviews"]}
    check(f"{path.name}: both reviewers stand in the report", {ANNA, BERTA} <= set(reviewers))
    drawn = [finding["figure"] for finding in document["findings"]]
    check(f"{path.name}: two findings with pictures", len(drawn) == 2 and all(drawn), drawn)
    signed = reviewers[ANNA]["countersignatures"]
    check(f"{path.name}: both signatures", {s["by"] for s in signed} == {ANNA, BERTA}, signed)
    check(f"{path.name}: what the hostile comment says is kept as it was",
          any("<script>" in f["comment"] for f in document["findings"]))  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--forged", type=Path, nargs="+", default=list(FORGED))
    parser.add_argument("--authentic", type=Path, default=AUTHENTIC)
    parser.add_argument("--reviewer", choices=(ANNA, BERTA), help=argparse.SUPPRESS)
    given = parser.parse_args()
    folder = given.folder.absolute()
    if given.reviewer:
        work(folder, given.reviewer)
        sys.exit(0)
    session(folder, [path.absolute() for path in given.forged], given.authentic.absolute())
    for problem in wrong:
        print(f"WRONG: {problem}")
    print("RESULT " + (f"{len(wrong)} problems" if wrong else "all right"))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
