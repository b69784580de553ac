"""Which network, and where it computes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QLineEdit, QWidget
from superqt import QElidingLabel

from napari_ies.viewer.panel import dialogs
from napari_ies.viewer.panel.availability import allow, describe
from napari_ies.viewer.panel.controls import button, grid
from napari_ies.viewer.panel.plain_text import shown_name, tool_tip
from napari_ies.viewer.panel.sentence_list import SentenceList
from napari_ies.viewer.preparing.geometry.geometry_form import GeometryForm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qtpy.QtGui import QDragEnterEvent, QDragMoveEvent, QDropEvent

    from napari_ies.network.model import SegmentationModel


class _Path(QLineEdit):
    """A path that is typed, or dropped as a file or folder."""

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802
        if _dropped(event):
            event.acceptProposedAction()
        else:
            super().dragEnterEvent(event)

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:  # noqa: N802
        if _dropped(event):
            event.acceptProposedAction()
        else:
            super().dragMoveEvent(event)

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802
        if path := _dropped(event):
            event.acceptProposedAction()
            self.setText(path)
            self.editingFinished.emit()
        else:
            super().dropEvent(event)


def _dropped(event: QDropEvent) -> str:
    """Return the first local file or folder that is dragged, or an empty string."""
    paths = (url.toLocalFile() for url in event.mimeData().urls())
    return next((path for path in paths if path), "")


class CheckpointForm(QWidget):
    """The checkpoint's file, one line on what it is, the device, and what was assumed of it."""

    profile_wanted = Signal()
    """What is known of the loaded network is to be shown, and asked."""
    chosen = Signal(str, str)
    """A checkpoint's file or folder and a device to load it on."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._file = _Path()
        self._file.setPlaceholderText("checkpoint file or folder")
        about = (
            "The network's checkpoint: a file of weights, an nnU-Net folder, a MONAI bundle or a "
            "program (TorchScript, torch.export); it may be dropped here."
        )
        describe(self._file, about, "checkpoint")
        self._device = QComboBox()
        describe(
            self._device,
            "Where to compute; auto takes the graphics card if it can be used, else the CPU.",
            "device",
        )
        # One line, so that nothing below moves when a checkpoint is loaded.
        self._description = QElidingLabel()
        self._description.setTextFormat(Qt.TextFormat.PlainText)
        self._description.setEllipsesWidth(12)  # as in the session's line
        describe(self._description, "What the checkpoint is.", "checkpoint_description")
        self.geometry = GeometryForm()
        self._assumptions = SentenceList(
            "assumptions",
            "What the checkpoint's file does not say and was taken from the habits of its family; "
            "a profile beside the file can state it.",
        )
        self.set_devices(("cpu",))
        about = "Choose a checkpoint's file or folder."
        layout = grid(self, 1)
        layout.addWidget(self._file, 0, 0)
        layout.addWidget(button("Open…", "open_checkpoint", about, self._on_browse), 0, 1)
        layout.addWidget(self._device, 1, 1)
        layout.addWidget(self._description, 1, 0)
        layout.addWidget(self.geometry, 2, 0, 1, 2)
        layout.addWidget(self._assumptions, 3, 0)
        about = (
            "What the network expects and gives, and what its file leaves open: state it, and the "
            "checkpoint is loaded anew."
        )
        self._profile = button("Profile…", "edit_profile", about, self.profile_wanted)
        layout.addWidget(self._profile, 3, 1, Qt.AlignmentFlag.AlignTop)
        self._loaded: tuple[str, str] | None = None
        self._worked = ("", "")
        self._file.editingFinished.connect(self._on_edited)
        self._device.activated.connect(self._on_edited)
        self.set_model(None)

    def choose(self, path: str) -> None:
        """Choose a checkpoint's file."""
        self._file.setText(path)
        self._on_edited()

    def set_devices(self, names: Sequence[str]) -> None:
        """Offer ``auto`` and these devices."""
        current = self._device.currentText() or "auto"
        self._device.clear()
        self._device.addItems(["auto", *names])
        if current not in ("auto", *names):
            self._device.addItem(current)
        self._device.setCurrentText(current)

    @property
    def device(self) -> str:
        """Name of the chosen device."""
        return str(self._device.currentText())

    def prefer_device(self, name: str) -> None:
        """Compute on a device from the next checkpoint on, whether or not it is on offer yet."""
        if self._device.findText(name) < 0:
            self._device.addItem(name)
        self._device.setCurrentText(name)

    def set_model(self, model: SegmentationModel | None, device: str = "") -> None:
        """Say what was loaded, and where `device` (in words) it computes; None for nothing."""
        allow(self._profile, "" if model else "Choose a checkpoint first.")
        if model is None:
            self._loaded, self._worked = None, ("", "")
            self._say("No checkpoint yet.", "Choose a checkpoint file to go on.")
            self._assume(())
            return
        from napari_ies.network.members import members_of  # PyTorch is there by now

        self._worked = self._loaded or ("", "")
        profile = model.profile
        auto = "auto: " if self._device.currentText() == "auto" else ""
        count = len(members_of(model.network))
        several = f"{count} × " if count > 1 else ""
        # The line ends where the panel does: what the network is for comes first.
        text = (
            f"{' + '.join(profile.sequences)} → {profile.classes[profile.explained_class]} · "
            f"{several}{profile.architecture} · {auto}{device}"
        )
        tool = {} if model.preparation is None else model.preparation.own
        window = tool.get("window", f"{' × '.join(map(str, profile.window))} voxels")
        told = (
            f"{text}\n{profile.name}: window {window}, "
            f"threshold {profile.threshold:g}, normalisation {profile.normalisation}."
        )
        self._say(text, told)
        self._assume(profile.guessed)

    def show_worked(self) -> None:
        """Name the file and the device again that were loaded last; another may be tried anew."""
        self._loaded = self._worked if self._worked[0] else None
        if self._loaded is not None:
            self._file.setText(self._loaded[0])
            self._device.setCurrentText(self._loaded[1])

    def _assume(self, guessed: Sequence[str]) -> None:
        """List what was guessed: its number always, the rest one click away."""
        count = len(guessed) or "no"
        title = f"{count} assumption{'s' if len(guessed) != 1 else ''}".capitalize()
        self._assumptions.set_sentences(title, guessed, keep_height=False)

    def _say(self, text: str, tooltip: str) -> None:
        self._description.setText(shown_name(text))
        self._description.setToolTip(tool_tip(tooltip))

    def _on_browse(self) -> None:
        dialogs.choose_checkpoint(self, lambda paths: self.choose(paths[0]))

    def _on_edited(self) -> None:
        request = (self._file.text().strip(), self._device.currentText())
        if request[0] and request != self._loaded:
            self._loaded = request
            self._say("Loading…", request[0])
            self.chosen.emit(*request)
