from __future__ import annotations

import contextlib
import multiprocessing
from typing import TYPE_CHECKING

import dask
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.context import ForkServerContext


@pytest.fixture(scope="session")
def forks() -> Iterator[ForkServerContext]:
    """Give processes that are forks of one that has loaded all, and so start at once.

    Workers of dask.distributed are such processes then, too.
    """
    context = multiprocessing.get_context("forkserver")
    with dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}):
        with contextlib.suppress(ImportError):
            from distributed.utils import get_mp_context

            get_mp_context()  # says, the first time, what is loaded: not enough
        context.set_forkserver_preload(["distributed", "napari_ies.cohort.cluster"])
        yield context
