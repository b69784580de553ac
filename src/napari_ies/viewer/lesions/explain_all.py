"""ExplainAll: explains the lesions that are left, one by one, while a person goes on reading.

One lesion is one background job. Computing several from shared forwards (`explain_together`)
would finish all of them at its end only, and so lose all when it is stopped in the middle.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from napari_ies.errors import NapariIESError
from napari_ies.printable import counted
from napari_ies.segmentation.subject import Lesion
from napari_ies.viewer.panel.availability import allow
from napari_ies.viewer.state.reading import model_key
from napari_ies.viewer.state.titles import request_title
from napari_ies.viewer.work import tasks
from napari_ies.viewer.work.job import Job

if TYPE_CHECKING:
    from napari_ies.network.model import SegmentationModel
    from napari_ies.saliency.expected.expected_time import ExpectedTime
    from napari_ies.saliency.request import SaliencyRequest
    from napari_ies.viewer.feature import Services
    from napari_ies.viewer.lesions.lesion_table import LesionTable
    from napari_ies.viewer.state.answers import Answer
    from napari_ies.viewer.state.reading import Reading

KIND = "explain all"


class ExplainAll:
    """The queue behind the button "Explain all".

    Parameters
    ----------
    services
        The state, and what explains.
    table
        Whose lesions are explained; its button says whether to start or to stop.
    """

    def __init__(self, services: Services, table: LesionTable) -> None:
        self._state, self._work = services.state, services.work
        self._explaining, self._tell, self._table = services.explaining, services.tell, table
        self._left: list[Lesion] = []
        self._total = 0
        self._begun: Lesion | None = None
        self._asked: tuple[SegmentationModel, SaliencyRequest] | None = None
        self._may_take_long: bool | None = None
        table.filter.explain_all_requested.connect(self._on_button)
        services.work.idle.connect(self._explain_next)
        services.work.cancelled_all.connect(self._forget)
        self._state.reading_changed.connect(self._on_reading)
        self._on_reading(self._state.reading)

    @property
    def running(self) -> bool:
        """Whether lesions are left, or one of them is being explained."""
        return self._asked is not None

    def start(self, agreed: bool = False) -> None:
        """Explain, with the form's present settings, what is listed and has no such map.

        Parameters
        ----------
        agreed
            Whether it may take more than an hour; else a person is asked before it starts.
        """
        reading = self._state.reading
        if reading is None or self.running:
            return
        try:
            model = self._explaining.network(reading)
        except NapariIESError as error:
            self._tell.say(str(error))
            return
        self._asked = model, self._state.request
        listed = [one for one in self._table.subjects() if isinstance(one, Lesion)]
        self._left = [one for one in listed if not self._answered(one)]
        self._total = len(self._left)
        if not self._left:
            self._forget()
            self._tell.hint("Every lesion listed has a map with these settings already.")
            return
        self._table.filter.set_explaining(True)
        if agreed:
            self._may_take_long = True
            if not self._work.busy:
                self._explain_next()
            return
        job = Job(
            KIND,
            "Explaining all: how long it will take",
            partial(tasks.expect, reading, model, tuple(self._left), self._asked[1]),
            partial(self._on_expected, reading),
            background=True,
            on_failed=self._forget,  # what failed for one lesion would fail for all
        )
        self._work.run(job)

    def stop(self) -> None:
        """Explain no further lesion; finished maps stay."""
        self._forget()
        self._work.cancel(KIND)

    def release(self) -> None:
        """Stop: the panel is gone."""
        self._left, self._begun, self._asked, self._may_take_long = [], None, None, None

    def _on_expected(self, reading: Reading, expected: ExpectedTime) -> None:
        if reading is not self._state.reading or self._asked is None:
            return
        if not expected.long:
            self._may_take_long = False  # begins once nothing else runs
            return
        (_, request), total = self._asked, self._total
        self._forget()

        def start() -> None:
            if self._state.reading is reading:
                self.start(agreed=self._state.request == request)

        what = f"{request_title(request)} of {counted(total, 'lesion')}"
        self._explaining.ask_first(what, expected, start)

    def _explain_next(self) -> None:
        reading = self._state.reading
        if reading is None or self._asked is None or self._may_take_long is None:
            return
        if self._begun is not None and not self._answered(self._begun):
            # A click took it over and was given up for another one.
            self._left.insert(0, self._begun)
        self._begun = None
        while self._left and self._answered(self._left[0]):
            self._left.pop(0)
        if not self._left:
            self._forget()
            self._tell.say(f"Explained all: {counted(self._total, 'lesion')}.")
            return
        lesion = self._begun = self._left.pop(0)
        model, request = self._asked
        work = partial(tasks.explain_subject, reading, model, lesion, request)
        title = f"Explaining all: lesion {self._total - len(self._left)} of {self._total}"
        job = Job(
            KIND,
            title,
            partial(work, agreed=True) if self._may_take_long else work,
            partial(self._on_answer, reading),
            # The same as that of a click, which then takes the computation over.
            key=(id(reading), lesion, request, model_key(model)),
            background=True,
            on_failed=self._forget,  # what failed for one lesion would fail for all
        )
        self._work.run(job)

    def _forget(self) -> None:
        self.release()
        self._table.filter.set_explaining(False)

    def _answered(self, lesion: Lesion) -> bool:
        if self._asked is None:
            return False
        model, request = self._asked
        key = lesion, request, model_key(model)
        answers = self._state.answers
        # One that a reopened session is about to bring back counts, too.
        return answers.get(key) is not None or key in answers.awaited(lesion)

    def _on_button(self) -> None:
        if self.running:
            self.stop()
        else:
            self.start()

    def _on_answer(self, reading: Reading, answer: Answer | tasks.TakesLong) -> None:
        if reading is not self._state.reading:
            return
        if isinstance(answer, tasks.TakesLong):
            self._forget()
            self._explaining.ask_about(answer)
        else:
            self._explaining.keep(answer)

    def _on_reading(self, reading: Reading | None) -> None:
        if self.running:
            self.stop()
        reason = "" if reading is not None else "Segment the images first."
        allow(self._table.filter.explain_all, reason)
