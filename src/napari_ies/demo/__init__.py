"""A synthetic patient and a small network trained on such patients: try everything without data."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_ies.demo.patient import (
        SyntheticPatient,
        synthetic_patient,
        write_synthetic_patient,
    )

__all__ = ["SyntheticPatient", "demo_checkpoint", "synthetic_patient", "write_synthetic_patient"]


def demo_checkpoint() -> Path:
    """Return the file of the demo's network; its profile lies beside it.

    The network is a small MONAI UNet for FLAIR and T1, trained by
    ``scripts/train_demo_network.py`` on synthetic patients. It is no medical device.
    """
    return Path(str(files("napari_ies.demo") / "demo_unet.pth"))


def __getattr__(name: str) -> Any:
    # scipy's submodules take their time: wait until a patient is asked for.
    if name in __all__:
        from napari_ies.demo import patient

        return getattr(patient, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
