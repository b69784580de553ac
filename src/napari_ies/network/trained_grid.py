"""The grid a network was trained on, as a person states it: orientation and voxel size."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_ies.errors import CheckpointError
from napari_ies.network.profile import ORIENTATION_IS_GUESSED, SPACING_IS_GUESSED, Profile
from napari_ies.parameters import parameters_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_ies.network.model import SegmentationModel

AS_STORED = "as stored"
"""States that nothing is turned, or resampled, whatever the profile says."""

SMALLEST_VOXEL, LARGEST_VOXEL = parameters_of(Profile)["spacing"].limits
"""Edges in mm of voxels that an image of a body has."""
VOXEL_SIZES = f"from {SMALLEST_VOXEL:g} to {LARGEST_VOXEL:g}"

_AXES = ({"R", "L"}, {"A", "P"}, {"S", "I"})


def with_geometry(
    model: SegmentationModel,
    orientation: str | None = None,
    spacing: Sequence[float] | str | None = None,
) -> SegmentationModel:
    """Say which grid a network was trained on.

    Parameters
    ----------
    model
        The network. It stays as it is and is shared, with what has been derived from it.
    orientation
        Axis codes of the images it was trained on, such as ``"LAS"``: each case is turned to them,
        exactly. None leaves what the profile says; ``"as stored"`` turns nothing.
    spacing
        Voxel size in mm, one for each of those axes: the network is run on voxels of that size.
        None leaves what the profile says; ``"as stored"`` resamples nothing.

    Returns
    -------
    The same network with a profile that says so and calls it guessed no more.

    Raises
    ------
    CheckpointError
        If these are no axis codes, or no three voxel sizes, or `has_own_grid`.
    """
    if model.preparation is not None and (orientation, spacing) != (None, None):
        if has_own_grid(model):
            raise CheckpointError(
                f"{model.profile.name} says itself which orientation and voxel size it wants: "
                "leave both as they are."
            )
        model = replace(model, preparation=None)  # a person's grid takes its place
    profile = stated_geometry(model.profile, orientation, spacing)
    return model if profile is model.profile else model.with_profile(profile)


def has_own_grid(model: SegmentationModel) -> bool:
    """Whether a network's own preparation does more than bring images to another grid."""
    tool = model.preparation
    return tool is not None and (tool.normalises or tool.blend is not None)


def stated_geometry(
    profile: Profile, orientation: str | None, spacing: Sequence[float] | str | None
) -> Profile:
    """Return a profile with another orientation or spacing; see `with_geometry`."""
    if orientation is not None:
        stored = orientation == AS_STORED
        profile = replace(
            profile,
            orientation=None if stored else _checked_orientation(orientation),
            guessed=tuple(text for text in profile.guessed if text != ORIENTATION_IS_GUESSED),
        )
    if isinstance(spacing, str) and spacing == AS_STORED:
        profile = replace(profile, resample=False)
    elif spacing is not None:
        profile = replace(
            profile,
            spacing=_checked_spacing(spacing),
            resample=True,
            guessed=tuple(text for text in profile.guessed if text != SPACING_IS_GUESSED),
        )
    return profile


def is_orientation(text: str) -> bool:
    """Return whether a text names one direction of each axis, such as ``"LAS"``."""
    return len(text) == 3 and all(len(axis & set(text)) == 1 for axis in _AXES)


def is_voxel_size(value: float) -> bool:
    """Return whether a number can be the edge of a voxel in mm."""
    return SMALLEST_VOXEL <= value <= LARGEST_VOXEL


def _checked_orientation(text: str) -> str:
    codes = text.strip().upper() if isinstance(text, str) else ""
    if not is_orientation(codes):
        raise CheckpointError(
            f"The orientation is {text!r}, expected three axis codes, one each of R or L, A or P, "
            "S or I, such as LAS."
        )
    return codes


def _checked_spacing(values: Sequence[float] | str) -> tuple[float, float, float]:
    try:
        sizes = [float(value) for value in values]
    except (TypeError, ValueError, OverflowError):
        sizes = []
    if len(sizes) != 3 or not all(map(is_voxel_size, sizes)):
        raise CheckpointError(
            f"The voxel size is {values!r}, expected three sizes in mm above 0, {VOXEL_SIZES}, "
            "such as 1 1 1."
        )
    x, y, z = sizes
    return (x, y, z)
