"""The errors of this package: each message is one sentence for the person at the screen.

A message says what was found, what was expected and what to do. The viewer shows it in a
notification, the command line on standard error; a traceback is for developers only.
"""

from __future__ import annotations

from napari_ies.printable import printable


class NapariIESError(Exception):
    """Anything that napari-ies refuses or cannot do.

    What its message quotes of files and their names is made printable, see
    :func:`~napari_ies.printable.printable`.
    """

    def __str__(self) -> str:
        return printable(super().__str__())


class CaseError(NapariIESError):
    """A patient's images cannot be read or do not belong together."""


class CheckpointError(NapariIESError):
    """A checkpoint cannot be loaded, or does not fit the case."""

    def __str__(self) -> str:
        # A tensor's name may have lines.
        return super().__str__().replace("\n", r"\x0a").replace("\t", r"\x09")


class UntrustedError(CheckpointError):
    """A checkpoint would have to run what it holds, and nobody said that it may.

    Parameters
    ----------
    why
        A clause that says what would run.
    """

    def __init__(self, why: str) -> None:
        super().__init__(f"{why}; give --trust if you know where it comes from.")
        self.why = why


class NoSuchClassError(CheckpointError):
    """A class was asked for that the network does not have."""


class SegmentationError(NapariIESError):
    """A case cannot be segmented."""


class SaliencyError(NapariIESError):
    """A saliency request cannot be computed."""


class ResultsError(NapariIESError):
    """Results cannot be written or read back."""


class FigureError(NapariIESError):
    """A figure cannot be drawn as asked."""


class CohortError(NapariIESError):
    """Many patients cannot be found, or worked through, as asked."""
