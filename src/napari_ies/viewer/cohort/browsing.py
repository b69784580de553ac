"""CohortBrowsing: a cohort is opened, listed, and read lesion by lesion."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMainWindow

from napari_ies.printable import counted, joined
from napari_ies.segmentation.subject import Lesion
from napari_ies.viewer.canvas.canvases import around
from napari_ies.viewer.cohort.cohort_view import CohortView
from napari_ies.viewer.cohort.tasks import CaseSession, open_cohort, open_lesion
from napari_ies.viewer.feature import Feature, Place, Placed
from napari_ies.viewer.panel import dialogs
from napari_ies.viewer.panel.controls import button
from napari_ies.viewer.work.job import Job

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_ies.cohort.report.images import Images
    from napari_ies.segmentation.subject import Subject
    from napari_ies.viewer.feature import Services
    from napari_ies.viewer.state.listed.cohort import Cohort

NONE_OPEN = "No cohort is open; choose a folder of results with Cohort…."
OK: dict[str, tuple[str, Callable[[], None]]] = {"OK": ("Hide this.", lambda: None)}
AT_END = "There is no further lesion in the list of the cohort."


class CohortBrowsing(Feature):
    """Lists the cases and lesions of a folder of results, and opens them with their maps."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.cohort: Cohort | None = None
        self.view: CohortView | None = None
        """The lists, once a cohort was opened."""
        self._images: Images | None = None
        about = "Open the results of many patients: their cases and lesions in a list."
        self.button = button("Cohort…", "cohort_button", about, self._on_button)
        self.state.cohort_wanted.connect(self.open)
        self.state.selection_changed.connect(self._on_selected)
        self.work.cancelled_all.connect(self._on_cancelled)
        self.views = (Placed(Place.BUTTON, [self.button]),)
        self.actions = {
            "next_of_cohort": partial(self.step, 1),
            "previous_of_cohort": partial(self.step, -1),
        }

    def release(self) -> None:
        """Take the lists out of the window; they come back when asked for."""
        if self.view is not None and self.view.parent() is not None:
            with suppress(LookupError, AttributeError):  # closed by hand, or with the window
                self.viewer.window.remove_dock_widget(self.view)

    def choose(self) -> None:
        """Ask for a folder of results, and open it."""
        folder = dialogs.choose_folder(self.button, "Open the results of a cohort")
        if folder:
            self.open(folder)

    def open(self, folder: str | Path) -> None:
        """List the cases and lesions of a folder of results."""
        title, work = f"Reading the cohort in {folder}", partial(open_cohort, Path(folder))
        self.work.run(Job("cohort", title, work, self._on_cohort, key=str(folder)))

    def step(self, by: int) -> None:
        """Open the lesion listed next to the one asked for last: 1 after it, -1 before it.

        That is the one on screen, unless another is being opened or could not be: pressed three
        times it goes three on, and past a case whose images are not there.
        """
        if self.cohort is None:
            self.tell.hint(NONE_OPEN)
            return
        number = self.cohort.step(by)
        if number is None:
            self.tell.hint(AT_END)
        else:
            self.open_lesion(number)

    def open_lesion(self, number: int) -> None:
        """Show a lesion of the cohort with its maps, given by its number among all."""
        cohort = self.cohort
        if cohort is None:
            return
        cohort.asked = number
        lesion, reading = cohort.lesions.rows[number], self.state.reading
        shown = None if reading is None or reading.session is None else reading.session
        if shown is not None and cohort.sessions.get(shown) == lesion.case:
            self.work.cancel("session")
            self.explaining.reopen(Lesion(lesion.lesion))
            return
        # As with a click on another lesion: this one would wait for the map to its end.
        self.explaining.stop()
        if self._images is None:
            from napari_ies.cohort.report.images import Images

            self._images = Images(cohort.image_folders, cohort.folder)
        loaded = self.state.model
        path = None if loaded is None else loaded.model.path
        networks = {} if loaded is None or path is None else {loaded.model.sha256: path}
        title = f"Opening lesion {lesion.lesion} of {lesion.case}"
        work = partial(open_lesion, cohort, number, self._images, networks)
        done = partial(self._on_session, cohort)
        # Of the kind that sessions are opened by: the newest wish wins.
        self.work.run(Job("session", title, work, done, key=(id(cohort), number)))

    def _on_button(self) -> None:
        if self.cohort is None:
            self.choose()
        else:
            self._show()

    def _on_cohort(self, cohort: Cohort) -> None:
        self.cohort, self._images = cohort, None
        self._show()
        assert self.view is not None  # noqa: S101 - made to be shown
        self.view.show_cohort(cohort)
        self.view.lesions.setFocus()
        lesions, cases = len(cohort.lesions.rows), len(cohort.cases.rows)
        failed = f" ({cohort.failed:,} failed)" if cohort.failed else ""
        self.tell.say(
            f"{counted(cases, 'case')}{failed} and {counted(lesions, 'explained lesion')}, "
            f"{cohort.suspicious:,} of them to look at first."
        )

    def _show(self) -> None:
        """Show the lists below the viewer."""
        if self.view is None:
            self.view = CohortView()
            self.view.lesion_opened.connect(self.open_lesion)
            self.view.stepped.connect(self.step)
            self.view.other_wanted.connect(self.choose)
        window = around(self.button, QMainWindow)
        if window is not None:
            # Below the image alone: the panel keeps its height, and the lesions their room.
            corner, right = Qt.Corner.BottomRightCorner, Qt.DockWidgetArea.RightDockWidgetArea
            window.setCorner(corner, right)
        if self.view.parent() is None:
            self.viewer.window.add_dock_widget(self.view, name="Cohort", area="bottom")
        self.view.parent().show()
        self.view.lesions.setFocus()

    def _on_session(self, cohort: Cohort, made: CaseSession) -> None:
        if cohort is not self.cohort or self.view is None:
            return
        if made.folder is None:
            choose = "Choose where they lie now.", partial(self._on_images, made.number)
            missing, looked = made.missing, cohort.image_folders
            if looked:
                named = joined(str(folder) for folder in looked)
                missing += f" They were looked for in {named}, too, by their content."
            self.view.notice.say(missing, {"Choose the folder…": choose, **OK})
            self.tell.say(missing)
            return
        self.view.notice.hide()
        cohort.sessions[made.folder] = cohort.lesions.rows[made.number].case
        self.state.session_wanted.emit(str(made.folder), True)
        if not self.work.is_active("session"):  # a person is asked first, and may say no
            cohort.give_up()

    def _on_cancelled(self) -> None:
        if self.cohort is not None:
            self.cohort.give_up()

    def _on_images(self, number: int) -> None:
        folder = dialogs.choose_folder(self.button, "Where the images lie now")
        if folder and self.cohort is not None:
            self.cohort.image_folders = (*self.cohort.image_folders, Path(folder))
            self._images = None
            self.open_lesion(number)

    def _on_selected(self, subject: Subject | None) -> None:
        """Mark the lesion on screen in the list, however it came there."""
        cohort, reading = self.cohort, self.state.reading
        if cohort is None or reading is None or reading.session is None:
            return
        case = cohort.sessions.get(reading.session)
        number = cohort.number_of(case, subject) if case and isinstance(subject, int) else None
        if number is not None:
            cohort.look_at(number)
