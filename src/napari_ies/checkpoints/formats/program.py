"""Networks that are saved as programs, TorchScript and `torch.export`: what they have in common."""

from __future__ import annotations

import copy
import io
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.jit._fuser import optimized_execution

from napari_ies.checkpoints.families.defaults import profile_of
from napari_ies.checkpoints.file import archive
from napari_ies.checkpoints.formats.format import Loaded
from napari_ies.checkpoints.formats.probing import NO_GRADIENTS, gradients_flow, probed
from napari_ies.checkpoints.formats.program_records import check_records
from napari_ies.checkpoints.sidecar import profile_path
from napari_ies.errors import CheckpointError, UntrustedError
from napari_ies.regular_files import read_regular, sha256_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from napari_ies.geometry.box import Triple


class Program(nn.Module):
    """A network that is a program.

    Parameters
    ----------
    network
        The program.
    one_by_one
        Whether it takes one window at a time.
    """

    no_gradients = ""
    """Why it cannot be explained, or an empty string."""

    def __init__(self, network: nn.Module, *, one_by_one: bool) -> None:
        super().__init__()
        self.network, self._one_by_one = network, one_by_one

    def __deepcopy__(self, memo: dict[int, Any]) -> Program:
        """Copy all but what an exported program knows of its inputs: symbols have no numbers."""
        for module in self.modules():
            memo |= {id(node): node for node in getattr(module, "input_placeholders", ())}
        twin = type(self).__new__(type(self))
        memo[id(self)] = twin
        twin.__dict__ = copy.deepcopy(self.__dict__, memo)
        return twin

    def forward(self, batch: torch.Tensor) -> Any:
        """Run it as it is written: optimised, it would round otherwise than the network it was."""
        with optimized_execution(False):
            if not self._one_by_one or len(batch) == 1:
                return _first(self.network(batch))
            return torch.cat([_first(self.network(one[None])) for one in batch])


def _first(output: Any) -> Any:
    return output[0] if isinstance(output, (list, tuple)) and output else output


def load_program(
    path: Path,
    stated: Mapping[str, Any],
    trust: bool,
    kind: str,
    read: Callable[[io.BytesIO], tuple[nn.Module, int | None, Triple | None, bool]],
) -> Loaded:
    """Load a network that is a program.

    Parameters
    ----------
    path, stated, trust
        See `Format`.
    kind
        What it is called, which is its architecture too.
    read
        From the file's bytes to the network in evaluation mode, the number of its inputs and a
        size it takes, as far as they are known, and whether it takes one window at a time.

    Raises
    ------
    UntrustedError
        Unless it is trusted: PyTorch's readers of both formats can be made to run anything.
    CheckpointError
        If it cannot be loaded.
    """
    if not trust:
        raise UntrustedError(
            f"{path.name} is a program ({kind}), which can do to this computer whatever you can; "
            "the weights alone, saved with torch.save(network.state_dict(), …), need no trust"
        )
    beside = profile_path(path).name
    with _told(path, beside):
        content = read_regular(path)
        records = archive.read_records(content)
        try:
            network, n_inputs, size, one_by_one = read(io.BytesIO(content))
        except CheckpointError:
            raise
        # What such a file makes PyTorch's readers fail with is beyond any list.
        except Exception as error:
            said = " ".join(str(error)[:200].split()).rstrip(".") or type(error).__name__
            raise CheckpointError(f"PyTorch does not read it ({said})") from error
        check_records(records, network)
        if stated.get("architecture", kind) != kind:
            raise CheckpointError(
                f"its profile states the architecture {stated['architecture']}, expected {kind}"
            )
        keys = tuple(network.state_dict())
        program = Program(network.float(), one_by_one=one_by_one)
        takes = probed(program, n_inputs, stated, size)
        guessed = {}
        if not gradients_flow(program, takes):
            program.no_gradients = guessed["gradients"] = NO_GRADIENTS
        told = {"architecture": kind, "arguments": {}}
        profile = profile_of(path.stem, takes, told, guessed, stated)
    return Loaded(program, profile, sha256_of(content), keys)


@contextmanager
def _told(path: Path, beside: str) -> Iterator[None]:
    """Make a sentence of the clause that an error holds."""
    try:
        yield
    except (archive.DamagedError, archive.PackedError) as error:
        raise CheckpointError(
            f"{path.name} is damaged or cut short ({error}): copy or download it again."
        ) from error
    except (OSError, CheckpointError) as error:
        said = str(error).removesuffix(".").replace("its profile", beside)
        raise CheckpointError(f"{path.name} cannot be loaded: {said}.") from error
