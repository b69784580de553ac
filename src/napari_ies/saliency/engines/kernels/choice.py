"""Which kernels take rows through a network's convolutions: found by trial, once for a network."""

from __future__ import annotations

import atexit
import logging
import math
import threading
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, cast

import torch

from napari_ies.saliency.engines.kernels.candidates import (
    LIBRARY,
    last_candidates,
    reducing_candidates,
    row_candidates,
)
from napari_ies.saliency.engines.kernels.plain import library_rows, reduced
from napari_ies.saliency.engines.kernels.strided import Behind, Canvases, Places
from napari_ies.saliency.engines.kernels.trial import ENDING, TOLERATED, Ended, Trial, device_clock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from napari_ies.geometry.box import Triple
    from napari_ies.saliency.engines.kernels.candidates import Into, JoiningRows, Rows
    from napari_ies.saliency.engines.kernels.strided import Base, Strided

    Clock = Callable[[Callable[[], object]], float]

logger = logging.getLogger("napari_ies")

TRIAL_BYTES, MOST_ROWS, CHECKED_ROWS = 64_000_000, 128, 2
"""What the cotangents of a trial may take, how many rows these are at the most, and how many of
them are compared in float64."""
APART = 4
"""So many voxels of a layer's output the rows of a trial lie apart along each axis, at most."""
EXTREMES = "rows into extremes"
"""What a maximum alone needs, of voxels that a single window predicts."""
LAST_TRIAL_SECONDS = 20.0
"""The end of the program waits so long for what is being tried: a second or two, as a rule."""


@dataclass(frozen=True, eq=False)
class Kernels:
    """What takes rows through a network's convolutions where that is not PyTorch's own.

    Parameters
    ----------
    rows
        By the number of the network's node; what is not there is computed as without kernels.
    last
        Takes rows through the network's first convolution into the extremes; None if rows are
        computed first.
    reduces
        Takes rows that are there into the extremes; None if that is done as without kernels.
    said
        What computes which convolution, for the provenance; empty where no kernel is used.
    """

    rows: Mapping[int, Rows] = field(default_factory=dict)
    last: Into | None = None
    reduces: Into | None = None
    said: Mapping[str, str] = field(default_factory=dict)


PLAIN = Kernels()


@dataclass(frozen=True, eq=False)
class Subject:
    """A convolution of a network, as rows go through it.

    Parameters
    ----------
    node
        Its number.
    convolution
        Itself.
    size
        Of the cotangents of one row.
    first
        Whether it alone reads the network's input.
    """

    node: int
    convolution: Strided
    size: Triple
    first: bool


class Choosing:
    """Kernels that are chosen in the background, and not waited for.

    Parameters
    ----------
    choose
        Runs the trials.
    """

    def __init__(self, choose: Callable[[], Kernels]) -> None:
        self._choose, self._chosen = choose, PLAIN
        # Ends with the program, however long a compiler takes; see `_end`.
        self._thread = threading.Thread(target=self._run, name="kernels", daemon=True)
        atexit.register(self._end)
        self._thread.start()

    def now(self) -> Kernels:
        """Return what was chosen, or no kernels as long as the trials run."""
        return self._chosen

    def wait(self) -> Kernels:
        """Return what was chosen, when the trials are over."""
        self._thread.join()
        return self._chosen

    def _run(self) -> None:
        try:
            self._chosen = self._choose()
        except Ended:
            pass
        except Exception:  # without kernels everything works as well
            logger.warning("Kernels could not be tried; none is used.", exc_info=True)
        atexit.unregister(self._end)

    def _end(self) -> None:
        """Wait for what is being tried, and have nothing more tried.

        A thread inside PyTorch or a compiler while Python ends takes the whole program down with
        it: "terminate called without an active exception".
        """
        ENDING.set()
        self._thread.join(LAST_TRIAL_SECONDS)


def choose_kernels(
    subjects: Sequence[Subject],
    device: torch.device,
    precision: str = "float32",
    clock: Clock = device_clock,
) -> Kernels:
    """Try what there is for each convolution, on random cotangents.

    Parameters
    ----------
    subjects
        The convolutions.
    device
        Where they compute; on the CPU there are no kernels.
    precision
        What is asked for: ``"float32"``, ``"tf32"`` or ``"bf16"``.
    clock
        Tells how long a call takes.
    """
    if device.type != "cuda":
        return PLAIN
    with torch.cuda.device(device), torch.no_grad():
        return tried(subjects, precision, clock)


def tried(subjects: Sequence[Subject], precision: str, clock: Clock) -> Kernels:
    """Return the fastest right way for each convolution, wherever it computes."""
    rows: dict[int, Rows] = {}
    said: dict[str, str] = {}
    last = reduces = None
    for subject in subjects:
        trial = _RowsTrial(subject, precision, clock)
        found = trial.fastest()
        if found is None:
            continue
        name, way = found
        said[subject.convolution.name] = name
        if name != LIBRARY:
            rows[subject.node] = way
        if reduces is None and (reducing := trial.reducing()) is not None:
            said[EXTREMES], reduces = reducing
        if subject.first and reduces is not None:
            together = trial.into_extremes(way, reduces)
            if together is not None:
                said[EXTREMES], last = together
    return Kernels(rows, last, reduces, said)


class _RowsTrial:
    """Random cotangents of one convolution, and what becomes of them in float64."""

    def __init__(self, subject: Subject, precision: str, clock: Clock) -> None:
        self._convolution = convolution = subject.convolution
        self._precision, self._clock = precision, clock
        weight = convolution.weight
        generator = torch.Generator(weight.device).manual_seed(0)
        one = (convolution.channels[0], *subject.size)
        rows = min(max(TRIAL_BYTES // (4 * math.prod(one)), CHECKED_ROWS), MOST_ROWS)
        self._values = torch.randn((rows, *one), generator=generator, device=weight.device)
        self._values = self._values.contiguous(memory_format=torch.channels_last_3d)
        # Rows start at multiples of the stride, less the padding.
        self._base = tuple(
            torch.randint(APART + 1, (rows,), generator=generator, device=weight.device) * step
            - pad
            for step, pad in zip(convolution.stride, convolution.padding, strict=True)
        )
        self._checked = self._values[:CHECKED_ROWS]
        self._expected = library_rows(convolution, self._checked.double())

    def fastest(self) -> tuple[str, Rows] | None:
        """Return what takes rows through the convolution fastest, and what it is called."""
        trial: Trial[Rows] = Trial(
            self._convolution.name,
            torch.cat([self._expected, self._joined(self._expected.double())]),
            self._both,
            lambda way: way(self._values),
            TOLERATED[self._precision],
            self._clock,
        )
        return trial.fastest(row_candidates(self._convolution, self._precision))

    def _both(self, way: Rows) -> torch.Tensor:
        """Return the rows that are compared, as they are and joined with what is behind them."""
        rows = way(self._checked)
        if not way.takes_behind:
            return torch.cat([rows, self._joined(rows)])
        return torch.cat([rows, cast("JoiningRows", way)(self._checked, self._behind)])

    def _joined(self, rows: torch.Tensor) -> torch.Tensor:
        behind = self._behind
        assert behind.added is not None  # noqa: S101 - these are made here
        assert behind.slopes is not None  # noqa: S101 - as above
        return (rows + behind.added) * behind.slopes

    @cached_property
    def _behind(self) -> Behind:
        """Cotangents that wait behind the convolution, and slopes, both where the rows lie."""
        count, channels, x, y, z = self._expected.shape
        generator = torch.Generator(self._values.device).manual_seed(1)
        values = torch.randn(
            (count + 1, channels, x, y, z), generator=generator, device=self._values.device
        )
        values = values.contiguous(memory_format=torch.channels_last_3d)
        at = torch.arange(count, device=values.device)
        size = (x, y, z)
        added = Places(at * math.prod(size), size, own=True)
        return Behind(values[:count], added, values[count:], Places(at * 0, size))

    def reducing(self) -> tuple[str, Into] | None:
        """Return what takes rows that are there into the extremes, and what it is called."""
        rows, canvases = self._expected.float(), self._canvases(torch.float32)
        trial: Trial[Into] = Trial(
            EXTREMES,
            self._extremes,
            lambda into: self._taken(into, rows),
            lambda into: into(rows, _first(self._base), canvases),
            TOLERATED["float32"],
            self._clock,
        )
        return trial.fastest(reducing_candidates())

    def into_extremes(self, way: Rows, reduces: Into) -> tuple[str, Into] | None:
        """Return what takes rows through the convolution into the extremes, and what it is called.

        None where nothing is faster than `way` and `reduces`, one after the other.
        """
        canvases = self._canvases(torch.float32)
        trial: Trial[Into] = Trial(
            f"{self._convolution.name}, {EXTREMES}",
            self._extremes,
            lambda into: self._taken(into, self._checked),
            lambda into: into(self._values, self._base, canvases),
            TOLERATED[self._precision],
            self._clock,
        )
        candidates = last_candidates(self._convolution, self._precision, way, reduces)
        found = trial.fastest(candidates)
        return None if found is None or found[0] == candidates[0].name else found

    @cached_property
    def _extremes(self) -> torch.Tensor:
        """What the canvases hold of the rows that are compared, float64."""
        canvases = self._canvases(torch.float64)
        reduced(self._expected, _first(self._base), canvases)
        return torch.stack([canvases.highest, canvases.lowest])

    def _taken(self, into: Into, values: torch.Tensor) -> torch.Tensor:
        """Return the same by a candidate."""
        canvases = self._canvases(torch.float32)
        into(values, _first(self._base), canvases)
        return torch.stack([canvases.highest, canvases.lowest])

    def _canvases(self, dtype: torch.dtype) -> Canvases:
        """Return canvases that hold all rows but for a margin of one voxel."""
        sizes = zip(self._expected.shape[2:], self._convolution.stride, strict=True)
        x, y, z = (size + APART * stride - 2 for size, stride in sizes)
        highest = self._values.new_zeros((self._expected.shape[1], x, y, z), dtype=dtype)
        domain = (x + 1, y + 1, z + 1)
        return Canvases(highest, torch.zeros_like(highest), (0, 0, 0), domain)


def _first(base: Base) -> Base:
    """Return where the first rows start, whose values are compared."""
    return [axis[:CHECKED_ROWS] for axis in base]
