"""Reading: a segmented patient, ready to be asked about; and what was answered so far."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_ies.network.absent import why_absent
from napari_ies.viewer.state.titles import capitalised, request_title, subject_title

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_ies.network.model import SegmentationModel
    from napari_ies.network.windows import Box
    from napari_ies.patient.case import Case
    from napari_ies.saliency.request import SaliencyRequest
    from napari_ies.saliency.saliency import Saliency
    from napari_ies.segmentation.segmentation import Segmentation
    from napari_ies.viewer.volumes.frame import Frame, Voxel

Subject = int | str
"""A lesion by its label, or a region by its name."""

Key = tuple[Subject, "SaliencyRequest", str]
"""A subject, what was asked about it, and of which network (:func:`model_key`)."""


@dataclass(frozen=True, eq=False)
class Place:
    """Where a lesion lies on the stored grid.

    Parameters
    ----------
    centre
        Its own voxel that lies nearest to its centre of mass.
    box
        The smallest box that holds it.
    """

    centre: Voxel
    box: Box


@dataclass(frozen=True, eq=False)
class Region:
    """A region that a person chose to have explained, and that is no lesion of the table.

    Parameters
    ----------
    name
        Tells it from other regions of the reading.
    mask
        bool (X, Y, Z) on the stored grid.
    place
        Where it lies.
    notes
        How it was taken from its layer: plain sentences.
    """

    name: str
    mask: NDArray[np.bool_]
    place: Place
    notes: tuple[str, ...] = ()

    @classmethod
    def of_mask(
        cls, name: str, mask: NDArray[np.bool_], spacing: tuple[float, float, float]
    ) -> Region:
        """Make a region of a mask that is not empty; voxel size in mm."""
        return cls(name, mask, lesion_places(mask.astype(np.int32), spacing)[1])


@dataclass(eq=False)
class Reading:
    """What was segmented with what; clicks ask about this, whatever the forms say meanwhile.

    Parameters
    ----------
    model, case, segmentation
        The network, the patient, what it marked. The network of a reopened session computes
        nothing until its checkpoint is loaded; it is then replaced by that.
    frame
        Where the case lies in the viewer.
    places
        Where each lesion lies.
    resampled
        Sequences that were resampled onto the case's grid.
    regions
        Other regions that were explained, by name; grows.
    notes
        What a person wrote about a lesion or a region; changed by the panel's `set_note` alone.
    reference
        The reference mask that the lesions were matched with: its file, or the mask, or None.
    """

    model: SegmentationModel
    case: Case
    segmentation: Segmentation
    frame: Frame
    places: Mapping[int, Place]
    resampled: tuple[str, ...] = ()
    regions: dict[str, Region] = field(default_factory=dict)
    notes: dict[Subject, str] = field(default_factory=dict)
    reference: Path | NDArray[np.bool_] | None = None

    def place_of(self, subject: Subject) -> Place | None:
        """Return where a lesion or a region lies, or None if there is none of that name."""
        if isinstance(subject, int):
            return self.places.get(subject)
        region = self.regions.get(subject)
        return None if region is None else region.place

    def mask_of(self, subject: Subject) -> NDArray[np.bool_]:
        """Return the voxels of a lesion or a region, bool (X, Y, Z) on the stored grid."""
        if isinstance(subject, int):
            return np.asarray(self.segmentation.labels == subject)
        return self.regions[subject].mask

    def own_network(self, loaded: SegmentationModel) -> SegmentationModel:
        """Return a loaded network, turned and scaled as when it segmented if it is the same one.

        What the form says since counts when it segments again.
        """
        if model_key(loaded) != model_key(self.model) or why_absent(self.model):
            return loaded
        same = loaded.device == self.model.device
        return self.model if same else loaded.with_profile(self.model.profile)

    def why_not_computable(self, model: SegmentationModel) -> str:
        """Why a network cannot explain anything here now, or an empty string."""
        return self.case.why_incomplete or why_absent(model)

    @property
    def summary(self) -> str:
        """What was found, and how much there is to know about it."""
        segmentation = self.segmentation
        count = len(segmentation.lesions)
        found = (
            f"{count} lesion{'s' if count != 1 else ''} found on {segmentation.device}."
            if count
            else f"No lesion above the probability {segmentation.threshold:g}; a lower threshold "
            "may find some."
        )
        told = len(segmentation.notes)
        return f"{found} {told} note{'s' if told != 1 else ''} above the table." if told else found

    def displayed(self, subject: Subject) -> tuple[NDArray[np.bool_], Voxel]:
        """Return a subject's voxels in a displayed box, and that box's first displayed index."""
        place = self.place_of(subject)
        assert place is not None  # noqa: S101 - only subjects of this reading are selected
        box = self.frame.displayed_box(place.box)
        shown = self.frame.reorientation.apply(self.mask_of(subject)[place.box])
        return shown, (box[0].start, box[1].start, box[2].start)


@dataclass(frozen=True, eq=False)
class Answer:
    """A map of a lesion or a region, running or finished, with what it answers.

    Parameters
    ----------
    subject
        The lesion or the region.
    request
        What was asked for.
    saliency
        The maps.
    limit
        Magnitude at which the colours end; in the unit of the maps.
    model_name, model_key
        The network that is explained: what its file is called, and what tells it from others.
    finished
        Whether the map is complete.
    other_model
        Whether it is another network than the one that found the lesions.
    """

    subject: Subject
    request: SaliencyRequest
    saliency: Saliency
    limit: float
    model_name: str
    model_key: str
    finished: bool = True
    other_model: bool = False

    @property
    def key(self) -> Key:
        """What tells this answer from the others of a reading."""
        return self.subject, self.request, self.model_key

    @property
    def title(self) -> str:
        """Subject, method and, where it is not the one that segmented, the network."""
        title = f"{capitalised(subject_title(self.subject))} · {request_title(self.request)}"
        return f"{title} · {self.model_name}" if self.other_model else title


@dataclass(eq=False)
class Answers:
    """The finished maps of one reading, by subject, request and network."""

    regions: Mapping[str, Region] = field(default_factory=dict)
    """Those of the reading: what is noted of a region is noted in its maps."""
    _answers: dict[Key, Answer] = field(default_factory=dict)
    _awaited: list[Key] = field(default_factory=list)

    def await_saved(self, keys: Iterable[Key]) -> None:
        """Say which maps exist on disk and are about to be read back, the latest last."""
        self._awaited = list(keys)

    def awaited(self, subject: Subject) -> list[Key]:
        """Return the keys of a subject's maps that are about to be read back."""
        return [key for key in self._awaited if key[0] == subject]

    def await_no_more(self, key: Key) -> None:
        """Say that a map on disk cannot be read back."""
        self._awaited = [one for one in self._awaited if one != key]

    def add(self, answer: Answer) -> None:
        """Keep a finished map; it becomes its subject's latest."""
        region = self.regions.get(answer.subject) if isinstance(answer.subject, str) else None
        if region is not None:
            answer = replace(answer, saliency=with_region_notes(answer.saliency, region.notes))
        self.await_no_more(answer.key)
        self._answers.pop(answer.key, None)
        self._answers[answer.key] = answer

    def get(self, key: Key) -> Answer | None:
        """Return the answer with a key, or None if it was not computed yet."""
        return self._answers.get(key)

    def of(self, subject: Subject) -> list[Answer]:
        """Return the answers about a subject, the latest last."""
        return [answer for answer in self._answers.values() if answer.subject == subject]

    def forget(self, subject: Subject) -> None:
        """Drop the answers about a subject."""
        for answer in self.of(subject):
            del self._answers[answer.key]

    def __iter__(self) -> Iterator[Answer]:
        return iter(list(self._answers.values()))

    def __len__(self) -> int:
        return len(self._answers)


REGION_NOTES = "region_notes"
"""Those of a map's notes that are its region's, in its provenance."""


def with_region_notes(saliency: Saliency, notes: tuple[str, ...]) -> Saliency:
    """Return a saliency whose provenance says how its region was taken; the same if it does."""
    known = saliency.provenance.get("notes", ())
    if set(notes) <= set(known if isinstance(known, list | tuple) else ()):
        return saliency
    return saliency.told(notes, **{REGION_NOTES: list(notes)})


def model_key(model: SegmentationModel) -> str:
    """Return what tells a network from others: its file's hash, or its place in memory."""
    return model.sha256 or f"in memory {id(model.network)}"


def lesion_places(
    labels: NDArray[np.int32], spacing: tuple[float, float, float]
) -> dict[int, Place]:
    """Find each lesion.

    Parameters
    ----------
    labels
        int (X, Y, Z).
    spacing
        Voxel size in mm.
    """
    from scipy import ndimage

    places: dict[int, Place] = {}
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        voxels = np.argwhere(labels[box] == label) + [part.start for part in box]
        offset = (voxels - voxels.mean(axis=0)) * spacing
        x, y, z = (int(index) for index in voxels[np.argmin((offset**2).sum(axis=1))])
        places[label] = Place((x, y, z), box)
    return places
