"""A checkpoint file read as what it has to be: tables of tensors, and no code.

The file is read once, and what was read is all that counts: its SHA-256, its checksums and its
tensors are of the same bytes, whatever becomes of the file meanwhile.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickletools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_ies.checkpoints import archive
from napari_ies.checkpoints.claims import Tensors, storage_bytes
from napari_ies.checkpoints.old_files import (
    LONGEST_PICKLE,
    NoCheckpointError,
    check_old_size,
    read_old_file,
)
from napari_ies.checkpoints.pickled import (
    MalformedError,
    NamesObjectError,
    OddTensor,
    StorageClaim,
    TensorClaim,
    read_pickle,
)
from napari_ies.errors import CheckpointError
from napari_ies.free_memory import lacking
from napari_ies.regular_files import NotRegularError, open_regular

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from napari_ies.checkpoints.groups import Tables

MOST_TENSORS = 20_000
MOST_VALUES = 5_000_000
LONGEST_KEY = 1000

_DEEPEST = 3
_PICKLE_MAGIC = b"\x80"
_RE_SAVE = "re-save it where it was trained with torch.save(network.state_dict(), …)"


@dataclass(frozen=True, eq=False)
class StateFile:
    """What was read of a checkpoint file.

    Parameters
    ----------
    tables
        Each table's tensors on the CPU by key, in the file's order. They share the bytes that were
        read, and are not to be written to.
    sha256
        SHA-256 in hexadecimal of the bytes that were read.
    size
        How many these are.
    """

    tables: Tables
    sha256: str
    size: int


def read_state_file(path: Path) -> StateFile:
    """Read the tables of tensors in a checkpoint file.

    Nothing in the file is executed: what it names is not looked up, see
    :mod:`~napari_ies.checkpoints.pickled`.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    Its tensors. In the zip archives that PyTorch writes since 1.6 every record has the size and
    the checksum that the archive states; a file of the older kind has no checksums, and is read
    if every byte of it is accounted for.

    Raises
    ------
    CheckpointError
        If there is no such file, it is no checkpoint, is damaged, holds Python objects, or holds
        no tensors.
    """
    content, old = _content(path)
    try:
        found, tensors = read_old_file(content) if old else _archive_file(content)
        tables = dict(_Walk(tensors).tables(found, "", _DEEPEST))
    except NamesObjectError as error:
        raise _holds_objects(path, f" ({error})") from error
    except NoCheckpointError as error:
        raise _not_a_checkpoint(path) from error
    except (archive.DamagedError, MalformedError) as error:
        if old and _names_objects(content):
            raise _holds_objects(path, "") from error
        raise _damaged(path, len(content), str(error)) from error
    except (CheckpointError, archive.PackedError) as error:
        raise _not_loaded(path, error) from error
    if not tables:
        raise CheckpointError(
            f"{path.name} holds no tensors, where the weights of a network were expected: choose "
            "another file."
        )
    return StateFile(tables, hashlib.sha256(content).hexdigest(), len(content))


def _content(path: Path) -> tuple[bytes, bool]:
    """Read a file that by its outside can be a checkpoint; return whether it is of the old kind."""
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            magic = file.read(4)
            old = magic != archive.MAGIC
            if not magic:
                raise CheckpointError(
                    f"{path.name} is empty, where a checkpoint was expected: copy or download it "
                    "again."
                )
            if old and not magic.startswith(_PICKLE_MAGIC):
                raise _not_a_checkpoint(path)
            if lack := lacking(size):
                raise CheckpointError(
                    f"{path.name} {lack}: close other programs, or choose a smaller checkpoint."
                )
            # Before all of it is read, whatever its end or its beginning shows of it.
            file.seek(0)
            if old:
                check_old_size(file, size)
            else:
                archive.directory(file, size)
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
    except archive.DamagedError as error:
        raise _damaged(path, size, str(error)) from error
    except archive.PackedError as error:
        raise _not_loaded(path, error) from error
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
    return content, old


def _archive_file(content: bytes) -> tuple[Any, Tensors]:
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
        raise archive.DamagedError("the list of its tensors has no possible size")
    claims: list[StorageClaim] = []
    found = read_pickle(io.BytesIO(records[f"{root}data.pkl"]), claims)
    byteorder = bytes(records.get(f"{root}byteorder", b"little")).decode("latin-1")
    if byteorder not in ("little", "big"):
        raise archive.DamagedError("the order of its bytes is not known")
    storages = {}
    for claim in claims:
        name = f"{root}data/{claim.key}"
        if name not in records or storage_bytes(claim) != len(records[name]):
            there = f"{len(records[name])} bytes" if name in records else "none"
            raise archive.DamagedError(
                f"its tensors need {storage_bytes(claim)} bytes of the record {name}, there are "
                f"{there}"
            )
        storages[claim.key] = records[name]
    return found, Tensors(storages, len(content), byteorder)


def _names_objects(content: bytes) -> bool:
    """Return whether a file outside PyTorch's formats is a pickle that names classes.

    Its opcodes are listed, not executed.
    """
    try:
        return any("GLOBAL" in opcode.name for opcode, _, _ in pickletools.genops(content))
    except Exception:
        return False


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


class _Walk:
    """A way through what was read, that ends however often it leads to the same things."""

    def __init__(self, tensors: Tensors) -> None:
        self._tensors = tensors
        self._seen, self._given = 0, 0

    def tables(self, content: Any, name: str, depth: int) -> Iterator[tuple[str, dict[str, Any]]]:
        """Give each mapping that holds tensors, by its place: ``folds[0].model``."""
        if not isinstance(content, Mapping | list | tuple):
            return
        self._seen += len(content)
        if self._seen > MOST_VALUES:
            raise CheckpointError("it is nested without end")
        if isinstance(content, Mapping):
            if table := self._table(content):
                yield name, table
            # Numbers lead to the states of an optimizer, a table for each parameter.
            inner = [
                (f"{name}.{key}" if name else key, value)
                for key, value in content.items()
                if isinstance(key, str)
            ]
        else:
            inner = [(f"{name}[{number}]", value) for number, value in enumerate(content)]
        for place, value in inner if depth else ():
            yield from self.tables(value, place, depth - 1)

    def _table(self, content: Mapping[Any, Any]) -> dict[str, Any]:
        table: dict[str, Any] = {}
        for key, value in content.items():
            if not isinstance(value, TensorClaim | OddTensor):
                continue
            name = str(key)
            if len(name) > LONGEST_KEY:
                raise CheckpointError(f"a tensor in it has a name of {len(name)} letters")
            if isinstance(value, OddTensor):
                raise CheckpointError(
                    f"the tensor {name} is {value.kind}, where plain numbers were expected"
                )
            table[name] = self._tensors.of(name, value)
        self._given += len(table)
        if self._given > MOST_TENSORS:
            raise CheckpointError(f"it holds more than {MOST_TENSORS} tensors")
        return table
