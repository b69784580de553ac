"""A checkpoint file read as what it has to be: tables of tensors, and no code."""

from __future__ import annotations

import pickle
import pickletools
import re
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from napari_ies.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import torch

    from napari_ies.checkpoints.groups import Tables

_DEEPEST = 3
_ZIP_MAGIC = b"PK\x03\x04"
_PICKLE_MAGIC = b"\x80"
_RE_SAVE = "re-save it where it was trained with torch.save(network.state_dict(), …)"


def read_tables(path: Path) -> Tables:
    """Read the tables of tensors in a checkpoint file.

    Nothing in the file is executed: it is read with ``weights_only=True`` and nothing else.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    Each table's tensors on the CPU by key, in the file's order; where the file allows they are
    mapped from it, so copy them before it may change.

    Raises
    ------
    CheckpointError
        If there is no such file, it is no checkpoint, is cut short, holds Python objects, or
        holds no tensors.
    """
    _check_container(path)
    tables = dict(_tables(_load(path), "", _DEEPEST))
    if not tables:
        raise CheckpointError(
            f"{path.name} holds no tensors, where the weights of a network were expected: choose "
            "another file."
        )
    return tables


def _check_container(path: Path) -> None:
    """Refuse what cannot be a checkpoint, by the outside of the file alone."""
    if not path.exists():
        raise CheckpointError(f"There is no file {path}: check the path of the checkpoint.")
    if path.is_dir():
        raise CheckpointError(
            f"{path} is a folder, where a checkpoint file was expected: choose the file in it."
        )
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read ({error.strerror}): check the permissions of the file."
        ) from error
    if not magic:
        raise CheckpointError(
            f"{path.name} is empty, where a checkpoint was expected: copy or download it again."
        )
    if magic == _ZIP_MAGIC:
        _check_archive(path)
    elif not magic.startswith(_PICKLE_MAGIC):
        raise _not_a_checkpoint(path)


def _check_archive(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.namelist()
    except zipfile.BadZipFile as error:
        raise _cut_short(path) from error
    if any(entry.endswith("/constants.pkl") for entry in entries):
        raise CheckpointError(
            f"{path.name} is a TorchScript archive, which holds code and is not loaded: {_RE_SAVE}."
        )
    if not any(entry.endswith("/data.pkl") for entry in entries):
        raise _not_a_checkpoint(path)


def _load(path: Path) -> Any:
    import torch

    try:
        return torch.load(
            path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
        )
    except pickle.UnpicklingError as error:
        if found := re.search(r"GLOBAL ([\w.]+)|(?:global|class)[: ]+([\w.]+\.[\w.]+)", str(error)):
            name = (found.group(1) or found.group(2)).rstrip(".")
            raise _holds_objects(path, f" ({name})") from error
        if _names_objects(path):
            raise _holds_objects(path, "") from error
        raise _not_a_checkpoint(path) from error
    except (EOFError, OSError) as error:
        raise _cut_short(path) from error
    # A damaged file makes PyTorch's readers fail in whatever way its bytes happen to lead to.
    except Exception as error:
        raise CheckpointError(
            f"{path.name} is damaged or cut short and cannot be read as a PyTorch checkpoint: copy "
            "or download it again."
        ) from error


def _names_objects(path: Path) -> bool:
    """Return whether a file outside PyTorch's formats is a pickle that names classes.

    Its opcodes are listed, not executed.
    """
    try:
        with path.open("rb") as file:
            return any("GLOBAL" in opcode.name for opcode, _, _ in pickletools.genops(file))
    except Exception:
        return False


def _holds_objects(path: Path, names: str) -> CheckpointError:
    return CheckpointError(
        f"{path.name} holds Python objects{names}, which can run code, and is not loaded: "
        f"{_RE_SAVE}."
    )


def _cut_short(path: Path) -> CheckpointError:
    return CheckpointError(
        f"{path.name} is damaged or cut short ({path.stat().st_size} bytes): copy or download it "
        "again."
    )


def _not_a_checkpoint(path: Path) -> CheckpointError:
    return CheckpointError(
        f"{path.name} is not a PyTorch checkpoint: choose a file saved with "
        "torch.save(network.state_dict(), …)."
    )


def _tables(content: Any, name: str, depth: int) -> Iterator[tuple[str, dict[str, torch.Tensor]]]:
    """Give each mapping in `content` that holds tensors, by its place: ``folds[0].model``."""
    import torch

    if depth and isinstance(content, list | tuple):
        for i, value in enumerate(content):
            yield from _tables(value, f"{name}[{i}]", depth - 1)
    if not isinstance(content, Mapping):
        return
    tensors = {str(k): v for k, v in content.items() if isinstance(v, torch.Tensor)}
    if tensors:
        yield name, tensors
    for key, value in content.items():
        # Numbers lead to the states of an optimizer, a table for each parameter.
        if depth and isinstance(key, str):
            yield from _tables(value, f"{name}.{key}" if name else key, depth - 1)
