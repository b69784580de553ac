"""Loading a checkpoint, in the worker thread: as it is, or anew with what a person states of it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_ies.errors import CheckpointError, UntrustedError
from napari_ies.viewer.state.loaded import LoadedModel
from napari_ies.viewer.work.tasks import once

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from napari_ies.progress import Progress


@dataclass(frozen=True)
class Untrusted:
    """A checkpoint that was not loaded, because it would run what it holds.

    Parameters
    ----------
    path
        Its file or folder.
    why
        What would run.
    """

    path: str
    why: str


def load_model(
    path: str, device: str, trust: bool = False, profiles: Path | None = None
) -> Iterator[Progress[LoadedModel | Untrusted]]:
    """Load a checkpoint onto a device; what it holds runs only if it is trusted."""
    title = f"Loading {Path(path).name}"
    return once(title, lambda: _loaded(path, device, trust, profiles))


def restate(
    path: str,
    device: str,
    stated: Mapping[str, Any],
    keep: Path | None,
    profiles: Path | None,
    trusted: str = "",
) -> Iterator[Progress[LoadedModel]]:
    """Load a checkpoint anew with what a person states of it, and keep that if it is possible.

    Parameters
    ----------
    path, device
        The checkpoint, and where to compute.
    stated
        Fields of its profile, over those of the file that it has.
    keep
        Folder of profiles that a new file is put into; None puts it beside the checkpoint.
    profiles
        Folder of profiles in which there may be one, or None for the usual one.
    trusted
        SHA-256 of the checkpoint that may run, since a person trusted it when it was loaded; no
        other one may, and none if it is empty.
    """

    def restated() -> LoadedModel:
        from napari_ies.checkpoints import checkpoint_sha256
        from napari_ies.checkpoints.sidecar import stated_profile, write_stated

        trust = bool(trusted) and checkpoint_sha256(Path(path)) == trusted
        fields, file = stated_profile(Path(path), profiles, checkpoint_sha256)
        arguments = {**fields.get("arguments", {}), **stated.get("arguments", {})}
        fields = {**fields, **stated, **({"arguments": arguments} if arguments else {})}
        loaded = _loaded(path, device, trust, profiles, fields)
        if isinstance(loaded, Untrusted):
            raise CheckpointError(
                f"{loaded.why}: load it again, and trust it, before its profile is changed."
            )
        write_stated(Path(path), fields, loaded.model.sha256, file, keep)
        return loaded

    return once(f"Loading {Path(path).name}", restated)


def _loaded(
    path: str,
    device: str,
    trust: bool,
    profiles: Path | None = None,
    stated: Mapping[str, Any] | None = None,
) -> LoadedModel | Untrusted:
    from napari_ies.checkpoints import available_devices, device_label, load_checkpoint
    from napari_ies.own_symbols import load_triton
    from napari_ies.saliency.engines.certification import choose_engine
    from napari_ies.saliency.gradcam import layers_offered

    load_triton()  # the window has painted, and parts of PyTorch load it sooner or later
    try:
        model = load_checkpoint(path, device=device, trust=trust, profiles=profiles, stated=stated)
    except UntrustedError as error:
        return Untrusted(path, error.why)
    choose_engine(model)  # its trial runs now, not at the first click
    with suppress(ImportError):
        import_module("torch.fx.experimental.symbolic_shapes")  # a second, at the first gradient
    layers, default, why = layers_offered(model)
    devices, where = available_devices(), device_label(model.device)
    return LoadedModel(model, where, devices, layers, default, trust, "" if layers else why)
