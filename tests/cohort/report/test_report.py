"""The page says what was measured, shows the suspicious first, and works alone in a browser."""

from __future__ import annotations

import base64
import html
import re
import shutil
import subprocess
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from command_line import one_line, run
from networks import small_model
from PIL import Image
from saved_cohort import MATCH, SHAPE, image_files, write_cohort

from napari_ies.cohort.report.content import Report, ReportLesion, report_of
from napari_ies.cohort.report.images import Images
from napari_ies.cohort.report.page import rendered, write_report
from napari_ies.cohort.report.pictures import LARGEST_PAGE, budget_for, jpeg
from napari_ies.cohort.report.suspicion import Suspicion, suspicion_of, usual_of
from napari_ies.cohort.statistics.comparisons import MEASURES
from napari_ies.saliency.reading_off.measures import measure
from napari_ies.saliency.request import SaliencyRequest

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
in_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")


def lesions(count=20, seed=0):
    """Rows of quiet maps, all TP: their measures lie close together."""
    generator = np.random.default_rng(seed)
    rows = [
        {
            "subject": f"P{n}",
            "visit": "",
            "lesion": 1,
            "match": "TP",
            "volume_mm3": 10.0 + n,
            "mean_probability": 0.5,
            "max_probability": 0.9,
            "method": "smoothgrad",
            "aggregation": "max",
            "sequence": sequence,
            "peak_positive": 5 + generator.normal() / 10,
            "peak_positive_error": 0.1,
            "peak_negative": -1.0,
            "mean_inside": 2 + generator.normal() / 10,
            "mean_0_3_mm": 1.0,
            "positive_fraction_inside": 0.9 + generator.normal() / 100,
            "share": 0.7 if sequence == "FLAIR" else 0.3,
            "file": f"P{n}_measures.tsv",
        }
        for n in range(count)
        for sequence in ("FLAIR", "T1")
    ]
    return pd.DataFrame(rows)


def changed(rows, subject, sequence="FLAIR", **values):
    chosen = (rows["subject"] == subject) & (rows["sequence"] == sequence)
    for name, value in values.items():
        rows.loc[chosen, name] = value
    return rows


def test_quiet_maps_are_not_suspicious():
    found = report_of(lesions())
    assert [one.suspicion for one in found.lesions] == [Suspicion()] * 20
    assert found.notes == ()


def test_an_outlier_little_support_and_instability_come_first_with_their_reasons():
    rows = lesions()
    middle = rows.loc[rows["sequence"] == "T1", "peak_positive"].median()
    spread = (rows.loc[rows["sequence"] == "T1", "peak_positive"] - middle).abs().median()
    changed(rows, "P3", "T1", peak_positive=middle + 20 * spread)
    changed(rows, "P5", mean_inside=-0.5, mean_0_3_mm=1.5)
    changed(rows, "P7", peak_positive_error=2.0)
    found = report_of(rows)
    kinds = {one.subject: one.suspicion.kinds for one in found.lesions if one.suspicion.reasons}
    assert kinds["P3"] == ("unlike",)
    assert set(kinds["P5"]) == {"outside", "unlike"}
    assert kinds["P7"] == ("unstable",)
    assert [one.subject for one in found.lesions[:3]] == sorted(
        kinds, key=lambda name: -next(o for o in found.lesions if o.subject == name)
        .suspicion.weight
    )  # fmt: skip
    (reason,) = next(one for one in found.lesions if one.subject == "P3").suspicion.reasons
    z = float(re.search(r"modified z (-?[\d.]+)", reason).group(1))
    # Outliers that are few move neither median nor median absolute deviation by much.
    assert z == pytest.approx(0.6745 * 20, rel=0.3)
    assert "far above the median of the true positives" in reason


def test_a_lesion_is_compared_with_those_of_about_its_volume():
    rows = lesions(200)
    # As in a mean map: the smaller, the larger. What is usual in a small lesion is not in a large.
    rows["volume_mm3"] = 100 * np.exp(rows["volume_mm3"] / 40)
    small, large = rows["volume_mm3"].nsmallest(2).index[0], rows["volume_mm3"].nlargest(2).index[0]
    rows["peak_positive"] *= 1000 / rows["volume_mm3"]
    rows["peak_positive_error"] *= 1000 / rows["volume_mm3"]

    def unlike():
        told = (
            (one.subject, why) for one in report_of(rows).lesions for why in one.suspicion.reasons
        )
        return [(subject, why) for subject, why in told if MEASURES["peak_positive"] in why]

    assert unlike() == []
    rows.loc[large, "peak_positive"] = rows.loc[small, "peak_positive"]
    ((subject, why),) = unlike()
    assert subject == rows.loc[large, "subject"]
    assert "of the 30 true positives nearest in volume" in why
    # By hand: the 30 last ones in the order of volumes.
    its = rows[rows["sequence"] == rows.loc[large, "sequence"]].nlargest(30, "volume_mm3")
    values = its["peak_positive"]
    middle = values.median()
    z = 0.6745 * (rows.loc[large, "peak_positive"] - middle) / (values - middle).abs().median()
    assert f"(modified z {z:.1f})" in why


def test_where_lesions_are_dark_a_negative_map_supports_them():
    rows = lesions()
    dark = rows["sequence"] == "T1"
    rows.loc[dark, ["mean_inside", "mean_0_3_mm"]] *= -1
    rows.loc[dark, "share"], rows.loc[~dark, "share"] = 0.8, 0.2
    assert not any("outside" in one.suspicion.kinds for one in report_of(rows).lesions)
    changed(rows, "P4", "T1", mean_inside=0.3, mean_0_3_mm=-1.0)
    (found,) = [one for one in report_of(rows).lesions if "outside" in one.suspicion.kinds]
    assert found.subject == "P4"


def test_few_true_positives_and_few_lesions_are_said():
    rows = lesions(12)
    rows["match"] = "FP"
    assert "compared with all lesions" in report_of(rows).notes[0]
    assert usual_of(rows).whose == "lesions"
    few = report_of(lesions(5))
    assert "too few to say what is usual" in few.notes[0]
    assert suspicion_of(lesions(1), None) == Suspicion()


def test_only_the_first_lesions_are_on_the_page_and_all_are_counted():
    rows = changed(lesions(), "P7", peak_positive_error=2.0)
    found = report_of(rows, most=3)
    assert [one.subject for one in found.lesions] == ["P7", "P0", "P1"]
    assert "Of 20 lesions these are the 3 to look at first" in found.notes[0]
    assert len(found.cases) == 20
    assert [case.suspicious for case in found.cases if case.name == "sub-P7"] == [1]


@pytest.fixture(scope="session")
def cohort(tmp_path_factory):
    """Results with the images that their sidecars name, and the maps."""
    folder = tmp_path_factory.mktemp("results")
    data = tmp_path_factory.mktemp("images")
    requests = (
        SaliencyRequest(n_samples=3, aggregation="max"),
        SaliencyRequest(n_samples=3, aggregation="mean"),
    )
    return (
        folder,
        data,
        write_cohort(folder, small_model(), 2, requests, with_files=image_files(data)),
    )


@pytest.fixture(scope="session")
def page(cohort, tmp_path_factory):
    """Write the page with its pictures once, by the command."""
    folder, data, _ = cohort
    page = tmp_path_factory.mktemp("page") / "report.html"
    done = run("report", folder, f"--images={data}", f"--out={page}")
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == str(page)
    return page


@pytest.mark.slow
def test_the_page_holds_each_lesion_its_numbers_its_picture_and_how_to_open_it(cohort, page):
    folder, data, maps = cohort
    text = page.read_text(encoding="utf-8")
    assert text.count("<article ") == 2 * len(MATCH)
    for subject in ("P0", "P1"):
        for lesion, match in MATCH.items():
            start = text.index(f'id="sub-{subject}_lesion-{lesion}"')
            article = text[start : text.index("</article>", start)]
            assert f'data-match="{match}"' in article
            assert "SmoothGrad max" in article
            expected = measure(maps[subject, lesion, "smoothgrad", "max"])
            for sequence, row in expected.iterrows():
                peaks = "".join(
                    f"<td>{row[peak]:.3g} ± {row[f'{peak}_error']:.1g}</td>"
                    for peak in ("peak_positive", "peak_negative")
                )
                assert f"<td>{sequence}</td>{peaks}" in article
            command = f"open {folder} --case sub-{subject} --lesion {lesion} --images {data}"
            assert command in article
            encoded = re.search(r"base64,([\w+/=]+)", article).group(1)
            picture = np.asarray(Image.open(BytesIO(base64.b64decode(encoded))))
            assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 500
    assert not re.search(r"(?:src|href)=\"(?!data:)", text)


def test_images_that_are_not_there_leave_the_numbers(cohort, tmp_path):
    folder, _, _ = cohort
    text = write_report(folder, tmp_path / "page.html").read_text(encoding="utf-8")
    assert text.count("<article ") == 2 * len(MATCH)
    assert "6 lesions without a picture" in text
    assert "say in which folder they lie now" in text


def test_images_of_another_content_are_not_taken(cohort, tmp_path):
    folder, data, _ = cohort
    other = tmp_path / "others"
    shutil.copytree(data, other)
    for path in other.rglob("T1.nii.gz"):
        nib.save(nib.Nifti1Image(np.ones(SHAPE, np.float32), np.diag([-1.0, 1, 1, 1])), path)
    text = write_report(folder, tmp_path / "page.html", images=[other]).read_text("utf-8")
    assert "6 lesions without a picture" in text
    assert Images([data])._found(type("Image", (), {"file": "T1.nii.gz", "sha256": ""})) is None


def test_the_cohorts_table_of_cases_is_on_the_page(cohort, tmp_path):
    folder, _, _ = cohort
    table = folder / "cohort" / "cases.tsv"
    table.parent.mkdir()
    table.write_text("subject\tvisit\tstatus\tdice\nP0\tn/a\tdone\t0.75\nP9\tn/a\tfailed\tn/a\n")
    try:
        text = write_report(folder, tmp_path / "page.html").read_text("utf-8")
    finally:
        shutil.rmtree(table.parent)
    assert "3 cases, 6 lesions" in text
    assert re.search(r"sub-P9</button>.*?<td>failed</td><td></td></tr>", text)
    assert re.search(r"sub-P0</button>.*?<td>done</td><td>0.75</td></tr>", text)


def test_names_from_files_are_text_on_the_page():
    rows = lesions(2)
    rows["sequence"] = "<script>alert(1)</script>"
    rows = rows.drop_duplicates(["subject"])
    text = rendered(report_of(rows), Path("a&b"), {})
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "a&amp;b" in text


def test_how_far_members_lie_apart_stands_beside_the_error_of_the_noise():
    rows = lesions(2)
    text = rendered(report_of(rows), Path("a"), {})
    assert "members" not in text
    rows.loc[rows["sequence"] == "T1", ["peak_positive_spread", "peak_negative_spread"]] = 0.25, 0.5
    text = rendered(report_of(rows), Path("a"), {})
    assert text.count("<td>-1 (members ± 0.5)</td>") == 2
    assert len(re.findall(r"<td>[\d.]+ ± 0.1 \(members ± 0.2\)</td>", text)) == 2
    assert "members ± the standard deviation between the maps" in text


def test_pictures_keep_to_their_bytes():
    noise = np.random.default_rng(0).integers(0, 255, (300, 600, 4)).astype(np.uint8)
    for budget in (60_000, 15_000, 4_000):
        assert len(jpeg(noise, budget)) <= budget
    for count in (1, 500, 5000):
        assert budget_for(count) * count * 4 / 3 <= max(LARGEST_PAGE, 120_000)


def test_the_command_replaces_nothing_and_needs_maps(cohort, page):
    folder, data, _ = cohort
    assert "is there already" in one_line(run("report", folder, f"--out={page}"))
    assert "There is no map of a lesion" in one_line(run("report", data))


def browse(page, *options):
    """Return what Chromium makes of a page, with nothing of a network."""
    return subprocess.run(
        [
            CHROMIUM,
            *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
            *("--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=3000"),
            *options,
            f"file://{page}",
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout


FRAMES = """{frames}<script>
addEventListener("load", () => {{
  for (const frame of document.querySelectorAll("iframe")) {{
    const said = document.createElement("pre"), page = frame.contentDocument;
    for (const one of page.querySelectorAll("img")) one.remove();
    said.textContent = page.documentElement.outerHTML;
    said.hidden = true;
    frame.replaceWith(said);
  }}
}});
</script></body>"""
"""What each frame has made of its page, as text in its place."""
POLICY = re.compile('<meta http-equiv="Content-Security-Policy"[^>]*>')


def shown(dom):
    dom = html.unescape(dom)
    found = re.findall(r"<article ([^>]*)>", dom)
    return [
        re.search(r'id="([^"]*)"', one).group(1) for one in found if ' hidden=""' not in f" {one}"
    ]


@in_browser
@pytest.mark.slow
def test_filters_work_in_chromium_without_a_network(page, tmp_path):
    # The page itself in hidden frames, once for each state of its address, in a copy of it that is
    # looked at and printed: one start of the browser.
    states = ("", "match=FP", "words=sub-p1+fn&order=case", "order=case", "from=100")
    frames = "".join(
        f'<iframe hidden src="file://{page}#{html.escape(state)}"></iframe>' for state in states
    )
    alone = POLICY.sub("", page.read_text(encoding="utf-8"))  # its own policy allows no frame
    whole = tmp_path / "whole.html"
    whole.write_text(alone.replace("</body>", FRAMES.format(frames=frames)), encoding="utf-8")
    picture, printed = tmp_path / "page.png", tmp_path / "page.pdf"
    dom = browse(
        whole,
        *("--dump-dom", "--allow-file-access-from-files", f"--print-to-pdf={printed}"),
        *(f"--screenshot={picture}", "--window-size=1200,1600"),
    )
    said = re.findall(r'<pre hidden="">(.*?)</pre>', dom, re.DOTALL)
    all_, false_positives, worded, ordered, none = said
    assert len(shown(all_)) == 6
    assert sorted(shown(false_positives)) == ["sub-P0_lesion-2", "sub-P1_lesion-2"]
    assert "2 of 6 lesions" in false_positives
    assert shown(worded) == ["sub-P1_lesion-3"]
    assert shown(ordered) == [f"sub-P{n}_lesion-{m}" for n in range(2) for m in MATCH]
    assert shown(none) == []
    pixels = np.asarray(Image.open(picture))
    # The strips are dark pictures on a white page.
    assert (pixels[..., :3].max(axis=-1) < 40).mean() > 0.02
    raw = printed.read_bytes()
    assert raw.startswith(b"%PDF")
    assert len(re.findall(rb"/Subtype\s*/Image", raw)) >= 6


class Nodes(HTMLParser):
    """Counts what a browser has to build, and finds what it would have to wait for."""

    def __init__(self, text):
        super().__init__()
        self.count, self.images, self.waited_for = 0, [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.count += 1
        known = dict(attrs)
        if tag == "img":
            self.images.append(known)
        elif tag in ("link", "iframe", "object", "embed") or "src" in known:
            self.waited_for.append(tag)

    def handle_data(self, data):
        self.count += 1


def test_five_hundred_lesions_are_small_enough_and_little_to_build(tmp_path):
    # When it is painted is in docs/cohorts.md; here is what that rests on.
    one = Report(
        (),
        tuple(
            ReportLesion(
                *(f"P{n}", "", 1, "TP", 10.0, 0.5, 0.9, "SmoothGrad max"),
                (("FLAIR", (1.0, -1.0, 0.5, 0.2, 0.7)),),
                Suspicion(),
                f"{n}",
            )
            for n in range(500)
        ),
        (),
    )
    noise = np.random.default_rng(0).integers(0, 255, (280, 590, 4)).astype(np.uint8)
    drawn = base64.b64encode(jpeg(noise, budget_for(500))).decode()
    text = rendered(one, tmp_path, {f"{n}": (drawn, 590, 280) for n in range(500)})
    assert len(text.encode()) < 30_000_000
    nodes = Nodes(text)
    assert len(nodes.images) == 500
    assert nodes.count < 500 * 100
    assert nodes.waited_for == []
    for image in nodes.images:
        # Nothing moves when a picture is there.
        assert (image["width"], image["height"]) == ("590", "280")
    assert "content-visibility: auto" in text
