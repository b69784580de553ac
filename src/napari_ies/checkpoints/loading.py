"""From a checkpoint to a network that is ready, or to what there is to say about it."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_ies.checkpoints.ensemble import FORMAT, of_members, read_ensemble, together
from napari_ies.checkpoints.formats import checkpoint_sha256, format_of, refuse_part
from napari_ies.checkpoints.sidecar import stated_profile
from napari_ies.errors import CheckpointError, UntrustedError
from napari_ies.network.device import resolve_device
from napari_ies.network.model import SegmentationModel
from napari_ies.network.trained_grid import with_geometry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import torch

    from napari_ies.checkpoints.formats.format import Loaded
    from napari_ies.network.profile import Profile


@dataclass(frozen=True)
class Inspection:
    """What a checkpoint is.

    Parameters
    ----------
    path
        The checkpoint's file or folder.
    format
        What kind of checkpoint it is, such as ``"state dict"``.
    sha256
        SHA-256 in hexadecimal of the file; of a folder, see `checkpoint_sha256`.
    profile
        Architecture, inputs, classes, and what was guessed.
    n_parameters
        Number of the network's trained values, each counted once.
    keys
        The keys of the tensors in the file, wrappers stripped.
    profile_file
        The profile file that was used, beside it or in the folder of profiles, or None.
    """

    path: Path
    format: str
    sha256: str
    profile: Profile
    n_parameters: int
    keys: tuple[str, ...]
    profile_file: Path | None


def load_checkpoint(
    path: str | Path,
    *,
    device: str | torch.device = "auto",
    orientation: str | None = None,
    spacing: Sequence[float] | None = None,
    stated: Mapping[str, Any] | None = None,
    trust: bool = False,
    profiles: Path | None = None,
) -> SegmentationModel:
    """Load a network from a checkpoint.

    It is a file or a folder in one of `FORMATS`, told by what it holds. Of a state dict of MONAI
    (UNet, DynUNet, SwinUNETR, UNETR, BasicUNet, SegResNet, SegResNetDS, AttentionUnet, VNet) the
    architecture is recognised from the keys and shapes, wherever they lie in the file, and proved
    by loading every tensor strictly; what else the file holds is named in the profile's `guessed`.
    ``NAME.profile.json`` beside ``NAME.pth`` overrides what is recognised or assumed.

    Parameters
    ----------
    path
        The file or folder.
    device
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``: see `resolve_device`.
    orientation, spacing
        Axis codes and voxel size of the images it was trained on, in place of the profile's: see
        `with_geometry`.
    stated
        Fields of a profile that a person states, as `read_profile` returns them, in place of those
        of the profile beside it. Of the ``"arguments"``, where a format's choices are, only those
        that are named here are replaced.
    trust
        Whether what the checkpoint holds may be run. Nothing in it is by default.
    profiles
        Folder of profiles, each found by the SHA-256 in its name, for checkpoints without one
        beside them; by default a folder of the person's own.

    Returns
    -------
    The network in evaluation mode in float32, its weights frozen, with its profile.

    Raises
    ------
    UntrustedError
        If it cannot be loaded without running what it holds.
    CheckpointError
        If it cannot be loaded, in a sentence that says why and what to do.
    """
    path = Path(path)
    chosen = resolve_device(device)
    loaded, found = _load(path, spacing, stated, trust, profiles)
    model = SegmentationModel(
        loaded.network,
        found.profile,
        chosen,
        path=path,
        sha256=found.sha256,
        format=found.format,
        preparation=loaded.preparation,
    )
    return with_geometry(model, orientation, spacing)


def inspect_checkpoint(
    path: str | Path, *, trust: bool = False, profiles: Path | None = None
) -> Inspection:
    """Say what a checkpoint is, proved by loading it.

    Raises
    ------
    CheckpointError
        As `load_checkpoint` does.
    """
    return _load(Path(path), trust=trust, profiles=profiles)[1]


def _load(
    path: Path,
    spacing: Sequence[float] | None = None,
    stated: Mapping[str, Any] | None = None,
    trust: bool = False,
    profiles: Path | None = None,
) -> tuple[Loaded, Inspection]:
    ensemble = read_ensemble(path)
    known, used = stated_profile(path, profiles, checkpoint_sha256)
    if stated:
        arguments = {**known.get("arguments", {}), **stated.get("arguments", {})}
        known |= {**stated, "arguments": arguments}
    if ensemble is not None:
        of_each = of_members(known)
        with _listed_in(path):
            members = [_load(one, spacing, of_each, trust, profiles)[0] for one in ensemble.members]
        loaded = together(path, ensemble, members, known.get("name", path.stem))
        count = sum(parameter.numel() for parameter in loaded.network.parameters())
        return loaded, Inspection(
            path, FORMAT, loaded.sha256, loaded.profile, count, loaded.keys, used
        )
    refuse_part(path)
    kind = format_of(path)
    if known.get("resample") and spacing is not None:
        del known["resample"]  # said with the spacing, by `stated_geometry`
    loaded = kind.load(path, known, trust)
    count = sum(parameter.numel() for parameter in loaded.network.parameters())
    return loaded, Inspection(
        path, kind.name, loaded.sha256, loaded.profile, count, loaded.keys, used
    )


@contextmanager
def _listed_in(path: Path) -> Iterator[None]:
    """Say which list a checkpoint is in that cannot be loaded."""
    try:
        yield
    except UntrustedError:
        raise
    except CheckpointError as error:
        said = str(error)
        said = f"{said[:1].lower()}{said[1:]}" if said.startswith("There ") else said
        raise CheckpointError(f"{path.name} lists what cannot be loaded: {said}") from error
