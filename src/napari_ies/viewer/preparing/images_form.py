"""Which open image is which input sequence of the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLabel, QPushButton, QWidget
from superqt.utils import signals_blocked

from napari_ies.patient.sequence_names import guess_sequences, guessed_by_order
from napari_ies.viewer.panel import dialogs
from napari_ies.viewer.panel.availability import describe
from napari_ies.viewer.panel.controls import button, column, grid
from napari_ies.viewer.panel.layer_choice import LayerChoice
from napari_ies.viewer.panel.plain_text import PlainLabel
from napari_ies.viewer.panel.sentence_list import SentenceList

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_ies.viewer.panel.combo_entries import Unsuitable

NOT_CHOSEN = "choose or open an image"


@dataclass(eq=False)
class _Row:
    label: QLabel
    choice: LayerChoice
    button: QPushButton
    touched: bool = False

    def touch(self) -> None:
        self.touched = True


class ImagesForm(QWidget):
    """One row per input sequence: the image that shows it, guessed by name and changeable."""

    changed = Signal()
    """Another image stands for a sequence."""
    file_chosen = Signal(str, str)
    """A sequence, and a NIfTI file to open for it."""

    def __init__(self, sequences: Sequence[str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        describe(self, "The patient's images, one per sequence that the network takes.", "images")
        self._rows: dict[str, _Row] = {}
        self._images: dict[str, str] = {}
        self._unsuitable: tuple[Unsuitable, ...] = ()
        self._aside: frozenset[str] = frozenset()
        self.by_order: dict[str, list[str]] = {}
        """Keys of the images that would have served as well as the guessed one, by sequence."""
        self._objections = SentenceList(
            "image_objections", "What to look at before these images are relied on."
        )
        self._objections.hide()
        rows = QWidget()
        self._layout = grid(rows, 0, 1)
        column(self, rows, self._objections, spacing=3)
        self.set_sequences(sequences)

    @property
    def sequences(self) -> tuple[str, ...]:
        """Names of the sequences, in the network's order."""
        return tuple(self._rows)

    def set_sequences(self, sequences: Sequence[str]) -> None:
        """Ask for other sequences; choices for those that stay are kept."""
        if tuple(sequences) == self.sequences:
            return
        chosen = {name: row.choice.key for name, row in self._rows.items() if row.touched}
        for row in self._rows.values():
            for widget in (row.label, row.choice, row.button):
                self._layout.removeWidget(widget)
                widget.deleteLater()
        self._rows = {name: self._new_row(i, name) for i, name in enumerate(sequences)}
        self.set_images(self._images)
        for name, key in chosen.items():
            if name in self._rows and key is not None:
                self.assign(name, key)
        self.changed.emit()

    def set_images(
        self, images: Mapping[str, str], unsuitable: Sequence[Unsuitable] | None = None
    ) -> None:
        """Offer other images; what a person chose stays, the rest is guessed anew.

        Parameters
        ----------
        images
            Name of each image by its key.
        unsuitable
            Name of each that cannot be chosen, and what it is instead; None for those of before.
        """
        before = self.assignment()
        if unsuitable is not None:
            self._unsuitable = tuple(unsuitable)
        self._images = dict(images)
        kept = {
            name: row.choice.key
            for name, row in self._rows.items()
            if row.touched and row.choice.key in self._images
        }
        apart = self._aside.union(kept.values())
        free = {key: name for key, name in images.items() if key not in apart}
        guess = guess_sequences([name for name in self._rows if name not in kept], free)
        self.by_order = guessed_by_order(guess, free)
        for name, row in self._rows.items():
            row.touched = name in kept
            with signals_blocked(row.choice):
                row.choice.set_layers(images, self._unsuitable)
                row.choice.choose(kept.get(name) or guess.get(name))
        if self.assignment() != before:
            self.changed.emit()

    def assign(self, sequence: str, key: str) -> None:
        """Choose an image for a sequence."""
        row = self._rows.get(sequence)
        if row is not None and key in self._images:
            row.touch()
            row.choice.choose(key)

    def begin_anew(self) -> None:
        """Forget what was chosen: the images of another patient come, and none of these is his."""
        self._aside = frozenset(self._images)
        for row in self._rows.values():
            row.touched = False
        self.set_images(self._images)

    def object(self, sentences: Sequence[str]) -> None:
        """Say, below the images, what speaks against them; nothing for nothing."""
        count, known = len(sentences), self._objections.text
        title = (
            "1 objection to these images" if count == 1 else f"{count} objections to these images"
        )
        self._objections.set_sentences(title, sentences, keep_height=False)
        self._objections.setVisible(bool(sentences))
        if sentences and self._objections.text != known:
            self._objections.unfold(True)

    @property
    def why_not_complete(self) -> str:
        """Why these images cannot be segmented, or an empty string."""
        chosen = self.assignment()
        missing = [name for name in self._rows if name not in chosen]
        if missing:
            return f"Choose an image for {' and '.join(missing)} first."
        if len(set(chosen.values())) < len(chosen):
            return "Choose a different image for each sequence."
        return ""

    def assignment(self) -> dict[str, str]:
        """Return the key of the image chosen for each sequence that has one."""
        keys = {name: row.choice.key for name, row in self._rows.items()}
        return {name: key for name, key in keys.items() if key is not None}

    def _new_row(self, number: int, sequence: str) -> _Row:
        about = f"The image that shows {sequence}: any open 3-d image. The guess goes by the name."
        choice = LayerChoice(NOT_CHOSEN, f"image_{sequence}", about)
        browse = button("Open…", f"open_{sequence}", f"Open a NIfTI file as {sequence}.")
        row = _Row(PlainLabel(sequence), choice, browse)
        choice.activated.connect(lambda _: row.touch())
        choice.currentIndexChanged.connect(self.changed)
        browse.clicked.connect(lambda _: self._on_open(sequence))
        for place, widget in enumerate((row.label, choice, browse)):
            self._layout.addWidget(widget, number, place)
        return row

    def _on_open(self, sequence: str) -> None:
        path = dialogs.choose_file(self, f"Open {sequence}", dialogs.IMAGES)
        if path:
            self.file_chosen.emit(sequence, path)
