"""Works for which there is no memory, in a process of their own."""

from __future__ import annotations

import ctypes
import resource
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from cases import ball, random_case
from networks import small_model

from napari_ies import explain, segment
from napari_ies.counterfactual.counterfactual import what_if
from napari_ies.counterfactual.edit import Edit

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

MMAP_THRESHOLD = -3
"""Of mallopt(3)."""


def tell_what_is_said(connection: Connection) -> None:
    """Do each work with 40 MiB more than is held, and send what it says."""
    # Large arrays go back to the system when they are freed: what one work held is not what
    # another one, which is to find no memory, then runs in.
    assert ctypes.CDLL(None).mallopt(MMAP_THRESHOLD, 2**17)
    torch.set_num_threads(1)
    size = (16, 16, 16)
    model, case = small_model(), random_case(size)
    large, mask = random_case((160, 160, 160)), ball((160, 160, 160), (80, 80, 80), 1.5)
    explained = {"forward": "whole-volume", "memory_gib": 1.0}
    segmented = segment(model, case)
    for method in ("smoothgrad", "gradcam++"):
        explain(model, case, ball(size, (8, 8, 8), 1.5), n_samples=1, method=method, **explained)
    works = {
        "allocator": lambda: torch.zeros(10**10),
        "array": lambda: np.ones(10**11),
        "whole": lambda: segment(model, large, forward="whole-volume"),
        "windows": lambda: segment(model, large),
        "gradients": lambda: explain(model, large, mask, n_samples=1, jacobian="loop", **explained),
        "Grad-CAM++": lambda: explain(model, large, mask, method="gradcam++", **explained),
        "changed": lambda: what_if(model, large, segmented, mask, Edit("FLAIR", "brighten")),
    }
    said = {}
    for name, work in works.items():
        status = Path("/proc/self/status").read_text().splitlines()
        held = next(line for line in status if line.startswith("VmSize"))
        limit = 1024 * int(held.split()[1]) + 40 * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
        try:
            work()
            said[name] = "was done"
        except Exception as error:
            said[name] = f"{type(error).__name__}: {error}"
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    connection.send(said)
