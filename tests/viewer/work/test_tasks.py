"""What runs in the worker thread, without a viewer."""

import pytest

from napari_ies import load_saliency
from napari_ies.progress import finish
from napari_ies.saliency import explain
from napari_ies.saliency.request import SaliencyRequest
from napari_ies.segmentation.segmentation import segment
from napari_ies.segmentation.subject import Lesion
from napari_ies.viewer.state.answers import Answer, Answers
from napari_ies.viewer.state.reading import Reading
from napari_ies.viewer.work import tasks


@pytest.mark.slow
def test_every_map_of_a_lesion_is_saved_whatever_its_settings(small, tmp_path):
    model, case = small.model(), small.case()
    segmentation = segment(model, case)
    reading = Reading.of(model, case, segmentation)
    answers = Answers()
    settings = [
        {"n_samples": 2},
        {"n_samples": 3},
        {"n_samples": 2, "seed": 1},
        {"n_samples": 2, "aggregation": "max"},
        {"method": "gradcam++"},
        {"method": "gradcam++", "aggregation": "max"},
    ]
    smallest = int(segmentation.lesions["voxels"].idxmin())
    for chosen in settings:
        saliency = explain(model, case, segmentation.labels == smallest, **chosen)
        request = SaliencyRequest(**chosen)
        answers.add(Answer(Lesion(smallest), request, saliency, 1.0, "small", "key"))
    finish(tasks.save_answers(tmp_path, reading, answers, overwrite=False))
    read = [load_saliency(path) for path in tmp_path.rglob("*desc-footprint_mask.nii.gz")]
    found = sorted(
        (s.request.method, s.request.aggregation, s.n_used, s.request.seed) for s in read
    )
    assert found == sorted(
        [
            ("smoothgrad", "mean", 2, 0),
            ("smoothgrad", "mean", 3, 0),
            ("smoothgrad", "mean", 2, 1),
            ("smoothgrad", "max", 2, 0),
            ("gradcam++", "mean", 1, 0),
            ("gradcam++", "max", 1, 0),
        ]
    )
