"""Failures: an error as one sentence for the person at the screen."""

from __future__ import annotations

from napari_ies.errors import NapariIESError
from napari_ies.printable import printable


def sentence(error: Exception) -> str:
    """Say an error in one sentence."""
    if isinstance(error, NapariIESError):
        return str(error)
    from napari_ies.free_memory import is_out_of_memory  # PyTorch comes with it

    if is_out_of_memory(error):
        return (
            "There was not enough memory for this computation; close other programs, choose the "
            "device cpu, or use fewer or smaller images."
        )
    if isinstance(error, OSError):
        where = f" {error.filename}" if error.filename else ""
        return printable(
            f"The file{where} could not be read or written: {error.strerror or error}; check that "
            "it is there, that you may use it, and that the disk is not full."
        )
    what = " ".join([type(error).__name__, *str(error).split()])
    return (
        f"This could not be done because of a fault in napari-ies ({printable(what, 300)}); what "
        "was computed before is still there. Please report it with what the log says."
    )
