"""A checkpoint file read as what it has to be: a table of tensors, and no code."""

from __future__ import annotations

import hashlib
import pickle
import pickletools
import re
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from napari_ies.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import torch

_NESTED_UNDER = (
    "state_dict",
    "model_state_dict",
    "model",
    "network",
    "network_state_dict",
    "network_weights",
    "net",
    "weights",
)
_WRAPPERS = ("module.", "_orig_mod.")  # of DataParallel and of torch.compile
_DEEPEST = 3
_ZIP_MAGIC = b"PK\x03\x04"
_PICKLE_MAGIC = b"\x80"
_RE_SAVE = "re-save it where it was trained with torch.save(network.state_dict(), …)"


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal, read piece by piece."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_state_dict(path: Path) -> dict[str, torch.Tensor]:
    """Read the tensors of a checkpoint file.

    Nothing in the file is executed: it is read with ``weights_only=True`` and nothing else. The
    tensors are looked for at the top and under the names that training scripts use
    (``state_dict``, ``model``, ``network``, …); ``module.`` and ``_orig_mod.`` are stripped from
    their keys.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    Tensors on the CPU by key, in the file's order; where the file allows they are mapped from
    it, so copy them before it may change.

    Raises
    ------
    CheckpointError
        If there is no such file, it is no checkpoint, is cut short, holds Python objects, or
        holds no tensors.
    """
    _check_container(path)
    tensors = _find_tensors(_load(path), _DEEPEST)
    if not tensors:
        raise CheckpointError(
            f"{path.name} holds no tensors, where the weights of a network were expected: choose "
            "another file."
        )
    return _without_wrappers(tensors)


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


def _find_tensors(content: Any, depth: int) -> dict[str, torch.Tensor]:
    """Return the tensors of `content` or of the mapping in it that holds a network's."""
    import torch

    if not isinstance(content, Mapping):
        return {}
    tensors = {str(k): v for k, v in content.items() if isinstance(v, torch.Tensor)}
    nested = {str(k): v for k, v in content.items() if isinstance(v, Mapping)}
    for name in _NESTED_UNDER:
        if depth and name in nested and (found := _find_tensors(nested[name], depth - 1)):
            return found
    # Under an unusual name it is taken only if there is no doubt which one it is.
    tables = [
        {str(k): v for k, v in table.items()}
        for table in nested.values()
        if table and all(isinstance(v, torch.Tensor) for v in table.values())
    ]
    return tables[0] if len(tables) == 1 and len(tables[0]) > len(tensors) else tensors


def _without_wrappers(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    while (wrapper := _shared_start(tensors, _WRAPPERS)) is not None:
        tensors = {key.removeprefix(wrapper): tensor for key, tensor in tensors.items()}
    return tensors


def _shared_start(keys: Iterable[str], starts: tuple[str, ...]) -> str | None:
    return next((start for start in starts if all(key.startswith(start) for key in keys)), None)
