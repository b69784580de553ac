"""What the last commit before the rebuild wrote opens today, and says and shows the same."""

from __future__ import annotations

import base64
import json
import re
import sys
import zlib
from dataclasses import asdict
from io import BytesIO
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pandas as pd
import pytest
from before_the_rebuild import ANAT, KEPT, SESSION, lay_session, values, write_images
from command_line import run
from PIL import Image

from napari_ies import SaliencyRequest, explain, load_case, load_checkpoint, load_saliency
from napari_ies.demo import demo_checkpoint
from napari_ies.results import load_segmentation
from napari_ies.results.explained import load_explained, load_images
from napari_ies.results.session import SessionWriter, load_session
from napari_ies.saliency.reading_off.distance_profile import profile
from napari_ies.saliency.reading_off.measures import measure

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.xdist_group("before the rebuild")  # one worker makes the images

MEAN = SaliencyRequest(n_samples=4, class_index=1, noise_version=1)
MAXIMUM = SaliencyRequest(aggregation="max", n_samples=2, class_index=1, noise_version=1)
GRADCAM = SaliencyRequest(method="gradcam++", class_index=1, layer="model.1.submodule.2.conv")
MAPS = {"smoothgrad_agg-mean": MEAN, "smoothgrad_agg-max": MAXIMUM, "gradcampp": GRADCAM}
"""What was asked for, by how the files of its map are named."""


@pytest.fixture(scope="module")
def images(demo_patient, tmp_path_factory) -> dict[str, Path]:
    return write_images(tmp_path_factory.mktemp("images"), demo_patient)


def files_of(name: str, kind: str) -> list[Path]:
    """Return the files of one kind of a map of lesion 2, in the order of the sequences."""
    return sorted(ANAT.glob(f"*lesion-002_method-{name}_{kind}"))


def table(file: Path) -> pd.DataFrame:
    return pd.read_csv(file, sep="\t", index_col=0, na_values="n/a")


def assert_maps_are_those_of(saliency, folder: Path, stem: str) -> None:
    """Compare with what nibabel alone reads."""
    for kind, held in (
        ("saliency.nii.gz", saliency.maps),
        ("desc-standarderror_saliency.nii.gz", saliency.standard_error),
    ):
        files = sorted(folder.glob(f"*{stem}_{kind}"))
        assert len(files) == (0 if held is None else len(held))
        for file, one in zip(files, held if held is not None else (), strict=True):
            np.testing.assert_array_equal(one, values(file))
    (footprint,) = folder.glob(f"*{stem}_desc-footprint_mask.nii.gz")
    np.testing.assert_array_equal(saliency.mask, values(footprint) == 1)


@pytest.mark.parametrize("name", MAPS)
def test_a_map_has_the_values_in_its_files_and_the_request_that_was_made(name):
    for file in ANAT.glob(f"*lesion-002_method-{name}_*"):
        if "saliency" in file.name or "footprint" in file.name:
            saliency = load_saliency(file)
            assert_maps_are_those_of(saliency, ANAT, f"lesion-002_method-{name}")
    assert saliency.request == MAPS[name]
    assert saliency.sequences == (("all",) if name == "gradcampp" else ("FLAIR", "T1"))
    assert (
        saliency.n_used == {"smoothgrad_agg-mean": 4, "smoothgrad_agg-max": 2, "gradcampp": 1}[name]
    )
    assert saliency.provenance["checkpoint"]["name"] == "demo_unet.pth"
    assert saliency.provenance["versions"]["napari-ies"] == "0.1.0"


@pytest.mark.parametrize("name", MAPS)
def test_the_numbers_read_off_a_map_today_are_those_in_its_tables(name):
    (footprint,) = files_of(name, "desc-footprint_mask.nii.gz")
    saliency = load_saliency(footprint)
    for kind, today in (("measures.tsv", measure(saliency)), ("profile.tsv", profile(saliency))):
        pd.testing.assert_frame_equal(
            today, table(files_of(name, kind)[0]), check_dtype=False, rtol=1e-6, atol=1e-9
        )


def test_the_segmentation_comes_back_with_its_table():
    labels = ANAT / "sub-demo_desc-lesions_dseg.nii.gz"
    segmentation = load_segmentation(labels)
    np.testing.assert_array_equal(segmentation.labels, values(labels))
    np.testing.assert_array_equal(
        segmentation.probability, values(ANAT / "sub-demo_desc-lesions_probseg.nii.gz")
    )
    written = table(ANAT / "sub-demo_desc-lesions_dseg.tsv").drop(columns="name")
    pd.testing.assert_frame_equal(
        segmentation.lesions[written.columns], written, check_names=False, check_dtype=False
    )
    assert (segmentation.threshold, segmentation.forward) == (0.5, "sliding-window")


@pytest.mark.slow
@pytest.mark.parametrize("name", MAPS)
def test_a_map_finds_its_images_and_is_computed_today_as_it_was(name, images):
    (footprint,) = files_of(name, "desc-footprint_mask.nii.gz")
    explained = load_explained(footprint)
    assert explained.subject == "lesion 2"
    assert not explained.notes
    case, notes = load_images(explained, images)
    assert notes == ()
    assert case.sha256 == tuple(image.sha256 for image in explained.images)
    former = explained.saliency
    model = load_checkpoint(demo_checkpoint(), device="cpu")
    today = explain(model, case, former.mask, **asdict(MAPS[name]))
    assert today.request == former.request
    # Another processor rounds otherwise.
    np.testing.assert_allclose(today.maps, former.maps, atol=1e-4 * np.abs(former.maps).max())


def test_a_session_comes_back_without_a_window_and_grows_on(images, tmp_path):
    folder = lay_session(tmp_path / "sub-demo", images)
    session = load_session(folder)
    assert session.problems == ()
    assert session.complete
    assert [image.path for image in session.images] == [
        tmp_path / "sub-demo" / f"{sequence}.nii.gz" for sequence in ("FLAIR", "T1")
    ]
    assert session.checkpoints[0].path == tmp_path / "demo_unet.pth"
    # All of them lay in /tmp/demo, and nothing else is said.
    assert [text.partition(" was found at ")[0] for text in session.moved] == [
        "FLAIR.nii.gz",
        "T1.nii.gz",
        "demo_unet.pth",
    ]
    assert session.text.endswith(": 4 lesions, 4 maps, 1 note.")
    assert session.notes == {2: "dark rim on T1, σ of the noise to be tried"}
    assert (session.record.selected, session.record.segmentation.threshold) == (4, 0.5)
    assert session.record.request == SaliencyRequest(
        aggregation="max", n_samples=2, noise_version=1
    )
    np.testing.assert_array_equal(
        session.segmentation.labels, values(SESSION / "sub-demo_desc-lesions_dseg.nii.gz")
    )
    assert list(session.regions) == ["beside it"]
    painted = values(SESSION / "sub-demo_region-besideit_mask.nii.gz") > 0
    assert np.count_nonzero(painted) == 27
    np.testing.assert_array_equal(session.regions["beside it"], painted)
    cam = SaliencyRequest(method="gradcam++")
    expected = [
        (2, SaliencyRequest(n_samples=4, noise_version=1), "lesion-002_method-smoothgrad_agg-mean"),
        (4, cam, "lesion-004_method-gradcampp"),
        ("beside it", cam, "region-besideit_method-gradcampp"),
        (
            4,
            SaliencyRequest(aggregation="max", n_samples=2, noise_version=1),
            "lesion-004_method-smoothgrad_agg-max",
        ),
    ]
    assert [(one.subject, one.request) for one in session.maps] == [one[:2] for one in expected]
    for saved, (_, _, stem) in zip(session.maps, expected, strict=True):
        assert_maps_are_those_of(saved.load(), SESSION, stem)
    case = session.load_case()
    for sequence, volume in zip(case.sequences, case.data, strict=True):
        np.testing.assert_array_equal(volume, values(images[sequence]))
    assert case.sha256 == load_case(images).sha256

    SessionWriter.resume(session, case).set_notes({**session.notes, "beside it": "nothing"})
    again = load_session(folder)
    assert again.problems == ()
    assert again.notes == {**session.notes, "beside it": "nothing"}
    assert len(again.maps) == 4


FIGURES = {
    "planes.png": ("smoothgrad_agg-mean", []),
    "montage.svg": (
        "smoothgrad_agg-max",
        [
            *("--layout", "montage", "--slices", "3", "--sequence", "FLAIR", "--no-plain"),
            *("--theme", "dark", "--limits", "own"),
        ],
    ),
    "whole.pdf": (
        "gradcampp",
        ["--whole", "--no-plain", "--at", "-22", "35", "28", "--interpolation", "nearest"],
    ),
}
"""The map each figure shows, and the settings it was drawn with (all are 60 mm wide)."""


@pytest.fixture
def drawn(images, tmp_path, monkeypatch):
    """Draw a figure today from the former map with the former settings."""
    # The page and the file name the version that draws.
    for name, module in list(sys.modules.items()):
        if name.startswith("napari_ies") and "__version__" in vars(module):
            monkeypatch.setattr(module, "__version__", "0.1.0")

    def draw(name: str) -> tuple[bytes, bytes]:
        method, settings = FIGURES[name]
        given = [f"--image={sequence}={file}" for sequence, file in images.items()]
        (result,) = files_of(method, "desc-footprint_mask.nii.gz")
        done = run("figure", result, *given, *settings, "--width", 60, "--out", tmp_path / name)
        assert done.exit_code == 0, done.output
        return (KEPT / "figure" / name).read_bytes(), (tmp_path / name).read_bytes()

    return draw


AS_THEN = matplotlib.__version__.startswith("3.11.")
"""Another matplotlib places and smooths letters and edges otherwise, by up to a pixel."""


def assert_same_picture(today: Image.Image, former: Image.Image) -> None:
    """Compare pixels, of 0 to 255; squares of 16 pixels where another matplotlib draws."""
    images = [image.convert("RGB").reduce(1 if AS_THEN else 16) for image in (today, former)]
    one, other = (np.asarray(image, dtype=int) for image in images)
    assert one.shape == other.shape
    apart = np.abs(one - other).max(axis=-1)
    assert np.mean(apart > (4 if AS_THEN else 24)) <= (1e-4 if AS_THEN else 5e-3)


@pytest.mark.slow
def test_a_figure_is_drawn_today_as_it_was(drawn, monkeypatch):
    # Outlines of small lesions are thinner since, or they would hide the map.
    monkeypatch.setattr("napari_ies.figures.drawing.HIDDEN_PARTS", 1e-9)
    former, today = (Image.open(BytesIO(file)) for file in drawn("planes.png"))
    assert today.size == former.size == (708, 1274)  # 60 mm at 300 dpi
    # Between them lie the bar, which is blended over black to white since, and the legend.
    for rows in ((0, 955), (1105, 1274)):
        assert_same_picture(*(one.crop((0, rows[0], 708, rows[1])) for one in (today, former)))
    # What it shows at its strongest, and how certain that is, is said since.
    described = today.info.pop("Description")
    assert described.startswith(f"{former.info['Description']}. Value of largest magnitude: ")
    assert today.info == {k: v for k, v in former.info.items() if k != "Description"}
    assert former.info["Title"] == "Lesion 2: SmoothGrad mean saliency"
    assert former.info["Description"].startswith("SmoothGrad mean, 4 samples, noise 5 %, seed 0, ")


SVG = "{http://www.w3.org/2000/svg}"
HREF = "{http://www.w3.org/1999/xlink}href"


def test_a_figure_as_svg_has_the_words_the_images_and_the_page_it_had(drawn):
    former, today = (ElementTree.fromstring(file) for file in drawn("montage.svg"))  # noqa: S314
    for name in ("width", "height", "viewBox"):
        assert today.get(name) == former.get(name)
    words = [
        ["".join(text.itertext()) for text in one.iter(f"{SVG}text")] for one in (today, former)
    ]
    assert words[0] == words[1]
    assert {"FLAIR", "Lesion 2", "z = 29 mm", "−1.3"} <= set(words[0])
    # The last one is the bar, which is blended over black to white since.
    pictures = [list(one.iter(f"{SVG}image"))[:-1] for one in (today, former)]
    assert len(pictures[0]) == 2 * 3
    for one, other in zip(*pictures, strict=True):
        if AS_THEN:
            assert one.get("transform") == other.get("transform")
        assert_same_picture(*(embedded(image) for image in (one, other)))
    said = [
        [element.text for element in one.iter() if element.tag.startswith("{http://purl.org/dc/")]
        for one in (today, former)
    ]
    # What it shows at its strongest, and how certain that is, is said since.
    since = " Value of largest magnitude: "
    assert sum(since in (text or "") for text in said[0]) == 1
    assert [text and text.partition(f".{since}")[0] for text in said[0]] == said[1]
    assert "Lesion 2: SmoothGrad max saliency" in said[0]


def embedded(image: ElementTree.Element) -> Image.Image:
    kind, _, coded = image.get(HREF, "").partition(",")
    assert kind == "data:image/png;base64"
    return Image.open(BytesIO(base64.b64decode(coded)))


@pytest.mark.slow
def test_a_figure_as_pdf_has_the_page_and_the_words_it_had(drawn):
    former, today = drawn("whole.pdf")
    for entry in (rb"/MediaBox \[.*?\]", rb"/Title \(.*?\)\n", rb"/Subject \(.*?\)\n"):
        (one,), (other,) = re.findall(entry, today, re.DOTALL), re.findall(entry, former, re.DOTALL)
        assert one == other
    if AS_THEN:
        assert instructions(today) == instructions(former)


def instructions(file: bytes) -> list[bytes]:
    """Return what a PDF writes and paints on its page, in order, without where."""
    streams = re.findall(rb"/FlateDecode.*?stream\r?\n(.*?)endstream", file, re.DOTALL)
    page = next(text for text in map(zlib.decompress, streams) if b" Tf\n" in text)
    return re.findall(rb"\(.*?\) Tj|\[.*?\] TJ|/\w+ Do", page)


def test_nothing_that_is_kept_names_a_folder_of_the_machine_it_was_made_on():
    files = [file for file in KEPT.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 3_000_000
    session = json.loads((SESSION / "session.json").read_text(encoding="utf-8"))
    places = [one["File"]["Absolute"] for one in session["Images"] + session["Checkpoints"]]
    assert all(place.startswith("/tmp/demo/") for place in places)  # noqa: S108
