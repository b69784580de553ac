"""A monkey at the screen: random actions in the window, and whatever is not to happen there.

Run by ``test_monkey.py`` in a process of its own, so that one that crashes or hangs is seen; by
hand ``python tests/viewer/monkey.py FOLDER --seed 3 --actions 500``. The folder holds
``unet.pth``, ``FLAIR.nii.gz`` and ``T1.nii.gz``. It prints each action before it is
done, exits with 0 if nothing was wrong, and with 1 after printing what was.
"""
# ruff: noqa: T201 - what it prints is its log

from __future__ import annotations

import argparse
import faulthandler
import gc
import logging
import os
import sys
import threading
import time
import traceback
import unicodedata
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from canvas_contexts import watch_contexts

LONGEST_ACTION = 120
"""Seconds after which an action counts as one that never ends."""
LONGEST_END = 60
"""Seconds for the threads to end once the window is closed."""
NAMES = (
    "a name",
    "маска",
    "<b>bold</b><img src='file:///etc/hostname'>",
    "\x1b[31mred\x1b[0m\x07\nsecond line\u202e",
    "n" * 20_000,
    "",
)

BUTTONS = (
    *("new_region", "explain_region", "see_changes", "undo", "show_changed", "explain_all"),
    *("cancel", "figure", "save", "figure_save", "figure_copy", "figure_screenshot"),
    *("figure_close", "same_limits", "show_difference", "follow_look", "help"),
    *("show_overlay", "show_outlines"),
)
NAPARIS_OWN = ("for non-painted dimension",)
"""Exceptions of napari 0.9.2 alone: painting in a Labels layer that the slice misses."""


class Watch:
    """Collects what is not to happen."""

    def __init__(self):
        self.found = []
        sys.excepthook = lambda kind, error, trace: self.add_error("exception", error)
        threading.excepthook = lambda a: self.add_error(f"thread {a.thread}", a.exc_value)
        sys.unraisablehook = lambda a: self.add_error(f"unraisable in {a.object!r}", a.exc_value)
        watch = self

        class Handler(logging.Handler):
            def emit(self, record):
                watch.add(f"logged: {self.format(record)}")

        logging.getLogger().addHandler(Handler(logging.ERROR))

    def add(self, text):
        print(f"!! {text}", flush=True)
        self.found.append(text)

    def add_error(self, where, error):
        if any(known in str(error) for known in NAPARIS_OWN):
            print(f"napari's own: {error}", flush=True)
            return
        self.add(f"{where}: {''.join(traceback.format_exception(error))}")

    def listen(self):
        """Listen to napari and Qt, once they are there."""
        from napari.utils.notifications import NotificationSeverity, notification_manager
        from qtpy.QtCore import QtMsgType, qInstallMessageHandler
        from vispy.util import logger

        from napari_ies.errors import NapariIESError

        def on_notification(notification):
            if notification.severity < NotificationSeverity.ERROR:
                return
            error = getattr(notification, "exception", None)
            if error is not None and not isinstance(error, NapariIESError):
                self.add_error("notification", error)
            elif error is None and "a fault in napari-ies" in notification.message:
                self.add(f"notification: {notification.message}")
            if unseen(notification.message):
                self.add(f"not printable: {notification.message[:500]!r}")

        def on_qt(kind, _, message):
            if kind in (QtMsgType.QtCriticalMsg, QtMsgType.QtFatalMsg):
                self.add(f"Qt: {message}")

        notification_manager.notification_ready.connect(on_notification)
        qInstallMessageHandler(on_qt)
        logger.propagate = True  # vispy's own, so that its errors are heard of, too
        watch_contexts(self.add, setattr)


def unseen(text):
    """Whether a text holds what is not to be shown to a person."""
    return len(text) > 10_000 or any(
        unicodedata.category(letter) in ("Cc", "Cs") and letter not in "\n\t" for letter in text
    )


class Monkey:
    """Does what anybody could do at the screen, in an order that nobody would."""

    def __init__(self, folder, seed, watch):
        from napari import Viewer

        self.folder, self.watch = Path(folder), watch
        self.chance = np.random.default_rng(seed)
        self.viewer = Viewer(show=True)
        self.window = self.viewer.window._qt_window
        self.window.resize(1100, 700)
        self.panel = None
        self.slowest = (0.0, "")
        self.actions = [
            (getattr(self, name), getattr(self, name).weight)
            for name in sorted(dir(self))
            if hasattr(getattr(type(self), name, None), "weight")
        ]
        self.patch_dialogs()

    def patch_dialogs(self):
        from qtpy.QtGui import QDesktopServices

        from napari_ies.viewer.panel import dialogs

        new = self.folder / "chosen"
        new.mkdir(exist_ok=True)
        QDesktopServices.openUrl = lambda *_: True
        dialogs.may_replace = dialogs.may_replace_file = lambda *_: self.often(0.5)
        dialogs.choose_folder = lambda *_: str(self.pick([new, self.session(), ""]))
        dialogs.choose_new_file = lambda _, __, name, ___: str(new / Path(name).name)
        dialogs.choose_file = lambda *_: str(self.pick(self.files()))

    # What a person has at hand

    def often(self, share):
        return bool(self.chance.random() < share)

    def pick(self, things):
        return things[int(self.chance.integers(len(things)))]

    def files(self):
        return [self.folder / name for name in ("FLAIR.nii.gz", "T1.nii.gz", "unet.pth")] + [""]

    def session(self):
        found = sorted(self.folder.rglob("session.json"))
        return self.pick(found).parent if found else ""

    def wait(self, seconds=0.05):
        from qtpy.QtWidgets import QApplication

        end = time.monotonic() + seconds
        while True:
            QApplication.processEvents()
            if time.monotonic() >= end:
                return
            time.sleep(0.005)

    def wait_until(self, condition, seconds=LONGEST_ACTION):
        end = time.monotonic() + seconds
        while not condition():
            self.wait()
            if time.monotonic() > end:
                return False
        return True

    def idle(self):
        return self.panel is None or not (
            self.panel.services.work.busy or self.panel.features["session"].busy
        )

    def control(self, name):
        from qtpy.QtWidgets import QWidget

        return None if self.panel is None else self.panel.findChild(QWidget, name)

    def press(self, name):
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        button = self.control(name)
        if button is not None and button.isEnabled() and button.isVisible():
            QTest.mouseClick(button, Qt.MouseButton.LeftButton)
            return
        if button is not None and hasattr(button, "click"):
            button.click()  # in a tab that is not on show; does nothing if it is disabled

    def layer(self):
        return self.pick(self.viewer.layers) if len(self.viewer.layers) else None

    def canvas(self):
        """A canvas: the viewer's own, or another one."""
        from napari.qt import QtViewer

        views = [view for view in self.window.findChildren(QtViewer) if view.isVisible()]
        return self.pick(views).canvas.native if views else None

    # One step

    def act(self):
        weights = np.array([weight for _, weight in self.actions], float)
        work, _ = self.actions[int(self.chance.choice(len(weights), p=weights / weights.sum()))]
        print(work.__name__, flush=True)
        faulthandler.dump_traceback_later(LONGEST_ACTION, exit=True)
        begun = time.monotonic()
        try:
            work()
            self.wait(0.02)
            if self.often(0.3):
                self.wait(float(self.chance.random()) * 0.3)
            if self.often(0.1):
                gc.collect()
        except Exception as error:
            self.watch.add_error(work.__name__, error)
        self.slowest = max(self.slowest, (time.monotonic() - begun, work.__name__))
        faulthandler.cancel_dump_traceback_later()

    def look(self):
        """Read every text of the panel, as a person would."""
        from qtpy.QtWidgets import QAbstractButton, QComboBox, QLabel, QWidget

        if self.panel is None:
            return
        for widget in self.panel.findChildren(QWidget):
            texts = [widget.toolTip()]
            if isinstance(widget, QLabel | QAbstractButton):
                texts.append(widget.text())
            if isinstance(widget, QComboBox):
                texts += [widget.itemText(i) for i in range(widget.count())]
            for text in texts:
                if unseen(text):
                    self.watch.add(f"not printable in {widget.objectName()}: {text[:300]!r}")

    def open_panel(self):
        self.panel = self.viewer.window.add_plugin_dock_widget("napari-ies", "Lesion saliency")[1]
        self.wait()

    def prepare(self):
        """Open the panel and segment, so that there is something to play with."""
        self.open_panel()
        self.panel.features["preparing"].checkpoint.choose(str(self.folder / "unet.pth"))
        for name in ("FLAIR", "T1"):
            self.panel.features["preparing"].open_image(name, str(self.folder / f"{name}.nii.gz"))
        self.wait_until(
            lambda: self.idle() and self.panel.features["preparing"].segmentation.button.isEnabled()
        )
        self.panel.features["preparing"].segmentation.button.click()
        self.wait_until(self.idle)
        if self.panel.state.reading is None:
            self.watch.add(f"not segmented: {self.panel.status.text}")
        self.panel.features["explaining"].form.samples.setValue(2)

    def end(self):
        """Close the window; every thread is to end."""
        print("close", flush=True)
        faulthandler.dump_traceback_later(LONGEST_ACTION, exit=True)
        if not self.wait_until(self.idle, LONGEST_END):
            if self.panel is not None:
                self.panel.services.work.cancel()
            if not self.wait_until(self.idle, LONGEST_END):
                self.watch.add("work that never ends")
        self.look()
        self.viewer.close()
        self.panel = None

        def left():
            return [
                thread
                for thread in threading.enumerate()
                if thread.name.startswith("napari-ies") and thread.is_alive()
            ]

        if not self.wait_until(lambda: not left(), LONGEST_END):
            self.watch.add(f"threads that never end: {left()}")


def action(weight):
    """Make a method one of the monkey's actions."""

    def mark(method):
        method.weight = weight
        setattr(Monkey, method.__name__, method)
        return method

    return mark


@action(6)
def segment(self):
    if self.panel is not None:
        self.panel.features["preparing"].segmentation.button.click()
        if self.often(0.7):
            self.wait_until(self.idle, 30)


@action(2)
def load(self):
    if self.panel is None:
        return
    name = self.pick(["FLAIR", "T1"])
    self.panel.features["preparing"].open_image(name, str(self.folder / f"{name}.nii.gz"))
    if self.often(0.3):
        self.panel.features["preparing"].checkpoint.choose(str(self.folder / "unet.pth"))
    self.wait(0.3)


@action(12)
def choose_lesion(self):
    if self.panel is not None and self.panel.features["lesions"].table.subjects():
        self.panel.explaining.explain(self.pick(self.panel.features["lesions"].table.subjects()))
        if self.often(0.6):
            self.wait_until(self.idle, 20)


@action(10)
def click_canvas(self):
    from qtpy.QtCore import QPoint, Qt
    from qtpy.QtTest import QTest

    native = self.canvas()
    if native is None or not native.width() or not native.height():
        return
    at = QPoint(
        int(self.chance.integers(native.width())), int(self.chance.integers(native.height()))
    )
    QTest.mousePress(native, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, at)
    if self.often(0.4):
        for step in range(3):
            QTest.mouseMove(native, at + QPoint(7 * step, 3 * step))
            self.wait(0.01)
    QTest.mouseRelease(native, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, at)


@action(10)
def press_key(self):
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    native = self.canvas()
    if native is not None:
        key = self.pick(["N", "W", "H", "K", "G", "J"])
        shift = Qt.KeyboardModifier.ShiftModifier if self.often(0.3) else Qt.KeyboardModifier(0)
        native.setFocus()
        QTest.keyClick(native, getattr(Qt.Key, f"Key_{key}"), shift)
        self.wait(0.4)


@action(5)
def undo_key(self):
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    native = self.canvas()
    if native is not None:
        QTest.keyClick(native, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)


@action(8)
def change_tab(self):
    if self.panel is not None:
        self.panel.tabs.setCurrentIndex(int(self.chance.integers(self.panel.tabs.count())))


@action(8)
def three_planes(self):
    self.press("three_planes_button")


@action(5)
def crosshair(self):
    self.press("crosshair_button")


@action(7)
def space(self):
    self.press("space_button")
    self.wait(0.2)
    if self.viewer.dims.ndisplay == 3:
        self.viewer.scene.camera.zoom *= 0.4  # a large picture takes long without a graphics card


@action(8)
def side_by_side(self):
    self.press("side_by_side")


@action(25)
def press_a_button(self):
    name = self.pick(BUTTONS)
    print("   ", name, flush=True)
    self.press(name)


@action(15)
def change_a_setting(self):
    from qtpy.QtWidgets import QAbstractSlider, QCheckBox, QComboBox, QDoubleSpinBox, QSpinBox

    if self.panel is None:
        return
    kinds = (QAbstractSlider, QCheckBox, QComboBox, QDoubleSpinBox, QSpinBox)
    kind = self.pick(kinds)
    found = [
        widget
        for widget in self.panel.findChildren(kind)
        if widget.isEnabled() and widget.objectName() not in ("device", "")
    ]
    if not found:
        return
    widget = self.pick(sorted(found, key=lambda widget: widget.objectName()))
    print("   ", widget.objectName(), flush=True)
    if kind is QCheckBox:
        widget.click()
    elif kind is QComboBox and widget.count():
        index = int(self.chance.integers(widget.count()))
        widget.setCurrentIndex(index)
        widget.activated.emit(index)
    elif kind in (QSpinBox, QDoubleSpinBox) and widget.objectName() != "samples":
        low, high = widget.minimum(), min(widget.maximum(), widget.minimum() + 50)
        value = low + float(self.chance.random()) * (high - low)
        widget.setValue(value if kind is QDoubleSpinBox else round(value))
    elif kind is QAbstractSlider and widget.maximum() > widget.minimum():
        widget.setValue(int(self.chance.integers(widget.minimum(), widget.maximum())))


@action(4)
def close_or_open_the_panel(self):
    if self.panel is None:
        self.open_panel()
        return
    dock = next(
        (d for d in self.viewer.window._wrapped_dock_widgets.values() if d.widget() is self.panel),
        None,
    )
    if dock is not None:
        self.viewer.window.remove_dock_widget(dock)
        self.panel = None


@action(3)
def float_a_dock(self):
    docks = list(self.viewer.window._wrapped_dock_widgets.values())
    if docks:
        dock = self.pick(docks)
        dock.setFloating(not dock.isFloating())


@action(2)
def close_any_dock(self):
    docks = dict(self.viewer.window._wrapped_dock_widgets)
    docks = [d for d in docks.values() if self.panel is None or d.widget() is not self.panel]
    if docks:
        self.viewer.window.remove_dock_widget(self.pick(docks))


@action(6)
def hide_a_layer(self):
    layer = self.layer()
    if layer is not None:
        layer.visible = not layer.visible


@action(5)
def remove_a_layer(self):
    layer = self.layer()
    if layer is not None:
        self.viewer.layers.remove(layer)
        if self.often(0.05):
            self.viewer.layers.clear()


@action(5)
def rename_a_layer(self):
    layer = self.layer()
    if layer is not None:
        layer.name = self.pick(NAMES)


@action(5)
def reorder_layers(self):
    count = len(self.viewer.layers)
    if count > 1:
        self.viewer.layers.move(int(self.chance.integers(count)), int(self.chance.integers(count)))


@action(5)
def change_a_layer(self):
    layer = self.layer()
    if layer is None:
        return
    self.viewer.layers.selection.active = layer
    what = self.pick(["opacity", "blending", "colormap", "contrast_limits", "translate", "data"])
    if what == "opacity":
        layer.opacity = float(self.chance.random())
    elif what == "blending":
        layer.blending = self.pick(["opaque", "translucent", "additive"])
    elif what == "colormap" and hasattr(layer, "contrast_limits"):
        layer.colormap = self.pick(["gray", "viridis", "magma"])
    elif what == "contrast_limits" and hasattr(layer, "contrast_limits"):
        layer.contrast_limits = (0.0, 0.1 + float(self.chance.random()))
    elif what == "translate":
        layer.translate = layer.translate + self.chance.normal(0, 1, layer.ndim)


@action(7)
def paint(self):
    from napari.layers import Labels

    labels = [layer for layer in self.viewer.layers if isinstance(layer, Labels)]
    if not labels:
        return
    layer = self.pick(labels)
    self.viewer.layers.selection.active = layer
    layer.mode = self.pick(["paint", "erase", "fill", "pan_zoom", "pick"])
    where = [int(self.chance.integers(size)) for size in layer.data.shape]
    layer.paint(where, int(self.chance.integers(3)))
    if self.often(0.3):
        layer.undo()


@action(3)
def add_a_layer(self):
    generator = self.chance
    what = self.pick(["labels", "image", "points", "4-d"])
    if what == "labels":
        self.viewer.add_labels(generator.integers(0, 3, (26, 22, 20)).astype(np.int32))
    elif what == "image":
        self.viewer.add_image(generator.normal(size=(26, 22, 20)).astype(np.float32))
    elif what == "points":
        self.viewer.add_points(generator.normal(10, 5, (20, 3)))
    else:
        self.viewer.add_image(generator.normal(size=(3, 10, 11, 12)).astype(np.float32))


@action(8)
def move_the_slices(self):
    for axis, (low, high, _) in enumerate(self.viewer.dims.range):
        self.viewer.dims.set_point(axis, low + float(self.chance.random()) * (high - low))


@action(3)
def change_the_axes(self):
    if self.often(0.5):
        self.viewer.dims.roll()
    else:
        self.viewer.dims.order = tuple(self.chance.permutation(self.viewer.dims.ndim).tolist())


@action(3)
def turn_to_space_or_back(self):
    self.viewer.dims.ndisplay = 5 - self.viewer.dims.ndisplay
    if self.viewer.dims.ndisplay == 3:
        self.viewer.scene.camera.zoom *= 0.4


@action(4)
def move_the_camera(self):
    camera = self.viewer.scene.camera
    camera.zoom = float(np.clip(camera.zoom * self.chance.uniform(0.5, 2), 0.5, 50))
    if self.viewer.dims.ndisplay == 3:
        camera.angles = tuple(self.chance.uniform(-180, 180, 3))
    if self.often(0.2):
        self.viewer.fit_to_view()


@action(2)
def show_a_grid(self):
    self.viewer.canvas.grid.enabled = not self.viewer.canvas.grid.enabled


@action(3)
def resize(self):
    self.window.resize(int(self.chance.integers(700, 1500)), int(self.chance.integers(500, 1000)))


@action(3)
def write_a_note(self):
    if self.panel is not None and self.panel.state.selected is not None:
        self.panel.state.set_note(self.panel.state.selected, self.pick(NAMES))


@action(3)
def open_a_session(self):
    folder = self.session()
    if self.panel is not None and folder:
        self.panel.features["session"].open(folder)
        if self.often(0.5):
            self.wait_until(self.idle, 30)


@action(3)
def session_menu(self):
    if self.panel is not None:
        controls = self.panel.features["session"].controls
        self.pick([controls.place_requested, controls.open_requested]).emit()
        if self.often(0.3):
            controls.automatic.trigger()


@action(1)
def answer_a_notice(self):
    self.press("session_notice_0")


@action(2)
def take_a_screenshot(self):
    self.viewer.screenshot(flash=False, canvas_only=self.often(0.7))


@action(1)
def change_the_theme(self):
    self.viewer.theme = self.pick(["dark", "light"])


@action(1)
def open_and_close_another_viewer(self):
    from napari import Viewer

    other = Viewer(show=True)
    other.window.add_plugin_dock_widget("napari-ies", "Lesion saliency")
    self.wait(0.1)
    other.add_image(self.chance.normal(size=(9, 9, 9)))
    self.wait(0.1)
    other.close()


@action(4)
def let_it_finish(self):
    self.wait_until(self.idle, 30)


@action(3)
def collect_garbage(self):
    gc.collect()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--actions", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    options = parser.parse_args()
    faulthandler.enable()
    watch = Watch()
    os.environ["NAPARI_CONFIG"] = str(Path(options.folder) / "napari" / "settings.yaml")
    os.environ["NAPARI_IES_SESSIONS"] = str(Path(options.folder) / "sessions")
    from qtpy.QtWidgets import QApplication

    app = QApplication.instance() or QApplication([])
    watch.listen()
    monkey = Monkey(options.folder, options.seed, watch)
    monkey.prepare()
    until = time.monotonic() + options.seconds
    for done in range(options.actions):
        if watch.found or time.monotonic() > until:
            break
        print(f"{done + 1:5d} ", end="")
        monkey.act()
        if done % 20 == 19:
            monkey.look()
    monkey.end()
    print(f"slowest action: {monkey.slowest[1]}, {monkey.slowest[0]:.1f} s", flush=True)
    faulthandler.dump_traceback_later(LONGEST_END, exit=True)
    app.quit()
    print("done" if not watch.found else f"{len(watch.found)} found", flush=True)
    if watch.found:
        sys.exit(1)


if __name__ == "__main__":
    main()
