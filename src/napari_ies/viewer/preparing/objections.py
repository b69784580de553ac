"""What speaks against the chosen images, said in the panel before they are segmented."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from napari_ies.patient.sequence_names import contradicted, names_a_mask
from napari_ies.viewer.volumes.layer_data import file_of, made_here

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def objections(
    chosen: Mapping[str, Any], equal: Mapping[str, Sequence[Any]], reference: Any | None
) -> tuple[str, ...]:
    """Say in plain sentences what a person should look at before relying on the choice.

    Parameters
    ----------
    chosen
        The layer of each sequence.
    equal
        By sequence the layers that were passed over for no reason but their order.
    reference
        The layer of the reference mask, or None.
    """
    said, own = [], set()
    for sequence, layer in chosen.items():
        if made_here(layer):
            own.add(sequence)
            said.append(
                f"{layer.name} is given as {sequence}, but is a result of napari-ies and no image "
                f"of the patient; choose the {sequence} that was scanned."
            )
        elif names_a_mask(layer.name):
            own.add(sequence)
            said.append(
                f"{layer.name} is given as {sequence}, but its name is that of a mask or map; "
                "check that it is an image."
            )
    files = {sequence: _named(layer) for sequence, layer in chosen.items() if sequence not in own}
    said += [note.replace("; it was taken as given, so", ";") for note in contradicted(files)]
    for sequence, others in equal.items():
        if sequence in chosen and others:
            names = ", ".join(str(layer.name) for layer in others)
            said.append(
                f"{chosen[sequence].name} was taken as {sequence} by its place alone: {names} may "
                "be it as well, so choose the one that is meant."
            )
    if reference is not None and made_here(reference):
        said.append(
            f"The reference {reference.name} is a result of napari-ies: matched with itself, it "
            "says nothing; choose an expert's mask."
        )
    return tuple(said)


def _named(layer: Any) -> PurePath:
    """Return what a layer is called: its file, or its name where it has none or another one."""
    file = file_of(layer)
    return PurePath(str(layer.name)) if file is None else Path(file)
