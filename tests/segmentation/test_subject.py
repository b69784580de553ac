"""What a person calls what is explained."""

import pytest

from napari_ies.cohort.row.targets import Target
from napari_ies.segmentation.subject import Region


@pytest.mark.parametrize(
    ("name", "titled", "step"),
    [
        ("brainstem", "region brainstem", "Region brainstem"),
        ("FCD left", "region FCD left", "Region FCD left"),
        ("Region 1", "Region 1", "Region 1"),
        ("region of doubt", "region of doubt", "Region of doubt"),
    ],
)
def test_a_region_is_called_so_once(name, titled, step):
    assert Region(name).titled == titled
    assert Target(Region(name), None).step == step
