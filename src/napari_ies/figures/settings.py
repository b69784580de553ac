"""FigureSettings: how a figure looks, whatever it shows."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real

from napari_ies.admissible import real_number, whole_number
from napari_ies.colour_maps import SEQUENTIAL_MAPS, SIGNED_MAPS
from napari_ies.errors import FigureError

LAYOUTS = ("planes", "montage")
THEMES = ("light", "dark")
INTERPOLATIONS = ("linear", "nearest")
LIMITS = ("shared", "own")
FORMATS = ("png", "svg", "pdf")

ONE_COLUMN_MM, TWO_COLUMNS_MM = 88.0, 180.0
"""Widths of one and of two columns of a journal's page."""
NARROWEST_MM, WIDEST_MM = 60.0, 400.0
MOST_SLICES = 24
MOST_MARGIN_MM = 1000.0
FARTHEST_MM = 1e6
MOST_LIMIT = 1e30


@dataclass(frozen=True)
class FigureSettings:
    """How a figure looks.

    Parameters
    ----------
    layout
        ``"planes"``: the axial, coronal and sagittal slice at the centre; ``"montage"``: axial
        slices through it.
    theme
        ``"light"`` or ``"dark"``: the page around the images, which are always on black.
    width
        Of the page, in mm: 88 for one column of a journal, 180 for two.
    margin
        How far the images reach around the lesion, in mm; None for whole slices. Around a centre
        that is chosen they are as large.
    at
        The centre in the scanner's coordinates (x, y, z towards right, anterior and superior, as
        the affine gives them), in mm; None for the lesion's.
    sequences
        The sequences to show, in order; None for all.
    plain
        Whether each image is shown without overlay too, beside or above.
    slices
        Montage only: number of slices.
    limits
        ``"shared"``: the colours of all sequences end at one magnitude and can be compared;
        ``"own"``: each sequence has a limit and a colour bar of its own.
    limit
        Magnitude at which the colours of all sequences end, in the map's unit; None for what the
        map itself gives, see :func:`~napari_ies.colour_maps.colour_limit`.
    threshold
        Magnitude up to which the overlay is clear, as a fraction of the limit.
    opacity
        Of the overlay, as a fraction of the viewer's.
    outline
        Whether the lesion is outlined, over the overlay.
    interpolation
        Between voxels: ``"linear"``, or ``"nearest"`` to show each as the box that it is.
    signed_map, sequential_map
        Names of the colour maps for SmoothGrad and for Grad-CAM++: values of
        :data:`napari_ies.colour_maps.SIGNED_MAPS` and ``SEQUENTIAL_MAPS``.

    Raises
    ------
    FigureError
        If one of them is not possible, in one sentence.
    """

    layout: str = "planes"
    theme: str = "light"
    width: float = TWO_COLUMNS_MM
    margin: float | None = 15.0
    at: tuple[float, float, float] | None = None
    sequences: tuple[str, ...] | None = None
    plain: bool = True
    slices: int = 6
    limits: str = "shared"
    limit: float | None = None
    threshold: float = 0.1
    opacity: float = 1.0
    outline: bool = True
    interpolation: str = "linear"
    signed_map: str = "RdBu_r"
    sequential_map: str = "inferno"

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("layout", self.layout, LAYOUTS),
            ("theme", self.theme, THEMES),
            ("interpolation", self.interpolation, INTERPOLATIONS),
            ("kind of limits", self.limits, LIMITS),
            ("signed colour map", self.signed_map, tuple(SIGNED_MAPS.values())),
            ("sequential colour map", self.sequential_map, tuple(SEQUENTIAL_MAPS.values())),
        ):
            if not (isinstance(value, str) and value in allowed):
                raise FigureError(
                    f"There is no {name} {value!r}; expected one of {', '.join(allowed)}."
                )
        self._take(
            "width",
            "The width is {} mm",
            (NARROWEST_MM, WIDEST_MM),
            f"such as {ONE_COLUMN_MM:g} for one column and {TWO_COLUMNS_MM:g} for two",
        )
        if self.margin is not None:
            self._take(
                "margin",
                "The margin around the lesion is {} mm",
                (0.0, MOST_MARGIN_MM),
                "more than a head",
            )
        if self.at is not None and not (len(self.at) == 3 and all(map(_is_place, self.at))):
            raise FigureError(
                f"The centre is {self.at}; expected three finite numbers in mm, of at most "
                f"{FARTHEST_MM:,.0f} mm."
            )
        if self.sequences is not None and not self.sequences:
            raise FigureError("No sequence is to be shown; choose at least one.")
        slices = whole_number(
            self.slices,
            "{} slices were asked for",
            (1, MOST_SLICES),
            FigureError,
            "which a page has room for",
        )
        object.__setattr__(self, "slices", slices)
        if self.limit is not None:
            self._take("limit", "The colour limit is {}", (0.0, MOST_LIMIT), above=True)
        if self.limit is not None and self.limits == "own":
            raise FigureError(
                f"One limit of {self.limit:g} was given for sequences with limits of their own; "
                "leave one of the two out."
            )
        self._take(
            "threshold", "The threshold is {} of the limit", (0.0, 1.0), "a fraction", below=True
        )
        self._take("opacity", "The opacity is {}", (0.0, 1.0), "a fraction")

    def _take(
        self,
        name: str,
        said: str,
        limits: tuple[float, float],
        why: str = "",
        *,
        above: bool = False,
        below: bool = False,
    ) -> None:
        """Check a number and keep it as Python's own, whatever kind was given."""
        number = real_number(
            getattr(self, name), said, limits, FigureError, why, above=above, below=below
        )
        object.__setattr__(self, name, number)


def _is_place(value: object) -> bool:
    return isinstance(value, Real) and abs(float(value)) <= FARTHEST_MM
