"""What nnU-Net does around its network: the input of a case, the windows, and the way back."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
from nibabel.affines import from_matvec
from numpy.typing import NDArray

from napari_ies.checkpoints.formats.nnunet.axes import along_image, image_axes
from napari_ies.checkpoints.formats.nnunet.changed import preprocessed
from napari_ies.checkpoints.formats.nnunet.predicting import predicted
from napari_ies.errors import SegmentationError
from napari_ies.geometry.grid import size_words
from napari_ies.geometry.orientation import Reorientation
from napari_ies.network.members import members_of
from napari_ies.patient.case import Case
from napari_ies.printable import joined

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    import torch
    from torch import nn

    from napari_ies.progress import Progress

T = TypeVar("T")

IMPOSSIBLE = -200.0
"""A logit so far below the others that the probability is exactly 0 in float32."""
TURNS = "WithReorient"
"""End of the names of nnU-Net's readers that turn images to RAS."""
DECIDED_AT = 0.5
"""The threshold that stands for nnU-Net's own decision, which for two classes is that."""


class NNUNetPreparation:
    """nnU-Net's own preprocessing, sliding window and export, for its networks.

    Parameters
    ----------
    plans, configuration, dataset, labels
        nnU-Net's own: plans, the configuration that was trained, ``dataset.json``, label manager.
    trainer
        Name of the class that trained it.
    mirrored
        Axes of a window that are mirrored.
    choices
        Folds that are there, and the image's axes along which it was trained with mirror images.
    brains
        Whether it is known to be trained on brains without skull, of which nnU-Net says nothing.
    """

    normalises = True
    steps = ("nnU-Net's own: cropped to what is not 0, normalised, resampled to its plans' voxels",)

    def __init__(
        self,
        plans: Any,
        configuration: Any,
        dataset: Any,
        labels: Any,
        trainer: str,
        mirrored: tuple[int, ...],
        choices: Mapping[str, Sequence[str]],
        brains: bool = False,
    ) -> None:
        self._plans, self._configuration = plans, configuration
        self._dataset, self._labels = dataset, labels
        self._trainer, self._mirrored = trainer, mirrored
        self.choices, self._brains = choices, brains
        self._properties = WeakKeyDictionary[Case, dict[str, Any]]()
        self._unchanged = WeakKeyDictionary[Case, NDArray[np.float32]]()

    @property
    def own(self) -> Mapping[str, str]:
        """What its plans say, and no person, of its input and windows; sizes as x, y, z."""
        plan, plans = self._configuration, self._plans
        reader = str(plans.plans["image_reader_writer"])
        turned = reader.endswith(TURNS)
        sizes = along_image(plans, [float(size) for size in plan.spacing])
        edges = " × ".join(str(edge) for edge in along_image(plans, plan.patch_size))
        return {
            "normalisation": f"nnU-Net's {joined(dict.fromkeys(plan.normalization_schemes))}",
            "brain_extracted": "yes, as its authors say"
            if self._brains
            else "nnU-Net does not say; it crops to what is not 0",
            "activation": "each on its own (sigmoid)"
            if self._labels.has_regions
            else "exclude each other (softmax)",
            "orientation": f"RAS, turned by nnU-Net's {reader}" if turned else "as stored",
            "spacing": f"{size_words(sizes)} mm along x, y, z; nnU-Net resamples to that",
            "window": f"{edges} voxels along x, y, z",
            "overlap": "0.5, weighted by nnU-Net's Gaussian",
        }

    def network_case(self, case: Case, statistics: Case | None) -> Case:
        """Return what nnU-Net's preprocessor makes of a case, on the grid that it lies on."""
        if case.normalised_as is not None and statistics is not None:
            return self._changed(case, case.normalised_as, statistics)
        turn = self.turn(case)
        order = [int(axis) for axis in self._plans.transpose_backward]
        # Its preprocessor begins with the axes as the reader gives them.
        read = turn.apply(case.data).transpose(0, *(1 + axis for axis in order))
        sizes = turn.displayed_spacing(case.spacing)
        properties: dict[str, Any] = {"spacing": [sizes[axis] for axis in order]}
        preprocessor = self._configuration.preprocessor_class(verbose=False)
        values, _, properties = preprocessor.run_case_npy(
            read, None, properties, self._plans, self._configuration, self._dataset
        )
        box = np.array(properties["bbox_used_for_cropping"])
        if not values.size:
            raise SegmentationError(
                f"At the network's voxels of {size_words(self._configuration.spacing)} mm the "
                "images are less than one voxel thick: check their voxel size."
            )
        # A stored place along an axis of the network: crop, then as many voxels as are wanted.
        shape = np.array(values.shape[1:])
        ratio = (box[:, 1] - box[:, 0]) / shape
        first = box[:, 0] + (ratio - 1) / 2
        moved = np.eye(4)
        for axis, (stored, flip) in enumerate(zip(turn.axes, turn.flips, strict=True)):
            last = case.shape[stored] - 1
            moved[stored, stored] = ratio[axis]
            far = first[axis] + ratio[axis] * (shape[axis] - 1)
            moved[stored, 3] = last - far if flip else first[axis]
        seen_turn = replace(turn, shape=_in_stored_order(turn, [int(n) for n in shape]))
        data = np.ascontiguousarray(seen_turn.invert(np.asarray(values, dtype=np.float32)))
        seen = replace(
            case,
            data=data,
            affine=case.affine @ from_matvec(moved[:3, :3], moved[:3, 3]),
            backgrounds=(None,) * len(case.sequences),
            normalised_as=None,
        )
        self._properties[seen] = properties
        return seen

    def _changed(self, case: Case, original: Case, seen: Case) -> Case:
        """Return what is made of a changed case, on the grid of what was made of the original."""
        properties, turn = self._properties[seen], self.turn(case)
        there = replace(turn, shape=seen.shape)
        made_of = partial(
            preprocessed,
            original=turn.apply(original.data),
            box=properties["bbox_used_for_cropping"],
            shape=there.displayed_shape,
            spacing=[properties["spacing"][axis] for axis in self._plans.transpose_forward],
            plans=self._plans,
            configuration=self._configuration,
        )
        if seen not in self._unchanged:
            self._unchanged[seen] = there.invert(made_of(turn.apply(original.data)))
        values = there.invert(made_of(turn.apply(case.data)))
        # Where nothing changed, its very numbers, which were rounded in another order.
        data = np.where(values == self._unchanged[seen], seen.data, values)
        made = replace(
            case,
            data=data,
            affine=seen.affine,
            backgrounds=(None,) * len(case.sequences),
            normalised_as=seen,
        )
        self._properties[made] = properties
        return made

    def turn(self, case: Case) -> Reorientation:
        """Return how stored axes become nnU-Net's: its reader's order, then its plans'."""
        turn = Reorientation.identity(case.shape)
        if str(self._plans.plans["image_reader_writer"]).endswith(TURNS):
            turn = Reorientation.between(case.affine, case.shape, ("R", "A", "S"))
        order = image_axes(self._plans)
        x, y, z = (turn.axes[axis] for axis in order)
        a, b, c = (turn.flips[axis] for axis in order)
        return Reorientation((x, y, z), (a, b, c), case.shape)

    def to_stored(self, values: NDArray[np.float32], seen: Case, case: Case) -> NDArray[np.float32]:
        """Bring logits back by nnU-Net's own resampling, into the box that it had cropped to."""
        from acvl_utils.cropping_and_padding.bounding_boxes import insert_crop_into_image

        properties, turn = self._properties[seen], self.turn(case)
        logits = np.ascontiguousarray(replace(turn, shape=seen.shape).apply(values))
        if (logits == (half := logits.astype(np.float16))).all():
            logits = half  # as nnU-Net has them, and rounds them when it resamples
        spacing = [properties["spacing"][axis] for axis in self._plans.transpose_forward]
        cropped = self._configuration.resampling_fn_probabilities(
            logits,
            properties["shape_after_cropping_and_before_resampling"],
            self._configuration.spacing,
            spacing,
        )
        whole = np.zeros((len(values), *properties["shape_before_cropping"]), dtype=np.float32)
        whole[0 if self._labels.has_regions else 1 :] = IMPOSSIBLE
        box = properties["bbox_used_for_cropping"]
        whole = insert_crop_into_image(whole, np.asarray(cropped, dtype=np.float32), box)
        return np.ascontiguousarray(turn.invert(whole))

    def marked(
        self, logits: NDArray[np.floating[Any]], class_index: int
    ) -> tuple[float, NDArray[np.bool_]] | None:
        """Return where a class is the most probable of several that exclude each other."""
        if len(logits) < 3 or self._labels.has_regions:
            return None
        return DECIDED_AT, logits.argmax(axis=0) == class_index

    def blend(
        self, network: nn.Module, device: torch.device, image: torch.Tensor
    ) -> Generator[Progress[Any], None, tuple[int, torch.Tensor]]:
        """Run nnU-Net's own predictor over an image, window by window and fold by fold."""
        arguments = (self._plans, self._configuration, self._dataset, self._trainer)
        return predicted(members_of(network), image, device, self._mirrored, arguments)

    def notes(self, case: Case) -> tuple[str, ...]:
        """Say where the network ran, and what came back from there."""
        turn = self.turn(case)
        own = _in_stored_order(turn, [float(size) for size in self._configuration.spacing])
        done = "nnU-Net cropped the images to what is not 0 and normalised them"
        if np.allclose(own, case.spacing, rtol=1e-3):
            return (f"{done}.",)
        return (
            f"{done}, and resampled them from {size_words(case.spacing)} to {size_words(own)} mm; "
            "its own resampling brought the logits back.",
        )


def _in_stored_order(turn: Reorientation, values: Sequence[T]) -> tuple[T, T, T]:
    """Return values of the network's axes in the order of the stored ones."""
    x, y, z = (values[int(axis)] for axis in np.argsort(turn.axes))
    return x, y, z
