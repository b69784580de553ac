"""Preparing: images, reference, checkpoint and Segment, all that comes before a lesion."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import ref

from qtpy.QtCore import QObject

from napari_ies.errors import NapariIESError
from napari_ies.network.trained_grid import AS_STORED
from napari_ies.viewer.canvas.layers import key_of
from napari_ies.viewer.preparing.assembling import Whose
from napari_ies.viewer.preparing.segmenting import SegmentationSettings, segment_sources
from napari_ies.viewer.state.reading import model_key
from napari_ies.viewer.volumes.sources import Source, placed, source_of
from napari_ies.viewer.work import tasks
from napari_ies.viewer.work.runner import Job

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_ies.network.profile import Profile
    from napari_ies.viewer.reader import LayerDataTuple
    from napari_ies.viewer.state.reading import Reading
    from napari_ies.viewer.widget import LesionSaliencyWidget
    from napari_ies.viewer.work.tasks import LoadedModel


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
        # The last one segmented here, and the keys of its layers: they may have no files.
        self._segmented: ref[Reading] | None = None
        self._chosen: dict[str, str] = {}
        host.images.file_chosen.connect(self.open_image)
        host.checkpoint.chosen.connect(self.load_checkpoint)
        host.segmentation.file_chosen.connect(self.open_reference)
        host.segmentation.lesions_chosen.connect(self.open_lesions)
        host.segmentation.segment_requested.connect(self.segment)
        host.link.layers_changed.connect(self.offer_layers)
        host.checkpoint.geometry.changed.connect(self._on_geometry)
        host.checkpoint.geometry.refused.connect(host.say)
        host.checkpoint.geometry.kept.connect(host.say)
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
        chosen = host.images.assignment()
        try:
            sources = placed({s: self._source(k) for s, k in chosen.items()})
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
        done = partial(self._on_segmented, chosen)
        host.jobs.submit(Job("segment", "Segmenting", work, done))

    def segment_as_offered(self) -> None:
        """Segment again with the orientation that the network agrees better with."""
        offered = self._host.notes.offered
        if offered and self._host.notes.offer.isEnabled():
            self._host.checkpoint.geometry.choose(offered, self._host.checkpoint.geometry.spacing)
            self.segment()

    def why_other_images(self, reading: Reading) -> str:
        """Why the chosen images are not those of a reading, or an empty string."""
        host = self._host
        if host.images.why_not_complete:
            return host.images.why_not_complete
        chosen, case = host.images.assignment(), reading.case
        segmented = None if self._segmented is None else self._segmented()
        if segmented is reading and chosen == self._chosen:
            return ""
        other = [
            name
            for name, path in zip(case.sequences, case.paths, strict=True)
            if path is None or name not in chosen or not _shows(host.scene.find(chosen[name]), path)
        ]
        if not other and len(chosen) == len(case.sequences):
            return ""
        return (
            "Other images are chosen now than those of this result; choose its images again, or "
            "press Segment for these."
        )

    def _on_segmented(self, chosen: dict[str, str], reading: Reading) -> None:
        """Show what was segmented, named as a person typed meanwhile."""
        typed, case = self._host.patient.ask_again(), reading.case
        subject, visit = (
            own if label is None else label
            for label, own in zip(typed, (case.subject, case.visit), strict=True)
        )
        if (subject, visit) != (case.subject, case.visit):
            reading.case = replace(case, subject=subject, visit=visit)
        self._segmented, self._chosen = ref(reading), chosen
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
        same = profile.orientation == own.orientation
        orientation = None if same else profile.orientation or AS_STORED
        size, own_size = _voxels(profile), _voxels(own)
        spacing = None if size == own_size else size or AS_STORED
        geometry = self._host.checkpoint.geometry
        # Nobody chose it now, so that there is nothing to say about it.
        geometry.blockSignals(True)
        geometry.choose(orientation, spacing)
        geometry.blockSignals(False)
        self._take_geometry()

    def _on_geometry(self) -> None:
        """Turn and scale the images otherwise from now on, and say what that is for."""
        before = self._host.model
        if before is None:
            self._host.say("A checkpoint sets orientation and voxels anew when it is loaded.")
        elif self._take_geometry() and self._host.model is not None:
            old, new = before.model.profile, self._host.model.model.profile
            shown = self._host.reading
            if shown is not None and model_key(shown.model) != model_key(before.model):
                shown = None
            self._host.say(geometry_said(old, new, None if shown is None else shown.model.profile))

    def _take_geometry(self) -> bool:
        """Turn and scale the images otherwise for the loaded network; return whether it does."""
        from napari_ies.checkpoints import with_geometry

        host, loaded = self._host, self._loaded
        if loaded is None or host.model is None:
            return False
        asked = host.checkpoint.geometry
        try:
            model = with_geometry(loaded.model, asked.orientation, asked.spacing)
        except NapariIESError as error:
            host.say(str(error))
            return False
        host.model = replace(loaded, model=model)
        host.checkpoint.set_model(model, loaded.device)
        host.refresh()
        return True

    def _on_model(self, loaded: LoadedModel) -> None:
        host, profile = self._host, loaded.model.profile
        before, self._loaded = self._loaded, loaded
        host.checkpoint.set_devices(loaded.devices)
        host.checkpoint.set_model(loaded.model, loaded.device)
        if before is None or model_key(before.model) != model_key(loaded.model):
            host.checkpoint.geometry.set_profile(profile)
        else:
            self._take_geometry()
        host.images.set_sequences(profile.sequences)
        host.segmentation.set_profile(profile.threshold, profile.smallest_lesion)
        host.saliency.set_layers(loaded.layers, loaded.default_layer)
        host.say(f"Loaded {profile.name}; computing on {loaded.device}.")


def geometry_said(old: Profile, new: Profile, shown: Profile | None) -> str:
    """Say which orientation or voxel size was taken, and whether the result on screen has it.

    Parameters
    ----------
    old, new
        What the form asked for before, and asks for now.
    shown
        What the result on screen was segmented with, or None where the loaded network has none.
    """
    fields = (
        ("Orientation", "counts", [one.orientation for one in (old, new)], "orientation"),
        ("Voxels", "count", [_size(one) for one in (old, new)], "voxels"),
    )
    had = {} if shown is None else {"orientation": shown.orientation, "voxels": _size(shown)}
    told = []
    for name, counts, (before, now), field in fields:
        if before == now:
            continue
        what, there = f"{name} {now or AS_STORED}", had.get(field)
        if shown is None:
            told.append(f"{what} {counts} when you segment.")
        elif now == there:
            told.append(f"{what}, as in the result on screen.")
        else:
            told.append(
                f"{what} {counts} when you segment again; the result on screen is "
                f"{there or AS_STORED}."
            )
    return " ".join(told) or "Orientation and voxels are as before."


def _shows(layer: Any, path: Path) -> bool:
    """Return whether a layer was read from a file."""
    if layer is None:
        return False
    try:
        shown = source_of(layer).path
    except NapariIESError:
        return False
    return shown is not None and shown.absolute() == path.absolute()


def _voxels(profile: Profile) -> tuple[float, float, float] | None:
    """Return the voxel size that a network is run at, or None for the stored one."""
    return profile.spacing if profile.resample else None


def _size(profile: Profile) -> str | None:
    size = _voxels(profile)
    return None if size is None else f"{' × '.join(f'{part:g}' for part in size)} mm"
