"""Preparing: images, reference, checkpoint and Segment, all that comes before a lesion."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_ies.errors import NapariIESError
from napari_ies.network.absent import is_lacking, why_absent
from napari_ies.viewer.canvas.layers import key_of
from napari_ies.viewer.feature import Feature, Place, Placed
from napari_ies.viewer.panel.availability import allow
from napari_ies.viewer.preferences import Preferences
from napari_ies.viewer.preparing.assembling import Whose
from napari_ies.viewer.preparing.brought_images import BroughtImages, shows
from napari_ies.viewer.preparing.by_itself import SegmentsByItself
from napari_ies.viewer.preparing.checkpoint_form import CheckpointForm
from napari_ies.viewer.preparing.geometry.geometry import Geometry
from napari_ies.viewer.preparing.images_form import ImagesForm
from napari_ies.viewer.preparing.matching import Matching
from napari_ies.viewer.preparing.naming import Naming
from napari_ies.viewer.preparing.network_loading import NetworkLoading
from napari_ies.viewer.preparing.objections import objections
from napari_ies.viewer.preparing.result_notes import ResultNotes
from napari_ies.viewer.preparing.segmentation_form import SEGMENT, SegmentationForm
from napari_ies.viewer.preparing.segmenting import SegmentationSettings, segment_sources
from napari_ies.viewer.state.loaded import Chosen
from napari_ies.viewer.state.updated import only_threshold_differs
from napari_ies.viewer.volumes.layer_data import sha256_of_file
from napari_ies.viewer.volumes.sources import placed, source_of
from napari_ies.viewer.work import tasks
from napari_ies.viewer.work.job import Job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from napari_ies.progress import Progress
    from napari_ies.viewer.feature import Services
    from napari_ies.viewer.state.loaded import LoadedModel, Restored
    from napari_ies.viewer.state.reading import Reading
    from napari_ies.viewer.volumes.layer_data import LayerDataTuple

DEFAULT_SEQUENCES = ("FLAIR", "T1")
"""What is asked for until a checkpoint says what it takes."""
ANYWAY = "Segment anyway"
LOOK = f"look at what is said below the images, then press {ANYWAY}."


class Preparing(Feature):
    """Opens files, loads checkpoints and segments, as the forms ask for it."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.images = ImagesForm(DEFAULT_SEQUENCES)
        self.checkpoint = CheckpointForm()
        self.segmentation = SegmentationForm()
        self.geometry = Geometry(self.checkpoint.geometry, self.state, self.tell)
        self.loading = NetworkLoading(services, self.checkpoint, self._on_not_loaded)
        self.checkpoint.profile_wanted.connect(self.state.profile_wanted.emit)
        self.naming = Naming(services, self.images)
        self.notes = ResultNotes(services, self.why_other_images)
        self._matching = Matching(services, self.segmentation, self.why_other_images)
        self._preferences = Preferences(
            "computation",
            {
                "device": self.checkpoint.prefer_device,
                "smallest_lesion": self.segmentation.prefer_smallest,
            },
        )
        self.objections: tuple[str, ...] = ()
        """What speaks against the chosen images: plain sentences, on show below them."""
        self._restored: Restored | None = None
        self._brought = BroughtImages(self.scene)
        self.images.file_chosen.connect(self.open_image)
        self.images.changed.connect(self._on_images)
        self.segmentation.reference_chosen.connect(self._on_images)
        self.naming.form.changed.connect(self._on_images)
        self.segmentation.file_chosen.connect(self.open_reference)
        self.segmentation.lesions_chosen.connect(self.open_lesions)
        self.segmentation.segment_requested.connect(self.segment)
        self.segmentation.threshold.valueChanged.connect(self.state.take_threshold)
        self.segmentation.smallest.valueChanged.connect(self.state.take_smallest)
        self.geometry.turned.connect(self._on_turned)
        self.notes.offer_taken.connect(self._on_offer_taken)
        self.link.layers_changed.connect(self.offer_layers)
        self.work.idle.connect(self.refresh)
        state = self.state
        state.model_changed.connect(self._on_model)
        state.layers_given.connect(self.open_layers)
        state.restored.connect(self._on_restored)
        state.checkpoint_wanted.connect(self._on_checkpoint_wanted)
        # After what follows a loaded checkpoint here.
        self._by_itself = SegmentsByItself(services, self.segment, self._why_not_by_itself)
        self.refresh()
        self.views = (
            Placed(Place.PREPARATION, [self.images, self.naming.form], "Images"),
            Placed(Place.PREPARATION, [self.checkpoint], "Checkpoint"),
            Placed(Place.PREPARATION, [self.segmentation], "Segmentation"),
            Placed(Place.RESULT, [self.notes.view]),
        )

    def attach(self) -> None:
        """Follow the preferences."""
        self._preferences.attach()

    def release(self) -> None:
        """Follow them no more, and match nothing."""
        self._preferences.release()
        self._matching.release()

    def open_image(self, sequence: str, path: str) -> None:
        """Open a NIfTI file as a layer and take it as a sequence."""
        self._open(f"open {sequence}", path, tasks.open_file, partial(self._on_image, sequence))

    def open_reference(self, path: str) -> None:
        """Open a NIfTI file as the reference mask."""
        self._open("open reference", path, tasks.open_mask, self._on_reference)

    def open_lesions(self, path: str) -> None:
        """Open a file as the lesions to explain."""
        self._open("open lesions", path, tasks.open_mask, self._on_lesions)

    def open_layers(self, layers: Sequence[LayerDataTuple]) -> None:
        """Take images and masks as the next patient's, the last of them on top."""
        self.explaining.stop()
        self.state.close_reading()  # his lesions would lie over another's images
        self.images.begin_anew()
        self.segmentation.begin_anew()
        self._brought.take(layers)
        self.offer_layers()

    def offer_layers(self) -> None:
        """Offer the layers that are in the viewer now as images and masks."""
        scene = self.scene
        images = {key_of(layer): layer.name for layer in scene.images()}
        # A mask may have been opened as an image.
        masks = {key_of(layer): layer.name for layer in scene.masks()} | images
        flat = [(layer.name, reason) for layer, reason in scene.unsuitable_images()]
        flat_masks = [(layer.name, reason) for layer, reason in scene.unsuitable_masks()]
        self.images.set_images(images, flat)
        came = [key_of(layer) for layer in scene.masks() if self._brought.came_with(layer)]
        self.segmentation.set_masks(masks, [*flat_masks, *flat], came)
        self.refresh()

    def segment(self) -> None:
        """Segment the chosen images with the loaded network; update where that is enough.

        Where what is known of the lesions before is saved nowhere, a person is asked first.
        """
        loaded = self.state.model
        if loaded is None or self.images.why_not_complete:
            return
        same = self.segmentation.lesions.key is None and only_threshold_differs(self.state)
        if same and not self.why_other_images(self.state.reading):
            self.state.update_wanted.emit()
        else:
            self.state.leave_for(partial(self._segment_anew, loaded))

    def _segment_anew(self, loaded: LoadedModel) -> None:
        form = self.segmentation
        chosen, reference = self.images.assignment(), form.reference.key
        try:
            find, given = self.scene.find, form.lesions.key
            sources = placed({s: source_of(find(k)) for s, k in chosen.items()})
            mask = None if reference is None else source_of(find(reference))
            lesions = None if given is None else source_of(find(given))
        except NapariIESError as error:
            self.tell.fail(str(error))
            return
        whose, threshold = Whose(*self.naming.form.ask()), form.threshold.value()
        settings = SegmentationSettings(
            threshold, form.smallest.value(), mask, lesions, whose, self.objections
        )
        self.explaining.stop()
        work = partial(segment_sources, loaded.model, sources, settings)
        done = partial(self._on_segmented, chosen, reference)
        self.work.run(Job("segment", "Segmenting", work, done))

    def why_other_images(self, reading: Reading | None) -> str:
        """Why the chosen images are not those of a reading, or an empty string."""
        if reading is None or self.images.why_not_complete:
            return self.images.why_not_complete
        chosen, case = self.images.assignment(), reading.case
        if chosen == reading.layers:  # they may have no files
            return ""
        find = self.scene.find
        other = [
            name
            for name, path in zip(case.sequences, case.paths, strict=True)
            if path is None or name not in chosen or not shows(find(chosen[name]), path)
        ]
        if not other and len(chosen) == len(case.sequences):
            return ""
        return (
            "Other images are chosen now than those of this result; choose its images again, or "
            "press Segment for these."
        )

    def refresh(self) -> None:
        """Allow to segment, or say why that cannot be now."""
        loaded = self.state.model is not None
        why = "" if loaded else "Choose a checkpoint first."
        allow(self.segmentation.button, why or self.images.why_not_complete)
        self.segmentation.button.setText(ANYWAY if self.objections else SEGMENT)
        self.notes.refresh()

    def _on_images(self) -> None:
        """Say what speaks against what is chosen now, and let the others know of it."""
        find, by_order = self.scene.find, self.images.by_order
        chosen = {s: find(key) for s, key in self.images.assignment().items()}
        there = {sequence: layer for sequence, layer in chosen.items() if layer is not None}
        equal = {s: [one for k in keys if (one := find(k))] for s, keys in by_order.items()}
        said = objections(there, equal, find(self.segmentation.reference.key))
        self.objections = (*said, *self.naming.doubts)
        self.images.object(self.objections)
        self.state.choose_images(self._complete(there))
        self.refresh()

    def _complete(self, layers: Mapping[str, Any]) -> Chosen | None:
        """Return what would be segmented, or None while something is missing."""
        if self.images.why_not_complete or len(layers) < len(self.images.sequences):
            return None
        try:
            sources = {sequence: source_of(layer) for sequence, layer in layers.items()}
        except NapariIESError:  # said when it is to be segmented
            return None
        form, files = self.naming.form, {s: sha256_of_file(one) for s, one in layers.items()}
        return Chosen(sources, files, form.patient, form.visit, self.images.assignment())

    def _open(
        self,
        kind: str,
        path: str,
        read: Callable[[str], Iterator[Progress[LayerDataTuple]]],
        done: Callable[[LayerDataTuple], None],
    ) -> None:
        title = f"Opening {Path(path).name}"
        self.work.run(Job(kind, title, partial(read, path), done, brief=True))

    def _on_offer_taken(self, orientation: str) -> None:
        """Segment again with the orientation that the network agrees better with."""
        form = self.checkpoint.geometry
        form.choose(orientation, form.spacing)
        self.segment()

    def _on_segmented(
        self, chosen: dict[str, str], reference: str | None, reading: Reading
    ) -> None:
        """Show what was segmented, named as a person typed meanwhile."""
        reading.case, reading.layers = self.naming.named(reading.case), chosen
        self._restored = None
        self._matching.took(reading, reference)
        self.state.show_reading(reading)

    def _on_image(self, sequence: str, layer_data: LayerDataTuple) -> None:
        # The first sequence is the one lesions are looked for on.
        on_top = sequence == self.images.sequences[0]
        key = self._add(layer_data, sequence, on_top=on_top)
        self.images.assign(sequence, key)

    def _on_reference(self, layer_data: LayerDataTuple) -> None:
        self.segmentation.choose_mask(self._add(layer_data, "the reference"))

    def _on_lesions(self, layer_data: LayerDataTuple) -> None:
        self.segmentation.lesions.choose(self._add(layer_data, "the lesions to explain"))

    def _add(self, layer_data: LayerDataTuple, what: str, *, on_top: bool = True) -> str:
        key = self.scene.add(layer_data, on_top=on_top)
        self.offer_layers()
        self.tell.say(f"Opened {layer_data[1]['name']} as {what}.")
        return key

    def _on_restored(self, restored: Restored) -> None:
        """Show what a saved session had open, each file once, and set the forms as they were.

        The images that the session before it brought go: who reads one case after another would
        have all of them in memory.
        """
        self._restored = restored
        self.images.set_sequences(restored.sequences)
        keys, reference = self._brought.show(restored)
        self.offer_layers()
        for sequence, key in keys.items():
            self.images.assign(sequence, key)
        self.segmentation.choose_mask(reference)
        self._restore_settings(restored)

    def _restore_settings(self, restored: Restored) -> None:
        self.segmentation.threshold.setValue(restored.threshold)
        self.segmentation.smallest.setValue(restored.smallest)

    def _on_checkpoint_wanted(self, path: str, device: str) -> None:
        """Load a checkpoint, unless it is the loaded one that a reopened reading lacks."""
        loaded, reading = self.state.model, self.state.reading
        lacking = reading is not None and why_absent(reading.model)
        if loaded is not None and lacking and self._is_lacking(loaded):
            self._give_network()
        elif path:
            if device:
                self.checkpoint.prefer_device(device)
            self.checkpoint.choose(path)

    def _is_lacking(self, loaded: LoadedModel) -> bool:
        """Whether a network is the one that segmented what was reopened."""
        reading = self.state.reading
        if reading is None or self._restored is None:
            return False
        return is_lacking(reading.model, loaded.model)

    def _give_network(self) -> None:
        """Give a reopened reading its network, turned and scaled as when it segmented."""
        state = self.state
        if state.reading is None or self._restored is None:
            return
        self.geometry.restore(state.reading.model.profile)
        self._restore_settings(self._restored)
        if state.model is not None:
            state.give_network(state.model.model)

    def _on_turned(self, loaded: LoadedModel) -> None:
        self.checkpoint.set_model(loaded.model, loaded.device)
        self.refresh()

    def _on_not_loaded(self) -> None:
        """Go on with the checkpoint that was loaded before, if one was."""
        self._by_itself.give_up()
        self.checkpoint.show_worked()
        self.state.device = self.checkpoint.device
        loaded = self.state.model
        self.checkpoint.set_model(*(loaded.model, loaded.device) if loaded else (None, ""))
        self.refresh()

    def _why_not_by_itself(self) -> str:
        """Say what a person should look at before these images are segmented, or nothing."""
        return self.images.why_not_complete or (LOOK if self.objections else "")

    def _on_model(self, loaded: LoadedModel | None) -> None:
        if loaded is None:
            return
        profile = loaded.model.profile
        self.checkpoint.set_devices(loaded.devices)
        self.checkpoint.set_model(loaded.model, loaded.device)
        self.geometry.take(loaded)
        self.images.set_sequences(profile.sequences)
        self.segmentation.set_profile(profile.threshold, profile.smallest_lesion)
        self.tell.say(f"Loaded {profile.name}; computing on {loaded.device}.")
        if self._is_lacking(loaded):
            self._give_network()
        self.refresh()
