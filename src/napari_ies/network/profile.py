"""Profile: what has to be known about a network besides its weights."""

from __future__ import annotations

import math
from collections.abc import Mapping  # noqa: TC003 - what describes the fields is evaluated
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from napari_ies.errors import NoSuchClassError
from napari_ies.parameters import Parameter
from napari_ies.patient.normalisation import METHODS

Activation = Literal["softmax", "sigmoid"]
Blending = Literal["gaussian", "constant", "nnU-Net"]

DEFAULT_SPACING = (1.0, 1.0, 1.0)
"""Voxel size in mm that a network is taken to be trained on where nothing states it."""
ORIENTATION_IS_GUESSED = (
    "Which way the training images were stored is not in the file: each case is taken as it is "
    "stored."
)
SPACING_IS_GUESSED = (
    "The voxel size of the training images is not in the file: 1 × 1 × 1 mm is assumed."
)

MOST_IN_A_WINDOW = 2**30
"""Voxels of a window, 1024 along each axis: no network has run on more."""

_FOLLOWS: Any = None  # from other fields

_SPACING = Parameter(
    "The voxel size in mm that the network was trained on, along its axes, such as 1 × 1 × 1: the "
    "images are resampled to it for the network, and the results brought back; that takes longer. "
    "By default as the checkpoint says, else as stored, which resamples nothing.",
    label="Voxels",
    limits=(0.01, 100.0),
    offered=(0.1, 20.0),
    typed=True,
)
_ORIENTATION = Parameter(
    "How the network was trained to see the images: the directions that their three axes point "
    "to, such as LAS (left, anterior, superior). The images are turned to it exactly, and the "
    "results back. By default as the checkpoint says, else as stored.",
    label="Orientation",
    typed=True,
)
_THRESHOLD = Parameter(
    "Probability (0 to 1) above which a voxel counts as lesion; by default the checkpoint's own.",
    label="Threshold",
    why="a probability",
    limits=(0.0, 1.0),
    above=True,
    below=True,
    offered=(0.01, 0.99),
    step=0.05,
    decimals=2,
)
_SMALLEST_LESION = Parameter(
    name="smallest",
    help="Smallest lesion, in voxels: smaller groups are left out; by default as the checkpoint "
    "asks.",
    label="Smallest",
    limits=(1, math.inf),
    offered=(1, 100_000),
    unit=" vox",
)


_SEQUENCES = Parameter(
    "Names of the input channels, in order, such as FLAIR, T1.", label="Sequences", typed=True
)
_CLASSES = Parameter(
    "Names of the output channels, in order, such as background, lesion.",
    label="Classes",
    typed=True,
)
_EXPLAINED_CLASS = Parameter(
    "Class to find and to explain, by name or index (default: the network's).",
    name="class",
    label="Class to find",
    why="counted from 0 as the network's output channels are",
)
_NORMALISATION = Parameter(
    "How intensities become the network's input, each sequence on its own: mean 0 and standard "
    "deviation 1 over what is not background (zscore-nonzero) or over all voxels (zscore), 0 to 1 "
    "(minmax), the same from the percentiles 0.5 to 99.5 of what is not background "
    "(percentiles-nonzero), or as they are (none).",
    label="Normalisation",
    choices=dict(zip(METHODS, METHODS, strict=True)),
)
_BRAIN_EXTRACTED = Parameter(
    "Whether the network was trained on brains without skull.",
    label="Trained on brains without skull",
)
_ACTIVATION = Parameter(
    "What makes probabilities of the outputs: the softmax where they exclude each other, the "
    "sigmoid where they do not.",
    label="Outputs",
    choices={"softmax": "exclude each other (softmax)", "sigmoid": "each on its own (sigmoid)"},
)
_RESAMPLE = Parameter(
    "Whether the images are resampled to the voxel size that the network was trained on, and its "
    "results brought back; a difference is only said otherwise.",
    label="Run at that voxel size",
)
_WINDOW = Parameter(
    "Size of the sliding window in voxels, along the network's axes.",
    label="Window (voxels)",
    limits=(1, 4096),
    typed=True,
)
_OVERLAP = Parameter(
    "How much neighbouring windows overlap, as a fraction of the window.",
    label="Overlap",
    limits=(0.0, 1.0),
    below=True,
    offered=(0.0, 0.95),
    step=0.05,
    decimals=2,
)


class Guess(str):
    """A sentence on what was assumed of a network.

    Where results are stored it is the sentence alone; the rest is for whoever asks a person.

    Parameters
    ----------
    sentence
        What was assumed, and why that is a guess.
    field
        The field of a profile file that states it, such as ``"activation"``, or
        ``"arguments.strides"`` for an argument of the network's class.
    assumed
        Its value.
    candidates
        Values that the file fits as well, the assumed one first; empty where there is no end of
        them.
    """

    field: str
    assumed: Any
    candidates: tuple[Any, ...]

    def __new__(
        cls, sentence: str, field: str = "", assumed: Any = None, candidates: tuple[Any, ...] = ()
    ) -> Guess:
        """Make it of its sentence and what that is about."""
        made = super().__new__(cls, sentence)
        others = tuple(one for one in candidates if one != assumed)
        made.field, made.assumed = field, assumed
        made.candidates = (assumed, *others) if others else ()
        return made


def of_argument(
    name: str, sentence: str, assumed: Any = None, candidates: tuple[Any, ...] = ()
) -> Guess:
    """Make a guess on an argument of the network's class."""
    return Guess(sentence, f"arguments.{name}", assumed, candidates)


def class_named(text: str, profile: Profile) -> int:
    """Read a class that is given by name or index.

    Raises
    ------
    NoSuchClassError
        If the network has no such class.
    """
    if text in profile.classes:
        return profile.classes.index(text)
    if text.isdecimal() and int(text) < len(profile.classes):
        return int(text)
    known = ", ".join(f"{i} {name}" for i, name in enumerate(profile.classes))
    raise NoSuchClassError(
        f"There is no class {text}: the network has {known}; give one of these names or numbers."
    )


def finding(profile: Profile, text: str) -> Profile:
    """Return the profile of a network that is to find another of its classes; see `class_named`."""
    index = class_named(text, profile)
    guessed = (one for one in profile.guessed if getattr(one, "field", "") != "explained_class")
    return replace(profile, explained_class=index, guessed=tuple(guessed))


def finds_background(profile: Profile) -> str:
    """Return what is to be said where the class that is found is what is no lesion; else nothing.

    Returns
    -------
    A sentence with the classes to choose, or an empty string.
    """
    meant = profile.classes[profile.explained_class]
    others = [name for name in profile.classes if not _is_background(name)]
    if not _is_background(meant) or not others:
        return ""
    return (
        f"Careful: the class that is found and explained is {meant}, so that what is no lesion is "
        f"marked, and maps say what speaks for {meant}: choose "
        f"{' or '.join(others)} (--class, or explained_class in the profile) unless this is meant."
    )


def _is_background(name: str) -> bool:
    return name.strip().casefold() == "background"


def is_guessed(profile: Profile, field: str) -> bool:
    """Whether a field of a profile was assumed."""
    return any(getattr(one, "field", "") == field for one in profile.guessed)


def questions(guessed: tuple[str, ...]) -> tuple[Guess, ...]:
    """Return those of the guesses that a person may decide among candidates."""
    return tuple(one for one in guessed if isinstance(one, Guess) and one.candidates)


@dataclass(frozen=True)
class Profile:
    """How a network wants its input and how its output is to be read.

    Parameters
    ----------
    name
        Name of the checkpoint, for captions and file names.
    architecture
        Name of the class in `monai.networks.nets`, such as ``"UNet"``.
    arguments
        Keyword arguments of that class.
    sequences
        Names of the input channels, in order, such as ``("FLAIR", "T1")``.
    classes
        Names of the output channels, in order.
    explained_class
        Index of the class whose logit is explained.
    normalisation
        ``"zscore-nonzero"`` (mean 0, standard deviation 1 over the nonzero voxels, zeros stay
        zero), ``"zscore"`` (over all voxels), ``"minmax"`` (to [0, 1]) or ``"none"``; each
        sequence on its own; or a fixed range, see :class:`napari_ies.patient.normalisation.Range`.
    brain_extracted
        Whether the network was trained on brains without skull. Follows from `normalisation` if
        left out: only of such images are the nonzero voxels the brain.
    activation
        What makes probabilities of logits: ``"softmax"`` over the outputs, which exclude each
        other, or ``"sigmoid"`` of each output on its own. If left out, the sigmoid for a single
        output and the softmax for several.
    spacing
        Voxel size in mm of the images the network was trained on, or None if not known.
    resample
        Whether the network is run at `spacing`, whatever voxels the images have, and its results
        are brought back to the images' grid. A difference is only noted if False.
    orientation
        Axis codes of the images it was trained on, such as ``"LAS"``, or None to use each case
        as it is stored.
    window
        Size in voxels of the sliding window.
    overlap
        Overlap of neighbouring windows, as a fraction of the window.
    blending
        How much the outputs of overlapping windows count: ``"gaussian"``, most at a window's
        centre, ``"constant"``, alike, or ``"nnU-Net"``, by its Gaussian, in its windows.
    threshold
        Probability from which a voxel counts as lesion.
    smallest_lesion
        Smallest number of voxels an instance may have.
    divisor
        The sizes the network takes are multiples of these, one per axis.
    fixed_size
        The only size the network takes, or None if it takes any multiple of `divisor`.
    weights
        Which of several networks in the file this is, by the table or the start of the keys, such
        as ``"ema_state_dict"``; None if there was no choice.
    guessed
        What the file did not say and was filled in by the habits of the architecture's family:
        one plain sentence each.
    """

    name: str
    architecture: str
    arguments: Mapping[str, Any]
    sequences: Annotated[tuple[str, ...], _SEQUENCES]
    classes: Annotated[tuple[str, ...], _CLASSES] = ("background", "lesion")
    explained_class: Annotated[int, _EXPLAINED_CLASS] = 1
    normalisation: Annotated[str, _NORMALISATION] = "zscore-nonzero"
    brain_extracted: Annotated[bool, _BRAIN_EXTRACTED] = _FOLLOWS
    activation: Annotated[Activation, _ACTIVATION] = _FOLLOWS
    spacing: Annotated[tuple[float, float, float] | None, _SPACING] = None
    resample: Annotated[bool, _RESAMPLE] = False
    orientation: Annotated[str | None, _ORIENTATION] = None
    window: Annotated[tuple[int, int, int], _WINDOW] = (96, 96, 96)
    overlap: Annotated[float, _OVERLAP] = 0.25
    blending: Blending = "gaussian"
    threshold: Annotated[float, _THRESHOLD] = 0.3
    smallest_lesion: Annotated[int, _SMALLEST_LESION] = 6
    divisor: tuple[int, int, int] = (16, 16, 16)
    fixed_size: tuple[int, int, int] | None = None
    weights: str | None = None
    guessed: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        follow = {
            "brain_extracted": self.normalisation == "zscore-nonzero",
            "activation": "softmax" if len(self.classes) > 1 else "sigmoid",
        }
        for name, value in follow.items():
            if getattr(self, name) is _FOLLOWS:
                object.__setattr__(self, name, value)
