import numpy as np
import pytest
import torch
from scipy import stats

from napari_ies.saliency.noise import standard_noise

WHOLE = (slice(0, 70), slice(0, 40), slice(0, 45))


@pytest.mark.parametrize(
    "box",
    [
        (slice(0, 1), slice(0, 1), slice(0, 1)),
        (slice(31, 33), slice(5, 40), slice(44, 45)),
        (slice(17, 66), slice(0, 32), slice(10, 43)),
    ],
)
def test_a_crop_of_the_noise_is_the_noise_of_the_crop(box):
    whole = standard_noise(3, 4, 2, WHOLE)
    assert np.array_equal(standard_noise(3, 4, 2, box), whole[(slice(None), *box)])


def test_the_noise_is_standard_normal():
    values = standard_noise(0, 0, 2, WHOLE).ravel()
    assert stats.kstest(values, "norm").pvalue > 0.001


def test_seed_sample_sequence_and_block_are_independent():
    first = standard_noise(0, 0, 2, WHOLE)
    others = [
        standard_noise(1, 0, 2, WHOLE),
        standard_noise(0, 1, 2, WHOLE),
        first[::-1],
    ]
    for other in others:
        assert abs(np.corrcoef(first.ravel(), other.ravel())[0, 1]) < 0.01
    blocks = first[0, :32, :32, :32], first[0, 32:64, :32, :32]
    assert abs(np.corrcoef(blocks[0].ravel(), blocks[1].ravel())[0, 1]) < 0.02


def test_the_noise_of_a_seed_never_changes():
    """The published definition: these values hold on every machine and in every version."""
    values = standard_noise(0, 0, 1, (slice(0, 1), slice(0, 1), slice(0, 3)))[0, 0, 0]
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence((0, 0, 0, 0, 0, 0))))
    assert np.array_equal(values, generator.standard_normal(3, dtype=np.float32))


def test_the_noise_is_the_same_whatever_device_and_seed_pytorch_works_with():
    box = (slice(3, 9), slice(30, 35), slice(0, 7))
    expected = standard_noise(5, 1, 2, box)
    torch.manual_seed(11)
    with torch.device("meta"):
        assert np.array_equal(standard_noise(5, 1, 2, box), expected)
