"""Reductions: many gradients to one map, as a stream that keeps none of them."""

from __future__ import annotations

import copy

import torch


class RunningExtremes:
    """The signed value of largest magnitude over rows, independent of their order and chunking.

    The running maximum and minimum are kept, both starting from 0 (a row is 0 wherever it is not
    given), and the one of larger magnitude is picked at the end; where both are equally far from
    0 the positive one is.

    Parameters
    ----------
    shape
        Shape of one row.
    like
        Gives data type and device.

    Attributes
    ----------
    highest, lowest
        The running maximum and minimum, of that shape.
    """

    def __init__(self, shape: tuple[int, ...], like: torch.Tensor) -> None:
        self.highest = like.new_zeros(shape)
        self.lowest = like.new_zeros(shape)

    def add(self, rows: torch.Tensor, at: tuple[slice, ...]) -> tuple[torch.Tensor, torch.Tensor]:
        """Take in rows.

        Parameters
        ----------
        rows
            (R, ...): each row on the same part of the shape.
        at
            That part, as an index of one row.

        Returns
        -------
        The rows' minimum and maximum there: not finite where any of them is not.
        """
        low, high = (rows[0], rows[0]) if len(rows) == 1 else rows.aminmax(dim=0)
        highest, lowest = self.highest[at], self.lowest[at]
        torch.maximum(highest, high, out=highest)
        torch.minimum(lowest, low, out=lowest)
        return low, high

    def of_sample(self, number: int | slice) -> RunningExtremes:
        """Return those of one part, or of some, of the first axis; they share the values."""
        part = copy.copy(self)
        part.highest, part.lowest = self.highest[number], self.lowest[number]
        return part

    def result(self) -> torch.Tensor:
        """Return the signed value of largest magnitude so far."""
        return torch.where(self.highest >= -self.lowest, self.highest, self.lowest)


class RunningMoments:
    """Mean and standard error of a stream of maps, by Welford's recurrence, one or several a step.

    Sources: Welford, *Technometrics* 4 (1962), 419-420; for several, Chan, Golub and LeVeque,
    *The American Statistician* 37 (1983), 242-247.
    """

    def __init__(self, like: torch.Tensor) -> None:
        self.count = 0
        self._mean = torch.zeros_like(like)
        self._squares = torch.zeros_like(like)

    def add(self, values: torch.Tensor) -> None:
        """Take in one map."""
        self.count += 1
        change = values - self._mean
        self._mean += change / self.count
        self._squares += change * (values - self._mean)

    def add_all(self, values: torch.Tensor) -> None:
        """Take in maps, (N, ...), in a number of operations that does not grow with N."""
        if not self.count:  # from here on the squares cannot be rounded below 0
            self.add(values[0])
            values = values[1:]
        self.count += len(values)
        change = values - self._mean
        self._mean += change.sum(dim=0) / self.count
        self._squares += change.mul_(values - self._mean).sum(dim=0)

    def mean(self) -> torch.Tensor:
        """Return a copy of the mean so far."""
        return self._mean.clone()

    def standard_error(self) -> torch.Tensor | None:
        """Return the standard error of the mean, sqrt(s² / n); None below two maps."""
        if self.count < 2:
            return None
        return (self._squares / (self.count * (self.count - 1))).sqrt()
