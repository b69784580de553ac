"""ContextCurve: the curve of the selected lesion, computed when asked for, kept and exported."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtGui import QGuiApplication

from napari_ies.patient.bids_label import bids_label
from napari_ies.segmentation.subject import Region
from napari_ies.viewer.context.computing import CurveComputing
from napari_ies.viewer.context.export import copied_text, export_curve, files_of, picture
from napari_ies.viewer.context.view import ContextView
from napari_ies.viewer.context.words import NONE_SELECTED, curve_line, nearest_step, outdated
from napari_ies.viewer.feature import Feature, Place, Placed
from napari_ies.viewer.panel import dialogs
from napari_ies.viewer.panel.availability import allow
from napari_ies.viewer.panel.plot import Sheet
from napari_ies.viewer.state.titles import capitalised
from napari_ies.viewer.work.failures import sentence
from napari_ies.viewer.work.lane import Errand

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_ies.network.model import SegmentationModel
    from napari_ies.viewer.feature import Services
    from napari_ies.viewer.state.curves import Curve, CurveKey
    from napari_ies.viewer.state.reading import Reading

logger = logging.getLogger("napari_ies")

UNSEGMENTED = "Segment the images first."
UNSELECTED = "Select a lesion first."
UNFINISHED = "The curve is not finished."
NETWORK_GONE = "The network of this curve is not loaded; load its checkpoint first."


class ContextCurve(Feature):
    """The tab "Context"."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.computing = CurveComputing(self.state, self.explaining, self.work, self.tell)
        self.view = ContextView()
        # Its own, so that a plot need not wait for a curve that is being computed.
        self._lane = self.work.lane("context", gives_way=True)
        self._drawn: tuple[Curve, Sheet, int] | None = None
        state, view = self.state, self.view
        state.reading_changed.connect(self._on_reading)
        for changed in (
            *(state.selection_changed, state.curve_kept, state.model_changed),
            *(state.network_given, state.threshold_changed, self.computing.changed),
        ):
            changed.connect(self._refresh)
        view.settings_changed.connect(self._refresh)
        view.compute_requested.connect(self._on_button)
        view.copy_requested.connect(self._copy)
        view.export_requested.connect(self._on_export)
        for asks_anew in (view.appeared, view.restyled, view.plot.resized):
            asks_anew.connect(self._draw)
        view.values.step_changed.connect(self._draw)
        view.plot.pointed.connect(self._on_pointed)
        view.plot.pressed.connect(self._on_pressed)
        self._refresh()
        about = "How much of its surroundings the network needs to find the selected lesion."
        self.views = (Placed(Place.TAB, [view], "Context", about),)

    def attach(self) -> None:
        """Show what there is now: what was being computed ended when the panel was closed."""
        self._refresh()

    def release(self) -> None:
        """Compute and draw nothing any more: the panel is closed."""
        self._lane.release()
        self.computing.release()

    def export(self, path: str | Path) -> None:
        """Save the curve on show as CSV, JSON, PNG and PDF of a name."""
        curve, reading = self.curve, self.state.reading
        model = None if curve is None else self._network(curve)
        if curve is None or reading is None or model is None:
            return
        work = partial(export_curve, Path(path), curve, reading, model)
        self._lane.add(Errand(work, self._on_exported, self._on_refused))

    @property
    def curve(self) -> Curve | None:
        """The curve on show: of the selected subject, as the form asks for, else its latest."""
        selected, running = self.state.selected, self.computing.running
        if selected is None:
            return None
        if running is not None and running.subject == selected:
            return running
        key = self._asked()
        exact = None if key is None else self.state.curves.get(key)
        return exact or next(reversed(self.state.curves.of(selected)), None)

    def _asked(self) -> CurveKey | None:
        return self.computing.key(self.view.sequences, self.view.growth)

    def _refresh(self, _: object = None) -> None:
        state, computing = self.state, self.computing
        segmented = "" if state.reading is not None else UNSEGMENTED
        selected = "" if state.selected is not None else UNSELECTED
        self.view.set_running(computing.asked is not None, segmented or selected)
        curve = self.curve
        if curve is None:
            self._drawn = None
            self.view.set_empty(self._why_none())
            return
        running = curve is computing.running
        old = "" if running else outdated(curve, self._asked(), state.threshold)
        self.view.set_curve(curve, curve_line(curve), old)
        gone = "" if self._network(curve) is not None else NETWORK_GONE
        for control in (self.view.copy, self.view.export):
            allow(control, UNFINISHED if running else gone)
        self._draw()

    def _why_none(self) -> str:
        selected, asked = self.state.selected, self.computing.asked
        if selected is None:
            return NONE_SELECTED
        if asked is None:
            return f"{capitalised(selected.called)} has no curve yet."
        if asked[0] == selected:
            return f"Computing the curve of {selected.called}…"
        return (
            f"{capitalised(selected.called)} has no curve yet; that of {asked[0].called} is being "
            "computed."
        )

    def _draw(self, _: object = None) -> None:
        """Have the curve drawn, if the tab can be seen."""
        curve = self.curve
        if curve is None or not self.view.isVisible():
            return
        sheet = Sheet.of(self.view.plot, self.viewer.theme)
        wanted = curve, sheet, self.view.values.step
        if wanted == self._drawn:
            return
        self._drawn = wanted
        work = partial(picture, *wanted, sheet.dark)
        done = partial(self._on_drawn, curve)
        self._lane.add(Errand(work, done, self._on_not_drawn, key="draw"))

    def _on_drawn(self, curve: Curve, found: NDArray) -> None:  # type: ignore[type-arg]
        if self._drawn is not None and self._drawn[0].key == curve.key:
            self.view.plot.set_picture(found)

    def _on_not_drawn(self, error: Exception) -> None:
        logger.error("The curve could not be drawn", exc_info=error)

    def _on_reading(self, reading: Reading | None) -> None:
        self.view.set_sequences(() if reading is None else reading.case.sequences)
        self._refresh()

    def _on_button(self) -> None:
        if self.computing.asked is not None:
            self.computing.stop()
        else:
            self.computing.begin(self.view.sequences, self.view.growth)

    def _step_at(self, x: float) -> int | None:
        curve, drawn = self.curve, self._drawn
        if curve is None or drawn is None:
            return None
        return nearest_step(curve.context, drawn[1].share(x))

    def _on_pointed(self, x: float) -> None:
        step, curve = self._step_at(x), self.curve
        if step is None or curve is None:
            self.view.tell_at(x, "")
            return
        from napari_ies.cohort.context.one_curve import step_words

        self.view.tell_at(x, step_words(curve.context, step))

    def _on_pressed(self, x: float) -> None:
        step = self._step_at(x)
        if step is not None:
            self.view.values.go_to(step)

    def _network(self, curve: Curve) -> SegmentationModel | None:
        """Return the network of a curve, if it is at hand."""
        return self.state.network(curve.model_key)

    def _copy(self) -> None:
        curve, reading = self.curve, self.state.reading
        model = None if curve is None else self._network(curve)
        if curve is not None and reading is not None and model is not None:
            QGuiApplication.clipboard().setText(copied_text(curve, reading, model))
            self.tell.say("Copied the values of the curve; paste them into a spreadsheet.")

    def _on_export(self) -> None:
        curve, reading = self.curve, self.state.reading
        if curve is None or reading is None:
            return
        name = export_name(curve, reading)
        title, kind = "Export the curve", "Table, plot and settings (*.csv)"
        path = dialogs.choose_new_file(self.view, title, name, kind)
        if not path:
            return
        there = next((str(one) for one in files_of(path) if one.exists()), "")
        if not there or dialogs.may_replace_file(self.view, there):
            self.export(path)

    def _on_exported(self, path: Path) -> None:
        names = ", ".join(one.suffix for one in files_of(path)[1:])
        self.tell.say(f"Saved the curve as {path}, with {names} beside it.")

    def _on_refused(self, error: Exception) -> None:
        self.tell.fail(f"The curve was not saved: {sentence(error)}")


def export_name(curve: Curve, reading: Reading) -> str:
    """Return the name that is proposed for a curve's file."""
    from napari_ies.results.names import stem

    case, request, subject = reading.case, curve.context.request, curve.subject
    region = bids_label(subject) or "unnamed" if isinstance(subject, Region) else None
    of = {"lesion": f"{subject:03d}"} if region is None else {"region": region}
    of |= {"seq": request.title, "desc": request.growth.label}
    return f"{stem('context', case.subject, case.visit, **of)}.csv"
