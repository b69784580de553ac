"""Matching: a reference that is chosen once lesions are there is matched with them at once."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari_ies.errors import NapariIESError
from napari_ies.viewer.preparing.brought_images import shows
from napari_ies.viewer.state.updated import with_reference
from napari_ies.viewer.volumes.layer_mask import reference_mask
from napari_ies.viewer.volumes.sources import source_of
from napari_ies.viewer.work.job import Job
from napari_ies.viewer.work.qt_clock import Soon
from napari_ies.viewer.work.tasks import once

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_ies.viewer.feature import Services
    from napari_ies.viewer.preparing.segmentation_form import SegmentationForm
    from napari_ies.viewer.state.reading import Reading

TITLE = "Matching with the reference"


class Matching:
    """Follows which mask is the reference, and compares the lesions with it.

    Parameters
    ----------
    services
        The state, the layers, and what computes.
    form
        Where the reference is chosen.
    why_other
        Why a reading is not of the images that are chosen, or an empty string.
    """

    def __init__(
        self, services: Services, form: SegmentationForm, why_other: Callable[[Reading], str]
    ) -> None:
        self._state, self._scene = services.state, services.scene
        self._work, self._tell, self._explaining = services.work, services.tell, services.explaining
        self._form, self._why_other = form, why_other
        self._lineage: object = None
        self._key: str | None = None
        self._refused: str | None = None
        self._may_go = False
        # Once a session has its images and its reference, or a patient all of his.
        self._soon = Soon(self._match, form)
        form.reference_chosen.connect(self._on_chosen)
        form.reference.activated.connect(self._on_person)
        services.state.reading_changed.connect(self._on_changed)
        services.state.answer_kept.connect(self._on_changed)  # the last that was to be read back

    def took(self, reading: Reading, key: str | None) -> None:
        """Know the layer that a reading was matched with; None for none."""
        self._lineage, self._key = reading.lineage, key

    def release(self) -> None:
        """Match nothing any more."""
        self._soon.stop()

    def _on_person(self, _: int) -> None:
        """Match with none only if a person says so: a layer may just have been tidied away."""
        self._may_go = True
        self._soon.ask()

    def _on_chosen(self) -> None:
        self._refused = None
        self._soon.ask()

    def _on_changed(self, _: object) -> None:
        self._soon.ask()

    def _match(self) -> None:
        reading, key = self._state.reading, self._form.reference.key
        if reading is None or self._work.is_active("segment") or self._state.answers.any_awaited:
            return
        may_go, self._may_go = self._may_go, False
        if self._is_matched(reading, key) or (key is None and not may_go):
            return
        if (key is not None and key == self._refused) or self._why_other(reading):
            return  # for other images Segment is to be pressed anyway
        taken = None
        if key is not None:
            try:
                source = source_of(self._scene.find(key))
            except NapariIESError as error:
                self._tell.fail(str(error))
                return
            taken = partial(reference_mask, source, reading.case, reading.frame)
        work = partial(once, TITLE, partial(with_reference, reading, taken))
        done, refused = partial(self._on_matched, reading, key), partial(self._on_refused, key)
        self._work.run(Job("segment", TITLE, work, done, brief=True, on_failed=refused))

    def _is_matched(self, reading: Reading, key: str | None) -> bool:
        if reading.lineage is self._lineage:
            return key == self._key
        if key is None or reading.reference is None:
            return key is None and reading.reference is None
        # Of a session: its layer shows its file.
        reference = reading.reference
        return isinstance(reference, Path) and shows(self._scene.find(key), reference)

    def _on_refused(self, key: str | None) -> None:
        self._refused = key  # said once

    def _on_matched(self, before: Reading, key: str | None, after: Reading) -> None:
        if before is not self._state.reading:
            return
        self._explaining.stop()
        after.take_said_of(before)  # what was said meanwhile counts, too
        self.took(after, key)
        self._state.update_reading(after)
        self._tell.say(after.found if key is not None else f"{after.found} No reference any more.")
