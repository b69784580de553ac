"""MONAI bundles: a network with its weights, and how its input is made and its output read."""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from napari_ies.checkpoints.families.architectures import (
    FAMILIES,
    build_network,
    check_fit,
    load_weights,
)
from napari_ies.checkpoints.families.defaults import Takes, profile_of
from napari_ies.checkpoints.file.state_dict import read_state_bytes
from napari_ies.checkpoints.formats.format import Loaded, sha256_of_files
from napari_ies.checkpoints.formats.monai_bundle import records
from napari_ies.checkpoints.formats.monai_bundle.config import Config
from napari_ies.checkpoints.formats.monai_bundle.settings import read_metadata, settings_of
from napari_ies.checkpoints.formats.state_dict import check_arguments
from napari_ies.checkpoints.sidecar import profile_path
from napari_ies.errors import CheckpointError, UntrustedError
from napari_ies.regular_files import sha256_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import torch
    from torch import nn

    from napari_ies.checkpoints.families.family import Family
    from napari_ies.checkpoints.file.groups import Tables
    from napari_ies.checkpoints.formats.monai_bundle.prepared import MONAIPreparation
    from napari_ies.checkpoints.formats.monai_bundle.preprocessing import Settings
    from napari_ies.network.profile import Profile

name = "MONAI bundle"

recognises, files = records.is_bundle, records.files_of

_NETS = "monai.networks.nets"
_SPENT: Mapping[str, Mapping[str, Callable[[Any], bool]]] = {
    "SwinUNETR": {"img_size": lambda _: True},
    "SegResNet": {"norm_name": lambda name: name == "group"},
}
"""Arguments of earlier versions of MONAI, and with which values they make no difference: the size
of the images that it was trained on, and the name of the normalisation that it has anyway."""


def load(path: Path, stated: Mapping[str, Any], trust: bool) -> Loaded:
    """Load one: of its configuration, what describes the network, its input and its output.

    Networks of the known families are made, of plain arguments; whatever else would run is
    refused, unless it is trusted.
    """
    beside = profile_path(path)
    with _told(path, trust):
        held = records.records_of(path)
        digests = {}

        def content(record: str, most: int | None = records.MOST_TEXT) -> bytes:
            read = held.read(record, most)
            digests[record] = sha256_of(read)
            return read

        kind = next(record for record in records.CONFIGS if record in held.names)
        config = Config(kind, content(kind), path if path.is_dir() else None, trust)
        described = records.METADATA in held.names
        metadata = read_metadata(records.METADATA, content(records.METADATA)) if described else {}
        if records.MODEL not in held.names:
            raise CheckpointError(f"{records.MODEL} is missing, which holds the weights")
        weights = content(records.MODEL, None)
        tables = read_state_bytes(path / records.MODEL, weights).tables
        place = ("network_def",) if "network_def" in config else ("network",)
        family, arguments = _described(config, place, stated, beside.name)
        if family is None:
            from napari_ies.checkpoints.formats.probing import probed  # PyTorch comes with it

            network, keys = _trusted_network(config, place, tables)
            n_inputs = _inputs(metadata, stated)
            takes = probed(network, n_inputs, stated)
            architecture = type(network).__name__
        else:
            architecture = family.architecture
            takes = Takes(
                arguments["in_channels"],
                arguments["out_channels"],
                family.divisor(arguments),
                family.fixed_size(arguments),
            )
        found = settings_of(config, metadata, takes.n_inputs, takes.n_outputs, stated)
        if family is not None:  # what cannot be told is known before anything is built
            network, keys = _network(family, arguments, tables, len(weights))
        found.told |= {"architecture": architecture, "arguments": arguments}
        profile = profile_of(_name(path), takes, found.told, found.guessed, stated)
        sha256 = held.sha256 or sha256_of_files(digests)
    return Loaded(network, profile, sha256, keys, _preparation(found, profile))


def _preparation(found: Settings, profile: Profile) -> MONAIPreparation | None:
    """Return what MONAI does around the network, where the profile does not say it all."""
    if found.chain is None:
        return None
    from napari_ies.checkpoints.formats.monai_bundle.prepared import MONAIPreparation

    sigmoid = profile.activation == "sigmoid" or len(profile.classes) == 1
    return MONAIPreparation(
        found.chain, found.back, profile.orientation, found.told.get("spacing"), sigmoid
    )


def _described(
    config: Config, place: tuple[str, ...], stated: Mapping[str, Any], beside: str
) -> tuple[Family | None, dict[str, Any]]:
    """Return the family and the arguments of the network, or None for one that has to be run."""
    place = tuple(map(str, config.followed(place)))
    target = config.target(place)
    architecture = _architecture(target)
    if architecture is None:
        if config.raw(place) is None:
            raise CheckpointError(f"its {config.name} describes no network_def")
        return None, {}
    if stated.get("architecture", architecture) != architecture:
        raise CheckpointError(
            f"{beside} states the architecture {stated['architecture']}, and the bundle has a "
            f"{architecture}: remove that from the profile"
        )
    family = FAMILIES[architecture]
    arguments = config.arguments(place) | dict(stated.get("arguments", {}))
    if arguments.pop("spatial_dims", 3) != 3:
        raise CheckpointError("its network is not 3-d, and napari-ies explains 3-d networks only")
    for key, makes_none in _SPENT.get(architecture, {}).items():
        if key in arguments and makes_none(arguments[key]):
            del arguments[key]
    unknown = [key for key in arguments if key not in family.argument_names]
    if unknown:
        raise CheckpointError(
            f"its {architecture} has the argument {unknown[0]!r}{config.line(unknown[0])}: the "
            f"arguments are {', '.join(sorted(family.argument_names))}"
        )
    arguments = _defaults(architecture, family) | arguments
    check_arguments(family, arguments, beside)
    return family, arguments


def _architecture(target: str) -> str | None:
    """Return the family that a target of MONAI names, under any of the names MONAI has for it."""
    module, _, called = target.rpartition(".")
    if module and not f"{module}.".startswith(f"{_NETS}."):
        return None
    return next((known for known in FAMILIES if known.lower() == called.lower()), None)


def _defaults(architecture: str, family: Family) -> dict[str, Any]:
    """Return what MONAI takes for the arguments that have to be known, where it has a default."""
    from monai.networks import nets

    parameters = inspect.signature(getattr(nets, architecture)).parameters
    needed = {*family.required, "in_channels", "out_channels"}
    return {
        key: parameters[key].default
        for key in needed & parameters.keys()
        if parameters[key].default is not inspect.Parameter.empty
    }


def _network(
    family: Family, arguments: Mapping[str, Any], tables: Tables, size: int
) -> tuple[nn.Module, tuple[str, ...]]:
    """Build the network and load the first of the file's tables that fits it."""
    reasons = []
    for table in sorted(tables.values(), key=len, reverse=True)[:3]:
        tensors = _unwrapped(table)
        try:
            check_fit(tensors, family, arguments, size)
        except CheckpointError as error:
            reasons.append(error)
        else:
            network = build_network(family, arguments, tensors)
            load_weights(network, tensors)
            return network, tuple(tensors)
    raise reasons[0]


def _trusted_network(
    config: Config, place: tuple[str, ...], tables: Tables
) -> tuple[nn.Module, tuple[str, ...]]:
    """Have MONAI make a network of any class, and load the file's largest table strictly."""
    from torch import nn

    network = config.made(place)
    if not isinstance(network, nn.Module):
        raise CheckpointError(f"its {place[0]} makes a {type(network).__name__}, not a network")
    tensors = _unwrapped(max(tables.values(), key=len))
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise CheckpointError(
            f"its weights do not fit its network ({' '.join(str(error)[:200].split())})"
        ) from error
    return network.float(), tuple(tensors)


def _inputs(metadata: Mapping[str, Any], stated: Mapping[str, Any]) -> int:
    """Return how many inputs a network has that only its code tells of."""
    if "sequences" in stated:
        return len(stated["sequences"])
    try:
        number = metadata["network_data_format"]["inputs"]["image"]["num_channels"]
    except (KeyError, TypeError):
        number = None
    if type(number) is not int or not 0 < number < 100:
        raise CheckpointError(
            f"{records.METADATA} does not say how many channels its input has: state the sequences "
            "in its profile"
        )
    return number


def _unwrapped(table: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    tensors = dict(table)
    for wrapper in ("module.", "_orig_mod."):
        if all(key.startswith(wrapper) for key in tensors):
            tensors = {key.removeprefix(wrapper): tensor for key, tensor in tensors.items()}
    return tensors


def _name(path: Path) -> str:
    return path.resolve().name if path.is_dir() else path.stem


@contextmanager
def _told(path: Path, trust: bool) -> Iterator[None]:
    """Make a sentence of the clause that an error holds."""
    called = _name(path)
    try:
        yield
    except UntrustedError as error:
        raise UntrustedError(
            f"{called} cannot be loaded unless it is trusted: {error.why}"
        ) from error
    except CheckpointError as error:
        said = str(error).removesuffix(".")
        raise CheckpointError(f"{called} cannot be loaded: {said}.") from error
