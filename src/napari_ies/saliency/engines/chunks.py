"""Rows in chunks, smaller ones from where memory runs out."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeVar

from napari_ies.errors import SaliencyError
from napari_ies.free_memory import is_out_of_memory, not_enough_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Result = TypeVar("Result")

logger = logging.getLogger("napari_ies")


def chunked(
    compute: Callable[[slice], Result], count: int, size: int
) -> Iterator[tuple[slice, Result]]:
    """Compute rows in chunks of a size at most, smaller ones from where memory runs out.

    `compute` gives the rows of a slice, of which there are so many as `count` says. As few chunks
    as can be, of sizes as alike as can be: memory of one shape is what a device uses again.

    Raises
    ------
    SaliencyError
        If there is not enough memory for a single row.
    """
    start = 0
    while start < count:
        part = slice(start, start + -(-(count - start) // -(-(count - start) // size)))
        try:
            result = compute(part)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if size == 1:
                raise SaliencyError(
                    not_enough_memory(
                        "compute the gradient of a single voxel",
                        "choose the forward sliding-window",
                    )
                ) from error
            size = max(size // 2, 1)
            logger.info("Out of memory: going on with %d rows at once.", size)
            continue
        yield part, result
        start = part.stop


def rows_within(memory: int, row_bytes: int, at_most: int) -> int:
    """Return how many rows a chunk may have: at least one, whatever the memory.

    The memory is the bytes that it may take, `at_most` the most rows that are worth while.
    """
    return max(min(memory // max(row_bytes, 1), at_most), 1)
