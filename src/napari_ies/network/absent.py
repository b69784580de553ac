"""A network that is known by name and hash only: it names itself, and computes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from napari_ies.errors import CheckpointError
from napari_ies.network.model import SegmentationModel
from napari_ies.network.profile import Blending, Profile

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


MOST_CLASSES = 10_000


def absent_model(
    name: str,
    file: str,
    sha256: str,
    path: Path | None,
    sequences: tuple[str, ...],
    facts: Mapping[str, Any],
) -> SegmentationModel:
    """Stand in for a network whose checkpoint is not loaded.

    Parameters
    ----------
    name, sha256, path
        Of the checkpoint.
    file
        What its file was called.
    sequences
        What it took as its input.
    facts
        What a sidecar of its results says: ``Checkpoint``, ``Normalisation``, ``Class``,
        ``Window``, ``Overlap``, ``Threshold``; and, unless an earlier version wrote it,
        ``BrainExtracted``, ``Activation``, ``Orientation``, ``Spacing``, ``Resample`` and, where it
        is not Gaussian, ``Blending``.

    Returns
    -------
    A model to be named in results; whatever computes with it ends in a `CheckpointError` that
    says which checkpoint is needed.

    Raises
    ------
    KeyError, TypeError, ValueError
        If a fact is missing or impossible.
    """
    import torch

    class AbsentNetwork(torch.nn.Module):
        absent: str

        def forward(self, *_: Any) -> Any:
            raise CheckpointError(self.absent)

    known = f" (SHA-256 {sha256[:12]}…)" if sha256 else ""
    sentence = (
        f"The network that found these lesions is not loaded; open its checkpoint {file}{known} to "
        "compute more."
    )
    try:
        profile = _profile(name, sequences, facts)
    except (AttributeError, IndexError, OverflowError) as error:
        raise ValueError(f"the facts of {name[:100]} are not possible") from error
    network = AbsentNetwork()
    network.absent = sentence
    return SegmentationModel(network, profile, torch.device("cpu"), path, sha256)


def is_lacking(absent: SegmentationModel, loaded: SegmentationModel) -> bool:
    """Whether a network is the one that an absent one stands for.

    It is of the same files, and the same was chosen of an nnU-Net folder.
    """
    chosen = [
        [one.profile.arguments.get(name) for name in ("folds", "checkpoint", "mirroring")]
        for one in (absent, loaded)
    ]
    return absent.sha256 == loaded.sha256 != "" and chosen[0] == chosen[1]


def _profile(name: str, sequences: tuple[str, ...], facts: Mapping[str, Any]) -> Profile:
    index = _index(facts)
    checkpoint = facts["Checkpoint"]
    x, y, z = (int(size) for size in facts["Window"])
    return Profile(
        name=name,
        architecture=str(checkpoint["Architecture"]),
        arguments=dict(checkpoint.get("Arguments", {})),
        sequences=sequences,
        classes=_classes(facts, index),
        explained_class=index,
        normalisation=str(facts["Normalisation"]),
        window=(x, y, z),
        overlap=float(facts["Overlap"]),
        threshold=float(facts["Threshold"]),
        weights=checkpoint.get("Weights"),
        guessed=tuple(str(text) for text in checkpoint.get("Guessed", ())),
        **_later_facts(facts),
    )


def _index(facts: Mapping[str, Any]) -> int:
    number = facts["Class"]["Index"]
    if isinstance(number, bool) or not 0 <= number < MOST_CLASSES:
        raise ValueError(f"there is no class {str(number)[:30]}")
    return int(number)


def _classes(facts: Mapping[str, Any], index: int) -> tuple[str, ...]:
    """Return the classes; earlier versions wrote the explained one alone."""
    classes = [str(name) for name in facts["Checkpoint"].get("Classes", ())]
    if not classes:
        classes = [f"class {number}" for number in range(max(index + 1, 2))]
        classes[index] = str(facts["Class"]["Name"])
    if classes[index] != str(facts["Class"]["Name"]):
        raise ValueError(f"class {index} is {classes[index]} and {facts['Class']['Name']}")
    return tuple(classes)


def _later_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a profile that earlier versions did not write, where they are there."""
    fields: dict[str, Any] = {}
    for field, key in (("brain_extracted", "BrainExtracted"), ("resample", "Resample")):
        if key in facts:
            fields[field] = bool(facts[key])
    if facts.get("Activation") is not None:
        if facts["Activation"] not in ("softmax", "sigmoid"):
            raise ValueError(f"the activation {facts['Activation']!r} is not known")
        fields["activation"] = facts["Activation"]
    if facts.get("Blending") is not None:
        if facts["Blending"] not in get_args(Blending):
            raise ValueError(f"the blending {facts['Blending']!r} is not known")
        fields["blending"] = facts["Blending"]
    if facts.get("Orientation") is not None:
        fields["orientation"] = str(facts["Orientation"])
    if facts.get("Spacing") is not None:
        x, y, z = (float(size) for size in facts["Spacing"])
        fields["spacing"] = (x, y, z)
    return fields


def why_absent(model: SegmentationModel) -> str:
    """Say which checkpoint a model needs before it can compute; empty if it can."""
    return str(getattr(model.network, "absent", ""))
