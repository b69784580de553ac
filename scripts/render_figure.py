"""Render the example figure of the documentation from the synthetic patient; needs no display."""

from __future__ import annotations

from pathlib import Path

from napari_ies import Case, explain, load_checkpoint, segment
from napari_ies.demo import demo_checkpoint, synthetic_patient
from napari_ies.figures.content import FigureContent
from napari_ies.figures.files import save_figure
from napari_ies.figures.settings import FigureSettings

FIGURE = Path(__file__).parents[1] / "docs" / "images" / "figure.png"
SAMPLES = 16
LARGE_MM3 = 400


def main() -> None:
    import numpy as np

    patient = synthetic_patient()
    case = Case(("FLAIR", "T1"), np.stack([patient.flair, patient.t1]), patient.affine)
    model = load_checkpoint(demo_checkpoint(), device="cpu")
    segmentation = segment(model, case)
    volumes = segmentation.lesions["volume_mm3"]
    label = int(volumes[volumes <= LARGE_MM3].idxmax())
    saliency = explain(model, case, segmentation.labels == label, n_samples=SAMPLES)
    content = FigureContent(case, saliency, f"lesion {label}", reference=patient.lesions)
    save_figure(FIGURE, content, FigureSettings(), overwrite=True)


if __name__ == "__main__":
    main()
