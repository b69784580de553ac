"""Reductions: many gradients to one map, as a stream that keeps none of them."""

from __future__ import annotations

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
    """

    def __init__(self, shape: tuple[int, ...], like: torch.Tensor) -> None:
        self._highest = like.new_zeros(shape)
        self._lowest = like.new_zeros(shape)

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
        highest, lowest = self._highest[at], self._lowest[at]
        torch.maximum(highest, high, out=highest)
        torch.minimum(lowest, low, out=lowest)
        return low, high

    def result(self) -> torch.Tensor:
        """Return the signed value of largest magnitude so far."""
        return torch.where(self._highest >= -self._lowest, self._highest, self._lowest)


class RunningMoments:
    """Mean and standard error of a stream of maps, by Welford's recurrence.

    Source: Welford, *Technometrics* 4 (1962), 419-420.
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

    def mean(self) -> torch.Tensor:
        """Return a copy of the mean so far."""
        return self._mean.clone()

    def standard_error(self) -> torch.Tensor | None:
        """Return the standard error of the mean, sqrt(s² / n); None below two maps."""
        if self.count < 2:
            return None
        return (self._squares / (self.count * (self.count - 1))).sqrt()
