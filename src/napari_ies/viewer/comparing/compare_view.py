"""Two maps to compare: which, side by side or not, and what they have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QStandardItem, QStandardItemModel
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QFormLayout,
    QHeaderView,
    QLabel,
    QTableView,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_ies.viewer.panel.availability import allow, describe
from napari_ies.viewer.panel.combo_entries import refuse
from napari_ies.viewer.panel.controls import button, column, combo, row, tick_box, words
from napari_ies.viewer.panel.plain_text import shown_name, tool_tip

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    import pandas as pd
    from qtpy.QtGui import QShowEvent

    from napari_ies.saliency.reading_off.comparison import Comparison

AGREEMENT = {
    "pearson": ("r", "{:.3f}", "Pearson correlation of the two maps' values: 1 is the same "
        "pattern whatever its strength, 0 none in common, −1 the opposite."),
    "spearman": ("ρ", "{:.3f}", "Spearman correlation: as r, of the ranks of the values, so that "
        "a few extreme voxels do not decide."),
    "norm_ratio": ("|A|/|B|", "{:.3g}", "How strong A is altogether, as a multiple of B: the "
        "ratio of their Euclidean norms."),
    "equal_signs": ("same sign", "{:.0%}", "Share of the voxels where both maps are positive or "
        "both are negative."),
}  # fmt: skip
"""Columns of the table of one region's maps: title, format, meaning."""

MEASURES = {
    "peak_positive": ("peak, positive", "{:.3g}", "Largest value of the map, in the map's unit."),
    "peak_negative": ("peak, negative", "{:.3g}", "Smallest value of the map, in the map's unit."),
    "mean_inside": ("mean inside", "{:.3g}", "Mean over the region's voxels, in the map's unit."),
    "positive_fraction_inside": (
        "positive inside",
        "{:.0%}",
        "Share of the region's voxels with a value above 0.",
    ),
    "share": ("share", "{:.0%}", "Share of this sequence in the magnitudes of all sequences."),
}
"""Rows per sequence of the table of two regions' maps: title, format, meaning."""

BESIDE = ("B", "A − B")


class CompareView(QWidget):
    """Shows what two maps have in common; says which two a person chose, and how to see them."""

    chosen = Signal(object, object)
    """Keys of A and B, None where nothing is chosen."""
    side_by_side_toggled = Signal(bool)
    """Whether both are to be seen side by side."""
    opened = Signal()
    """The view came in sight."""
    beside_changed = Signal()
    """What is shown beside A, or whether the limits are the same, was changed."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.first = combo("compare_a", "The map A; it is the one on screen.", least=60)
        about = "The map B; at first the one before it of the lesion."
        self.second = combo("compare_b", about, least=60)
        self.button = button(
            "Side by side",
            "side_by_side",
            "Show B in a second view beside the image; both move together. Press again to go back.",
        )
        self.button.setCheckable(True)
        about = "What the second view shows: the map B, or A minus B."
        self.beside = combo("beside", about, BESIDE, 60)
        self.same_limits = tick_box(
            "Same limits",
            "same_limits",
            "Let the colours of both maps end at the larger of their limits, so that equal colours "
            "are equal values.",
            ticked=True,
        )
        self._offered: tuple[object, ...] = ()
        self._keys: list[Hashable] = []
        self._said, self._about_limits = "", ""
        self._model = QStandardItemModel(self)
        self.table = QTableView()
        self.table.setModel(self._model)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.table.setStyleSheet("QHeaderView::section { padding: 1px 3px; }")
        self.table.verticalHeader().setDefaultSectionSize(20)
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        describe(self.table, "What the two maps have in common.", "comparison")
        self._note = words("comparison_note", "What was compared, and over which voxels.")
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setVerticalSpacing(4)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("A", self.first)
        form.addRow("B", self.second)
        below = row(self.button, QLabel("shows"), (self.beside, 1), self.same_limits)
        column(self, form, below, self.table, self._note, spacing=4)
        self.set_comparison(None)
        self.first.activated.connect(self._on_chosen)
        self.second.activated.connect(self._on_chosen)
        self.button.toggled.connect(self._on_toggled)
        self.beside.activated.connect(self.beside_changed)
        self.same_limits.clicked.connect(self.beside_changed)

    @property
    def shows_difference(self) -> bool:
        """Whether the second view is to show A − B."""
        return bool(self.beside.currentIndex() == 1 and self.beside.isEnabled())

    def set_maps(
        self,
        titles: Sequence[tuple[Hashable, str]],
        first: Hashable | None,
        second: Hashable | None,
    ) -> None:
        """Offer maps by key and title, and show which two are compared."""
        offered = (tuple(titles), first, second)
        if offered == self._offered:
            return  # an open list stays open while a map refines
        self._offered = offered
        self._keys = [key for key, _ in titles]
        for choice, key, taken in (
            (self.first, first, None),
            (self.second, second, first),
        ):
            choice.clear()
            for index, (own, title) in enumerate(titles):
                choice.addItem(shown_name(title))
                choice.setItemData(index, tool_tip(title), Qt.ItemDataRole.ToolTipRole)
                if own == taken:
                    about = f"{title} is A: a map is not compared with itself."
                    refuse(choice, index, about)
            choice.setCurrentIndex(self._keys.index(key) if key in self._keys else -1)
        few = "" if second is not None else "Explain with two settings, or two lesions, first."
        allow(self.button, few)
        allow(self.second, "" if len(titles) > 1 else few)

    def set_side_by_side(self, on: bool) -> None:
        """Show whether both are side by side, without saying that a person asked for it."""
        with signals_blocked(self.button):
            self.button.setChecked(on)
        self.button.setText("Back" if on else "Side by side")

    def allow_beside(self, *, difference: str, same_limits: str) -> None:
        """Allow what can be shown, or say why it cannot (empty: it can)."""
        allow(self.beside, difference)
        allow(self.same_limits, same_limits)
        if difference:
            self.beside.setCurrentIndex(0)

    def set_comparison(self, comparison: Comparison | None, note: str = "") -> None:
        """Show what was found, followed by a sentence, or only a sentence."""
        self._model.clear()
        if comparison is not None:
            note = f"{comparison.note} {note}".strip()
            if comparison.agreement is not None:
                self._show_agreement(comparison.agreement)
            else:
                self._show_measures(comparison.measures)
        self.table.setVisible(comparison is not None)
        rows = self._model.rowCount()
        self.table.setFixedHeight(24 + 20 * min(rows, 10) + 4)
        self._said = note
        self._write_note()

    def say_limits(self, sentence: str) -> None:
        """Say which map the common limit makes invisible; an empty text says nothing."""
        self._about_limits = sentence
        self._write_note()

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Say that the view came in sight: only then is there anything to compute."""
        super().showEvent(event)
        self.opened.emit()

    def _write_note(self) -> None:
        self._note.setText(" ".join(text for text in (self._about_limits, self._said) if text))

    def _show_agreement(self, agreement: pd.DataFrame) -> None:
        self._model.setHorizontalHeaderLabels([title for title, _, _ in AGREEMENT.values()])
        self._model.setVerticalHeaderLabels([])
        for sequence, values in agreement.iterrows():
            cells = [(values[name], form, text) for name, (_, form, text) in AGREEMENT.items()]
            self._add_row(str(sequence), cells)
        for number, (_, _, text) in enumerate(AGREEMENT.values()):
            self._model.horizontalHeaderItem(number).setToolTip(tool_tip(text))

    def _show_measures(self, measures: pd.DataFrame) -> None:
        self._model.setHorizontalHeaderLabels(["A", "B"])
        sequences = measures.index.get_level_values("sequence")
        names = measures.index.get_level_values("measure")
        for sequence, name, a, b in zip(
            sequences, names, measures["A"], measures["B"], strict=True
        ):
            if name in MEASURES:
                title, form, text = MEASURES[name]
                self._add_row(f"{sequence} {title}", [(a, form, text), (b, form, text)])

    def _add_row(self, title: str, cells: Sequence[tuple[Any, str, str]]) -> None:
        items = []
        for value, form, tooltip in cells:
            known = value is not None and value == value  # NaN is not equal to itself
            item = QStandardItem(form.format(value).replace("-", "−") if known else "–")
            item.setToolTip(tooltip if known else f"{tooltip} Not defined for these two maps.")
            item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            items.append(item)
        self._model.appendRow(items)
        self._model.setVerticalHeaderItem(self._model.rowCount() - 1, QStandardItem(title))

    def _on_chosen(self) -> None:
        self.chosen.emit(self._key_of(self.first), self._key_of(self.second))

    def _key_of(self, combo: QComboBox) -> Hashable | None:
        index = combo.currentIndex()
        return self._keys[index] if 0 <= index < len(self._keys) else None

    def _on_toggled(self, on: bool) -> None:
        self.set_side_by_side(on)
        self.side_by_side_toggled.emit(on)
