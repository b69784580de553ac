"""Dialogs: the questions about files that the panel asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QMessageBox, QWidget

from napari_ies.patient.images.volume import READABLE
from napari_ies.viewer.panel.plain_text import tool_tip

if TYPE_CHECKING:
    from collections.abc import Callable

IMAGES = f"Images ({' '.join(f'*{ending}' for ending in READABLE)});;All files (*)"
"""Files of other names are opened, too, if their content is an image's."""

CHECKPOINTS = "Checkpoints (*.pth *.pt *.ckpt *.bin *.safetensors);;All files (*)"


def choose_file(parent: QWidget, title: str, kinds: str) -> str:
    """Ask for a file to open; an empty string if none was chosen."""
    path, _ = QFileDialog.getOpenFileName(parent, title, "", kinds)
    return str(path)


def choose_folder(parent: QWidget, title: str) -> str:
    """Ask for a folder; an empty string if none was chosen."""
    return str(QFileDialog.getExistingDirectory(parent, title))


def choose_new_file(parent: QWidget, title: str, name: str, kind: str) -> str:
    """Ask where to save a file of a kind; an empty string if nowhere.

    Whether a file that is there may be replaced is asked by :func:`may_replace_file`.
    """
    path, _ = QFileDialog.getSaveFileName(
        parent, title, name, kind, options=QFileDialog.Option.DontConfirmOverwrite
    )
    return str(path)


def may_replace_file(parent: QWidget, path: str) -> bool:
    """Ask whether a file may be replaced."""
    return _agreed(parent, "Save", f"{path} is there already. Replace it?")


def ask_to_start(
    parent: QWidget, text: str, start: Callable[[], None], word: str = "Start"
) -> QMessageBox:
    """Ask whether work that takes long is to start; nothing waits for the answer.

    Parameters
    ----------
    parent
        What is asked above.
    text
        What would start, and how long it will take.
    start
        Called if it is to.
    word
        Of the button that starts it.
    """
    box = QMessageBox(QMessageBox.Icon.Question, "Lesion saliency", text, parent=parent)
    box.setObjectName("ask to start")
    box.setTextFormat(Qt.TextFormat.PlainText)
    box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    agreed = box.addButton(word, QMessageBox.ButtonRole.AcceptRole)
    refused = box.addButton("Not now", QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(refused)
    box.buttonClicked.connect(lambda button: start() if button == agreed else None)
    box.open()
    return box


def may_replace(parent: QWidget, folder: str) -> bool:
    """Ask whether results of the same names may be replaced."""
    text = f"Results of this patient are already in {folder}. Replace those of the same name?"
    return _agreed(parent, "Save results", text)


def _agreed(parent: QWidget, title: str, text: str) -> bool:
    answer = QMessageBox.question(parent, title, tool_tip(text))
    return bool(answer == QMessageBox.StandardButton.Yes)
