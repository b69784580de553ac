"""The networks of an nnU-Net results folder, built and filled as nnU-Net does it."""

from __future__ import annotations

import contextlib
import io
from math import prod
from typing import TYPE_CHECKING, Any

import torch

from napari_ies.checkpoints.families.architectures import load_weights, some
from napari_ies.checkpoints.families.initial_numbers import undrawn, without_memory
from napari_ies.checkpoints.file.state_dict import StateFile, read_state_file
from napari_ies.checkpoints.formats.format import Loaded, sha256_of_files
from napari_ies.checkpoints.formats.nnunet.axes import letters, mirrored_axes
from napari_ies.checkpoints.formats.nnunet.folder import (
    DATASET,
    PLANS,
    USUAL,
    Folder,
    chosen_folds,
    read_object,
)
from napari_ies.checkpoints.formats.nnunet.prepared import NNUNetPreparation
from napari_ies.checkpoints.formats.nnunet.profile import make_profile
from napari_ies.checkpoints.formats.nnunet.trainer import trainer_class
from napari_ies.errors import CheckpointError
from napari_ies.network.members import one_network
from napari_ies.own_symbols import own_symbols
from napari_ies.printable import joined
from napari_ies.regular_files import file_sha256

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from torch import nn

_PLANS_SAY = ("dataset_name", "plans_name", "configurations", "image_reader_writer")
_RESAMPLING = ("resampling_fn_data", "resampling_fn_probabilities")
_CLASSES_FROM = ("torch.nn.", "dynamic_network_architectures.")
"""Where the classes lie that plans may name: nnU-Net would import whatever they say."""


def load_folds(path: Path, folder: Folder, stated: Mapping[str, Any]) -> Loaded:
    """Load folds as one network.

    Parameters
    ----------
    path
        What a person chose, by whose name the network is called.
    folder
        Where that lies.
    stated
        Fields of the profile; its arguments may choose the ``folds``, the name of their
        ``checkpoint``, and whether windows are seen in mirrors too (``mirroring``: true, false, or
        the names of the image's axes, such as ``["x"]``).

    Raises
    ------
    CheckpointError
        If nnU-Net could not load them either, or napari-ies does not explain such a network.
    """
    said = dict(stated.get("arguments", {}))
    checkpoint = folder.checkpoint or said.get("checkpoint", USUAL)
    folds = chosen_folds(folder, str(checkpoint), said.get("folds"))
    plans = read_object(folder.top / PLANS, _PLANS_SAY, ("configurations",))
    dataset = read_object(folder.top / DATASET, ("labels",), ("labels",))
    read = {fold: _checkpoint(file) for fold, file in folds.items()}
    first = next(iter(read.values()))
    what = _Said.of(path, first.content)
    for fold, one in read.items():
        if _Said.of(path, one.content).words != what.words:
            raise CheckpointError(
                f"The folds of {folder.top.name} differ in trainer, configuration or mirroring "
                f"({fold} from the first): choose folds that were trained alike."
            )
    # Only here and where it is used: nnU-Net is not there for everybody, and brings matplotlib.
    from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    with _by_nnunet(path):
        manager = PlansManager(plans)
        if manager.label_manager_class is None:
            raise CheckpointError(_unknown(path, "label manager", plans["label_manager"]))
        known = plans["configurations"]
        if not isinstance(known.get(what.configuration), dict):
            raise CheckpointError(
                f"{PLANS} describes no configuration {what.configuration!r}, which the checkpoint "
                f"of {path.name} was trained in, but {joined(known) or 'none'}: choose plans and "
                "checkpoint of one training."
            )
        configuration = manager.get_configuration(what.configuration)
        _check(path, what.configuration, configuration)
        labels = manager.get_label_manager(dataset)
        inputs = determine_num_input_channels(manager, configuration, dataset)
        trainer = trainer_class(what.trainer)
        if trainer is None:
            raise CheckpointError(_unknown(path, "trainer", what.trainer))
        parts = (manager, configuration, inputs, labels.num_segmentation_heads)

        def build() -> nn.Module:
            made: nn.Module = trainer.build_network_architecture(
                *parts, enable_deep_supervision=False
            )
            return made

        with own_symbols(), without_memory():
            shapes = {name: tuple(one.shape) for name, one in build().state_dict().items()}
        for fold, one in read.items():
            _check_shapes(folds[fold], one.tables["network_weights"], shapes)
        networks = [undrawn(build, shapes) for _ in read]  # each file has them all, see above
    for (fold, one), network in zip(read.items(), networks, strict=True):
        try:
            load_weights(network, one.tables["network_weights"])
        except CheckpointError as error:
            raise CheckpointError(
                f"fold_{fold}/{folds[fold].name} cannot be loaded: {error}; copy it again, or "
                "choose other folds."
            ) from error
    axes = mirrored_axes(manager, said.get("mirroring", True), what.mirrored)
    mirroring: bool | list[str] = bool(axes) or said.get("mirroring", True) is True
    if 0 < len(axes) < len(what.mirrored):
        mirroring = list(letters(manager, axes))
    profile = make_profile(
        folder,
        {"folds": list(folds), "checkpoint": checkpoint, "mirroring": mirroring},
        stated,
        manager,
        dataset,
        configuration,
        what.configuration,
        what.trainer,
        [one.sha256 for one in read.values()],
        inputs,
        2 ** len(axes),
    )
    there = [folder.fold] if folder.fold else list(folder.folds(str(checkpoint)))
    choices = {"folds": tuple(there), "mirroring": letters(manager, what.mirrored)}
    return Loaded(
        one_network(networks, axes),
        profile,
        first.sha256 if folder.checkpoint else _sha256(folder, folds, read),
        tuple(shapes),
        NNUNetPreparation(
            *(manager, configuration, dataset, labels, what.trainer, axes, choices),
            profile.brain_extracted,
        ),
    )


def _sha256(folder: Folder, folds: Mapping[str, Path], read: Mapping[str, StateFile]) -> str:
    """Return the digest of the folder's files, none of which is read twice."""
    known = {folds[fold]: one.sha256 for fold, one in read.items()}
    return sha256_of_files(
        {name: known.get(file) or file_sha256(file) for name, file in folder.files().items()}
    )


class _Said:
    """What a checkpoint says of itself."""

    def __init__(self, trainer: str, configuration: str, mirrored: tuple[int, ...]) -> None:
        self.trainer, self.configuration, self.mirrored = trainer, configuration, mirrored

    @property
    def words(self) -> tuple[object, ...]:
        return self.trainer, self.configuration, self.mirrored

    @classmethod
    def of(cls, path: Path, content: Any) -> _Said:
        arguments = content.get("init_args")
        configuration = arguments.get("configuration") if isinstance(arguments, dict) else None
        trainer = content.get("trainer_name")
        axes = content.get("inference_allowed_mirroring_axes") or ()
        right = isinstance(configuration, str) and isinstance(trainer, str)
        if not right or not set(axes) <= {0, 1, 2}:
            raise CheckpointError(
                f"A checkpoint of {path.name} does not say its trainer, configuration and "
                "mirroring as nnU-Net v2 writes them: copy it again, or choose another."
            )
        return cls(str(trainer), str(configuration), tuple(axes))


def _checkpoint(path: Path) -> StateFile:
    try:
        file = read_state_file(path)
    except CheckpointError as error:  # the folds' files have one name
        said = str(error)
        inside = f"{path.parent.name}/" if said.startswith(path.name) else ""
        raise CheckpointError(f"{inside}{said}") from error
    if not isinstance(file.content, dict) or "network_weights" not in file.tables:
        raise CheckpointError(
            f"{path.name} in {path.parent.name} has no network_weights, expected a checkpoint of "
            "nnU-Net v2: copy it again, or choose another."
        )
    return file


@contextlib.contextmanager
def _by_nnunet(path: Path) -> Iterator[None]:
    """Make one sentence of what nnU-Net finds wrong, and keep its prints to itself."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    except CheckpointError:
        raise
    except Exception as error:
        said = " ".join(str(error)[:200].split()).rstrip(".") or type(error).__name__
        if "torchvision" in said:
            # nnU-Net looks for a class in all of a package, of which some imports torchvision.
            raise CheckpointError(
                f"nnU-Net found no network or trainer of the name that {path.name} gives, or one "
                f"that needs torchvision, of which none that fits PyTorch {torch.__version__} is "
                f"installed here ({said}): install the version of nnU-Net that trained it; if it "
                "is there, torch and torchvision anew together."
            ) from error
        raise CheckpointError(
            f"The nnunetv2 that is installed here cannot build the network of {path.name} "
            f"({type(error).__name__}: {said}): install the version that trained it, or copy the "
            f"folder again."
        ) from error


def _unknown(path: Path, what: str, name: object) -> str:
    return (
        f"{path.name} names the {what} {str(name)[:100]!r}, which the nnunetv2 that is installed "
        "here does not have: install the version or the extension of nnU-Net that trained it."
    )


def _check(path: Path, name: str, configuration: Any) -> None:
    """Refuse what is not explained, and classes that no network of nnU-Net has."""
    if len(configuration.patch_size) != 3:
        raise CheckpointError(
            f"{path.name} was trained on slices ({name}), and napari-ies explains 3-d networks "
            "only: choose the folder of 3d_fullres or 3d_lowres."
        )
    if configuration.previous_stage_name is not None:
        raise CheckpointError(
            f"{path.name} is the second stage of a cascade ({name}), which takes the marks of the "
            "first one as input: choose the folder of 3d_lowres or 3d_fullres."
        )
    from nnunetv2.preprocessing import normalization
    from nnunetv2.utilities.find_class_by_name import recursive_find_python_class

    for scheme in configuration.normalization_schemes:
        place = normalization.__path__[0]
        if recursive_find_python_class(place, scheme, normalization.__name__) is None:
            raise CheckpointError(_unknown(path, "normalisation", scheme))
    for one in _RESAMPLING:
        getattr(configuration, one)  # nnU-Net looks a function up by its name, and refuses others
    if configuration.preprocessor_class is None:
        raise CheckpointError(_unknown(path, "preprocessor", configuration.preprocessor_name))
    arguments = configuration.network_arch_init_kwargs
    named = [arguments.get(one) for one in configuration.network_arch_init_kwargs_req_import]
    for one in (configuration.network_arch_class_name, *named):
        if one is not None and not str(one).startswith(_CLASSES_FROM):
            raise CheckpointError(
                f"The plans of {path.name} name {one!r}, which is no layer of PyTorch and no "
                "network of nnU-Net, and is not imported: choose another folder."
            )


def _check_shapes(
    path: Path, tensors: Mapping[str, torch.Tensor], shapes: Mapping[str, tuple[int, ...]]
) -> None:
    wrong = [
        name
        for name in {**shapes, **tensors}
        if name not in shapes or name not in tensors or tuple(tensors[name].shape) != shapes[name]
    ]
    if wrong:
        raise CheckpointError(
            f"{path.parent.name}/{path.name} does not fit the network of its plans, of whose "
            f"{len(shapes)} tensors ({sum(map(prod, shapes.values())):,} numbers) it lacks or has "
            f"otherwise {len(wrong)} ({some(wrong)}): choose plans and checkpoint of one training."
        )
