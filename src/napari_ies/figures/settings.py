"""FigureSettings: how a figure looks, whatever it shows."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Annotated

from napari_ies.admissible import one_of
from napari_ies.errors import FigureError
from napari_ies.parameters import Parameter, take

FORMATS = ("png", "svg", "pdf")

ONE_COLUMN_MM, TWO_COLUMNS_MM = 88.0, 180.0
"""Widths of one and of two columns of a journal's page."""
FARTHEST_MM = 1e6

_LAYOUT = Parameter(
    "Three planes at the lesion, or axial slices through it.",
    label="Layout",
    choices={"planes": "Three planes", "montage": "Axial slices"},
)
_THEME = Parameter(
    "The page around the images.", label="Page", choices={"light": "Light", "dark": "Dark"}
)
_WIDTH = Parameter(
    "Width of the page in mm: 88 for one column of a journal, 180 for two.",
    said="The width is {} mm",
    why=f"such as {ONE_COLUMN_MM:g} for one column and {TWO_COLUMNS_MM:g} for two",
    label="Width",
    limits=(60.0, 400.0),
    choices={ONE_COLUMN_MM: "One column (88 mm)", TWO_COLUMNS_MM: "Two columns (180 mm)"},
)
_MARGIN = Parameter(
    "How far the images reach around the lesion, in mm; around a centre that is chosen they are "
    "as large.",
    said="The margin around the lesion is {} mm",
    why="more than a head",
    label="Around the lesion",
    limits=(0.0, 1000.0),
    offered=(0.0, 200.0),
    step=5.0,
    unit=" mm",
)
_AT = Parameter(
    "Centre the figure here, in mm of the scanner's coordinates (towards right, anterior, "
    "superior, as the images' affine has them), not on the lesion."
)
_SEQUENCES = Parameter(name="sequence", help="Show this sequence; repeat for more (default: all).")
_PLAIN = Parameter("Show each image without its overlay too.", label="images without overlay too")
_SLICES = Parameter(
    "Number of slices, where axial slices are shown.",
    said="{} slices were asked for",
    why="which a page has room for",
    label="Slices",
    limits=(1, 24),
)
_LIMITS = Parameter(
    "Where the colours end: at one magnitude, so that sequences can be compared by eye, or at one "
    "for each sequence, with a colour bar each, so that faint maps show too; auto shares one "
    "unless a sequence would show nothing then.",
    said="There is no kind of limits {}",
    label="Colour limits",
    choices={
        "auto": "Shared, if every sequence shows",
        "shared": "Shared by the sequences",
        "own": "Each sequence its own",
    },
)
_LIMIT = Parameter(
    "Magnitude at which the colours of all sequences end (default: the map's own limit).",
    said="The colour limit is {}",
    limits=(0.0, 1e30),
    above=True,
)
_THRESHOLD = Parameter(
    "Fraction of the limit up to which the overlay is clear.",
    said="The threshold is {} of the limit",
    why="a fraction",
    limits=(0.0, 1.0),
    below=True,
)
_OPACITY = Parameter("Opacity of the overlay, up to 1.", why="a fraction", limits=(0.0, 1.0))
_OUTLINE = Parameter("Outline the lesion over its saliency.", label="outline of the lesion")
_OUTLINE_WIDTH = Parameter(
    "Width of the outlines in points; thinner where voxels are small, and around a lesion so small "
    "that they would hide its map.",
    name="outline-width",
    said="The outline's width is {} points",
    why="more hides what it surrounds",
    label="Width of outlines",
    limits=(0.1, 3.0),
    step=0.1,
    decimals=1,
    unit=" pt",
)
_REFERENCE = Parameter(
    "Outline the reference too, dashed, where there is one.",
    name="outline-reference",
    label="outline of the reference",
)
_LETTERS = Parameter("Name the panels a, b, c, …", label="letters on the panels")
_INTERPOLATION = Parameter(
    "Between voxels; nearest shows each as a box.",
    choices={"linear": "linear", "nearest": "nearest"},
)


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
        ``"own"``: each sequence has a limit and a colour bar of its own; ``"auto"``: shared, unless
        that leaves a sequence's pictures without colour where a limit of its own would not.
    limit
        Magnitude at which the colours of all sequences end, in the map's unit; None for what the
        map itself gives, see :func:`~napari_ies.colour_maps.colour_limit`.
    threshold
        Magnitude up to which the overlay is clear, as a fraction of the limit.
    opacity
        Of the overlay, as a fraction of the viewer's.
    outline
        Whether the lesion is outlined, over the overlay.
    outline_width
        Of the outlines, in points; at most a share of a voxel, where those are small.
    outline_reference
        Whether the reference is outlined too, dashed, if the content has one.
    letters
        Whether each panel is named by a letter, row by row.
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

    layout: Annotated[str, _LAYOUT] = "planes"
    theme: Annotated[str, _THEME] = "light"
    width: Annotated[float, _WIDTH] = TWO_COLUMNS_MM
    margin: Annotated[float | None, _MARGIN] = 15.0
    at: Annotated[tuple[float, float, float] | None, _AT] = None
    sequences: Annotated[tuple[str, ...] | None, _SEQUENCES] = None
    plain: Annotated[bool, _PLAIN] = True
    slices: Annotated[int, _SLICES] = 6
    limits: Annotated[str, _LIMITS] = "auto"
    limit: Annotated[float | None, _LIMIT] = None
    threshold: Annotated[float, _THRESHOLD] = 0.1
    opacity: Annotated[float, _OPACITY] = 1.0
    outline: Annotated[bool, _OUTLINE] = True
    outline_width: Annotated[float, _OUTLINE_WIDTH] = 0.7
    outline_reference: Annotated[bool, _REFERENCE] = True
    letters: Annotated[bool, _LETTERS] = False
    interpolation: Annotated[str, _INTERPOLATION] = "linear"
    signed_map: str = "RdBu_r"
    sequential_map: str = "inferno"

    def __post_init__(self) -> None:
        take(self, FigureError)
        # Not above: the command line reads how the fields are described, without NumPy.
        from napari_ies.colour_maps import SEQUENTIAL_MAPS, SIGNED_MAPS

        for kind, name, known in (
            ("signed", self.signed_map, SIGNED_MAPS),
            ("sequential", self.sequential_map, SEQUENTIAL_MAPS),
        ):
            one_of(name, f"There is no {kind} colour map {{}}", [*known.values()], FigureError)
        if self.at is not None and not (len(self.at) == 3 and all(map(_is_place, self.at))):
            raise FigureError(
                f"The centre is {self.at}; expected three finite numbers in mm, of at most "
                f"{FARTHEST_MM:,.0f} mm."
            )
        if self.sequences is not None and not self.sequences:
            raise FigureError("No sequence is to be shown; choose at least one.")
        if self.limit is not None and self.limits == "own":
            raise FigureError(
                f"One limit of {self.limit:g} was given for sequences with limits of their own; "
                "leave one of the two out."
            )


def _is_place(value: object) -> bool:
    return isinstance(value, Real) and abs(float(value)) <= FARTHEST_MM
