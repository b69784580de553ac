"""The dock widget "Lesion saliency": wires the small widgets together; computes nothing."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error, show_warning
from qtpy.QtCore import QEvent

from napari_ies.errors import NapariIESError
from napari_ies.viewer import tasks
from napari_ies.viewer.jobs import Job, Jobs
from napari_ies.viewer.layers import Scene, key_of
from napari_ies.viewer.panel import Panel
from napari_ies.viewer.picking import pick_lesion
from napari_ies.viewer.reading import Answers, Reading, Shown
from napari_ies.viewer.saliency_form import request_title, short_title
from napari_ies.viewer.sources import Source, source_of
from napari_ies.viewer.viewer_link import ViewerLink

if TYPE_CHECKING:
    from napari_ies.saliency.request import SaliencyRequest
    from napari_ies.viewer.frame import Voxel
    from napari_ies.viewer.reader import LayerDataTuple
    from napari_ies.viewer.tasks import LoadedModel

FIRST_STEPS = (
    "Open the images and a checkpoint, press Segment, then click a lesion in the image or in the "
    "table."
)


class LesionSaliencyWidget(Panel):
    """Segment a patient's lesions, click one, and see why the network marked it.

    Parameters
    ----------
    napari_viewer
        The viewer it is docked to.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.jobs = Jobs(self)
        self.link = ViewerLink(napari_viewer, self)
        self.scene = Scene(napari_viewer)
        self.model: LoadedModel | None = None
        self.reading: Reading | None = None
        self.answers = Answers()
        self.selected: int | None = None
        self._connect()
        self.link.attach()
        self.status.say(FIRST_STEPS)
        self._refresh()

    def open_image(self, sequence: str, path: str) -> None:
        """Open a NIfTI file as a layer and take it as a sequence."""
        done = partial(self._on_image, sequence)
        title = f"Opening {Path(path).name}"
        self.jobs.submit(Job(f"open {sequence}", title, partial(tasks.open_file, path), done))

    def open_reference(self, path: str) -> None:
        """Open a NIfTI file as the reference mask."""
        title = f"Opening {Path(path).name}"
        work = partial(tasks.open_mask, path)
        self.jobs.submit(Job("open reference", title, work, self._on_reference))

    def load_checkpoint(self, path: str, device: str = "auto") -> None:
        """Load a checkpoint onto a device."""
        title = f"Loading {Path(path).name}"
        work = partial(tasks.load_model, path, device)
        self.jobs.submit(Job("checkpoint", title, work, self._on_model))

    def segment(self) -> None:
        """Segment the chosen images with the loaded network."""
        if self.model is None or self.images.why_not_complete:
            return
        try:
            sources = {s: self._source(k) for s, k in self.images.assignment().items()}
            reference = self.segmentation.reference_key
            mask = None if reference is None else self._source(reference)
        except NapariIESError as error:
            self._on_failed("segment", str(error))
            return
        settings = tasks.SegmentationSettings(
            self.segmentation.threshold.value(), self.segmentation.smallest.value(), mask
        )
        self.jobs.cancel("explain")
        work = partial(tasks.segment_sources, self.model.model, sources, settings)
        self.jobs.submit(Job("segment", "Segmenting", work, self._on_reading))

    def explain(self, label: int, voxel: Voxel | None = None) -> None:
        """Select a lesion everywhere and show its saliency, computing it if need be.

        Parameters
        ----------
        label
            The lesion.
        voxel
            Stored voxel to move the slices to; by default the lesion's centre.
        """
        reading = self.reading
        if reading is None or label not in reading.places:
            return
        self._select(reading, label, voxel or reading.places[label].centre)
        request = self.saliency.request()
        title = f"lesion {label}: {request_title(request)}"
        shown = self.answers.get(label, request)
        if shown is not None:
            self.jobs.cancel("explain")
            self._show(reading, label, request, shown)
            self.status.say(f"Showing {title}, computed before.")
            return
        job = Job(
            "explain",
            f"Explaining {title}",
            partial(tasks.explain_lesion, reading, label, request),
            partial(self._on_answer, reading, label, request),
            partial(self._show, reading, label, request),
            key=(id(reading), label, request),
        )
        self.jobs.submit(job)

    def save_to(self, folder: str, overwrite: bool = False) -> None:
        """Save the lesions and every finished map to a folder."""
        if self.reading is None:
            return
        work = partial(tasks.save_answers, Path(folder), self.reading, self.answers, overwrite)
        self.jobs.submit(Job("save", f"Saving to {folder}", work, self._on_saved))

    def event(self, event: QEvent) -> bool:
        """Let go of the viewer when the dock is closed, and take hold when docked again."""
        # A closed dock widget only loses its parent: napari calls no closeEvent (napari#8071).
        if event.type() == QEvent.Type.ParentChange:
            if self.parent() is None:
                self._release()
            else:
                self.link.attach()
        return bool(super().event(event))

    def _connect(self) -> None:
        self.images.file_chosen.connect(self.open_image)
        self.images.changed.connect(self._refresh)
        self.checkpoint.chosen.connect(self.load_checkpoint)
        self.segmentation.file_chosen.connect(self.open_reference)
        self.segmentation.segment_requested.connect(self.segment)
        self.lesions.chosen.connect(self.explain)
        self.saliency.explain_requested.connect(self._on_explain)
        self.save_requested.connect(self.save_to)
        self.status.cancel_requested.connect(self.jobs.cancel)
        self.link.clicked.connect(self._on_clicked)
        self.link.layers_changed.connect(self._on_layers_changed)
        self.link.view_changed.connect(self._on_view_changed)
        self.jobs.started.connect(self._on_started)
        self.jobs.reported.connect(self.status.show_report)
        self.jobs.noted.connect(show_warning)
        self.jobs.failed.connect(self._on_failed)
        self.jobs.cancelled.connect(self._on_cancelled)
        self.jobs.idle.connect(self._on_idle)
        # Not a bound method: when this fires, the Qt side of this widget is gone already.
        self.destroyed.connect(partial(_let_go, self.link, self.jobs))

    def _release(self) -> None:
        _let_go(self.link, self.jobs)

    def _select(self, reading: Reading, label: int, voxel: Voxel) -> None:
        self.selected = label
        self.lesions.select(label)
        self.scene.lesions.select(label, *reading.displayed_lesion(label))
        self.scene.look_at(reading.frame.to_world(voxel))
        self._refresh()

    def _show(self, reading: Reading, label: int, request: SaliencyRequest, shown: Shown) -> None:
        if reading is self.reading:
            title = f"Lesion {label} · {request_title(request)}"
            self.scene.overlays.show(shown.saliency, reading.frame, title, shown.limit)

    def _source(self, key: str) -> Source:
        return source_of(self.scene.find(key))

    def _refresh(self) -> None:
        segmented = "" if self.reading is not None else "Segment the images first."
        chosen = "" if self.selected is not None else "Click a lesion or choose its row first."
        unloaded = "" if self.model is not None else "Choose a checkpoint first."
        self.allow_actions(
            segment=unloaded or self.images.why_not_complete,
            explain=segmented or chosen,
            save=segmented,
        )

    def _on_explain(self) -> None:
        if self.selected is not None:
            self.explain(self.selected)

    def _on_clicked(self, position: Any, direction: Any) -> None:
        if self.reading is None:
            return
        labels = self.reading.segmentation.labels
        pick = pick_lesion(labels, self.reading.frame, position, direction)
        if pick is not None:
            self.explain(*pick)

    def _on_view_changed(self) -> None:
        if self.reading is not None:
            self.scene.lesions.draw()

    def _on_layers_changed(self) -> None:
        self.images.set_images({key_of(layer): layer.name for layer in self.scene.images()})
        self.segmentation.set_masks({key_of(layer): layer.name for layer in self.scene.masks()})
        self._refresh()

    def _on_image(self, sequence: str, layer_data: LayerDataTuple) -> None:
        # The first sequence is the one lesions are looked for on.
        key = self.scene.add(layer_data, on_top=sequence == self.images.sequences[0])
        self._on_layers_changed()
        self.images.assign(sequence, key)
        self.status.say(f"Opened {layer_data[1]['name']} as {sequence}.")

    def _on_reference(self, layer_data: LayerDataTuple) -> None:
        key = self.scene.add(layer_data)
        self._on_layers_changed()
        self.segmentation.choose_mask(key)
        self.status.say(f"Opened {layer_data[1]['name']} as the reference.")

    def _on_model(self, loaded: LoadedModel) -> None:
        self.model = loaded
        profile = loaded.model.profile
        self.checkpoint.set_devices(loaded.devices)
        self.checkpoint.set_model(loaded.model, loaded.device)
        self.images.set_sequences(profile.sequences)
        self.segmentation.set_profile(profile.threshold, profile.smallest_lesion)
        self.saliency.set_layers(loaded.layers, loaded.default_layer)
        self.status.say(f"Loaded {profile.name}; computing on {loaded.device}.")

    def _on_reading(self, reading: Reading) -> None:
        self.reading, self.answers, self.selected = reading, Answers(), None
        self.scene.show_reading(reading)
        self.lesions.set_lesions(reading.segmentation.lesions)
        self.status.say(reading.summary)

    def _on_answer(
        self, reading: Reading, label: int, request: SaliencyRequest, shown: Shown
    ) -> None:
        if reading is not self.reading:
            return
        self.answers.add(label, request, shown)
        titles = [short_title(answered) for answered in self.answers.of_lesion(label)]
        self.lesions.set_explained(label, ", ".join(dict.fromkeys(reversed(titles))))
        self._show(reading, label, request, shown)
        self.status.say(f"Finished lesion {label}: {request_title(request)}.")

    def _on_saved(self, folder: Path) -> None:
        self.status.say(f"Saved to {folder}.")

    def _on_started(self, title: str) -> None:
        self.status.set_busy()
        self.status.say(f"{title}…")

    def _on_failed(self, kind: str, sentence: str) -> None:
        if kind == "checkpoint":
            self.model = None
            self.checkpoint.set_failed()
        self.status.say(sentence)
        show_error(sentence)

    def _on_cancelled(self, title: str) -> None:
        self.status.say(f"Cancelled: {title}. A map on screen may be unfinished.")

    def _on_idle(self) -> None:
        self.status.set_idle()
        self._refresh()


def _let_go(link: ViewerLink, jobs: Jobs) -> None:
    link.detach()
    jobs.release()
