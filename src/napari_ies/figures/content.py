"""FigureContent: what a figure shows, and what it says about it in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_ies.colour_maps import colour_limit, window_of
from napari_ies.errors import FigureError
from napari_ies.printable import counted, joined, printable
from napari_ies.versions import __version__

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_ies.figures.settings import FigureSettings
    from napari_ies.patient.case import Case
    from napari_ies.saliency.saliency import Saliency

LONGEST_SUBJECT = 200
"""Characters of what is explained."""

DISCLAIMER = "research software, not a medical device"


@dataclass(frozen=True, eq=False)
class FigureContent:
    """What a figure shows.

    Parameters
    ----------
    case
        The images, on the saliency's grid.
    saliency
        The maps of one lesion or region.
    subject
        What is explained, such as ``"lesion 3"`` or ``"region brainstem"``.
    network
        Name of the checkpoint; empty to take it from the saliency, if that knows.
    notes
        What a reader of the figure must know besides: short phrases for the method line.
    reference
        Mask of the reference on the images' grid (X, Y, Z), bool; None without one.
    limits
        Magnitudes at which the colours end, in the maps' unit: of all sequences together, and then
        each one's own. Empty for what the maps themselves give, which grows while they are
        computed.

    Raises
    ------
    FigureError
        If the images lie on another grid than the saliency, or it has no map of one of them.
    """

    case: Case
    saliency: Saliency
    subject: str
    network: str = ""
    notes: tuple[str, ...] = ()
    reference: NDArray[np.bool_] | None = None
    limits: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.case.grid.same_as(self.saliency.grid):
            raise FigureError(
                f"The images (size {self.case.shape}) do not lie on the grid of the saliency "
                f"(size {self.saliency.shape}); give the images that it was computed from."
            )
        if self.reference is not None and self.reference.shape != self.case.shape:
            raise FigureError(
                f"The reference (size {self.reference.shape}) does not lie on the images' grid "
                f"(size {self.case.shape}); give it on that grid."
            )
        unknown = [name for name in self.case.sequences if name not in self.saliency.sequences]
        if self.signed and unknown:
            raise FigureError(
                f"The saliency has no map of {unknown[0]}; it holds those of "
                f"{', '.join(self.saliency.sequences)}."
            )

    @property
    def signed(self) -> bool:
        """Whether the maps have values of both signs."""
        return self.saliency.request.is_smoothgrad

    def limit_of(self, sequence: str | None = None) -> float:
        """Return where the colours of a sequence's map end, or of all of them together."""
        number = None if sequence is None else self.saliency.sequences.index(sequence)
        if self.limits:
            return self.limits[0 if number is None else number + 1]
        return colour_limit(self.saliency, number)

    @property
    def subject_title(self) -> str:
        """What is explained, with a capital letter."""
        subject = printable(self.subject, LONGEST_SUBJECT)
        return subject[:1].upper() + subject[1:]

    @property
    def title(self) -> str:
        """What the figure shows, for a file's metadata."""
        request = self.saliency.request
        method = f"SmoothGrad {request.aggregation}" if self.signed else "Grad-CAM++"
        return f"{self.subject_title}: {method} saliency"

    @property
    def method_line(self) -> str:
        """How the maps were made, in one line."""
        volume = int(np.count_nonzero(self.saliency.footprint)) * self.saliency.grid.voxel_mm3
        size = f"{volume:,.0f}" if volume >= 10 else f"{volume:.2g}"
        network = self.network or _checkpoint_name(self.saliency)
        parts = [
            self._method(),
            *([f"network {network}"] if network else []),
            f"{printable(self.subject, LONGEST_SUBJECT)}, {size} mm³",
            *self.notes,
            f"napari-ies {__version__}",
            DISCLAIMER,
        ]
        # Names come from files: a control character spoils an SVG.
        return printable("; ".join(parts))

    def peaks(self, sequences: Sequence[str]) -> str:
        """Say in a sentence how sure the values of largest magnitude are; empty where unknown.

        Parameters
        ----------
        sequences
            Those of whose maps it is said.
        """
        saliency = self.saliency
        errors, spreads = saliency.cropped_standard_error, saliency.cropped_spread
        if errors is None and spreads is None:
            return ""
        said = []
        for name in sequences if self.signed else saliency.sequences:
            channel = saliency.sequences.index(name)
            values = saliency.cropped[channel]
            at = int(np.abs(values).argmax())
            text = number_text(float(values.flat[at]))
            if errors is not None:
                text += f" ± {number_text(float(errors[channel].flat[at]))}"
            if spreads is not None:
                text += f" (members ± {number_text(float(spreads[channel].flat[at]))})"
            said.append(f"{text} in {name}" if self.signed else text)
        kinds = [] if errors is None else ["the Monte-Carlo standard error of the noise"]
        if spreads is not None:
            kinds.append("the standard deviation between the maps of the network's members")
        return f"Value of largest magnitude: {joined(said)}, with {joined(kinds)}."

    def sequences(self, settings: FigureSettings) -> tuple[str, ...]:
        """Return the sequences to show.

        Raises
        ------
        FigureError
            If one that is asked for is not there.
        """
        if settings.sequences is None:
            return self.case.sequences
        missing = [name for name in settings.sequences if name not in self.case.sequences]
        if missing:
            raise FigureError(
                f"There is no sequence {missing[0]} to show; the case holds "
                f"{', '.join(self.case.sequences)}."
            )
        return settings.sequences

    def image(self, sequence: str) -> NDArray[np.float32]:
        """Return the image of a sequence as stored, (X, Y, Z)."""
        image: NDArray[np.float32] = self.case.data[self.case.sequences.index(sequence)]
        return image

    def window(self, sequence: str) -> tuple[float, float]:
        """Return the grey values between which the image of a sequence is drawn."""
        background = self.case.backgrounds[self.case.sequences.index(sequence)]
        return window_of(self.image(sequence), background)

    def cropped_map(self, sequence: str) -> NDArray[np.float32]:
        """Return the saliency of a sequence on the saliency's box; the one there is for all."""
        channel = self.saliency.sequences.index(sequence) if self.signed else 0
        cropped: NDArray[np.float32] = self.saliency.cropped[channel]
        return cropped

    def _method(self) -> str:
        request, saliency = self.saliency.request, self.saliency
        forward = request.forward.replace("-", " ")
        precision = str(saliency.provenance.get("precision", "float32"))
        how = [forward, *([] if precision == "float32" else [precision])]
        if not self.signed:
            layer = request.layer or saliency.provenance.get("layer")
            return ", ".join(["Grad-CAM++", *([f"layer {layer}"] if layer else []), *how])
        samples = counted(saliency.n_used, "sample")
        if saliency.n_used < request.n_samples and request.tolerance is None:
            # A map shows a part of the first sample before that is complete.
            so_far = saliency.n_used or "part of the first"
            samples = f"{so_far} of {request.n_samples} samples"
        noise = f"noise {100 * request.noise:g} %"
        if request.noise_version > 1:  # the first, where none is said: as in the files of results
            noise += f" (version {request.noise_version})"
        name = f"SmoothGrad {request.aggregation}"
        return ", ".join([name, samples, noise, f"seed {request.seed}", *how])


def number_text(value: float) -> str:
    """Return a number with two digits and a proper minus sign."""
    return f"{value:.2g}".replace("-", "−")


def _checkpoint_name(saliency: Saliency) -> str:
    checkpoint = saliency.provenance.get("checkpoint")
    return str(checkpoint.get("name") or "") if isinstance(checkpoint, Mapping) else ""
