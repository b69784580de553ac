"""The profile of an nnU-Net network: all of it is in its plans and its dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ies.checkpoints.families.defaults import Takes, profile_of
from napari_ies.checkpoints.formats.nnunet.axes import along_image
from napari_ies.checkpoints.known import known_network
from napari_ies.checkpoints.profile_file import LARGEST_WINDOW
from napari_ies.errors import CheckpointError
from napari_ies.network.profile import Guess, Profile, of_argument
from napari_ies.network.trained_grid import LARGEST_VOXEL, SMALLEST_VOXEL, VOXEL_SIZES
from napari_ies.printable import joined, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_ies.checkpoints.formats.nnunet.folder import Folder

STATED = ("name", "sequences", "classes", "explained_class", "threshold", "smallest_lesion")
"""What a person may say beside the plans: what is called how, and what counts as a lesion."""
CHOSEN = ("folds", "checkpoint", "mirroring", "configuration")
"""Arguments that choose among what the folder holds."""
_FOLDS = 5
"""How many nnU-Net trains by default, 0 to 4."""


def make_profile(
    folder: Folder,
    chosen: Mapping[str, Any],
    stated: Mapping[str, Any],
    manager: Any,
    dataset: Mapping[str, Any],
    configuration: Any,
    configuration_name: str,
    trainer: str,
    digests: Sequence[str],
    inputs: int,
    mirrors: int,
) -> Profile:
    """Put a profile together.

    Parameters
    ----------
    folder
        Where the network lies.
    chosen
        Which folds, checkpoint and mirroring, as they are used.
    stated
        Fields that a profile file sets.
    manager, configuration
        nnU-Net's own plans and configuration.
    dataset
        What ``dataset.json`` says.
    configuration_name
        Such as ``"3d_fullres"``.
    trainer
        Name of the class that trained it.
    digests
        SHA-256 of the folds' checkpoints.
    inputs
        Number of input channels.
    mirrors
        How many mirror images of a window the network sees, the window itself among them.

    Raises
    ------
    CheckpointError
        If a stated field is not a person's to say, or does not fit the network.
    """
    if wrong := [name for name in stated.get("arguments", {}) if name not in CHOSEN]:
        raise CheckpointError(
            f"The profile of {folder.top.name} states the arguments {joined(wrong)}, expected "
            f"{joined(CHOSEN)}."
        )
    regions = manager.get_label_manager(dataset).has_regions
    classes = class_names(dataset["labels"], regions)
    explained = _lesion(classes, regions)
    _check_axes(folder, manager)
    strides = configuration.network_arch_init_kwargs.get("strides")
    window, voxels = configuration.patch_size, configuration.spacing
    _check_sizes(
        *(folder, "patch_size", window, (1, LARGEST_WINDOW)),
        f"three numbers of voxels, at most {LARGEST_WINDOW}",
    )
    _check_sizes(
        *(folder, "spacing", voxels, (SMALLEST_VOXEL, LARGEST_VOXEL)),
        f"three sizes in mm, {VOXEL_SIZES}",
    )
    patch = _three(window)
    divisor = patch if strides is None else _three(np.prod(np.array(strides), axis=0))
    x, y, z = along_image(manager, [float(size) for size in configuration.spacing])
    told: dict[str, Any] = {
        "architecture": str(configuration.network_arch_class_name).rsplit(".", 1)[-1],
        "arguments": {**chosen, "configuration": configuration_name},
        "sequences": _sequences(dataset, inputs),
        "classes": classes,
        "explained_class": explained,
        "normalisation": f"nnU-Net's {joined(dict.fromkeys(configuration.normalization_schemes))}",
        "brain_extracted": False,
        "activation": "sigmoid" if regions else "softmax",
        "spacing": (x, y, z),
        "resample": False,
        "orientation": None,
        "window": patch,
        "overlap": 0.5,
        "blending": "nnU-Net",
        "threshold": 0.5,
        "smallest_lesion": 1,
    }
    by = {"trainer": trainer, "configuration": configuration_name}
    known = known_network(f"nnU-Net {manager.dataset_name}", by)
    if known and inputs == len(known.fields["sequences"]):
        told |= known.fields
    else:
        known = None
    said = [name for name in stated if name not in (*STATED, "arguments")]
    if wrong := [name for name in said if stated[name] != told.get(name)]:
        raise CheckpointError(
            f"The profile of {folder.top.name} states {joined(wrong)} otherwise than its plans: "
            f"leave that out, and state only {joined(STATED)} or arguments."
        )
    guessed: dict[str, str] = dict(known.said(*digests)) if known else {}
    if len(classes) > (1 if regions else 2):
        kind = "regions" if regions else "classes"
        guessed["explained_class"] = (
            f"{classes[explained]} is explained, one of the {kind} {joined(classes)}."
        )
    without = folder.folds_without(str(chosen["checkpoint"])) if folder.fold is None else []
    if without and "folds" not in stated.get("arguments", {}):
        guessed["arguments"] = (
            f"{joined(without)} without {chosen['checkpoint']}: left out of the average."
        )
    if (absent := _absent(folder, chosen["folds"])) and "folds" not in stated.get("arguments", {}):
        guessed["absent"] = absent
    guessed |= _choices(folder, chosen, mirrors, stated.get("arguments", {}))
    takes = Takes(inputs, len(classes), divisor, patch if strides is None else None)
    name = f"{manager.dataset_name} {configuration_name}"
    try:
        return profile_of(name, takes, told, guessed, stated)
    except CheckpointError as error:
        raise CheckpointError(f"The profile of {folder.top.name} does not fit: {error}.") from error


def _absent(folder: Folder, folds: Sequence[str]) -> str:
    """Say which folds of a training are not there, as far as that can be told."""
    numbers = {int(fold) for fold in folds if fold != "all"}
    lacking = sorted({*range(_FOLDS), *range(max(numbers, default=0))} - numbers)
    if folder.fold is not None or not numbers or not lacking:
        return ""
    there = f"folds {joined(folds)} are" if len(folds) > 1 else f"fold {folds[0]} alone is"
    what = f"folds {joined(map(str, lacking))}" if len(lacking) > 1 else f"fold {lacking[0]}"
    gap = any(min(numbers) < one < max(numbers) for one in lacking)
    return (
        f"Of the training's folds, {there} used: {what} {'are' if len(lacking) > 1 else 'is'} not "
        f"there. nnU-Net trains {_FOLDS} unless it is told otherwise, and averages all"
        f"{'; one in between is missing, so copy the folder again' if gap else ''}."
    )


def _choices(
    folder: Folder, chosen: Mapping[str, Any], mirrors: int, stated: Mapping[str, Any]
) -> dict[str, Guess]:
    """Return what is taken as nnU-Net takes it and takes longer than need be."""
    found, folds = {}, chosen["folds"]
    if "folds" not in stated and folder.fold is None and len(folds) > 1:
        others = [[fold] for fold in folds]
        found["folds"] = of_argument(
            "folds",
            f"{len(folds)} folds are averaged, as nnU-Net does; one of them takes "
            f"{_fraction(len(folds))} of the time.",
            *(list(folds), (list(folds), *others)),
        )
    if "mirroring" not in stated and mirrors > 1:
        found["mirroring"] = of_argument(
            "mirroring",
            f"Each window is seen in {mirrors} mirror images, as nnU-Net does; without mirroring "
            f"it takes {_fraction(mirrors)} of the time.",
            *(True, (True, False)),
        )
    return found


def _fraction(parts: int) -> str:
    names = {2: "half", 3: "a third", 4: "a quarter", 5: "a fifth", 8: "an eighth"}
    return names.get(parts, f"1/{parts}")


def class_names(labels: Mapping[str, Any], regions: bool) -> tuple[str, ...]:
    """Return the names of a network's outputs, in nnU-Net's order.

    Those of labels are in the order of their numbers, those of regions in that of the dataset;
    what is to be ignored has none, and neither has the background of regions.
    """
    numbers = {
        str(name): tuple(np.atleast_1d(np.asarray(value)).astype(int).tolist())
        for name, value in labels.items()
        if name != "ignore"
    }
    if regions:
        return tuple(printable(name) for name, parts in numbers.items() if set(parts) != {0})
    names = {part: name for name, parts in numbers.items() for part in parts}
    return tuple(printable(names[number]) for number in sorted(names))


def _sequences(dataset: Mapping[str, Any], inputs: int) -> tuple[str, ...]:
    said = dataset.get("channel_names", dataset.get("modality", {}))
    names = [printable(str(said.get(str(i), f"sequence {i + 1}"))) for i in range(inputs)]
    return tuple(
        name if names.count(name) == 1 else f"{name} {i + 1}" for i, name in enumerate(names)
    )


def _lesion(classes: Sequence[str], regions: bool) -> int:
    named = [i for i, one in enumerate(classes) if "lesion" in one.lower()]
    return named[0] if named else 0 if regions else min(1, len(classes) - 1)


def _three(values: Any) -> tuple[int, int, int]:
    x, y, z = (int(value) for value in values)
    return x, y, z


def _check_axes(folder: Folder, manager: Any) -> None:
    """Refuse plans that turn the images otherwise than by an order of the axes and its inverse."""
    there, back = manager.transpose_forward, manager.transpose_backward
    listed = isinstance(there, (list, tuple)) and isinstance(back, (list, tuple))
    if (
        not listed
        or not (sorted(there) == sorted(back) == [0, 1, 2])
        or any(back[axis] != place for place, axis in enumerate(there))
    ):
        said = printable(f"{there} and {back}")
        raise CheckpointError(
            f"The plans.json of {folder.top.name} says the orders of axes {said} there and back, "
            "expected two of 0, 1 and 2 that undo each other: copy it again from where the network "
            "was trained."
        )


def _check_sizes(
    folder: Folder, what: str, sizes: Any, ends: tuple[float, float], expected: str
) -> None:
    """Refuse a plan whose window or voxels are no three sizes between the least and the most."""
    least, most = ends
    listed = sizes if isinstance(sizes, (list, tuple)) else []
    known = [one for one in listed if isinstance(one, (int, float)) and least <= one <= most]
    if len(listed) != 3 or len(known) != 3:
        raise CheckpointError(
            f"The plans.json of {folder.top.name} says a {what} of {printable(str(sizes))}, "
            f"expected {expected}: copy it again from where the network was trained."
        )
