import hashlib

import numpy as np
import pytest
import torch
from cases import random_case
from networks import small_model
from scipy import stats
from scipy.special import ndtri
from torch.utils._python_dispatch import TorchDispatchMode

from napari_ies.geometry.box import Box
from napari_ies.geometry.orientation import Reorientation
from napari_ies.network.windows import tiling
from napari_ies.saliency.engines.whole.whole_windows import LoopEngine
from napari_ies.saliency.forwards import noisy_images
from napari_ies.saliency.noise import Noise, drawn, standard_noise
from napari_ies.saliency.noise.lines import SCALE, STEPS_OF_ONE, noise_of_lines, quantiles
from napari_ies.saliency.problem import Problem

VERSIONS = (1, 2)
WHOLE = (slice(0, 70), slice(0, 40), slice(0, 45))
CPU = torch.device("cpu")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "box",
    [
        (slice(0, 1), slice(0, 1), slice(0, 1)),
        (slice(31, 33), slice(5, 40), slice(44, 45)),
        (slice(17, 66), slice(0, 32), slice(10, 43)),
        (slice(3, 4), slice(39, 40), slice(7, 8)),
    ],
)
def test_a_crop_of_the_noise_is_the_noise_of_the_crop(box, version):
    whole = standard_noise(3, 4, 2, WHOLE, version)
    assert np.array_equal(standard_noise(3, 4, 2, box, version), whole[(slice(None), *box)])


@pytest.mark.parametrize("version", VERSIONS)
def test_samples_and_sequences_drawn_together_are_those_drawn_alone(version):
    box = (slice(3, 9), slice(30, 35), slice(1, 8))
    together = drawn(Noise(8, 1.0, version), range(5, 9), 3, box, CPU)
    for number, sample in enumerate(range(5, 9)):
        for sequences in (1, 2, 3):
            alone = standard_noise(8, sample, sequences, box, version)
            assert np.array_equal(together[number, :sequences], alone)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_noise_is_standard_normal(version):
    values = standard_noise(0, 0, 2, WHOLE, version).ravel()
    assert stats.kstest(values, "norm").pvalue > 0.001


@pytest.mark.parametrize("version", VERSIONS)
def test_seed_sample_sequence_and_block_are_independent(version):
    first = standard_noise(0, 0, 2, WHOLE, version)
    others = [
        standard_noise(1, 0, 2, WHOLE, version),
        standard_noise(0, 1, 2, WHOLE, version),
        first[::-1],
    ]
    for other in others:
        assert abs(np.corrcoef(first.ravel(), other.ravel())[0, 1]) < 0.01
    blocks = first[0, :32, :32, :32], first[0, 32:64, :32, :32]
    assert abs(np.corrcoef(blocks[0].ravel(), blocks[1].ravel())[0, 1]) < 0.02


def test_the_first_definition_never_changes():
    """Published: these values hold on every machine and in every version."""
    values = standard_noise(0, 0, 1, (slice(0, 1), slice(0, 1), slice(0, 3)), 1)[0, 0, 0]
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence((0, 0, 0, 0, 0, 0))))
    assert np.array_equal(values, generator.standard_normal(3, dtype=np.float32))


def mix(state):
    """The finaliser of SplitMix64, in Python's own numbers."""
    state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    state = (state ^ state >> 27) * 0x94D049BB133111EB % 2**64
    return state ^ state >> 31


def naive_noise(table, seed, n, c, x, y, z):
    """One voxel's noise, as the definition reads."""
    gamma = 0x9E3779B97F4A7C15
    start = mix((seed + gamma * (1 + 2**16 * n + c)) % 2**64)
    line = mix((start + gamma * (1 + 2**32 * x + y)) % 2**64)
    word = mix((line + gamma * (1 + z // 2)) % 2**64)
    half = word >> 32 if z % 2 else word % 2**32
    return table[half % 2**16] + table[half >> 16]


def test_splitmix64_is_the_published_one():
    """The first numbers of the seed 1234567 in the authors' and others' tests of it."""
    gamma = 0x9E3779B97F4A7C15
    numbers = [mix((1234567 + gamma * count) % 2**64) for count in (1, 2, 3)]
    assert numbers == [6457827717110365317, 3203168211198807973, 9817491932198370423]


@pytest.mark.parametrize("seed", [0, 1, 2**63 - 1])
def test_the_second_definition_is_what_it_says(seed):
    table = quantiles()
    for n, c, start in ((0, 0, (0, 0, 0)), (49, 1, (181, 217, 180)), (10**6, 3, (5, 70000, 3))):
        box = Box(start, np.add(start, (2, 3, 4)))
        values = standard_noise(seed, n, c + 1, box)[c]
        for place in np.ndindex(values.shape):
            voxel = map(int, np.add(start, place))
            assert values[place] == naive_noise(table, seed, n, c, *voxel)


def test_the_second_definition_never_changes():
    """Published: these values hold on every machine, on every device and in every version."""
    table = quantiles()
    assert table.dtype == np.float32
    digest = hashlib.sha256(table.astype("<f4").tobytes()).hexdigest()
    assert digest == "85e9495768fe584d99039e8c2572d04494e450db9397308638b71d00c72dc268"
    values = standard_noise(0, 0, 2, (slice(0, 32), slice(0, 32), slice(0, 32)))
    digest = hashlib.sha256(values.astype("<f4").tobytes()).hexdigest()
    assert digest == "325e8b4833c7304375f0de12183d4ffe8f9bc5ee212b5a1de0ef10c41e3bafcf"


def test_the_table_does_not_depend_on_how_the_last_digit_is_rounded():
    """Entries lie so far from the border between two multiples that any ``ndtri`` gives them."""
    steps = ndtri((np.arange(2**16) + 0.5) / 2**16) * SCALE * STEPS_OF_ONE
    to_border = np.abs(steps - np.floor(steps) - 0.5)
    assert to_border.min() > 5e-6 > 100 * np.spacing(np.abs(steps).max())
    assert np.array_equal(quantiles() * STEPS_OF_ONE, np.rint(steps))


def test_the_sums_of_the_table_are_exact_and_have_the_moments_of_a_normal_distribution():
    table = quantiles().astype(np.float64)
    assert np.array_equal(table[::-1], -table)
    assert 2 * np.abs(table).max() * STEPS_OF_ONE < 2**24  # so float32 holds every sum
    second, fourth = np.mean(table**2), np.mean(table**4)
    assert abs(2 * second - 1) < 1e-8
    assert abs((2 * fourth + 6 * second**2) - 3) < 1e-3
    assert 6 < 2 * table.max() < 6.2


def million(seed=0):
    return standard_noise(seed, 0, 2, (slice(0, 128), slice(0, 128), slice(0, 128)))


@pytest.mark.slow
def test_four_million_values_are_normal_in_their_tails_too():
    values = million().ravel()
    count = len(values)
    assert stats.kstest(values, "norm").pvalue > 0.001
    assert abs(values.mean(dtype=np.float64)) < 4 / np.sqrt(count)
    assert abs(values.var(dtype=np.float64) - 1) < 4 * np.sqrt(2 / count)
    assert abs(stats.skew(values)) < 4 * np.sqrt(6 / count)
    assert abs(stats.kurtosis(values.astype(np.float64))) < 4 * np.sqrt(24 / count)
    edges = np.r_[-np.inf, np.arange(-4.5, 4.6, 0.25), np.inf]
    found = np.histogram(values, edges)[0]
    assert stats.chisquare(found, count * np.diff(stats.norm.cdf(edges))).pvalue > 0.001


def words(seed, samples, n_sequences, shape):
    """The words of a box at the origin, (N, C, x, y, z / 2), by the definition in NumPy."""
    gamma = np.uint64(0x9E3779B97F4A7C15)

    def mixed(state):
        state = (state ^ state >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ state >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
        return state ^ state >> np.uint64(31)

    x, y, z = (np.arange(1, size + 1, dtype=np.uint64) for size in shape)
    n = np.arange(samples.start, samples.stop, dtype=np.uint64)
    c = np.arange(1, n_sequences + 1, dtype=np.uint64)
    start = mixed(np.uint64(seed) + gamma * (n[:, None] * np.uint64(2**16) + c))
    rows = (x[:, None] - np.uint64(1)) * np.uint64(2**32) + y
    line = mixed(start[..., None, None] + gamma * rows)
    return mixed(line[..., None] + gamma * z[: shape[2] // 2])


@pytest.mark.slow
def test_every_bit_of_the_words_is_free_of_every_other_whatever_the_neighbour():
    """Neighbours in sample, sequence and place differ in few bits of what is mixed."""
    found = words(0, range(4), 2, (32, 32, 64))
    drawn_then = drawn(Noise(0, 1.0), range(4), 2, Box.whole((32, 32, 64)), CPU).numpy()
    halves = found[..., None] >> np.uint64(16) * np.arange(4, dtype=np.uint64) & np.uint64(65535)
    terms = quantiles()[halves.astype(int)].reshape(*drawn_then.shape, 2)
    assert np.array_equal(terms.sum(axis=-1), drawn_then)
    bits = (found[..., None] >> np.arange(64, dtype=np.uint64) & np.uint64(1)).astype(np.float32)
    signs = 2 * bits - 1
    assert np.abs(signs.reshape(-1, 64).mean(axis=0)).max() < 5 / np.sqrt(found.size)
    for axis in range(5):
        one, other = (np.moveaxis(signs, axis, 0)[part] for part in (slice(1, None), slice(-1)))
        one, other = one.reshape(-1, 64), other.reshape(-1, 64)
        assert np.abs(one.T @ other).max() < 5.5 * np.sqrt(len(one))
    # Within a word, but for each bit with itself.
    within = signs.reshape(-1, 64).T @ signs.reshape(-1, 64)
    assert np.abs(within[~np.eye(64, dtype=bool)]).max() < 5.5 * np.sqrt(found.size)


@pytest.mark.parametrize(
    "shift", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1), (32, 0, 0), (0, 0, 2)]
)
def test_neighbouring_voxels_are_not_correlated(shift):
    values = million()[0]
    one = values[Box(shift, values.shape)].ravel()
    other = values[Box((0, 0, 0), np.subtract(values.shape, shift))].ravel()
    for first, second in ((one, other), (one**2, other**2), (np.abs(one), other)):
        assert abs(np.corrcoef(first, second)[0, 1]) < 4.5 / np.sqrt(one.size)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["seed", "sample", "sequence"])
def test_noise_of_other_seeds_samples_and_sequences_is_not_correlated(what):
    box = Box.whole((40, 40, 40))
    if what == "seed":
        found = np.stack([standard_noise(seed, 0, 1, box)[0] for seed in range(40)])
    elif what == "sample":
        found = drawn(Noise(0, 1.0), range(40), 1, box, CPU).numpy()[:, 0]
    else:
        found = standard_noise(0, 0, 40, box)
    flat = found.reshape(40, -1)
    for values in (flat, flat**2):
        correlation = np.corrcoef(values)[np.triu_indices(40, 1)] * np.sqrt(flat.shape[1])
        assert np.abs(correlation).max() < 4.5
        assert stats.kstest(correlation, "norm").pvalue > 0.001


class Counting(TorchDispatchMode):
    """Counts operations, and names those that let the host know a value."""

    def __init__(self):
        super().__init__()
        self.count, self.told = 0, []

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        self.count += 1
        if operation._overloadpacket.__name__ in ("_local_scalar_dense", "nonzero", "is_nonzero"):
            self.told.append(operation)
        return operation(*args, **(kwargs or {}))


def test_a_device_makes_all_noise_at_once_in_as_many_operations_whatever_it_is():
    counts = set()
    for samples, n_sequences, shape in (
        (1, 1, (2, 2, 2)),
        (1, 2, (96, 96, 96)),
        (32, 3, (64,) * 3),
    ):
        noise_of_lines(0, range(1), 1, Box.whole((1, 1, 1)), torch.device("meta"))  # the table
        with Counting() as counting:
            made = drawn(
                Noise(0, 1.0), range(samples), n_sequences, Box.whole(shape), torch.device("meta")
            )
        assert made.shape == (samples, n_sequences, *shape)
        assert not counting.told
        counts.add(counting.count)
    assert len(counts) == 1
    assert counts.pop() < 80


def test_parts_of_any_size_are_the_whole(monkeypatch):
    box = (slice(3, 9), slice(30, 35), slice(1, 8))
    whole = standard_noise(5, 1, 2, box)
    for words_at_once in (1, 7, 40):
        monkeypatch.setattr("napari_ies.saliency.noise.lines.WORDS_AT_ONCE", words_at_once)
        assert np.array_equal(standard_noise(5, 1, 2, box), whole)


def test_the_noise_is_the_same_whatever_device_and_seed_pytorch_works_with():
    box = (slice(3, 9), slice(30, 35), slice(0, 7))
    for version in VERSIONS:
        expected = standard_noise(5, 1, 2, box, version)
        torch.manual_seed(11)
        with torch.device("meta"):
            assert np.array_equal(standard_noise(5, 1, 2, box, version), expected)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("codes", ["SLP", "LPS", "IPR"])
def test_the_noise_of_a_turned_network_is_that_of_the_stored_voxels(codes, version):
    case = random_case((12, 10, 14))
    turn = Reorientation.between(case.affine, case.shape, tuple(codes))
    model = small_model()
    image = torch.from_numpy(np.ascontiguousarray(turn.apply(case.data)))
    problem = Problem(
        network=model.network,
        engine=LoopEngine(model.network),
        device=CPU,
        image=image,
        tiles=tiling(model.profile, turn.displayed_shape, "whole-volume"),
        class_index=1,
        turn=turn,
    )
    box = Box((1, 2, 0), np.subtract(turn.displayed_shape, (2, 0, 3)))
    noisy = noisy_images(problem, box, Noise(3, 0.5, version), range(2, 4))
    for number, sample in enumerate((2, 3)):
        whole = standard_noise(3, sample, 2, Box.whole(case.shape), version)
        expected = case.data + np.float32(0.5) * whole
        assert np.array_equal(noisy[number], turn.apply(expected)[(slice(None), *box)])
