"""Computing: the curve of a lesion, step by step, for the reading of a state. Knows no window.

It makes way for whatever a person asks for meanwhile, such as the map of another lesion, and goes
on after that.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from napari_ies.errors import NapariIESError
from napari_ies.viewer.state.curves import Curve
from napari_ies.viewer.state.event import Event
from napari_ies.viewer.state.reading import model_key
from napari_ies.viewer.state.titles import capitalised, model_title
from napari_ies.viewer.work.job import Job

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_ies.cohort.context.growth import Growth
    from napari_ies.cohort.context.perilesional import ContextRequest
    from napari_ies.network.model import SegmentationModel
    from napari_ies.progress import Progress
    from napari_ies.segmentation.subject import Subject
    from napari_ies.viewer.state.curves import CurveKey
    from napari_ies.viewer.state.reading import Reading
    from napari_ies.viewer.state.state import State
    from napari_ies.viewer.state.tell import Tell
    from napari_ies.viewer.work.explaining import Explaining
    from napari_ies.viewer.work.runner import Runner

KIND = "context"


class CurveComputing:
    """Computes one curve at a time.

    Parameters
    ----------
    state
        What is read and selected.
    explaining
        Says which network it is.
    work
        Runs what has to be computed.
    tell
        Says what happens.

    Attributes
    ----------
    asked
        Of the curve that is being computed, or None.
    running
        That curve as far as it is known; None before its first value.
    """

    def __init__(self, state: State, explaining: Explaining, work: Runner, tell: Tell) -> None:
        self._state, self._explaining = state, explaining
        self._work, self._tell = work, tell
        self.asked: CurveKey | None = None
        self.running: Curve | None = None
        self.changed: Event[[]] = Event()
        """A curve was begun, has grown, or is not computed any more."""
        work.cancelled_all.connect(self.forget)
        state.reading_changed.connect(self._on_reading)

    def key(self, sequences: tuple[str, ...], growth: Growth) -> CurveKey | None:
        """Return what would tell the selected subject's curve with these settings from others.

        None where it cannot be computed, or where nothing is selected.
        """
        state = self._state
        if state.reading is None or state.selected is None:
            return None
        try:
            model = self._explaining.network(state.reading)
        except NapariIESError:
            return None
        return state.selected, _request(state.reading, sequences, growth), model_key(model)

    def begin(self, sequences: tuple[str, ...], growth: Growth) -> None:
        """Compute the curve of the selected lesion or region, unless it is there.

        Parameters
        ----------
        sequences
            Those that become background; none for all.
        growth
            The steps.
        """
        state = self._state
        reading, subject = state.reading, state.selected
        if reading is None or subject is None:
            return
        try:
            model = self._explaining.network(reading)
        except NapariIESError as error:
            self._tell.fail(str(error))
            return
        request = _request(reading, sequences, growth)
        key = subject, request, model_key(model)
        hindrance = reading.why_not_computable(model)
        if state.curves.get(key) is not None:
            self._tell.say(f"The curve of {subject.called} with these settings is there already.")
        elif hindrance:
            self._tell.fail(hindrance)
        elif key != self.asked:
            self.asked, self.running = key, None
            self._work.run(
                Job(
                    KIND,
                    f"Computing the context of {subject.called}",
                    partial(compute_curve, reading, model, subject, request),
                    partial(self._on_finished, reading),
                    partial(self._on_running, reading),
                    key=(id(reading), *key),
                    background=True,
                    on_failed=self.forget,
                )
            )
            self.changed.emit()

    def stop(self) -> None:
        """Compute it no further; of an unfinished curve nothing is kept."""
        self.forget()
        self._work.cancel(KIND)

    def forget(self) -> None:
        """Take note that nothing is computed any more."""
        if self.asked is not None:
            self.asked = self.running = None
            self.changed.emit()

    def release(self) -> None:
        """Take note, without a word, that nothing is computed any more: the panel is gone."""
        self.asked = self.running = None

    def _on_reading(self, _: Reading | None) -> None:
        self.stop()

    def _on_running(self, reading: Reading, curve: Curve) -> None:
        if reading is self._state.reading and curve.key == self.asked:
            self.running = curve
            self.changed.emit()

    def _on_finished(self, reading: Reading, curve: Curve) -> None:
        if reading is not self._state.reading or curve.key != self.asked:
            return
        self.asked = self.running = None
        self._state.keep_curve(curve)
        self.changed.emit()
        from napari_ies.cohort.context.one_curve import detected_words

        called = capitalised(curve.subject.called)
        self._tell.say(f"{called}: {detected_words(curve.context)}.")


def compute_curve(
    reading: Reading, model: SegmentationModel, subject: Subject, request: ContextRequest
) -> Iterator[Progress[Curve]]:
    """Compute a curve; each report on steps that became known holds it so far."""
    from napari_ies.cohort.context.perilesional import perilesional_progressively

    own, found_by = model_key(model), model_key(reading.model)
    mask = reading.footprint_of(subject)
    for report in perilesional_progressively(model, reading.case, mask, request):
        curve = None
        if report.result is not None:
            curve = Curve(subject, report.result, model_title(model), own, own != found_by)
        yield report.with_result(curve)


def _request(reading: Reading, sequences: tuple[str, ...], growth: Growth) -> ContextRequest:
    from napari_ies.cohort.context.perilesional import ContextRequest  # PyTorch comes with it

    found = reading.segmentation
    return ContextRequest(sequences, growth, found.threshold, found.forward)
