"""Figures on disk: whole, with real text, never over another file unasked."""

from __future__ import annotations

import dataclasses
import re
from xml.etree import ElementTree

import pytest
from figure_content import content
from PIL import Image

from napari_ies import __version__
from napari_ies.errors import FigureError, ResultsError
from napari_ies.figures.files import figure_bytes, figure_pixels, save_figure
from napari_ies.figures.settings import FigureSettings
from napari_ies.saliency.request import SaliencyRequest

SMALL = FigureSettings(width=88, sequences=("FLAIR",))
METHOD = (
    "SmoothGrad max, 50 samples, noise 5 % (version 2), seed 0, sliding window; network unet.pth; "
    f"lesion 3, 20 mm³; napari-ies {__version__}; research software, not a medical device"
)


def test_the_method_line_says_how_the_map_was_made():
    made = content()
    # 7 voxels of 1.2 × 3.0 × 0.8 mm³.
    assert made.method_line == METHOD
    assert made.title == "Lesion 3: SmoothGrad max saliency"

    def line(**changes):
        saliency = dataclasses.replace(made.saliency, **changes)
        return dataclasses.replace(made, saliency=saliency, notes=("T1 differs",)).method_line

    asked = SaliencyRequest(
        n_samples=50, noise=0.125, seed=7, forward="whole-volume", noise_version=1
    )
    assert line(request=asked, n_used=1).startswith(
        "SmoothGrad mean, 1 of 50 samples, noise 12.5 %, seed 7, whole volume; network unet.pth; "
    )
    # As the caption on the canvas says of a map that shows a part of the first sample.
    assert line(request=asked, n_used=0).startswith("SmoothGrad mean, part of the first of 50 ")
    early = SaliencyRequest(n_samples=50, tolerance=0.1)
    assert "mean, 12 samples," in line(request=early, n_used=12)
    gradcam = SaliencyRequest(method="gradcam++")
    assert line(request=gradcam, sequences=("all",), provenance={"layer": "model.1"}).startswith(
        "Grad-CAM++, layer model.1, sliding window; lesion 3, 20 mm³; T1 differs; napari"
    )


@pytest.mark.slow
def test_png_has_its_size_resolution_and_words(tmp_path):
    path = save_figure(tmp_path / "a" / "figure.png", content(), SMALL)
    with Image.open(path) as image:
        assert image.width == pytest.approx(88 / 25.4 * 300, abs=1)
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        assert image.info["Title"] == "Lesion 3: SmoothGrad max saliency"
        assert image.info["Description"] == METHOD
    pixels = figure_pixels(content(), SMALL, dpi=150)
    assert pixels.shape[1] == pytest.approx(88 / 25.4 * 150, abs=1)
    assert [*path.parent.iterdir()] == [path]


@pytest.mark.slow
def test_svg_holds_the_words_as_text_and_the_outline_as_lines():
    svg = figure_bytes(content(), SMALL, "svg").decode()
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    assert METHOD in " ".join(texts)
    for word in ("R", "L", "A", "P", "S", "I", "FLAIR", "10 mm", "Lesion 3", "0"):
        assert word in texts, word
    assert "Saliency (logit per standard deviation)" in texts
    assert f"<dc:description>{METHOD}</dc:description>" in svg
    assert svg.count("stroke: #40ffbf") >= 3
    assert "dc:date" not in svg
    assert figure_bytes(content(), SMALL, "svg").decode() == svg


@pytest.mark.slow
def test_pdf_embeds_its_fonts_as_truetype():
    pdf = figure_bytes(content(), SMALL, "pdf")
    assert b"/FontFile2" in pdf
    assert b"/Subtype /CIDFontType2" in pdf
    assert b"/Type3" not in pdf
    assert b"/CreationDate" not in pdf
    assert b"(Lesion 3: SmoothGrad max saliency)" in pdf
    assert figure_bytes(content(), SMALL, "pdf") == pdf


def test_a_file_that_is_there_is_replaced_only_when_asked(tmp_path):
    path = tmp_path / "figure.svg"
    path.write_text("mine")
    with pytest.raises(ResultsError, match="there already"):
        save_figure(path, content(), SMALL)
    assert path.read_text() == "mine"
    save_figure(path, content(), SMALL, overwrite=True)
    assert path.read_text().startswith("<?xml")
    with pytest.raises(FigureError, match=r"ends in \.png"):
        save_figure(tmp_path / "figure.jpg", content(), FigureSettings())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["F\x1b[31mL\x00A$x^{IR", "a" * 5000])
@pytest.mark.parametrize("form", ["svg", "pdf", "png"])
def test_names_from_files_spoil_no_figure(name, form):
    made = content()
    names = (name, "T1")
    case = dataclasses.replace(made.case, sequences=names)
    saliency = dataclasses.replace(
        made.saliency, sequences=names, provenance={"checkpoint": {"name": f"{name}.pth"}}
    )
    odd = dataclasses.replace(made, case=case, saliency=saliency, subject=f"region {name}")
    drawn = figure_bytes(odd, FigureSettings(width=88, sequences=(name,)), form)
    if form == "svg":
        words = " ".join(ElementTree.fromstring(drawn).itertext())  # noqa: S314 - our own
        assert "\x1b" not in words
        assert "a" * 1000 not in words
        assert ("$x^{" in words) == ("$x^{" in name)
