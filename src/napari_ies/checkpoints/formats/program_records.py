"""Whether a program's records hold the numbers that its tensors claim.

PyTorch's readers believe what a tensor claims: it would have whatever lies in memory behind a
record that is too short, or end the process.
"""

from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING

from napari_ies.checkpoints.file.archive import DamagedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch
    from torch import nn

_NUMBERS = ("/data/weights/", "/data/constants/")
"""Where `torch.export` keeps numbers; TorchScript keeps them in ``/data/`` and ``/constants/``."""
_SCRIPTED = ("/data/", "/constants/")


def check_records(records: Mapping[str, memoryview], network: nn.Module) -> None:
    """Compare the parameters and buffers of a network that was read with an archive's records.

    No number of theirs is looked at.

    Parameters
    ----------
    records
        Of the archive, by name.
    network
        What PyTorch made of it, before anything is moved or converted.

    Raises
    ------
    DamagedError
        If a record has fewer bytes than a tensor claims.
    """
    tensors = {
        id(one): one for one in chain(network.parameters(), network.buffers()) if one.numel()
    }
    exported = any(part in name for name in records for part in _NUMBERS)
    if exported:
        _check_exported(records, [*tensors.values()])
        return
    sizes = Counter(
        len(data) for name, data in records.items() if any(part in name for part in _SCRIPTED)
    )
    claimed = {}
    for one in tensors.values():
        storage = one.untyped_storage()
        claimed[storage._cdata] = storage.nbytes()
        if _end(one) > storage.nbytes():
            raise DamagedError("a tensor reaches beyond its record")
    lacking = Counter(claimed.values()) - sizes
    if lacking:
        raise DamagedError(f"a tensor claims {next(iter(lacking))} bytes, which no record has")


def _check_exported(records: Mapping[str, memoryview], tensors: list[torch.Tensor]) -> None:
    """PyTorch itself compares sizes, but for records that are empty."""
    empty = [
        name
        for name, data in records.items()
        if not len(data) and any(part in name for part in _NUMBERS)
    ]
    held = sum(
        bool(len(data)) and not name.endswith((".json", ".pt"))
        for name, data in records.items()
        if any(part in name for part in _NUMBERS)
    )
    storages = {one.untyped_storage()._cdata for one in tensors}
    if empty and held < len(storages):
        raise DamagedError(f"the record {empty[0]} is empty")


def _end(tensor: torch.Tensor) -> int:
    """Return behind which byte of its storage a tensor's last number lies."""
    last = sum((size - 1) * step for size, step in zip(tensor.shape, tensor.stride(), strict=True))
    return int((tensor.storage_offset() + last + 1) * tensor.itemsize)
