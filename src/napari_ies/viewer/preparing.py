"""Preparing: images, reference, checkpoint and Segment, all that comes before a lesion."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from napari_ies.errors import NapariIESError
from napari_ies.viewer import tasks
from napari_ies.viewer.assembling import Whose
from napari_ies.viewer.jobs import Job
from napari_ies.viewer.layers import key_of
from napari_ies.viewer.reading import model_key
from napari_ies.viewer.segmenting import SegmentationSettings, segment_sources
from napari_ies.viewer.sources import Source, placed, source_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_ies.checkpoints.profile import Profile
    from napari_ies.viewer.reader import LayerDataTuple
    from napari_ies.viewer.reading import Reading
    from napari_ies.viewer.tasks import LoadedModel
    from napari_ies.viewer.widget import LesionSaliencyWidget


class Preparing(QObject):
    """Opens files, loads checkpoints and segments, as the forms ask for it.

    Parameters
    ----------
    host
        The panel.
    """

    def __init__(self, host: LesionSaliencyWidget) -> None:
        super().__init__(host)
        self._host = host
        self._loaded: LoadedModel | None = None
        host.images.file_chosen.connect(self.open_image)
        host.checkpoint.chosen.connect(self.load_checkpoint)
        host.segmentation.file_chosen.connect(self.open_reference)
        host.segmentation.lesions_chosen.connect(self.open_lesions)
        host.segmentation.segment_requested.connect(self.segment)
        host.link.layers_changed.connect(self.offer_layers)
        host.checkpoint.geometry.changed.connect(self._on_geometry)
        host.checkpoint.geometry.refused.connect(host.say)
        host.notes.offer_taken.connect(self.segment_as_offered)
        host.model_changed.connect(self._on_model)

    def open_image(self, sequence: str, path: str) -> None:
        """Open a NIfTI file as a layer and take it as a sequence."""
        done = partial(self._on_image, sequence)
        work, title = partial(tasks.open_file, path), f"Opening {Path(path).name}"
        self._host.jobs.submit(Job(f"open {sequence}", title, work, done))

    def open_reference(self, path: str) -> None:
        """Open a NIfTI file as the reference mask."""
        work, title = partial(tasks.open_mask, path), f"Opening {Path(path).name}"
        self._host.jobs.submit(Job("open reference", title, work, self._on_reference))

    def open_lesions(self, path: str) -> None:
        """Open a file as the lesions to explain."""
        work, title = partial(tasks.open_mask, path), f"Opening {Path(path).name}"
        self._host.jobs.submit(Job("open lesions", title, work, self._on_lesions))

    def open_layers(self, layers: Sequence[LayerDataTuple]) -> None:
        """Add images, the last of them on top, and masks, hidden; frame all of it."""
        scene = self._host.scene
        for data, arguments, kind in layers:
            hidden = {"visible": False} if kind == "labels" else {}
            scene.add((data, {**arguments, **hidden}, kind))
        scene.frame_all()
        self.offer_layers()

    def offer_layers(self) -> None:
        """Offer the layers that are in the viewer now as images and masks."""
        host, scene = self._host, self._host.scene
        images = {key_of(layer): layer.name for layer in scene.images()}
        # A mask may have been opened as an image.
        masks = {key_of(layer): layer.name for layer in scene.masks()} | images
        flat = [(layer.name, reason) for layer, reason in scene.unsuitable_images()]
        flat_masks = [(layer.name, reason) for layer, reason in scene.unsuitable_masks()]
        host.images.set_images(images, flat)
        host.segmentation.set_masks(masks, [*flat_masks, *flat])
        host.refresh()

    def load_checkpoint(self, path: str, device: str = "auto") -> None:
        """Load a checkpoint onto a device."""
        work = partial(tasks.load_model, path, device)
        title = f"Loading {Path(path).name}"
        self._host.jobs.submit(Job("checkpoint", title, work, self._host.take_model))

    def segment(self) -> None:
        """Segment the chosen images with the loaded network."""
        host = self._host
        if host.model is None or host.images.why_not_complete:
            return
        try:
            chosen = host.images.assignment().items()
            sources = placed({sequence: self._source(key) for sequence, key in chosen})
            reference = host.segmentation.reference_key
            mask = None if reference is None else self._source(reference)
            given = host.segmentation.lesions.key
            lesions = None if given is None else self._source(given)
        except NapariIESError as error:
            host.fail("segment", str(error))
            return
        settings = SegmentationSettings(
            host.segmentation.threshold.value(),
            host.segmentation.smallest.value(),
            mask,
            lesions,
            Whose(*host.patient.ask()),
        )
        host.jobs.cancel("explain")
        request = host.saliency.request()
        work = partial(segment_sources, host.model.model, sources, settings, request)
        host.jobs.submit(Job("segment", "Segmenting", work, self._on_segmented))

    def segment_as_offered(self) -> None:
        """Segment again with the orientation that the network agrees better with."""
        offered = self._host.notes.offered
        if offered:
            self._host.checkpoint.geometry.choose(offered, self._host.checkpoint.geometry.spacing)
            self.segment()

    def _on_segmented(self, reading: Reading) -> None:
        """Show what was segmented, named as a person typed meanwhile."""
        typed, case = self._host.patient.ask_again(), reading.case
        subject, visit = (
            own if label is None else label
            for label, own in zip(typed, (case.subject, case.visit), strict=True)
        )
        if (subject, visit) != (case.subject, case.visit):
            reading.case = replace(case, subject=subject, visit=visit)
        self._host.show_reading(reading)

    def _source(self, key: str) -> Source:
        return source_of(self._host.scene.find(key))

    def _on_image(self, sequence: str, layer_data: LayerDataTuple) -> None:
        host = self._host
        # The first sequence is the one lesions are looked for on.
        key = host.scene.add(layer_data, on_top=sequence == host.images.sequences[0])
        self.offer_layers()
        host.images.assign(sequence, key)
        host.say(f"Opened {layer_data[1]['name']} as {sequence}.")

    def _on_reference(self, layer_data: LayerDataTuple) -> None:
        key = self._host.scene.add(layer_data)
        self.offer_layers()
        self._host.segmentation.choose_mask(key)
        self._host.say(f"Opened {layer_data[1]['name']} as the reference.")

    def _on_lesions(self, layer_data: LayerDataTuple) -> None:
        key = self._host.scene.add(layer_data)
        self.offer_layers()
        self._host.segmentation.lesions.choose(key)
        self._host.say(f"Opened {layer_data[1]['name']} as the lesions to explain.")

    def restore_geometry(self, profile: Profile) -> None:
        """Turn and scale the images for the loaded network as a saved profile says."""
        if self._loaded is None:
            return
        own = self._loaded.model.profile
        orientation = None if profile.orientation == own.orientation else profile.orientation
        resampled = profile.resample and (not own.resample or profile.spacing != own.spacing)
        spacing = profile.spacing if resampled else None
        self._host.checkpoint.geometry.choose(orientation, spacing)

    def _on_geometry(self) -> None:
        """Turn and scale the images otherwise for the network that is loaded."""
        from napari_ies.checkpoints import with_geometry

        host, loaded = self._host, self._loaded
        if loaded is None or host.model is None:
            return
        asked = host.checkpoint.geometry
        try:
            model = with_geometry(loaded.model, asked.orientation, asked.spacing)
        except NapariIESError as error:
            host.say(str(error))
            return
        host.model = replace(loaded, model=model)
        host.checkpoint.set_model(model, loaded.device)
        host.refresh()

    def _on_model(self, loaded: LoadedModel) -> None:
        host, profile = self._host, loaded.model.profile
        before, self._loaded = self._loaded, loaded
        host.checkpoint.set_devices(loaded.devices)
        host.checkpoint.set_model(loaded.model, loaded.device)
        if before is None or model_key(before.model) != model_key(loaded.model):
            host.checkpoint.geometry.set_profile(profile)
        else:
            self._on_geometry()
        host.images.set_sequences(profile.sequences)
        host.segmentation.set_profile(profile.threshold, profile.smallest_lesion)
        host.saliency.set_layers(loaded.layers, loaded.default_layer)
        host.say(f"Loaded {profile.name}; computing on {loaded.device}.")
