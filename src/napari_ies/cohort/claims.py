"""What the original scripts are told about a network, and what the weights say to it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from napari_ies.errors import CohortError

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_ies.network.model import SegmentationModel

ARCHITECTURES = {
    "unet-": "UNet",
    "unetr": "UNETR",
    "swin_unetr": "SwinUNETR",
    "nn-unet": "DynUNet",
}
"""MONAI's class for each word of the scripts' ``--model``."""


def check_claims(
    model: SegmentationModel, claimed: str | None, input_size: float | None
) -> list[str]:
    """Compare what was said of a network with its weights; return what must be said back.

    Parameters
    ----------
    model
        The network as its weights are.
    claimed
        What kind it is said to be, of `ARCHITECTURES`.
    input_size
        Voxels along each side of the images that it is said to take.

    Raises
    ------
    CohortError
        If the weights are of another kind, or take images of another size.
    """
    profile = model.profile
    name = profile.name if model.path is None else model.path.name
    if claimed is not None and ARCHITECTURES[claimed] != profile.architecture:
        own = next(
            (f" (--model {word})" for word, known in ARCHITECTURES.items()
             if known == profile.architecture), ""
        )  # fmt: skip
        raise CohortError(
            f"{name} holds the weights of a {profile.architecture}{own}, not of the "
            f"{ARCHITECTURES[claimed]} that --model {claimed} says; leave out --model, or give the "
            "other checkpoint."
        )
    if input_size is None:
        return []
    if profile.fixed_size is None:
        return [
            f"--input_size {input_size:g} has no effect: this {profile.architecture} takes images "
            "of many sizes, and its windows are "
            f"{' × '.join(str(side) for side in profile.window)} voxels."
        ]
    if any(side != input_size for side in profile.fixed_size):
        raise CohortError(
            f"{name} takes images of {' × '.join(str(side) for side in profile.fixed_size)} "
            f"voxels, not of {input_size:g} as --input_size says; leave it out."
        )
    return []


def recompute_activations(model: SegmentationModel) -> bool:
    """Have activations computed once more in each backward pass, not kept, where layers can.

    The blocks of the networks that run in whole windows can; it takes less memory and longer and
    changes no value. Return whether any layer can.
    """
    from monai.networks.blocks import TransformerBlock, UnetBasicBlock, UnetResBlock

    able = False
    for layer in model.network.modules():
        if hasattr(layer, "use_checkpoint"):  # Swin's, which know how
            setattr(layer, "use_checkpoint", True)  # noqa: B010 - to mypy it is no attribute
            able = True
        elif isinstance(layer, (TransformerBlock, UnetBasicBlock, UnetResBlock)):
            layer.forward = partial(_recomputed, layer.forward)
            able = True
    return able


def _recomputed(forward: Callable[..., Any], *inputs: Any) -> Any:
    """Go through a block, and once more when its gradient is asked for."""
    from torch.utils.checkpoint import checkpoint

    return checkpoint(forward, *inputs, use_reentrant=False)
