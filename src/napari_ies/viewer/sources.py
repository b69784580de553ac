"""Sources: what the viewer's images are, and the case they make together.

A source is taken from a layer on the GUI thread (only references, nothing is copied) and turned
into a case in the worker thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ies.errors import CaseError
from napari_ies.orientation import Reorientation
from napari_ies.viewer.frame import Frame
from napari_ies.viewer.reader import METADATA_KEY

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_ies.case import Case


@dataclass(frozen=True, eq=False)
class Source:
    """One viewer layer as a volume.

    Parameters
    ----------
    name
        The layer's name, for messages.
    displayed
        The layer's array, axes as displayed.
    scale, translate
        The layer's, in mm.
    path
        The file it was read from, or None.
    affine
        The affine of the stored array, or None for a layer that does not say.
    """

    name: str
    displayed: NDArray[Any]
    scale: tuple[float, float, float]
    translate: tuple[float, float, float]
    path: Path | None = None
    affine: NDArray[np.float64] | None = None

    @property
    def stored_affine(self) -> NDArray[np.float64]:
        """The affine of the stored array; of a layer that does not say, that of the display."""
        return _displayed_affine(self.scale, self.translate) if self.affine is None else self.affine

    @property
    def frame(self) -> Frame:
        """Where the stored grid lies in the viewer's world."""
        return Frame(self._reorientation, self.scale, self.translate)

    @property
    def stored(self) -> NDArray[Any]:
        """A view of the array with its axes as stored."""
        return self._reorientation.invert(self.displayed)

    @property
    def identity(self) -> tuple[object, ...]:
        """Equal for two sources that hold the same array at the same place."""
        return (str(self.path), id(self.displayed), self.scale, self.translate)

    @property
    def _reorientation(self) -> Reorientation:
        affine = self.stored_affine
        a, b, c = self.displayed.shape
        axes = Reorientation.for_display(affine, (a, b, c)).axes
        shape = [0, 0, 0]
        for displayed_size, axis in zip((a, b, c), axes, strict=True):
            shape[axis] = displayed_size
        return Reorientation.for_display(affine, (shape[0], shape[1], shape[2]))


def source_of(layer: Any) -> Source:
    """Describe an image or labels layer.

    Raises
    ------
    CaseError
        If the layer cannot be one patient's volume, in one sentence.
    """
    data = layer.data
    # A leading axis of length 1 is how other readers hand over a single volume.
    squeezed = data[0] if data.ndim == 4 and data.shape[0] == 1 else data
    if squeezed.ndim != 3 or getattr(layer, "rgb", False) or getattr(layer, "multiscale", False):
        raise CaseError(f"The layer {layer.name} is not a single 3-d volume; choose a 3-d image.")
    if not _axis_aligned(layer):
        raise CaseError(
            f"The layer {layer.name} is rotated or sheared in the viewer; open its NIfTI file "
            "with this panel instead."
        )
    known = layer.metadata.get(METADATA_KEY, {}) if isinstance(layer.metadata, Mapping) else {}
    path = known.get("path")
    affine = known.get("affine")
    a, b, c = (float(value) for value in layer.scale[-3:])
    i, j, k = (float(value) for value in layer.translate[-3:])
    return Source(
        name=str(layer.name),
        displayed=np.asarray(squeezed),
        scale=(a, b, c),
        translate=(i, j, k),
        path=None if path is None else Path(path),
        affine=None if affine is None else np.asarray(affine, dtype=np.float64),
    )


def assemble_case(sources: Mapping[str, Source]) -> Case:
    """Make a case of layers, one per sequence, in this order.

    Files are read anew, so that what is computed is what the file holds, with its hash; layers
    without a file are taken as they are.

    Raises
    ------
    CaseError
        If they do not belong together, in one sentence.
    """
    from napari_ies.case import load_case

    paths = {name: source.path for name, source in sources.items() if source.path is not None}
    if len(paths) == len(sources):
        return load_case(paths)
    return _case_of_arrays(sources)


def _case_of_arrays(sources: Mapping[str, Source]) -> Case:
    from napari_ies.case import Case

    first_name, first = next(iter(sources.items()))
    for name, source in sources.items():
        same = source.stored.shape == first.stored.shape and np.allclose(
            source.stored_affine, first.stored_affine, atol=1e-3
        )
        if not same:
            raise CaseError(
                f"The layers {first.name} and {source.name} do not lie on one grid; expected "
                f"{first_name} and {name} on the same one, so open both from their NIfTI files."
            )
        _check_finite(source)
    guessed = [source.name for source in sources.values() if source.affine is None]
    notes = (
        (
            f"The layer{'s' if len(guessed) > 1 else ''} {' and '.join(guessed)} did not say how "
            "the patient lies in it: its axes were taken as displayed, (inferior, posterior, "
            "left).",
        )
        if guessed
        else ()
    )
    return Case(
        sequences=tuple(sources),
        data=np.stack([np.asarray(s.stored, dtype=np.float32) for s in sources.values()]),
        affine=first.stored_affine,
        paths=tuple(source.path for source in sources.values()),
        notes=notes,
    )


def _check_finite(source: Source) -> None:
    values = source.displayed
    if np.issubdtype(values.dtype, np.complexfloating):
        raise CaseError(f"The layer {source.name} holds complex numbers; expected grey values.")
    if not np.isfinite(values).all():
        raise CaseError(
            f"The layer {source.name} holds values that are not finite numbers; replace them, "
            "for example by 0, first."
        )
    if values.min() == values.max():
        raise CaseError(
            f"Every voxel of the layer {source.name} has the same value; expected an MR image."
        )


def _displayed_affine(
    scale: tuple[float, float, float], translate: tuple[float, float, float]
) -> NDArray[np.float64]:
    affine = np.zeros((4, 4))
    for displayed_axis, patient_axis in enumerate((2, 1, 0)):
        affine[patient_axis, displayed_axis] = -scale[displayed_axis]
        affine[patient_axis, 3] = -translate[displayed_axis]
    affine[3, 3] = 1.0
    return affine


def _axis_aligned(layer: Any) -> bool:
    linear = np.asarray(layer.affine.linear_matrix)
    rotation = np.asarray(layer.rotate)
    return bool(
        np.allclose(linear, np.eye(len(linear)))
        and np.allclose(rotation, np.eye(len(rotation)))
        and np.allclose(layer.shear, 0)
        and np.allclose(layer.affine.translate, 0)
        and np.all(np.asarray(layer.scale[-3:]) > 0)
    )
