"""A checkpoint file read as what it has to be: tables of tensors, and no code.

The file is read once, and what was read is all that counts: its SHA-256, its checksums and its
tensors are of the same bytes, whatever becomes of the file meanwhile.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import pickletools
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from napari_ies.checkpoints.file import archive, safetensors
from napari_ies.checkpoints.file.calls import NUMBER_CODES, NUMPY_SCALARS, MalformedError
from napari_ies.checkpoints.file.claims import AnyTensor, check_tensors, storage_bytes
from napari_ies.checkpoints.file.old_files import (
    LONGEST_PICKLE,
    NoCheckpointError,
    check_old_size,
    read_old_file,
)
from napari_ies.checkpoints.file.pickled import NamesObjectError, Pickled, read_pickle
from napari_ies.checkpoints.file.tables import tables_of
from napari_ies.errors import CheckpointError
from napari_ies.free_memory import is_out_of_memory, lacking
from napari_ies.regular_files import NotRegularError, open_regular

if TYPE_CHECKING:
    from pathlib import Path

    from napari_ies.checkpoints.file.groups import Tables

_PICKLE_MAGIC = b"\x80"
_RE_SAVE = "re-save it where it was trained with torch.save(network.state_dict(), …)"


@dataclass(frozen=True, eq=False)
class StateFile:
    """What was read of a checkpoint file."""

    tables: Tables
    """Each table's tensors on the CPU by key, in the file's order. They may share their numbers,
    and are not to be written to."""
    sha256: str
    """SHA-256 in hexadecimal of the bytes that were read."""
    size: int
    """How many these are, unpacked where the file is compressed."""
    content: Any = None
    """All that its pickle or its metadata say, as data: tables, lists, texts and numbers, tensors
    as claims."""


def read_state_file(path: Path) -> StateFile:
    """Read the tables of tensors in a checkpoint file: see `read_state_bytes`."""
    return _read(path, *_content(path))


def read_state_bytes(path: Path, content: bytes) -> StateFile:
    """Read the tables of tensors in what a checkpoint file holds.

    Nothing in the file is executed. What it describes is followed as data first, and bounded, see
    :mod:`~napari_ies.checkpoints.file.pickled`; then PyTorch loads the same bytes with
    ``weights_only=True``, and has to find the same.

    Parameters
    ----------
    path
        Names it.
    content
        All of it.

    Returns
    -------
    Its tensors. In the zip archives that PyTorch writes since 1.6 every record has the size and
    the checksum that the archive states; files of the older kind and safetensors have no
    checksums, and are read if every byte of them is accounted for.

    Raises
    ------
    CheckpointError
        If there is no such file, it is no checkpoint, is damaged, holds Python objects, or holds
        no tensors.
    """
    return _read(path, content, _kind(path, io.BytesIO(content), len(content)))


def _kind(path: Path, file: BinaryIO, size: int) -> str:
    """Return the kind of a file that by its outside can be a checkpoint."""
    magic = file.read(9)
    if safetensors.is_safetensors(magic, size):
        kind = "safetensors"
    else:
        kind = "zip" if magic.startswith(archive.MAGIC) else "old"
    if not magic:
        raise CheckpointError(
            f"{path.name} is empty, where a checkpoint was expected: copy or download it again."
        )
    if kind == "old" and not magic.startswith(_PICKLE_MAGIC):
        raise _not_a_checkpoint(path)
    if lack := lacking(2 * size):
        raise CheckpointError(
            f"{path.name} {lack}: close other programs, or choose a smaller checkpoint."
        )
    # Before all of it is read, whatever its end or its beginning shows of it.
    file.seek(0)
    try:
        if kind == "old":
            check_old_size(file, size)
        elif kind == "zip":
            archive.directory(file, size)
        else:
            safetensors.check_list_length(magic, size)
    except archive.DamagedError as error:
        raise _damaged(path, size, str(error)) from error
    except archive.PackedError as error:
        raise _not_loaded(path, error) from error
    return kind


def _read(path: Path, content: bytes, kind: str) -> StateFile:
    size, sha256, old = len(content), hashlib.sha256(content).hexdigest(), kind == "old"
    if kind == "safetensors":
        tables, metadata = _safetensors(path, content)
        return StateFile(tables, sha256, size, content=metadata)
    try:
        verified = io.BytesIO(content)
        if old:
            pickled = read_old_file(content)
        else:
            pickled, verified = _archive_file(content)
            content = b""
        claimed = tables_of(pickled.content, AnyTensor)
        names = {claim: name for table in claimed.values() for name, claim in table.items()}
        room = verified.getbuffer().nbytes
        check_tensors(pickled.tensors, names, room)
        tables = _loaded(verified)
        if _description(tables) != _description(claimed):
            raise archive.DamagedError("PyTorch finds other tensors than it lists")
    except NamesObjectError as error:
        raise _holds_objects(path, f" ({error})") from error
    except NoCheckpointError as error:
        raise _not_a_checkpoint(path) from error
    except MemoryError as error:
        raise CheckpointError(
            f"{path.name} needs more memory than is free: close other programs, or choose a "
            "smaller checkpoint."
        ) from error
    except (archive.DamagedError, MalformedError, archive.PackedError, CheckpointError) as error:
        if old and _names_objects(content):
            raise _holds_objects(path, "") from error
        if isinstance(error, archive.DamagedError | MalformedError):
            raise _damaged(path, size, str(error)) from error
        raise _not_loaded(path, error) from error
    if not tables and pickled.tensors:
        count = len(pickled.tensors)
        raise CheckpointError(
            f"{path.name} holds {count} {'tensor' if count == 1 else 'tensors'}, but no table that "
            f"names each, as a state dict does: {_RE_SAVE}."
        )
    if not tables:
        raise _no_tensors(path)
    return StateFile(tables, sha256, room, content=pickled.content)


def _safetensors(path: Path, content: bytes) -> tuple[Tables, dict[str, str]]:
    try:
        tables, metadata = safetensors.read_safetensors(content)
    except archive.DamagedError as error:
        raise _damaged(path, len(content), str(error)) from error
    except CheckpointError as error:
        raise _not_loaded(path, error) from error
    if not tables:
        raise _no_tensors(path)
    return tables, metadata


def _content(path: Path) -> tuple[bytes, str]:
    """Read a file that by its outside can be a checkpoint; return its kind, too."""
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            kind = _kind(path, file, size)
            file.seek(0)
            content = file.read(size + 1)
    except NotRegularError as error:
        if path.is_dir():
            raise CheckpointError(
                f"{path} is a folder, where a checkpoint file was expected: choose the file in it."
            ) from error
        raise CheckpointError(
            f"{path} cannot be read ({error.strerror}): choose a checkpoint file."
        ) from error
    except (FileNotFoundError, NotADirectoryError) as error:
        raise CheckpointError(
            f"There is no file {path}: check the path of the checkpoint."
        ) from error
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read ({error.strerror}): check its name and the permissions of the "
            "file."
        ) from error
    except ValueError as error:
        raise CheckpointError(
            f"{path} cannot be the name of a file ({error}): check the path of the checkpoint."
        ) from error
    if len(content) != size:
        raise CheckpointError(
            f"{path.name} changed while it was read ({size} bytes at first): wait until it is "
            "written, or copy it."
        )
    return content, kind


def _archive_file(content: bytes) -> tuple[Pickled, io.BytesIO]:
    """Verify an archive; return what its pickle says, and the records that it needs."""
    records = archive.read_records(content)
    roots = [name.removesuffix("data.pkl") for name in records if name.endswith("/data.pkl")]
    if any(name.endswith("/constants.pkl") for name in records):
        raise CheckpointError("it is a TorchScript archive, which holds code")
    if not roots:
        raise NoCheckpointError
    if len(roots) > 1:
        raise archive.DamagedError("it holds several checkpoints")
    root = roots[0]
    if len(records[f"{root}data.pkl"]) > LONGEST_PICKLE:
        raise archive.PackedError(
            f"it holds more than {LONGEST_PICKLE >> 20} MB beside its tensors' numbers"
        )
    pickled = read_pickle(io.BytesIO(records[f"{root}data.pkl"]))
    if bytes(records.get(f"{root}byteorder", b"little")) not in (b"little", b"big"):
        raise archive.DamagedError("the order of its bytes is not known")
    needed = [f"{root}{name}" for name in ("version", "data.pkl", "byteorder")]
    for claim in pickled.storages.values():
        name = f"{root}data/{claim.key}"
        if name not in records or storage_bytes(claim) != len(records[name]):
            there = f"{len(records[name])} bytes" if name in records else "none"
            raise archive.DamagedError(
                f"its tensors need {storage_bytes(claim)} bytes of the record {name}, there are "
                f"{there}"
            )
        needed.append(name)
    if len({name.lower() for name in needed}) < len(needed):
        raise archive.DamagedError("names of its records differ in their case alone")
    # PyTorch looks in a folder at the top alone, wherever a person's program has put it.
    return pickled, archive.packed_for_pytorch(
        {f"archive/{n.removeprefix(root)}": records[n] for n in needed if n in records}
    )


def _loaded(verified: BinaryIO) -> Tables:
    """Load what was verified, and describe in a clause what PyTorch refuses then."""
    import torch

    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_numpy_numbers()):
            warnings.filterwarnings("ignore", "Detected pickle protocol")
            content = torch.load(verified, map_location="cpu", weights_only=True, mmap=False)
    except pickle.UnpicklingError as error:
        if named := re.search(r"GLOBAL ([\w.]+)|(?:global|class)[: ]+([\w.]+\.[\w.]+)", str(error)):
            raise NamesObjectError((named.group(1) or named.group(2)).rstrip(".")) from error
        raise archive.DamagedError("PyTorch does not read it") from error
    # A damaged file makes PyTorch's readers fail in whatever way its bytes happen to lead to.
    except Exception as error:
        if is_out_of_memory(error):
            raise MemoryError from error
        raise archive.DamagedError("PyTorch does not read it") from error
    return {
        place: {name: tensor.detach() for name, tensor in table.items()}
        for place, table in tables_of(content, torch.Tensor).items()
    }


def _numpy_numbers() -> list[Any]:
    """Return what PyTorch has to let through for the numbers that training scripts keep."""
    import numpy as np

    scalar = np.float64(0).__reduce__()[0]
    types = {type(np.dtype(code)) for code in NUMBER_CODES}
    return [*((scalar, name) for name in NUMPY_SCALARS), np.dtype, *types]


def _description(tables: Any) -> list[Any]:
    """Return the places, names, shapes and types of tensors, or of the claims on them."""
    return [
        (place, [(name, tuple(each.shape), each.dtype) for name, each in table.items()])
        for place, table in tables.items()
    ]


def _names_objects(content: bytes) -> bool:
    """Return whether a file outside PyTorch's formats is a pickle that names classes.

    Its opcodes are listed, not executed.
    """
    try:
        return any("GLOBAL" in opcode.name for opcode, _, _ in pickletools.genops(content))
    except Exception:
        return False


def _no_tensors(path: Path) -> CheckpointError:
    return CheckpointError(
        f"{path.name} holds no tensors, where the weights of a network were expected: choose "
        "another file."
    )


def _not_loaded(path: Path, why: Exception) -> CheckpointError:
    return CheckpointError(f"{path.name} cannot be loaded: {why}; {_RE_SAVE}.")


def _holds_objects(path: Path, names: str) -> CheckpointError:
    return CheckpointError(
        f"{path.name} holds Python objects{names}, which can run code, and is not loaded: "
        f"{_RE_SAVE}."
    )


def _damaged(path: Path, size: int, where: str) -> CheckpointError:
    return CheckpointError(
        f"{path.name} is damaged or cut short ({size} bytes; {where}): copy or download it again."
    )


def _not_a_checkpoint(path: Path) -> CheckpointError:
    return CheckpointError(
        f"{path.name} is not a PyTorch checkpoint: choose a file saved with "
        "torch.save(network.state_dict(), …)."
    )
