"""What MONAI's own transforms make of a case, and how their inverse brings results back."""

from __future__ import annotations

import math
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import torch

from napari_ies.checkpoints.formats.monai_bundle.chain import JOINS, SPATIAL, Chain, Step, WayBack
from napari_ies.errors import SegmentationError
from napari_ies.free_memory import is_out_of_memory, lacking
from napari_ies.geometry.grid import size_words
from napari_ies.geometry.orientation import Reorientation
from napari_ies.printable import joined

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_ies.patient.case import Case

_SMALLEST = 1e-37
"""Probabilities below it are taken for it, so that they have a logarithm."""


@dataclass(frozen=True, eq=False)
class _Moved:
    """What was done to one case."""

    images: Any
    """By key, after all transforms: MONAI's record of what it did lies in them; no voxels."""
    boxes: tuple[Any, ...]
    """First and last corner of each crop to the foreground."""


@dataclass(frozen=True)
class MONAIPreparation:
    """MONAI's own transforms before a network, and their inverse after it.

    Parameters
    ----------
    chain
        The transforms.
    back
        What is done afterwards.
    orientation
        Axis codes that they turn the images to, or None.
    spacing
        The voxel size in mm along those axes that they resample to, or None.
    sigmoid
        Whether the network's outputs do not exclude each other.
    """

    chain: Chain
    back: WayBack
    orientation: str | None
    spacing: tuple[float, float, float] | None
    sigmoid: bool
    _moved: WeakKeyDictionary[Case, _Moved] = field(
        default_factory=WeakKeyDictionary, init=False, repr=False, compare=False
    )
    blend = None

    @property
    def normalises(self) -> bool:
        """Whether the intensities of the case that it makes are what the network gets."""
        return self.chain.normalises

    @property
    def steps(self) -> tuple[str, ...]:
        """MONAI's transforms, in their order."""
        return tuple(f"MONAI's {one.name}" for one in self.chain.steps)

    def network_case(self, case: Case, statistics: Case | None) -> Case:
        """Return what MONAI makes of a case, on the grid that it lies on."""
        if self.normalises and statistics is not None:
            raise SegmentationError(
                "Changed images (what-if, context) are not computed with this bundle: its "
                f"{self._named(spatial=False)} would scale them anew, so that every voxel changes; "
                "choose another network for them."
            )
        images = self._loaded(case)
        boxes = [] if statistics is None else list(self._moved[statistics].boxes)
        foreground = list(boxes)
        for step in self.chain.steps:
            self._check_size(step, images, case)
            with _told(step):
                if step.name == "CropForeground":
                    box = foreground.pop(0) if foreground else _foreground(step, images)
                    images = _cropped(step, images, box)
                    boxes += [] if statistics is not None else [box]
                else:
                    images = step.transform(images)
            if any(0 in image.shape for image in images.values()):
                raise SegmentationError(
                    f"MONAI's {step.name} leaves nothing of the images: check that they are the "
                    "ones that the bundle is for."
                )
        result = images[self.chain.result]
        affine = self._stored_affine(case, result)
        shape = _in_stored_order(self.turn(case), [int(size) for size in result.shape[1:]])
        turn = replace(self.turn(case), shape=shape)
        seen = replace(
            case,
            data=np.ascontiguousarray(turn.invert(result.numpy().astype(np.float32, copy=False))),
            affine=affine,
            backgrounds=(None,) * len(case.sequences),  # as MONAI's: what is 0
            normalised_as=statistics,
        )
        self._moved[seen] = _Moved(_emptied(images), tuple(boxes))
        return seen

    def turn(self, case: Case) -> Reorientation:
        """Return how stored axes become those that MONAI turns to."""
        if self.orientation is None:
            return Reorientation.identity(case.shape)
        return Reorientation.between(case.affine, case.shape, tuple(self.orientation))

    def to_stored(self, values: NDArray[np.float32], seen: Case, case: Case) -> NDArray[np.float32]:
        """Bring logits back so that their probability is what MONAI's inverse brings back.

        Where it is probabilities that the bundle brings back, they are the logarithms of these.
        """
        logits = torch.from_numpy(np.ascontiguousarray(self.turn(seen).apply(values)))
        if not self.back.probabilities:
            known = torch.ones_like(logits[:1])
            back = self._inverted(torch.cat([logits, known]), seen)
            outside = back[-1] < 0.5
            back = back[:-1]
            back[:, outside] = math.log(_SMALLEST)
            if not self.sigmoid:
                back[0, outside] = 0
            return back.numpy()
        if self.sigmoid:
            shares = self._inverted(torch.cat([logits.sigmoid(), (-logits).sigmoid()]), seen)
            there, absent = shares.chunk(2)
            absent = absent + (1 - there - absent).clamp_min(0)
            return (_logarithm(there) - _logarithm(absent)).numpy()
        total = logits.logsumexp(dim=0, keepdim=True)
        back = self._inverted(torch.cat([logits.softmax(dim=0), total]), seen)
        shares, total = back[:-1], back[-1:]
        # What lies outside of the network's space is background.
        shares[0] += (1 - shares.sum(dim=0)).clamp_min(0)
        return (_logarithm(shares) + total).numpy()

    def marked(
        self, logits: NDArray[np.floating[Any]], class_index: int
    ) -> tuple[float, NDArray[np.bool_]] | None:
        """Return nothing: what lies above the threshold is marked."""
        return None

    @property
    def own(self) -> Mapping[str, str]:
        """What the bundle's own transforms do, where they scale intensities in a way of theirs."""
        if not self.normalises:
            return {}
        size = "as stored" if self.spacing is None else f"{size_words(self.spacing)} mm"
        return {
            "normalisation": f"MONAI's {self._named(spatial=False)}",
            "orientation": self.orientation or "as stored",
            "spacing": size if self.spacing is None else f"{size}; MONAI resamples to that",
        }

    @property
    def choices(self) -> Mapping[str, Sequence[str]]:
        """Nothing."""
        return {}

    def notes(self, case: Case) -> tuple[str, ...]:
        """Say what MONAI does to this case, and what comes back."""
        done = f"MONAI's own transforms ({self._named()}) made the network's input"
        turn = self.turn(case)
        own = None if self.spacing is None else _in_stored_order(turn, self.spacing)
        if own is not None and not np.allclose(own, case.spacing, rtol=1e-3):
            done += f", at {size_words(own)} mm instead of {size_words(case.spacing)} mm"
        kind = "probabilities" if self.back.probabilities else "logits"
        how = ", each voxel from the nearest" if self.back.nearest else ""
        return (f"{done}; {kind} came back by their inverse{how}.",)

    def _named(self, *, spatial: bool = True) -> str:
        steps = [s.name for s in self.chain.steps if spatial or s.name not in SPATIAL]
        return joined([name for name in dict.fromkeys(steps) if name != JOINS])

    def _loaded(self, case: Case) -> dict[str, Any]:
        """Return the images as MONAI's reader gives them."""
        from monai.data import MetaTensor

        keys, affine = self.chain.keys, torch.from_numpy(np.array(case.affine, dtype=float))
        parts = [case.data] if len(keys) == 1 else [volume[None] for volume in case.data]
        if len(parts) != len(keys):
            raise SegmentationError(
                f"The bundle takes the sequences {joined(keys)}, the case has "
                f"{joined(case.sequences)}: give it one image for each."
            )
        return {
            key: MetaTensor(torch.from_numpy(np.array(part, order="C")), affine=affine)
            for key, part in zip(keys, parts, strict=True)
        }

    def _check_size(self, step: Step, images: dict[str, Any], case: Case) -> None:
        """Refuse what no memory holds."""
        image = next(iter(images.values()))
        size = np.linalg.norm(image.affine.numpy()[:3, :3], axis=0)
        edges = step.edges(tuple(image.shape[1:]), tuple(size))
        if lack := lacking(4 * (3 * len(case.sequences) + 1) * math.prod(edges)):
            raise SegmentationError(
                f"After MONAI's {step.name} the images would have {' × '.join(map(str, edges))} "
                f"voxels, which {lack}."
            )

    def _stored_affine(self, case: Case, image: Any) -> NDArray[np.float64]:
        """Return where voxels lie, with the axes as they are stored."""
        turn, turned = self.turn(case), np.eye(4)
        turned[:3, :3] = 0
        for axis, (stored, flip) in enumerate(zip(turn.axes, turn.flips, strict=True)):
            turned[axis, stored] = -1 if flip else 1
            turned[axis, 3] = image.shape[1 + axis] - 1 if flip else 0
        affine = np.asarray(image.affine.numpy(), dtype=float) @ turned
        there = (np.linalg.inv(case.affine) @ affine)[:3, :3]
        sizes = np.diag(there)
        if sizes.min() <= 0 or np.abs(there - np.diag(sizes)).max() > 1e-3 * sizes.min():
            raise SegmentationError(
                f"MONAI's transforms ({self._named()}) bring these images to other axes than their "
                "own, from where no map comes back: resample the images to axes at right angles "
                "first, or choose another network."
            )
        return affine

    def _inverted(self, values: torch.Tensor, seen: Case) -> torch.Tensor:
        """Bring values (…, x, y, z) to the stored grid, by MONAI's inverse."""
        from monai.data import MetaTensor
        from monai.transforms import Compose, Invertd

        if not (key := self.chain.moved):
            return values
        chain = Compose([step.transform for step in self.chain.spatial])
        images = self._moved[seen].images
        invert = Invertd("pred", chain, orig_keys=key, nearest_interp=self.back.nearest)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data = invert({"pred": MetaTensor(values), key: images[key]})
        return torch.as_tensor(data["pred"].as_tensor(), dtype=torch.float32)


def _logarithm(shares: torch.Tensor) -> torch.Tensor:
    return shares.clamp_min(_SMALLEST).log()


def _foreground(step: Step, images: dict[str, Any]) -> Any:
    source = images[step.transform.source_key]
    return step.transform.cropper.compute_bounding_box(img=source)


def _cropped(step: Step, images: dict[str, Any], box: Any) -> dict[str, Any]:
    """Crop to a box, as `CropForegroundd` does; that of a changed case is the original's."""
    found, transform = dict(images), step.transform
    for key, mode in transform.key_iterator(found, transform.mode):
        first, last = box
        found[key] = transform.cropper.crop_pad(found[key], first, last, mode=mode, lazy=False)
    return found


def _emptied(images: dict[str, Any]) -> dict[str, Any]:
    """Return images without their voxels, but with what MONAI knows of them."""
    from monai.data import MetaTensor

    return {
        key: MetaTensor(
            torch.zeros(1, 1, 1, 1), meta=image.meta, applied_operations=image.applied_operations
        )
        for key, image in images.items()
    }


def _in_stored_order(turn: Reorientation, values: Any) -> Any:
    """Return values of the network's axes in the order of the stored ones."""
    return tuple(values[int(axis)] for axis in np.argsort(turn.axes))


@contextmanager
def _told(step: Step) -> Iterator[None]:
    """Make a sentence of what MONAI says."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    # Its arguments are whatever an author wrote.
    except Exception as error:
        if is_out_of_memory(error):
            raise
        said = " ".join(str(error)[:200].split()).rstrip(".") or type(error).__name__
        raise SegmentationError(
            f"MONAI's {step.name} cannot be done to these images ({said}): check that they are the "
            "ones that the bundle is for."
        ) from error
