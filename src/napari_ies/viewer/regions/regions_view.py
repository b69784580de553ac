"""The forms to explain any region, and to ask what the network would mark without it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLabel, QLineEdit, QSizePolicy, QSpinBox, QWidget
from superqt.utils import signals_blocked

from napari_ies.counterfactual.edit import Edit
from napari_ies.viewer.canvas.layers.counterfactual import CHANGE, IMAGE, ORIGINAL
from napari_ies.viewer.panel.availability import allow, describe
from napari_ies.viewer.panel.controls import button, column, combo, grid, row, tick_box, words
from napari_ies.viewer.panel.parameter_form import ParameterForm
from napari_ies.viewer.panel.plain_text import shown_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SELECTED = "selected lesion"
VOXEL = "voxel at the crosshair"
SHOWS = {
    CHANGE: "change of probability",
    IMAGE: "changed image",
    ORIGINAL: "original image",
}
"""What may be seen of a change."""
LONGEST_NAME = 100
NO_REGION = "Draw a new region, or choose a Labels layer or another region, first."


class RegionForm(QWidget):
    """Which region: a Labels layer, one label of it, one part of it; or a lesion, or a voxel."""

    changed = Signal()
    """Another region was chosen."""
    new_requested = Signal()
    """A layer to paint in is wanted."""
    explain_requested = Signal()
    """The region is to be explained."""
    renamed = Signal(str)
    """The chosen layer is to be called so."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.layer = combo(
            "region",
            "The region to ask about: what is painted in a Labels layer, the selected lesion, or "
            "the one voxel where the slices meet.",
        )
        about = "Add an empty layer to paint a region in, with the brush in hand."
        self.new = button("New…", "new_region", about, self.new_requested)
        self.name = QLineEdit()
        self.name.setMaxLength(LONGEST_NAME)
        describe(
            self.name,
            "What the region is called: in the layer list, in files and in the session. A map that "
            "exists keeps the name that it was explained under.",
            "region_name",
        )
        self.value = QSpinBox()
        self.value.setRange(0, 2**31 - 1)
        self.value.setSpecialValueText("all labels")
        self.value.setPrefix("label ")
        describe(self.value, "One label of the layer, or all of them.", "region_label")
        about = "Only the connected part (by faces and edges) in which the slices meet."
        self.only_part = tick_box("only the part at the crosshair", "only_part", about)
        about = "Compute the saliency of the region, with the settings of the tab Saliency."
        self.explain = button("Explain region", "explain_region", about, self.explain_requested)
        self._keys: tuple[str, ...] = ()
        self._names: dict[str, str] = {}
        self._named = ""
        layout = grid(self, 1)
        layout.addWidget(self.layer, 0, 0)
        layout.addWidget(self.new, 0, 1)
        layout.addLayout(row(QLabel("called"), (self.name, 1), self.value), 1, 0, 1, 2)
        layout.addLayout(row((self.only_part, 1), self.explain), 2, 0, 1, 2)
        self.set_layers({})
        self.layer.currentIndexChanged.connect(self._on_changed)
        self.name.editingFinished.connect(self._on_named)

    @property
    def key(self) -> str:
        """The key of the chosen layer, :data:`SELECTED` or :data:`VOXEL`."""
        return self._keys[int(self.layer.currentIndex())]

    @property
    def label(self) -> int | None:
        """The chosen label, or None for all."""
        return self.value.value() or None

    def set_layers(self, layers: Mapping[str, str]) -> None:
        """Offer Labels layers, by key, with their names; the choice stays where it can."""
        chosen = self.key if self._keys else SELECTED
        self._names = dict(layers)
        self._keys = (*layers, SELECTED, VOXEL)
        with signals_blocked(self.layer):
            self.layer.clear()
            names = map(shown_name, layers.values())
            self.layer.addItems([*names, "the selected lesion or region", f"the {VOXEL}"])
            self.choose(chosen if chosen in self._keys else SELECTED)
        self._on_changed()

    def choose(self, key: str) -> None:
        """Choose a layer by its key."""
        self.layer.setCurrentIndex(self._keys.index(key))

    def ask_for_name(self) -> None:
        """Let a person write over the name, who need not."""
        self.name.setFocus()
        self.name.selectAll()

    def _on_named(self) -> None:
        name = self.name.text().strip()
        if name and name != self._named:
            self.renamed.emit(name)
        else:
            self.name.setText(self._named)

    def _on_changed(self) -> None:
        in_layer = "" if self.key not in (SELECTED, VOXEL) else "Only for a Labels layer."
        for control in (self.name, self.value, self.only_part):
            allow(control, in_layer)
        name = self._names.get(self.key, "")
        if name != self._named:
            self._named = name
            self.name.setText(name)
        self.changed.emit()


class WhatIfForm(QWidget):
    """What is changed in the region, and what the network makes of it."""

    run_requested = Signal()
    """The change is to be tried."""
    undo_requested = Signal()
    """The change is to be forgotten."""
    shown_chosen = Signal(str)
    """Something else is to be seen of the change: see :data:`SHOWS`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.sequence = combo("edited", "The sequence to change; the others stay as they are.")
        self._controls = ParameterForm(Edit, "kind", "amount", "unit", "margin_mm")
        self._controls.show(Edit("", amount=2.0, margin_mm=1.0))
        kind, amount, unit, margin = (self._controls[name] for name in self._controls.about)
        kind.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        about = (
            "What is seen of the change. Shift+I flicks between the changed image and the "
            "original, both shown alike."
        )
        self.shows = combo("what_if_shows", about, SHOWS.values())
        self.run = button(
            "See what changes",
            "see_changes",
            "Change a copy of the image in the region above and run the network again where it "
            "matters. The images and the lesions found stay as they are.",
            self.run_requested,
        )
        about = "Remove the change and all that was shown of it."
        self.undo = button("Undo", "undo", about, self.undo_requested)
        self.outcome = words("outcome", "What the network makes of the change.", selectable=True)
        column(
            self,
            row(QLabel("What if"), (self.sequence, 2), (kind, 3)),
            row((amount, 2), (unit, 1), QLabel("margin"), (margin, 2)),
            row(self.run, self.undo, (self.shows, 1)),
            self.outcome,
            spacing=2,
        )
        kind.currentIndexChanged.connect(self._on_kind)
        self.shows.activated.connect(self._on_shows)
        self._on_kind()

    @property
    def edit(self) -> Edit:
        """The change the form asks for."""
        return Edit(self.sequence.currentText(), **self._controls.values())

    def set_sequences(self, sequences: Sequence[str]) -> None:
        """Offer the sequences of a case."""
        if [self.sequence.itemText(i) for i in range(self.sequence.count())] != [*sequences]:
            self.sequence.clear()
            self.sequence.addItems(list(sequences))

    @property
    def what(self) -> str:
        """What is to be seen of the change."""
        return tuple(SHOWS)[int(self.shows.currentIndex())]

    def set_what(self, what: str) -> None:
        """Say what is seen of the change."""
        self.shows.setCurrentIndex(list(SHOWS).index(what))

    def _on_shows(self) -> None:
        self.shown_chosen.emit(self.what)

    def say(self, sentences: Sequence[str]) -> None:
        """Show what the network makes of the change, a sentence per line."""
        self.outcome.setText("\n".join(sentences))

    def _on_kind(self) -> None:
        filled = self._controls.value("kind") == "fill"
        for name in ("amount", "unit"):
            allow(self._controls[name], "Only to brighten or darken." if filled else "")


class RegionsView(QWidget):
    """The tab: which region, and what if it were different."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.region = RegionForm()
        self.what_if = WhatIfForm()
        column(self, self.region, self.what_if, spacing=2)

    def allow_actions(self, *, segmented: str, region: str, seen: str) -> None:
        """Enable the buttons, or disable each for the reason given (empty: it can be used)."""
        allow(self.region.new, segmented)
        for control in (self.region.explain, self.what_if.run):
            allow(control, segmented or region)
        for control in (self.what_if.undo, self.what_if.shows):
            allow(control, seen)
