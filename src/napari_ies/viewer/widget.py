"""The dock widget "Lesion saliency": makes what its features share, and places them."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any
from weakref import WeakMethod, ref

from psygnal import EmitLoopError
from qtpy.QtCore import QEvent, QTimer
from qtpy.QtWidgets import QApplication, QDockWidget, QMainWindow

from napari_ies.viewer.canvas.canvases import around
from napari_ies.viewer.canvas.layers import Scene
from napari_ies.viewer.canvas.showing import Showing
from napari_ies.viewer.canvas.viewer_link import ViewerLink
from napari_ies.viewer.canvas.window_close import WindowClose
from napari_ies.viewer.feature import Feature, Services
from napari_ies.viewer.keys import Keyboard
from napari_ies.viewer.panel.panel import Panel
from napari_ies.viewer.panel.telling import Telling
from napari_ies.viewer.state.state import State
from napari_ies.viewer.work.explaining import Explaining
from napari_ies.viewer.work.qt_clock import QtClock
from napari_ies.viewer.work.runner import Runner

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_ies.viewer.state.reading import Reading

FEATURES = (
    "explaining.settings:SaliencySettings",
    "patients.opening:PatientOpening",
    "preparing.preparing:Preparing",
    "profiles.editing:ProfileEditing",
    "session.keeping:SessionKeeping",
    "cohort.browsing:CohortBrowsing",
    "planes.part:Planes",
    "sequences.part:Sequences",
    "lesions.lesion_list:LesionList",
    "readout.part:Readout",
    "predicting.predicting:Predicting",
    "context.part:ContextCurve",
    "figure.figure_making:FigureMaking",
    "regions.regions:Regions",
    "help.guidance:Guidance",
    "comparing.comparing:Comparing",
    "colouring.colouring:Colouring",
    "saving.saving:Saving",
)
"""What a person can do at the panel: module and class, in the order of tabs and buttons. In that
order they hear of what happens, too: layers are on offer before a session asks for one of them."""

FIRST_STEPS = (
    "Open patient… takes a patient's folder and segments it; then click a lesion in the image or "
    "in the table."
)


class _OneEach(type(Panel)):  # type: ignore[misc]
    """Makes one panel for a viewer: whoever opens it again gets the one that was closed."""

    def __call__(cls, napari_viewer: Any) -> Any:
        own = _itself(napari_viewer)
        for window in QApplication.topLevelWidgets():
            for panel in window.findChildren(cls):
                if panel.closed and _itself(panel.services.viewer) is own:
                    return panel
        return super().__call__(napari_viewer)


class LesionSaliencyWidget(Panel, metaclass=_OneEach):
    """Segment a patient's lesions, click one, and see why the network marked it.

    Closed, it waits in its window with all that it holds, lets go of the viewer and computes
    nothing; opened again it goes on. It goes with its window.

    Parameters
    ----------
    napari_viewer
        The viewer it is docked to.

    Attributes
    ----------
    services
        What the features share.
    features
        The features, by the name of their folder.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        state, work = State(), Runner(partial(QtClock, owner=self))
        self.status.follow(work)  # before features, which may start the next job when one ends
        tell = Telling(self.status, self)
        scene, link = Scene(napari_viewer), ViewerLink(napari_viewer)
        explaining = Explaining(state, work, tell)
        self.services = Services(napari_viewer, state, explaining, scene, link, work, tell)
        self._showing = Showing(state, scene, link, explaining)
        self.features = {path.partition(".")[0]: _feature(path)(self.services) for path in FEATURES}
        actions: dict[str, Callable[[], object]] = {}
        for feature in self.features.values():
            actions |= feature.actions
            for placed in feature.views:
                self.place(placed)
        self.lay_out()
        self._keyboard = Keyboard(napari_viewer, actions)
        work.noted.connect(tell.warn)
        work.failed.connect(tell.fail)
        state.reading_changed.connect(self._on_reading)
        self.session_dropped.connect(self.open_session)
        self.cohort_dropped.connect(self.open_cohort)
        self.patient_dropped.connect(self.open_patient)
        self._attached: list[Callable[[], object]] = []
        self._window: WindowClose | None = None
        # Not a bound method: when this fires, the Qt side of this widget is gone already.
        self.destroyed.connect(_LettingGo(self._attached))
        self._attach()
        tell.say(FIRST_STEPS)

    @property
    def state(self) -> State:
        """What the panel knows."""
        return self.services.state

    @property
    def explaining(self) -> Explaining:
        """What selects and explains."""
        return self.services.explaining

    def open_session(self, folder: str, *, anyway: bool = True) -> None:
        """Open a saved session, or only if it was not noticed before."""
        self.services.state.session_wanted.emit(str(folder), anyway)

    def open_patient(self, paths: list[str]) -> None:
        """Open a patient's files, or what is needed of the folder that holds them."""
        self.services.state.patient_wanted.emit(list(paths))

    def open_cohort(self, folder: str) -> None:
        """List the cases and lesions of a folder of results."""
        self.services.state.cohort_wanted.emit(str(folder))

    @property
    def closed(self) -> bool:
        """Whether it waits in its window to be opened again."""
        return isinstance(self.parent(), QMainWindow)

    def close_dock(self) -> None:
        """Close the dock; while something is computed, a person is asked first."""
        running = self.services.work.titles
        if not running:
            self._leave_dock()
            return
        what = "; ".join(f"{title[:1].lower()}{title[1:]}" for title in running)
        question = f"Closing the panel stops what is being computed: {what}."
        self.services.tell.ask(question, self._leave_dock, "Stop and close")

    def event(self, event: QEvent) -> bool:
        """Let go of the viewer when the dock is closed, and take hold when docked again."""
        # A closed dock widget only loses its parent: napari calls no closeEvent (napari#8071).
        if event.type() == QEvent.Type.ParentChange:
            if self.parent() is None:
                self._on_taken_out()
            elif not self.closed:
                self._attach()
        elif event.type() == QEvent.Type.Show:
            self._attach()
        return bool(super().event(event))

    def _attach(self) -> None:
        dock, window = around(self, QDockWidget), around(self, QMainWindow)
        if dock is not None:
            # What napari's close button of a dock calls: nothing tells beforehand of its press.
            dock.destroyOnClose = partial(_call, WeakMethod(self.close_dock))
        if window is not None and self._window is None:
            self._window = WindowClose(window, partial(_let_go, self._attached))
        if self._attached:
            return
        services = self.services
        self._attached[:] = (
            services.tell.withdraw,
            self._showing.release,
            *(feature.release for feature in self.features.values()),
            self._keyboard.release,
            services.link.detach,
            services.work.release,
            self._unwatch,
        )
        services.link.attach()
        self._keyboard.attach()
        for feature in self.features.values():
            feature.attach()

    def _leave_dock(self) -> None:
        dock = around(self, QDockWidget)
        if dock is not None:
            type(dock).destroyOnClose(dock)

    def _on_taken_out(self) -> None:
        window = None if self._window is None else self._window.window
        self.services.work.cancel()
        _let_go(self._attached)
        if window is not None:
            # Later: whoever takes it out of the dock is not done yet.
            QTimer.singleShot(0, partial(_wait_in, ref(self), window))

    def _unwatch(self) -> None:
        watched, self._window = self._window, None
        if watched is not None:
            watched.release()

    def _on_reading(self, reading: Reading | None) -> None:
        if reading is None:
            self.preparation.expand(animate=False)
        else:
            self.preparation.collapse(animate=False)
            self.services.tell.say(reading.summary)


def _feature(path: str) -> type[Feature]:
    module, _, name = path.partition(":")
    found: type[Feature] = getattr(import_module(f"napari_ies.viewer.{module}"), name)
    return found


def _itself(viewer: Any) -> Any:
    """Return a viewer, of which plugins get a proxy."""
    return getattr(viewer, "__wrapped__", viewer)


def _wait_in(closed: ref[LesionSaliencyWidget], window: QMainWindow) -> None:
    """Keep a panel in its window, unless it is docked again, or one of them is gone."""
    panel = closed()
    with suppress(RuntimeError):
        if panel is not None and panel.parent() is None:
            panel.setParent(window)
            panel.hide()


def _call(method: WeakMethod[Callable[[], object]]) -> None:
    found = method()
    if found is not None:
        found()


class _LettingGo:
    """Lets go when the widget is destroyed, be it as garbage together with its window.

    The garbage collector empties what is garbage, this too, before Qt calls it: an emptied partial
    that is called ends the program.
    """

    def __init__(self, attached: list[Callable[[], object]]) -> None:
        self._attached = attached

    def __call__(self, _: object = None) -> None:
        _let_go(getattr(self, "_attached", []))


def _let_go(attached: list[Callable[[], object]], _: object = None) -> None:
    """Leave nothing in the viewer that holds the panel, even if that is being destroyed.

    Each lets go, whatever the others raise; the first failure is raised in the end.
    """
    failures = []
    while attached:
        try:
            attached.pop(0)()
        except Exception as failure:
            # A RuntimeError: its Qt side is gone, and what it had there. napari hands it on as
            # the cause of an error of its own.
            gone = failure.__cause__ if isinstance(failure, EmitLoopError) else failure
            if not isinstance(gone, RuntimeError):
                failures.append(failure)
    if failures:
        raise failures[0]
