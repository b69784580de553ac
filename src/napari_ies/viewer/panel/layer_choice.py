"""LayerChoice: one of the layers that are open, or none of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QComboBox, QSizePolicy, QWidget
from superqt.utils import signals_blocked

from napari_ies.viewer.panel.availability import describe
from napari_ies.viewer.panel.combo_entries import Unsuitable, add_unsuitable
from napari_ies.viewer.panel.plain_text import shown_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class LayerChoice(QComboBox):
    """A combo box of layers by key; its first entry stands for none.

    Parameters
    ----------
    none
        Text of the first entry.
    name, tooltip
        Of the control.
    """

    def __init__(self, none: str, name: str, tooltip: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._none = none
        self._keys: tuple[str, ...] = ()
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        describe(self, tooltip, name)
        self.set_layers({})

    @property
    def key(self) -> str | None:
        """Key of the chosen layer, or None."""
        index = self.currentIndex() - 1
        return self._keys[index] if 0 <= index < len(self._keys) else None

    def set_layers(self, layers: Mapping[str, str], unsuitable: Sequence[Unsuitable] = ()) -> None:
        """Offer other layers; the choice stays while it is there.

        Parameters
        ----------
        layers
            Name of each layer by its key.
        unsuitable
            Name of each that cannot be chosen, and what it is instead.
        """
        chosen = self.key
        self._keys = tuple(layers)
        with signals_blocked(self):
            self.clear()
            self.addItems([self._none, *map(shown_name, layers.values())])
            add_unsuitable(self, unsuitable)
        self.choose(chosen)

    def choose(self, key: str | None) -> None:
        """Choose a layer by its key, or none."""
        known = key is not None and key in self._keys
        self.setCurrentIndex(self._keys.index(str(key)) + 1 if known else 0)
