"""SavedMaps: the maps of a reopened session, read one after another, what is looked at first."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from napari.utils.notifications import show_warning
from qtpy.QtCore import QObject

from napari_ies.viewer.session.opening import Reopened, key_of_map, read_map, shown_maps
from napari_ies.viewer.state.titles import subject_title
from napari_ies.viewer.work.lane import Background, Errand
from napari_ies.viewer.work.runner import sentence

if TYPE_CHECKING:
    from napari_ies.results.session import SavedMap
    from napari_ies.viewer.state.reading import Answer, Subject
    from napari_ies.viewer.widget import LesionSaliencyWidget


class SavedMaps(QObject):
    """Reads maps in the background and hands them to the panel.

    Parameters
    ----------
    host
        The panel.
    background
        The thread that reads them, when it has nothing else to do.
    """

    def __init__(self, host: LesionSaliencyWidget, background: Background) -> None:
        super().__init__(host)
        self._host, self._background = host, background
        self._waiting: list[SavedMap] = []
        host.selection_changed.connect(self._on_selected)

    def announce(self, reopened: Reopened) -> None:
        """Tell the panel which maps are to come."""
        maps = {key_of_map(saved, reopened): saved for saved in shown_maps(reopened)}
        self._host.answers.await_saved(maps)
        self._waiting = list(maps.values())

    def read_next(self, reopened: Reopened) -> None:
        """Read the next map, and then the others."""
        if not self._waiting:
            return
        saved = self._waiting.pop(0)
        errand = Errand(
            partial(read_map, saved, reopened),
            partial(self._on_map, reopened),
            partial(self._on_lost, reopened, saved),
        )
        self._background.add(errand, later=True)

    def stop(self) -> None:
        """Read no more of them."""
        self._waiting = []

    def _on_selected(self, subject: Subject | None) -> None:
        first = [saved for saved in self._waiting if saved.subject == subject]
        rest = [saved for saved in self._waiting if saved.subject != subject]
        self._waiting = [*first, *rest]

    def _on_map(self, reopened: Reopened, answer: Answer) -> None:
        if reopened.reading is self._host.reading:
            self._host.keep_answer(answer)
            self.read_next(reopened)

    def _on_lost(self, reopened: Reopened, saved: SavedMap, error: Exception) -> None:
        if reopened.reading is self._host.reading:
            self._host.answers.await_no_more(key_of_map(saved, reopened))
            show_warning(f"A map of {subject_title(saved.subject)} is left out: {sentence(error)}")
            self.read_next(reopened)
