"""Which kernels are chosen: the fastest of those that are right."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading

import pytest
import torch
from naive_rows import naive_rows
from networks import small_model

from napari_ies.saliency.engines.certification import choose_engine
from napari_ies.saliency.engines.kernels import candidates, choice
from napari_ies.saliency.engines.kernels.choice import (
    EXTREMES,
    PLAIN,
    Choosing,
    Kernels,
    Subject,
    choose_kernels,
    tried,
)
from napari_ies.saliency.engines.kernels.plain import ProductRows, library_rows, reduced
from napari_ies.saliency.engines.kernels.strided import Strided
from napari_ies.saliency.engines.kernels.trial import Candidate, Trial

SECONDS = {"quick": 1.0, "slow": 2.0, "wrong": 0.1, "not a number": 0.1}


def strided(channels=(4, 2)):
    weight = torch.randn((*channels, 3, 3, 3), generator=torch.Generator().manual_seed(0))
    return Strided(weight, (2, 2, 2), (1, 1, 1))


class Way:
    """Computes rows, more or less, and says how long it takes."""

    def __init__(self, convolution, name, factor=1.0):
        self.convolution, self.name, self.factor = convolution, name, factor

    def __call__(self, values):
        return self.factor * library_rows(self.convolution, values)


class Clock:
    """Reads the time off the name of what runs last."""

    def __init__(self):
        self.running = ""

    def __call__(self, run):
        run()
        return SECONDS[self.running]


def breaks():
    raise RuntimeError("ptxas\n  was not found")


def trial(clock, convolution):
    values = torch.randn(2, 4, 2, 2, 2)

    def work(way):
        clock.running = way.name

    expected = naive_rows(values, convolution)
    return Trial("here", expected, lambda way: way(values), work, 1e-5, clock)


def test_the_fastest_that_is_right(caplog):
    convolution, clock = strided(), Clock()
    ways = {
        name: Candidate(name, lambda name=name, factor=factor: Way(convolution, name, factor))
        for name, factor in [("slow", 1.0), ("wrong", 1.001), ("not a number", float("nan")),
                             ("quick", 1.000001)]
    }  # fmt: skip
    broken = Candidate("broken", breaks)
    with caplog.at_level(logging.INFO, "napari_ies"):
        name, way = trial(clock, convolution).fastest([*ways.values(), broken])
    assert (name, way.name) == ("quick", "quick")
    assert "here: no wrong (ArithmeticError: off by 1.0e-03)." in caplog.text
    assert "here: no not a number (ArithmeticError: off by nan)." in caplog.text
    assert "here: no broken (RuntimeError: ptxas was not found)." in caplog.text
    assert "here: quick." in caplog.text
    assert trial(clock, convolution).fastest([ways["wrong"], broken]) is None


@pytest.fixture
def subjects():
    return [
        Subject(7, strided((5, 4)), (2, 2, 2), first=False),
        Subject(0, strided(), (4, 4, 4), first=True),
    ]


@pytest.fixture
def no_kernels(monkeypatch):
    monkeypatch.setattr(candidates, "AVAILABLE", False)


def in_turn(*times):
    """Return a clock that gives these times in turn, running each time what is timed."""
    left = iter(times)

    def clock(run):
        run()
        return next(left)

    return clock


def test_without_triton(subjects, no_kernels):
    kernels = tried(subjects, "float32", in_turn(2.0, 1.0, 1.0, 2.0))
    assert kernels.said == {
        "5→4 channels, kernel 3×3×3, stride 2×2×2": "matrix products",
        "4→2 channels, kernel 3×3×3, stride 2×2×2": "PyTorch",
    }
    assert list(kernels.rows) == [7]
    assert isinstance(kernels.rows[7], ProductRows)
    assert kernels.last is None
    assert kernels.reduces is None
    # Matrix products of float32 are not what someone asks for who asks for less.
    assert tried(subjects, "tf32", in_turn(1.0, 1.0)).rows == {}


@pytest.fixture
def into(monkeypatch):
    """Kernels for the extremes that are none."""

    class Last:
        def __init__(self, convolution, precision, brick):
            self.convolution = convolution

        def __call__(self, values, base, canvases):
            rows = library_rows(self.convolution, values)
            reduced(rows, base, canvases)

    monkeypatch.setattr(
        choice, "reducing_candidates", lambda: [Candidate("plain", lambda: reduced)]
    )

    def last_candidates(convolution, precision, way, reduces):
        def both(values, base, canvases):
            reduces(way(values), base, canvases)

        return [
            Candidate("both", lambda: both),
            Candidate("together", lambda: Last(convolution, precision, None)),
        ]

    monkeypatch.setattr(choice, "last_candidates", last_candidates)


@pytest.mark.parametrize("together", [0.5, 2.0])
def test_rows_into_the_extremes(subjects, no_kernels, into, together):
    kernels = tried(subjects[1:], "float32", in_turn(1.0, 2.0, 1.0, 1.0, together))
    assert kernels.reduces is reduced
    assert (kernels.last is None) == (together == 2.0)
    assert kernels.said[EXTREMES] == ("plain" if together == 2.0 else "together")


def test_none_on_the_cpu(subjects):
    assert choose_kernels(subjects, torch.device("cpu")) is PLAIN


def test_nobody_waits_for_the_choice():
    go, found = threading.Event(), Kernels(said={"a": "b"})

    def choose():
        go.wait(10)
        return found

    choosing = Choosing(choose)
    assert choosing.now() is PLAIN
    go.set()
    assert choosing.wait() is found
    assert choosing.now() is found


def test_a_choice_that_fails_is_none(caplog):
    assert Choosing(breaks).wait() is PLAIN
    assert "Kernels could not be tried; none is used." in caplog.text


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("precision", ["float32", "tf32", "bf16"])
def test_on_a_card(precision):
    weights = [torch.randn(64, 32, 3, 3, 3), torch.randn(32, 2, 3, 3, 3)]
    convolutions = [Strided(weight.cuda(), (2, 2, 2), (1, 1, 1)) for weight in weights]
    tried_here = [
        Subject(3, convolutions[0], (19, 19, 19), first=False),
        Subject(0, convolutions[1], (39, 39, 39), first=True),
    ]
    kernels = choose_kernels(tried_here, torch.device("cuda:0"), precision)
    assert set(kernels.said) == {*(c.name for c in convolutions), EXTREMES}
    values = torch.randn(2, 64, 9, 9, 9, device="cuda")
    expected = library_rows(convolutions[0], values.double())
    for way in kernels.rows.values():
        if way is not kernels.rows.get(0):
            found = way(values).double()
            tolerance = {"float32": 1e-5, "tf32": 3e-3, "bf16": 3e-2}[precision]
            assert (found - expected).abs().max() <= tolerance * expected.abs().max()


AT_THE_END = """
import torch
from napari_ies.saliency.engines.kernels.choice import PLAIN, Choosing
from napari_ies.saliency.engines.kernels.trial import Candidate, Trial
torch.set_num_threads(1)
values = torch.ones(300, 300)
def multiply(_):
    begun.set()
    for _ in range(5):
        values @ values
    return values
def choose():
    candidates = [Candidate("one", lambda: None)] * 100_000
    trial = Trial("rows", values.double(), multiply, multiply, 1.0, lambda run: run() is None)
    trial.fastest(candidates)
    return PLAIN
import threading
begun = threading.Event()
choosing = Choosing(choose)
begun.wait()
"""


@pytest.mark.slow
def test_the_program_ends_in_the_middle_of_a_trial():
    """A thread that is in PyTorch while Python ends would end the program with an abort."""
    ran = subprocess.run(
        [sys.executable, "-c", AT_THE_END], capture_output=True, text=True, check=False, timeout=100
    )
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.parametrize("right", [True, False])
def test_what_a_kernel_does_behind_the_convolution_is_tried_too(right, monkeypatch, no_kernels):
    class Joining:
        takes_behind = True

        def __init__(self, convolution):
            self.convolution = convolution

        def __call__(self, values, behind=None):
            rows = library_rows(self.convolution, values)
            if behind is None:
                return rows
            return (rows + behind.added) * (behind.slopes if right else behind.slopes.abs())

    monkeypatch.setattr(
        choice, "row_candidates", lambda *_: [Candidate("joining", lambda: Joining(strided()))]
    )
    kernels = tried([Subject(0, strided(), (3, 2, 2), first=False)], "float32", in_turn(1.0))
    assert list(kernels.rows) == ([0] if right else [])


def test_networks_in_float64_have_no_kernels():
    engine = choose_engine(small_model())
    assert engine._local.subjects((8, 8, 8))
    assert not engine._local.convolving_in(torch.float64).subjects((8, 8, 8))
