"""Dialogs: the questions about files that the panel asks."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialogButtonBox, QFileDialog, QMessageBox, QWidget

from napari_ies.patient.images.volume import READABLE
from napari_ies.patient.patient_files import CHECKPOINTS as WEIGHTS
from napari_ies.viewer.panel.plain_text import tool_tip
from napari_ies.viewer.remembered import remember_folder, remembered

if TYPE_CHECKING:
    from collections.abc import Callable

IMAGES = f"Images ({' '.join(f'*{ending}' for ending in READABLE)});;All files (*)"
"""Files of other names are opened, too, if their content is an image's."""

CHECKPOINTS = f"Checkpoints ({' '.join(f'*{ending}' for ending in WEIGHTS)});;All files (*)"

PATIENT = (
    f"Images and checkpoints ({' '.join(f'*{ending}' for ending in (*READABLE, *WEIGHTS))})"
    ";;All files (*)"
)


OPEN = "Open folder", "open_folder", "Open the folder that is marked, or else the one on show."
OPEN_AND_SEGMENT = (
    "Open and segment",
    "open_and_segment",
    "Open what is marked, or else the folder on show, and segment it at once, unless its images "
    "were read before or something speaks against them.",
)


def choose_file(parent: QWidget, title: str, kinds: str) -> str:
    """Ask for a file to open, where the last of its kind was; an empty string if none is chosen."""
    path, _ = QFileDialog.getOpenFileName(parent, title, _last(kinds), kinds)
    return _looked(kinds, str(path))


def choose_folder(parent: QWidget, title: str) -> str:
    """Ask for a folder, where the last with this title was; an empty string if none is chosen."""
    return _looked(title, str(QFileDialog.getExistingDirectory(parent, title, _last(title))))


def choose_patient(parent: QWidget, take: Callable[[list[str], bool], None]) -> QFileDialog:
    """Ask for the files of a patient or the folder that holds them; nothing waits for the answer.

    Parameters
    ----------
    parent
        What is asked above.
    take
        Gets the paths, and whether they are to be segmented at once.
    """
    title = "Open a patient: choose the folder, or the files in it"
    dialog = _files_or_folder(parent, title, "patient", PATIENT, take, OPEN, OPEN_AND_SEGMENT)
    dialog.setFileMode(QFileDialog.FileMode.ExistingFiles)
    return dialog


def choose_checkpoint(
    parent: QWidget,
    take: Callable[[list[str]], None],
    title: str = "Open a checkpoint: choose its file, or its folder",
) -> QFileDialog:
    """Ask for a checkpoint's file or folder, as `choose_patient` asks for a patient's."""
    return _files_or_folder(
        parent, title, "checkpoint", CHECKPOINTS, lambda paths, _: take(paths), OPEN
    )


def _files_or_folder(
    parent: QWidget,
    title: str,
    what: str,
    kinds: str,
    take: Callable[[list[str], bool], None],
    *buttons: tuple[str, str, str],
) -> QFileDialog:
    # Qt's own dialog: those of the systems take either files or a folder.
    dialog = QFileDialog(parent, title)
    dialog.setObjectName(f"{what}_dialog")
    dialog.setOption(QFileDialog.Option.DontUseNativeDialog)
    dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.setNameFilters(kinds.split(";;"))
    dialog.setDirectory(_last(what))
    dialog.resize(720, 420)

    def taken(paths: list[str], segment: bool = False) -> None:
        remember_folder(what, Path(paths[0]).parent)
        take(paths, segment)

    def marked(segment: bool) -> None:
        chosen = [path for path in dialog.selectedFiles() if segment or Path(path).is_dir()]
        dialog.reject()
        taken(chosen or [dialog.directory().absolutePath()], segment)

    box = dialog.findChild(QDialogButtonBox)
    for text, name, about in buttons:
        button = box.addButton(text, QDialogButtonBox.ButtonRole.ActionRole)
        button.setObjectName(name)
        button.setToolTip(about)
        button.clicked.connect(partial(marked, name == OPEN_AND_SEGMENT[1]))
    dialog.filesSelected.connect(taken)
    dialog.open()
    return dialog


def choose_new_file(parent: QWidget, title: str, name: str, kind: str) -> str:
    """Ask where to save a file of a kind; an empty string if nowhere.

    Whether a file that is there may be replaced is asked by :func:`may_replace_file`.
    """
    last = _last(title)
    path, _ = QFileDialog.getSaveFileName(
        parent,
        title,
        str(Path(last) / name) if last else name,
        kind,
        options=QFileDialog.Option.DontConfirmOverwrite,
    )
    return _looked(title, str(path))


def may_replace_file(parent: QWidget, path: str) -> bool:
    """Ask whether a file may be replaced."""
    return _agreed(parent, "Save", f"{path} is there already. Replace it?")


def ask_to_start(
    parent: QWidget,
    text: str,
    start: Callable[[], None],
    word: str = "Start",
    refuse: Callable[[], None] = lambda: None,
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
    refuse
        Called if it is not to.
    """
    box = QMessageBox(QMessageBox.Icon.Question, "Lesion saliency", text, parent=parent)
    box.setObjectName("ask to start")
    box.setTextFormat(Qt.TextFormat.PlainText)
    box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    agreed = box.addButton(word, QMessageBox.ButtonRole.AcceptRole)
    refused = box.addButton("Not now", QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(refused)
    box.buttonClicked.connect(lambda button: start() if button == agreed else refuse())
    box.open()
    return box


def may_replace(parent: QWidget, folder: str) -> bool:
    """Ask whether results of the same names may be replaced."""
    text = f"Results of this patient are already in {folder}. Replace those of the same name?"
    return _agreed(parent, "Save results", text)


def _last(what: str) -> str:
    """Return the folder that was looked into last for something, or nothing."""
    return remembered().folders.get(what, "")


def _looked(what: str, path: str) -> str:
    """Remember where something was found, and return it."""
    if path:
        remember_folder(what, path)
    return path


def _agreed(parent: QWidget, title: str, text: str) -> bool:
    answer = QMessageBox.question(parent, title, tool_tip(text))
    return bool(answer == QMessageBox.StandardButton.Yes)
