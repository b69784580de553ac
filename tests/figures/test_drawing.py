"""What is on the pictures: values at their places, in their colours, at their size."""

from __future__ import annotations

import dataclasses
import sys
from functools import cached_property

import matplotlib as mpl
import numpy as np
import pytest
from figure_content import (
    AFFINE,
    BOX,
    CENTRE,
    DISPLAYED_SHAPE,
    DISPLAYED_SPACING,
    LESION,
    SHAPE,
    SPACING,
    content,
    displayed,
    with_value,
    with_values,
)
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patches import PathPatch
from matplotlib.text import Text
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

from napari_ies.errors import FigureError
from napari_ies.figures.content import FigureContent
from napari_ies.figures.drawing import draw_figure, outline_width
from napari_ies.figures.scales import scales_of
from napari_ies.figures.settings import FigureSettings
from napari_ies.figures.slices import Slicing
from napari_ies.figures.style import THINNEST_PT

# Displayed axes (across, down, along) of each plane.
PLANES = {"Axial": (0, 1, 2), "Coronal": (1, 0, 2), "Sagittal": (2, 0, 1)}
MARKS = {"Axial": "RLAP", "Coronal": "RLSI", "Sagittal": "APSI"}
LEVEL = [(c, CENTRE[1], CENTRE[2] + 2) for c in range(15, 27, 2)]
"""Voxels of the axial slice through the centre, apart from each other."""
WHOLE = FigureSettings(margin=None, interpolation="nearest", outline=False, limit=2.0)


class Picture:
    """A figure of the three planes, with and without overlay beside each other."""

    def __init__(self, made: FigureContent, settings: FigureSettings) -> None:
        self.figure = draw_figure(made, settings)
        self.canvas = FigureCanvasAgg(self.figure)
        drawn = iter(self.figure.axes)
        self.axes = {
            (plane, sequence, overlay): next(drawn)
            for plane in PLANES
            for sequence in made.sequences(settings)
            for overlay in (False, True)
        }

    @cached_property
    def pixels(self):
        """Red, green and blue, rendered when first asked for: artists need no picture."""
        self.canvas.draw()
        return np.asarray(self.canvas.buffer_rgba())[..., :3].astype(int)

    def edges(self, panel):
        """Left, right, top and bottom edge of a panel in pixels, counted from the top left."""
        box = self.axes[panel].get_window_extent()
        return box.x0, box.x1, len(self.pixels) - box.y1, len(self.pixels) - box.y0

    def box_of(self, panel, voxel):
        """Left, right, top and bottom pixel edge of a stored voxel where whole slices are shown.

        By hand: the panel's width is the volume's, and its middle shows the volume's middle.
        """
        left, right, top, bottom = self.edges(panel)
        _, down, along = PLANES[panel[0]]
        index = displayed(voxel)
        scale = (right - left) / (DISPLAYED_SHAPE[along] * DISPLAYED_SPACING[along])
        wide, high = (scale * DISPLAYED_SPACING[axis] for axis in (along, down))
        first = left + index[along] * wide
        above = (top + bottom) / 2 + (index[down] - DISPLAYED_SHAPE[down] / 2) * high
        return first, first + wide, above, above + high

    def at(self, panel, voxel):
        left, right, top, bottom = self.box_of(panel, voxel)
        return self.pixels[int((top + bottom) / 2), int((left + right) / 2)]

    def coloured(self, panel):
        """Left, right, top, bottom pixel edge of all that is neither black, grey nor white."""
        left, right, top, bottom = (round(edge) for edge in self.edges(panel))
        inside = self.pixels[top:bottom, left:right]
        rows, columns = np.nonzero(np.ptp(inside, axis=-1) > 8)
        return (
            left + columns.min(),
            left + columns.max() + 1,
            top + rows.min(),
            top + rows.max() + 1,
        )


@pytest.mark.slow
@pytest.mark.parametrize("sequence", ["FLAIR", "T1"])
def test_a_saliency_value_is_shown_at_its_place_at_its_size_and_nowhere_else(sequence):
    made = with_value(CENTRE, ["FLAIR", "T1"].index(sequence), 1.9)
    picture = Picture(made, WHOLE)
    for plane in PLANES:
        panel = (plane, sequence, True)
        np.testing.assert_allclose(
            picture.coloured(panel), picture.box_of(panel, CENTRE), atol=1.01
        )
        other = "T1" if sequence == "FLAIR" else "FLAIR"
        for empty in ((plane, sequence, False), (plane, other, True), (plane, other, False)):
            with pytest.raises(ValueError, match="zero-size"):
                picture.coloured(empty)


def test_image_values_are_shown_in_their_grey():
    made = content()
    picture = Picture(made, WHOLE)
    for number, sequence in enumerate(made.case.sequences):
        volume = made.case.data[number]
        for axis, plane in ((1, "Axial"), (0, "Coronal"), (2, "Sagittal")):
            for step in (-3, 0, 2):
                # Neighbours on the slices through the centre; stored axes: P, S, R.
                voxel = tuple(c + (0 if a == axis else step) for a, c in enumerate(CENTRE))
                sample = volume[::3, ::3, ::3]
                low, high = np.percentile(sample, (0.5, 99.8))
                grey = 255 * np.clip((volume[voxel] - low) / (high - low), 0, 1)
                np.testing.assert_allclose(
                    picture.at((plane, sequence, False), voxel), grey, atol=2
                )


@pytest.mark.parametrize("threshold", [0.1, 0.5])
def test_colours_stand_for_values_and_let_the_image_through(threshold):
    values = dict(zip(LEVEL, (0.9, -0.9, 2.5, -1.4, 0.39, 0.19), strict=True))
    made = with_values(values, 0)
    settings = dataclasses.replace(WHOLE, threshold=threshold, sequences=("FLAIR",))
    picture = Picture(made, settings)
    for voxel, value in values.items():
        grey = picture.at(("Axial", "FLAIR", False), voxel)
        part = np.clip(value / 2, -1, 1)
        opacity = 0.9 * np.clip((abs(part) - threshold) / (0.61 * (1 - threshold)), 0, 1)
        colour = 255 * np.array(mpl.colormaps["RdBu_r"](0.5 + 0.5 * 0.88 * part)[:3])
        expected = opacity * colour + (1 - opacity) * grey
        shown = picture.at(("Axial", "FLAIR", True), voxel)
        np.testing.assert_allclose(shown, expected, atol=0 if abs(part) < threshold else 4)


def test_between_voxels_values_are_interpolated_or_not():
    made = with_value(CENTRE, 0, 1.9)
    smooth = Picture(made, dataclasses.replace(WHOLE, interpolation="linear", sequences=("FLAIR",)))
    panel = ("Axial", "FLAIR", True)
    left, right, top, bottom = smooth.box_of(panel, CENTRE)
    wide, high = right - left, bottom - top
    # Linear: 0 at the neighbours' middles, so clear where the tenth of the limit is reached.
    reach = 1 - 0.2 / 1.9
    middle = np.array([left + right, top + bottom]) / 2
    expected = [
        middle[0] - reach * wide,
        middle[0] + reach * wide,
        middle[1] - reach * high,
        middle[1] + reach * high,
    ]
    np.testing.assert_allclose(smooth.coloured(panel), expected, atol=2.5)


@pytest.mark.parametrize(
    ("direction", "shown"),
    [
        ([1, 0, 0], {"Axial": "left", "Coronal": "left"}),
        ([0, 1, 0], {"Axial": "up", "Sagittal": "left"}),
        ([0, 0, 1], {"Coronal": "up", "Sagittal": "up"}),
    ],
    ids=["right", "anterior", "superior"],
)
def test_right_is_on_the_left_and_anterior_and_superior_are_up(direction, shown):
    # The scanner's coordinates grow to the patient's right, to the front and to the top.
    step = np.linalg.inv(content().saliency.affine[:3, :3]) @ direction
    axis = int(np.abs(step * SPACING).argmax())
    voxel = np.array(CENTRE)
    voxel[axis] += int(3 * np.sign(step[axis]))
    settings = dataclasses.replace(WHOLE, sequences=("FLAIR",))
    picture = Picture(with_value(tuple(voxel), 0, 1.9), settings)
    for plane, side in shown.items():
        panel = (plane, "FLAIR", True)
        coloured, centre = picture.coloured(panel), picture.box_of(panel, CENTRE)
        assert coloured[1] < centre[0] if side == "left" else coloured[3] < centre[2]


def test_marks_stand_at_the_edges_they_name():
    picture = Picture(content(), dataclasses.replace(WHOLE, sequences=("T1",)))
    for (plane, _, _), axes in picture.axes.items():
        texts = {text.get_text(): text for text in axes.texts}
        assert sorted(texts) == sorted(MARKS[plane])
        box = axes.get_window_extent()
        middles = {}
        for mark, text in texts.items():
            extent = text.get_window_extent()
            assert min(extent.x0 - box.x0, box.x1 - extent.x1) >= 0
            assert min(extent.y0 - box.y0, box.y1 - extent.y1) >= 0
            middles[mark] = (
                ((extent.x0 + extent.x1) / 2 - box.x0) / box.width,
                ((extent.y0 + extent.y1) / 2 - box.y0) / box.height,
            )
        left, right, top, bottom = MARKS[plane]
        assert middles[left][0] < 0.2 < 0.8 < middles[right][0]
        assert middles[bottom][1] < 0.2 < 0.8 < middles[top][1]


def test_the_outline_runs_along_the_edges_of_exactly_the_lesions_voxels():
    picture = Picture(content(), dataclasses.replace(WHOLE, outline=True, sequences=("FLAIR",)))
    lesion = np.zeros(DISPLAYED_SHAPE, dtype=bool)
    for voxel in LESION:
        lesion[displayed(voxel)] = True
    for plane, (across, down, along) in PLANES.items():
        mask = np.take(lesion, displayed(CENTRE)[across], axis=across)
        expected = set()
        for row, column in np.argwhere(mask):
            for step_row, step_column in ((-1, 0), (1, 0), (0, -1), (0, 1)):
                if not mask[row + step_row, column + step_column]:
                    middle = (row + step_row / 2, column + step_column / 2)
                    expected.add((round(2 * middle[0]), round(2 * middle[1])))
        axes = picture.axes[plane, "FLAIR", True]
        drawn = [patch for patch in axes.patches if isinstance(patch, PathPatch)]
        assert drawn
        for patch in drawn:
            lines = patch.get_path().to_polygons(closed_only=False)
            ends = np.concatenate([np.stack([one[:-1], one[1:]], axis=1) for one in lines])
            steps = np.array([DISPLAYED_SPACING[along], DISPLAYED_SPACING[down]])
            np.testing.assert_allclose(np.abs(np.diff(ends / steps, axis=1)).sum(axis=2), 1)
            middles = np.rint(2 * (ends / steps).mean(axis=1)).astype(int)
            assert {(row, column) for column, row in middles} == expected
            assert len(middles) == len(expected)
        assert not any(
            isinstance(patch, PathPatch) for patch in picture.axes[plane, "FLAIR", False].patches
        )


@pytest.mark.parametrize("width", [88.0, 180.0, 400.0])
def test_an_outline_leaves_most_of_a_small_lesion_to_be_seen(width):
    settings = FigureSettings(width=width, outline_width=3.0, sequences=("FLAIR",))
    one_voxel = np.zeros_like(content().saliency.footprint)
    one_voxel[tuple(v - side.start for v, side in zip(CENTRE, BOX, strict=True))] = True
    for made in (content(), content(footprint=one_voxel)):
        picture = Picture(made, settings)
        area = length = 0.0
        widths = []
        for plane, (across, *_) in PLANES.items():
            axes = picture.axes[plane, "FLAIR", True]
            drawn = [patch for patch in axes.patches if isinstance(patch, PathPatch)]
            widths.append([patch.get_linewidth() for patch in drawn])
            border = drawn[-1].get_path().to_polygons(closed_only=False)
            length += sum(np.abs(np.diff(one, axis=0)).sum() for one in border)
            lesion = np.argwhere(made.saliency.footprint) + [side.start for side in BOX]
            indices = np.array([displayed(tuple(voxel)) for voxel in lesion])
            count = (indices[:, across] == displayed(CENTRE)[across]).sum()
            area += count * np.prod(np.delete(DISPLAYED_SPACING, across))
            points = 72 * axes.get_position().width * picture.figure.get_figwidth()
            scale = points / abs(np.diff(axes.get_xlim())[0])
        assert len({tuple(one) for one in widths}) == 1, "one width in all of a figure"
        hidden = max(widths[0]) / 2 / scale * length / area
        assert outline_width(made, settings) == widths[0][-1]
        if len(widths[0]) == 2:
            assert hidden <= 0.2501
        else:  # without the dark line below it, and as thin as can be
            assert widths[0] == [THINNEST_PT]


def test_a_reference_is_dashed_and_outlines_are_as_thin_as_asked():
    reference = np.zeros(SHAPE, dtype=bool)
    reference[CENTRE] = True
    large = np.zeros(SHAPE, dtype=bool)
    large[14:29, 3:10, 21:40] = True  # about the same centre
    made = dataclasses.replace(content(footprint=large[BOX]), reference=reference)
    settings = dataclasses.replace(WHOLE, outline=True, outline_width=0.35, sequences=("FLAIR",))
    picture = Picture(made, settings)
    for plane, (_, down, along) in PLANES.items():
        patches = picture.axes[plane, "FLAIR", True].patches
        *_, casing, line = [one for one in patches if isinstance(one, PathPatch)]
        assert line.get_linewidth() == pytest.approx(0.35)
        assert (casing.get_linestyle(), line.get_linestyle()) == ("solid", (0, (4.0, 2.5)))
        (around,) = line.get_path().to_polygons(closed_only=False)
        row, column = displayed(CENTRE)[down], displayed(CENTRE)[along]
        corners = {(column + a, row + b) for a in (-0.5, 0.5) for b in (-0.5, 0.5)}
        steps = (DISPLAYED_SPACING[along], DISPLAYED_SPACING[down])
        assert {tuple(corner) for corner in np.round(around / steps, 6).tolist()} == corners
    words = [text.get_text() for axes in picture.figure.axes for text in axes.texts]
    assert "Reference" in words
    assert picture.pixels.min() < picture.pixels.max(), "dashes can be rendered"
    without = Picture(made, dataclasses.replace(settings, outline_reference=False))
    assert "Reference" not in [t.get_text() for axes in without.figure.axes for t in axes.texts]
    with pytest.raises(FigureError, match="reference"):
        dataclasses.replace(made, reference=reference[1:])


def test_a_faint_sequence_has_a_limit_of_its_own_unless_one_is_asked_for():
    strong, faint = (np.full((2, 16, 8, 20), value, np.float32) for value in (1.0, 1.0))
    faint[1] *= 0.05  # below a tenth of the limit, where the overlay is clear
    for cropped, bars in ((strong, 1), (faint, 2)):
        saliency = dataclasses.replace(content().saliency, cropped=cropped)
        made = dataclasses.replace(content(), saliency=saliency)
        for settings, expected in (
            (WHOLE, 1),
            (dataclasses.replace(WHOLE, limit=None), bars),
            (dataclasses.replace(WHOLE, limit=None, limits="shared"), 1),
        ):
            scales = scales_of(made, settings, Slicing(made, settings))
            assert len(scales) == expected
    assert [
        scale.limit for scale in scales_of(made, FigureSettings(), Slicing(made, settings))
    ] == [
        pytest.approx(1.0),
        pytest.approx(0.05),
    ]


def test_the_colour_bar_shows_each_colour_over_black_to_white():
    picture = Picture(content(), WHOLE)
    bar = picture.figure.axes[len(picture.axes)]
    (image,) = bar.images
    assert tuple(image.get_extent()) == (-2, 2, 0, 1)
    shown = np.asarray(image.get_array())
    for value in (-1.5, -0.4, 0.0, 0.1, 0.6, 2.0):
        part = value / 2
        opacity = 0.9 * np.clip((abs(part) - 0.1) / (0.61 * 0.9), 0, 1)
        colour = np.array(mpl.colormaps["RdBu_r"](0.5 + 0.5 * 0.88 * part)[:3])
        column = shown[:, round((value + 2) / 4 * (shown.shape[1] - 1))]
        np.testing.assert_allclose(column[0], opacity * colour + 1 - opacity, atol=0.03)
        np.testing.assert_allclose(column[-1], opacity * colour, atol=0.03)


@pytest.mark.slow
def test_letters_name_the_panels_row_by_row():
    settings = dataclasses.replace(WHOLE, letters=True)
    picture = Picture(content(), settings)
    order = sorted(
        picture.axes.values(), key=lambda one: (-one.get_position().y1, one.get_position().x0)
    )
    named = [next(t.get_text() for t in axes.texts if t.get_weight() == "bold") for axes in order]
    assert named == [*"abcdefghijkl"]
    assert picture.pixels.min() < picture.pixels.max(), "they can be rendered"
    assert not any(
        text.get_weight() == "bold"
        for axes in Picture(content(), WHOLE).axes.values()
        for text in axes.texts
    )


@pytest.mark.slow
@pytest.mark.parametrize(("margin", "length"), [(4.0, 10), (60.0, 20)])
def test_the_scale_bar_is_as_long_as_it_says(margin, length):
    picture = Picture(content(), FigureSettings(margin=margin))
    bars = []
    for panel, axes in picture.axes.items():
        for artist in axes.artists:
            if isinstance(artist, AnchoredSizeBar):
                (rectangle,) = artist.size_bar.get_children()
                left, right, _, _ = picture.edges(panel)
                low, high = axes.get_xlim()
                drawn = rectangle.get_window_extent().width / ((right - left) / (high - low))
                assert artist.txt_label.get_text() == f"{length} mm"
                bars.append((panel, rectangle.get_width(), drawn))
    # One per row: all panels have one scale, which is checked below.
    assert [panel for panel, _, _ in bars] == [("Axial", s, False) for s in ("FLAIR", "T1")]
    np.testing.assert_allclose([bar[1:] for bar in bars], length, rtol=1e-6)
    scales = set()
    for axes in picture.axes.values():
        box = axes.get_window_extent()
        (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
        scales |= {round(box.width / (right - left), 4), round(box.height / (bottom - top), 4)}
    assert max(scales) - min(scales) < 0.01 * min(scales)


def test_a_margin_is_what_is_left_around_the_lesion():
    picture = Picture(content(), FigureSettings(margin=3.0))
    lesion = np.array([displayed(voxel) for voxel in LESION])
    low = (lesion.min(axis=0) - 0.5) * DISPLAYED_SPACING
    high = (lesion.max(axis=0) + 0.5) * DISPLAYED_SPACING
    size = (high - low).max() + 6
    for plane, (_, down, along) in PLANES.items():
        axes = picture.axes[plane, "T1", True]
        for limits, axis in ((axes.get_xlim(), along), (axes.get_ylim()[::-1], down)):
            assert limits[1] - limits[0] == pytest.approx(size)
            assert sum(limits) / 2 == pytest.approx((low[axis] + high[axis]) / 2)


def test_a_montage_steps_through_the_lesion_from_top_to_bottom():
    made = content()
    for asked, expected in ((1, [6]), (3, [7, 6, 5]), (5, [8, 7, 6, 5, 4])):
        figure = draw_figure(made, FigureSettings(layout="montage", slices=asked, plain=False))
        # FLAIR and T1 of each slice, then the colour bar and the legend.
        shown = [axes.images[0].get_array() for axes in figure.axes[: 2 * asked : 2]]
        for image, superior in zip(shown, expected, strict=True):
            naive = made.case.data[0][:, superior, ::-1]
            np.testing.assert_array_equal(image, naive)


AWAY = (27, 9, 22)
"""A voxel beside the lesion, and none of it on any slice through it."""


def scanner(voxel):
    """Where the middle of a stored voxel lies, right, anterior and superior in mm."""
    return [
        sum(AFFINE[row][axis] * voxel[axis] for axis in range(3)) + AFFINE[row][3]
        for row in range(3)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("off", [(0, 0, 0), (0.4, -0.4, 0.3)])
def test_about_a_point_the_slices_that_hold_it_are_shown(off):
    made = content()
    at = tuple(scanner(np.add(AWAY, off)))
    picture = Picture(made, FigureSettings(at=at, margin=3.0, plain=True))
    posterior, superior, right = AWAY
    for number, sequence in enumerate(made.case.sequences):
        volume = made.case.data[number]
        naive = {
            "Axial": volume[:, superior, ::-1],
            "Coronal": volume[posterior, ::-1, ::-1],
            "Sagittal": volume[:, ::-1, right].T,
        }
        for plane, image in naive.items():
            shown = picture.axes[plane, sequence, True].images[0].get_array()
            np.testing.assert_array_equal(shown, image)
    words = " ".join(text.get_text() for text in picture.figure.texts)
    assert "Lesion 3 lies on none of these slices." in words
    assert len(picture.figure.axes) == len(picture.axes) + 1, "no legend of what is not shown"
    headings = [text.get_text() for text in picture.figure.texts[:3]]
    places = (f"{value:.0f} mm".replace("-", "−") for value in scanner(AWAY))
    assert [text.partition("= ")[2] for text in headings] == list(places)[::-1]
    # As large as about the lesion, and the point in the middle.
    same = Picture(made, FigureSettings(margin=3.0, plain=True))
    for plane, (_, down, along) in PLANES.items():
        axes, other = picture.axes[plane, "T1", True], same.axes[plane, "T1", True]
        assert np.ptp(axes.get_xlim()) == pytest.approx(np.ptp(other.get_xlim()))
        for limits, axis in ((axes.get_xlim(), along), (axes.get_ylim(), down)):
            middle = displayed(AWAY)[axis] * DISPLAYED_SPACING[axis]
            edges = np.array([-0.5, DISPLAYED_SHAPE[axis] - 0.5]) * DISPLAYED_SPACING[axis]
            inside = edges[0] < min(limits) and max(limits) < edges[1]
            assert not inside or sum(limits) / 2 == pytest.approx(middle)
    figure = draw_figure(made, FigureSettings(layout="montage", slices=3, plain=False, at=at))
    montage = [axes.images[0].get_array() for axes in figure.axes[:6:2]]
    for image, slice_ in zip(montage, (superior + 1, superior, superior - 1), strict=True):
        np.testing.assert_array_equal(image, made.case.data[0][:, slice_, ::-1])


def test_a_point_outside_the_images_is_refused():
    with pytest.raises(FigureError, match=r"300, 0, 0 mm lies outside the images \(x from -"):
        draw_figure(content(), FigureSettings(at=(300.0, 0.0, 0.0)))


def naive_limit(made, channel):
    """The magnitude that a twentieth as many values as voxels of the lesion, at least 5, reach."""
    low = [min(voxel[axis] for voxel in LESION) - 8 for axis in range(3)]
    high = [max(voxel[axis] for voxel in LESION) + 8 for axis in range(3)]
    near = []
    for index in np.ndindex(*made.saliency.cropped.shape[1:]):
        voxel = [i + side.start for i, side in zip(index, made.saliency.box, strict=True)]
        if all(a <= v <= b for a, v, b in zip(low, voxel, high, strict=True)):
            near.append(abs(float(made.saliency.cropped[(channel, *index)])))
    return sorted(near, reverse=True)[max(5, len(LESION) // 20) - 1]


@pytest.mark.slow
def test_each_sequence_may_have_a_limit_and_a_colour_bar_of_its_own():
    made = content()
    noise = np.random.default_rng(2).normal(size=made.saliency.cropped.shape)
    noise[1] *= 0.1
    saliency = dataclasses.replace(made.saliency, cropped=noise.astype(np.float32))
    made = dataclasses.replace(made, saliency=saliency)
    shared = Picture(made, FigureSettings(interpolation="nearest"))
    own = Picture(made, FigureSettings(interpolation="nearest", limits="own"))
    naive = {"FLAIR": naive_limit(made, 0), "T1": naive_limit(made, 1)}
    assert naive["FLAIR"] > 5 * naive["T1"]
    for (plane, sequence, overlay), axes in own.axes.items():
        if overlay:
            norm = axes.images[1].norm
            assert norm.vmax == pytest.approx(naive[sequence])
            assert norm.vmin == -norm.vmax
            both = shared.axes[plane, sequence, True].images[1].norm
            assert both.vmax == pytest.approx(sorted(np.abs(noise).ravel())[-5], rel=0.2)
    bars = own.figure.axes[len(own.axes) : -1]
    assert len(bars) == 2
    for bar, (sequence, limit) in zip(bars, naive.items(), strict=True):
        assert bar.get_xlabel() == f"{sequence}: saliency (logit per standard deviation)"
        assert [tick.get_text() for tick in bar.get_xticklabels()] == [
            f"−{limit:.2g}",
            "0",
            f"{limit:.2g}",
        ]
        assert tuple(bar.get_xlim())[1] >= limit
    (bar,) = shared.figure.axes[len(shared.axes) : -1]
    assert bar.get_xlabel() == "Saliency (logit per standard deviation)"
    words = " ".join(text.get_text() for text in own.figure.texts)
    assert "Each sequence has colour limits of its own" in words
    # The same voxel of T1 is faint with the one limit, and strong with the other.
    strongest = np.abs(noise[1, :, CENTRE[1] - BOX[1].start, :])
    at = np.unravel_index(strongest.argmax(), strongest.shape)
    voxel = (int(at[0]) + BOX[0].start, CENTRE[1], int(at[1]) + BOX[2].start)
    settings = dataclasses.replace(WHOLE, limit=None)
    chroma = {}
    for limits in ("shared", "own"):
        picture = Picture(made, dataclasses.replace(settings, limits=limits))
        chroma[limits] = np.ptp(picture.at(("Axial", "T1", True), voxel))
    assert chroma["own"] > 60 > 20 > chroma["shared"]


def test_gradcam_shows_its_one_map_over_every_sequence():
    made = content()
    saliency = made.saliency
    cropped = np.abs(np.random.default_rng(1).normal(size=saliency.cropped[:1].shape))
    request = dataclasses.replace(saliency.request, method="gradcam++")
    gradcam = dataclasses.replace(
        saliency, request=request, sequences=("all",), cropped=cropped.astype(np.float32)
    )
    picture = Picture(dataclasses.replace(made, saliency=gradcam), WHOLE)
    one, other = (picture.axes["Axial", name, True].images[1] for name in ("FLAIR", "T1"))
    np.testing.assert_array_equal(one.get_array(), other.get_array())
    assert one.get_array().max() > 0
    assert (one.norm.vmin, one.norm.vmax) == (0, 2)
    assert one.cmap.name == "inferno"


@pytest.mark.slow
@pytest.mark.parametrize(("theme", "page"), [("light", 255), ("dark", 0)])
def test_the_page_is_light_or_dark_and_every_text_stands_out(theme, page):
    picture = Picture(content(), FigureSettings(theme=theme, sequences=("T1",)))
    assert (picture.pixels[:3] == page).all()
    assert (picture.pixels[:, -3:] == page).all()
    for text in picture.figure.texts:
        box = text.get_window_extent()
        high = len(picture.pixels)
        inside = picture.pixels[int(high - box.y1) : int(high - box.y0), int(box.x0) : int(box.x1)]
        assert np.abs(inside - page).max() > 120, text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "subject"),
    [
        (FigureSettings(width=60, margin=None), "lesion 3"),
        (FigureSettings(width=60, limits="own"), "region left middle peduncle, half of it"),
        (FigureSettings(width=180, limits="own"), "lesion 3"),
        (FigureSettings(width=88, layout="montage", slices=9, sequences=("T1",)), "lesion 117"),
        (
            FigureSettings(width=88, sequences=("T1",)),
            "region left middle peduncle, half of it",
        ),
        (FigureSettings(width=180, layout="montage", plain=False, margin=None), "lesion 3"),
    ],
)
def test_nothing_overlaps_and_all_fits_the_page(settings, subject):
    figure = draw_figure(dataclasses.replace(content(), subject=subject), settings)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    page = figure.bbox
    renderer = canvas.get_renderer()
    boxes = [axes.get_tightbbox(renderer) for axes in figure.axes]
    boxes += [text.get_window_extent() for text in figure.texts]
    assert figure.get_figwidth() == pytest.approx(settings.width / 25.4)
    for number, box in enumerate(boxes):
        assert min(box.x0, box.y0, page.width - box.x1, page.height - box.y1) > 0, box
        for other in boxes[:number]:
            across = min(box.x1, other.x1) - max(box.x0, other.x0)
            down = min(box.y1, other.y1) - max(box.y0, other.y0)
            assert min(across, down) < 2, (box, other)


def matplotlib_settings():
    """All but the backend's, which are made up by importing pyplot when they are asked for."""
    return {key: mpl.rcParams[key] for key in mpl.rcParams if not key.startswith("backend")}


def test_matplotlibs_settings_and_pyplot_are_left_alone(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    monkeypatch.setitem(mpl.rcParams, "font.size", 31.0)
    before = matplotlib_settings()
    figure = draw_figure(content(), FigureSettings(sequences=("T1",)))
    assert matplotlib_settings() == before
    assert max(text.get_size() for text in figure.findobj(Text) if text.get_text()) < 9


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"layout": "spiral"}, "layout 'spiral'"),
        ({"theme": "pink"}, "theme 'pink'"),
        ({"width": 20}, "20 mm"),
        ({"margin": -1.0}, "-1 mm"),
        ({"slices": 0}, "0 slices"),
        ({"limit": 0.0}, "limit is 0"),
        ({"limit": float("nan")}, "limit is nan"),
        ({"limit": 1.0, "limits": "own"}, "limits of their own"),
        ({"limits": "mine"}, "limits 'mine'"),
        ({"at": (0.0, float("nan"), 0.0)}, "three finite numbers"),
        ({"threshold": 1.0}, "threshold is 1"),
        ({"opacity": 1.5}, "opacity is 1.5"),
        ({"sequences": ()}, "No sequence"),
        ({"signed_map": "jet"}, "colour map 'jet'"),
    ],
)
def test_impossible_settings_are_refused_in_a_sentence(settings, words):
    with pytest.raises(FigureError, match=words):
        FigureSettings(**settings)


def test_what_does_not_belong_together_is_refused():
    made = content()
    with pytest.raises(FigureError, match="no sequence T2"):
        draw_figure(made, FigureSettings(sequences=("T2",)))
    cut = dataclasses.replace(made.case, data=made.case.data[:, 1:])
    with pytest.raises(FigureError, match="do not lie on the grid"):
        FigureContent(cut, made.saliency, "lesion 3")
    assert made.case.shape == SHAPE
