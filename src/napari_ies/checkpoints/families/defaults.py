"""The profile of a network: what its weights tell, what its family does, what a person said."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from napari_ies.checkpoints.known import known_network
from napari_ies.errors import CheckpointError
from napari_ies.network.profile import (
    MOST_IN_A_WINDOW,
    ORIENTATION_IS_GUESSED,
    SPACING_IS_GUESSED,
    Guess,
    Profile,
)
from napari_ies.patient.normalisation import BACKGROUND_IS_ZERO, METHODS
from napari_ies.printable import joined

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_ies.checkpoints.families.family import Family

_WINDOW = 96
_THRESHOLD = 0.5
_SEQUENCES = {1: ("FLAIR",), 2: ("FLAIR", "T1"), 3: ("FLAIR", "T1", "T2")}


def make_profile(
    name: str,
    family: Family,
    arguments: Mapping[str, Any],
    guessed: Mapping[str, str],
    stated: Mapping[str, Any],
    told: Mapping[str, Any],
    sha256: str = "",
) -> Profile:
    """Put the profile of a network of a family together.

    Parameters
    ----------
    name
        Name of the checkpoint.
    family, arguments
        The architecture and its arguments, complete.
    guessed, stated
        See `profile_of`.
    told
        Fields that the file tells; see `profile_of`.
    sha256
        The file's, by which a public network is known for sure.

    Raises
    ------
    CheckpointError
        In a clause, if a stated field does not fit the network.
    """
    takes = Takes(
        arguments["in_channels"],
        arguments["out_channels"],
        family.divisor(arguments),
        family.fixed_size(arguments),
    )
    if known := known_network(family.architecture, arguments):
        left = {k: v for k, v in guessed.items() if k not in known.arguments}
        guessed = {**left, **{k: v for k, v in known.said(sha256).items() if k not in told}}
        told = {**known.fields, **told}
    told = {**told, "architecture": family.architecture, "arguments": dict(arguments)}
    return profile_of(name, takes, told, guessed, stated, family.threshold)


@dataclass(frozen=True)
class Takes:
    """What a network takes and gives."""

    n_inputs: int
    """Channels."""
    n_outputs: int
    divisor: tuple[int, int, int]
    """The input's sizes are multiples of these."""
    fixed_size: tuple[int, int, int] | None = None
    """The only size of its input, or None."""


def profile_of(
    name: str,
    takes: Takes,
    told: Mapping[str, Any],
    guessed: Mapping[str, str],
    stated: Mapping[str, Any],
    threshold: float | None = None,
) -> Profile:
    """Put the profile of any network together.

    Parameters
    ----------
    name
        Name of the checkpoint.
    takes
        What the network takes and gives.
    told
        Fields that the checkpoint itself tells, the architecture and its arguments among them.
    guessed
        Sentences on what it does not tell, by field or argument.
    stated
        Fields that a person states; they hold, and nothing is said to be guessed about them. Of
        the architecture and its arguments those hold that are told.
    threshold
        The paper's for this architecture, if it has one.

    Raises
    ------
    CheckpointError
        In a clause, if a field does not fit the network.
    """
    n_inputs, n_outputs = takes.n_inputs, takes.n_outputs
    divisor, fixed_size = takes.divisor, takes.fixed_size
    known = {**told, **stated}
    fields: dict[str, Any] = {
        "name": name,
        "sequences": _SEQUENCES.get(n_inputs)
        or tuple(f"sequence {i + 1}" for i in range(n_inputs)),
        "classes": _class_names(n_outputs),
        "window": fixed_size or _default_window(divisor),
        "threshold": threshold or _THRESHOLD,
    }
    assumptions = {
        "sequences": f"The input sequences are taken to be {joined(fields['sequences'])}, in this "
        "order: the weights tell only how many there are.",
        "normalisation": Guess(
            "Each sequence is z-scored over its nonzero voxels, as in the paper.",
            *("normalisation", METHODS[0], METHODS),
        ),
        "brain_extracted": _skull(known.get("normalisation", METHODS[0])),
        "orientation": ORIENTATION_IS_GUESSED,
        "spacing": SPACING_IS_GUESSED,
        "threshold": f"The threshold {threshold} is the paper's for this architecture."
        if threshold
        else f"The threshold {_THRESHOLD} is the usual one: the paper has none for this "
        "architecture.",
    }
    if fixed_size is None:
        assumptions["window"] = (
            f"Windows of {_size(fields['window'])} voxels are the paper's, or the next larger size "
            "that the network takes: the size it was trained on is not in the file."
        )
    if n_outputs > 1:
        assumptions["activation"] = Guess(
            f"The {n_outputs} outputs are taken to exclude each other (softmax): the weights do "
            "not tell; a multi-label network takes the sigmoid.",
            *("activation", "softmax", ("softmax", "sigmoid")),
        )
    if n_outputs == 2:
        assumptions["classes"] = (
            "Output 0 is taken to be the background and output 1 the lesion: the weights do not "
            "tell which is what."
        )
    elif n_outputs > 2:
        assumptions["classes"] = (
            f"The names of the {n_outputs} classes ({joined(_class_names(n_outputs))}) are made "
            "up, with output 0 taken to be the background: the weights do not tell them."
        )
        assumptions["explained_class"] = Guess(
            f"Class 1 of {n_outputs} is explained: the weights do not tell which class is what.",
            *("explained_class", 1, tuple(range(n_outputs))),
        )
    usual = {k: v for k, v in assumptions.items() if k not in told and k not in guessed}
    assumptions = {**guessed, **usual}
    fields |= known | {k: told[k] for k in ("architecture", "arguments")}
    fields["explained_class"] = _explained_class(fields)
    _check(fields, n_inputs, n_outputs, divisor, fixed_size)
    assumptions = {
        key: Guess(text, key, fields.get(key))
        if key in Profile.__annotations__ and not isinstance(text, Guess)
        else text
        for key, text in assumptions.items()
    }
    return Profile(
        divisor=divisor,
        fixed_size=fixed_size,
        guessed=tuple(text for key, text in assumptions.items() if key not in stated),
        **fields,
    )


def _skull(normalisation: str) -> Guess:
    extracted = normalisation in BACKGROUND_IS_ZERO
    said = (
        "The training images are taken to be brain-extracted, since only then are the nonzero "
        "voxels the brain."
        if extracted
        else "The training images are taken to show the whole head: the file does not tell."
    )
    return Guess(said, "brain_extracted", extracted, (True, False))


def _class_names(number: int) -> tuple[str, ...]:
    """Return the class names; a single output is the lesion's, its probability the sigmoid."""
    if number == 1:
        return ("lesion",)
    if number == 2:
        return ("background", "lesion")
    return ("background", *(f"class {i}" for i in range(1, number)))


def _default_window(divisor: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return 96 voxels per axis, or the next larger size that the network takes."""
    x, y, z = (-(-_WINDOW // size) * size for size in divisor)
    return (x, y, z)


def _explained_class(fields: Mapping[str, Any]) -> int:
    """Return the index of the stated class, else of the one called lesion, else 1 (0 if alone)."""
    classes: tuple[str, ...] = fields["classes"]
    stated = fields.get("explained_class")
    if stated is None:
        return classes.index("lesion") if "lesion" in classes else min(1, len(classes) - 1)
    if isinstance(stated, str) and stated in classes:
        return classes.index(stated)
    if isinstance(stated, int) and stated < len(classes):
        return stated
    raise CheckpointError(
        f"explained_class is {stated!r}, expected one of the classes {joined(classes)}, or an "
        f"index from 0 to {len(classes) - 1}"
    )


def _check(
    fields: Mapping[str, Any],
    n_inputs: int,
    n_outputs: int,
    divisor: tuple[int, int, int],
    fixed_size: tuple[int, int, int] | None,
) -> None:
    sequences, classes, window = fields["sequences"], fields["classes"], fields["window"]
    if len(sequences) != n_inputs:
        raise CheckpointError(
            f"sequences has {len(sequences)} names ({joined(sequences)}), expected {n_inputs}, one "
            "for each input channel of the network"
        )
    if len(classes) != n_outputs:
        raise CheckpointError(
            f"classes has {len(classes)} names ({joined(classes)}), expected {n_outputs}, one for "
            "each output channel of the network"
        )
    if prod(window) > MOST_IN_A_WINDOW:
        raise CheckpointError(
            f"window is {_size(window)}, {prod(window):.0e} voxels in all, expected at most "
            f"{MOST_IN_A_WINDOW:,}: the size of the windows that the network was trained on"
        )
    if fixed_size and window != fixed_size:
        raise CheckpointError(
            f"window is {_size(window)}, expected {_size(fixed_size)}, the only size that this "
            "network takes"
        )
    if n_outputs == 1 and fields.get("activation") == "softmax":
        raise CheckpointError(
            'activation is "softmax", expected "sigmoid": the network has a single output, whose '
            "softmax is 1 everywhere"
        )
    if fields.get("resample") and fields.get("spacing") is None:
        raise CheckpointError(
            "resample is true without a spacing, expected the voxel size in mm that the network is "
            "to be run at"
        )
    if any(edge % size for edge, size in zip(window, divisor, strict=True)):
        raise CheckpointError(
            f"window is {_size(window)}, expected multiples of {_size(divisor)}, the total stride "
            "of the network"
        )


def _size(voxels: tuple[int, ...]) -> str:
    return "×".join(map(str, voxels))
