"""A window with a map on screen closes in order, and one that is kept after all is as it was."""

from __future__ import annotations

import ctypes
import ctypes.util

import pytest
from napari._qt.dialogs.confirm_close_dialog import ConfirmCloseDialog
from napari.settings import get_settings
from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QApplication, QPushButton


class ClientMessage(ctypes.Structure):
    """An event of X11, long enough for any; see ``XClientMessageEvent``."""

    _fields_ = (
        *(("type", ctypes.c_int), ("serial", ctypes.c_ulong), ("send_event", ctypes.c_int)),
        *(("display", ctypes.c_void_p), ("window", ctypes.c_ulong), ("kind", ctypes.c_ulong)),
        *(("format", ctypes.c_int), ("data", ctypes.c_long * 5), ("rest", ctypes.c_long * 16)),
    )


def ask_to_close(window):
    """Send what the window's frame sends when its button is pressed: it has none here."""
    name = ctypes.util.find_library("X11")
    if QGuiApplication.platformName() != "xcb" or name is None:
        pytest.skip("needs a screen of X11")
    x11 = ctypes.CDLL(name)
    x11.XOpenDisplay.restype = ctypes.c_void_p
    x11.XInternAtom.restype = ctypes.c_ulong
    x11.XInternAtom.argtypes = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    x11.XSendEvent.argtypes = (
        *(ctypes.c_void_p, ctypes.c_ulong, ctypes.c_int, ctypes.c_long),
        ctypes.c_void_p,
    )
    x11.XCloseDisplay.argtypes = (ctypes.c_void_p,)
    display = x11.XOpenDisplay(None)
    protocols, delete = (
        x11.XInternAtom(display, word, 0) for word in (b"WM_PROTOCOLS", b"WM_DELETE_WINDOW")
    )
    client_message = 33
    event = ClientMessage(client_message, 0, 1, display, int(window.winId()), protocols, 32)
    event.data[0] = delete
    x11.XSendEvent(display, event.window, 0, 0, ctypes.byref(event))
    x11.XCloseDisplay(display)


def close_by_the_frame(hands, window, word):
    """Close the window as a person does, and answer what napari asks; return what it asked."""
    asked = []

    def answer():
        dialog = QApplication.activeModalWidget()
        if not isinstance(dialog, ConfirmCloseDialog):
            if len(tries) < 600:
                tries.append(True)
                QTimer.singleShot(50, answer)
            return
        asked.append(dialog.windowTitle())
        try:
            buttons = dialog.findChildren(QPushButton)
            (button,) = (one for one in buttons if one.text() == word)
            hands.qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
        finally:
            if dialog.isVisible():
                dialog.reject()  # nothing goes on before it is closed

    tries = []
    QTimer.singleShot(0, answer)
    ask_to_close(window)
    hands.wait(lambda: asked)
    hands.settle()
    return asked[0]


def test_a_window_that_is_kept_is_as_it_was_and_one_that_is_closed_is_left(segmented, monkeypatch):
    panel, planes = segmented.panel, segmented.panel.features["planes"]
    window = segmented.viewer.window._qt_window
    segmented.press("three_planes_button")
    panel.explaining.explain(2)
    segmented.finish()
    assert panel.services.scene.overlays.look.colour_bar
    three, overlay = planes.three, planes.overlay
    monkeypatch.setattr(get_settings().application, "confirm_close_window", True)
    assert close_by_the_frame(segmented, window, "Cancel") == "Close Window?"
    assert window.isVisible()
    assert planes.three is three
    assert three.sides[0].isVisible()
    assert planes.overlay is overlay

    panel.features["explaining"].form.samples.setValue(5000)
    panel.explaining.explain(1)
    segmented.wait(lambda: not panel.state.shown.finished)
    run = panel.services.work._run
    # What is raised on the way fails the test.
    assert close_by_the_frame(segmented, window, "Close") == "Close Window?"
    assert planes.three is None
    assert planes.overlay is None
    segmented.wait(lambda: run.done)
    assert run.cancelled.is_set()
    # Qt deletes it by and by: napari's own clean-up is not to close it once more.
    del segmented.viewer.window._qt_window
