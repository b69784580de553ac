"""The formats of checkpoints, a module each, found by what a file or folder holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_ies.checkpoints.formats import exported, monai_bundle, nnunet, state_dict, torchscript
from napari_ies.checkpoints.formats.format import Format, sha256_of_files
from napari_ies.checkpoints.formats.monai_bundle import records
from napari_ies.errors import CheckpointError
from napari_ies.printable import printable
from napari_ies.regular_files import file_sha256, open_regular

if TYPE_CHECKING:
    from pathlib import Path

FORMATS: tuple[Format, ...] = (nnunet, monai_bundle, torchscript, exported, state_dict)
"""In the order in which they are asked; the last one takes what no other recognises."""


DESCRIPTIONS = (".json", ".yaml", ".yml")
"""Endings of texts that nnU-Net and MONAI write beside weights."""


def recognised(path: Path) -> Format | None:
    """Return the format that a file or folder shows to be in, or None: a state dict at most."""
    return next((one for one in FORMATS[:-1] if one.recognises(path)), None)


def format_of(path: Path) -> Format:
    """Return the format of a checkpoint's file or folder."""
    return recognised(path) or FORMATS[-1]


def refuse_part(path: Path) -> None:
    """Refuse what is only a part of a network's folder, where a person chose it alone.

    That is a text that describes a network beside its weights, and the weights of a bundle, whose
    configs say what images it takes. (The weights of an nnU-Net find their folder.) What is no
    text goes on, whatever its name.

    Raises
    ------
    CheckpointError
        With the folder to choose.
    """
    whole = path.absolute()
    bundle = whole.parent.parent
    if whole == bundle / records.MODEL and monai_bundle.recognises(bundle):
        raise CheckpointError(
            f"{path.name} holds only the weights of the MONAI bundle {printable(bundle.name)}, "
            "whose configs say how images are prepared for them: choose that folder "
            f"({printable(str(bundle))})."
        )
    if path.suffix.lower() not in DESCRIPTIONS or not _is_text(path):
        return
    for folder in list(whole.parents)[:2]:
        kind = recognised(folder)
        if kind is not None and whole in (one.absolute() for one in kind.files(folder).values()):
            name = printable(folder.name)
            raise CheckpointError(
                f"{path.name} only describes the network of the {kind.name} folder {name}: choose "
                f"that folder ({printable(str(folder))})."
            )
    expected = (
        "the results folder of nnU-Net v2, which holds fold_0/checkpoint_final.pth or others"
        if path.name in nnunet.DESCRIPTIONS
        else "a file of weights, the folder of an nnU-Net or of a MONAI bundle, or a list "
        'of several such as {"ensemble": ["a.pth", "b.pth"]}'
    )
    raise CheckpointError(
        f"{path.name} is a text and holds no weights of a network: choose {expected}."
    )


def _is_text(path: Path) -> bool:
    try:
        with open_regular(path) as file:
            head = file.read(1024)
    except (OSError, ValueError):
        return False
    return bool(head) and b"\0" not in head


def checkpoint_sha256(path: Path) -> str:
    """Return the SHA-256 in hexadecimal that a checkpoint is known by: of its file or files.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    files = format_of(path).files(path) if path.is_dir() else {}
    if not files:
        return file_sha256(path)
    return sha256_of_files({name: file_sha256(file) for name, file in files.items()})
