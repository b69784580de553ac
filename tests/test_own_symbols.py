"""Libraries that bring the same code as others are loaded beside them."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

from napari_ies.own_symbols import own_symbols

LOADED = """
import os, sys

class Seen:
    def find_spec(self, name, path=None, target=None):
        if name == "triton._C.libtriton":
            print("Triton:", bool(sys.getdlopenflags() & os.RTLD_DEEPBIND))

sys.meta_path.insert(0, Seen())
"""
KERNELS = "from napari_ies.saliency.engines.kernels import transposed"
EXPLAINING = "import napari_ies.saliency.explanation, napari_ies.saliency.engines.certification"
SWIN = """
from monai.networks.nets import SwinUNETR
from napari_ies.checkpoints.families import architectures, swin_unetr
own = dict(in_channels=2, out_channels=2, feature_size=12)
architectures._without_numbers(swin_unetr.FAMILY, own)
"""

deep = pytest.mark.skipif(not hasattr(os, "RTLD_DEEPBIND"), reason="libraries are apart anyway")


@deep
def test_libraries_call_their_own_functions_within_and_only_there():
    def fail_within() -> None:
        with own_symbols():
            within.append(sys.getdlopenflags())
            raise ValueError("within")

    before, within = sys.getdlopenflags(), []
    with pytest.raises(ValueError, match="within"):
        fail_within()
    assert within == [before | os.RTLD_DEEPBIND]
    assert sys.getdlopenflags() == before


@deep
@pytest.mark.slow
@pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")
@pytest.mark.parametrize("work", [KERNELS, SWIN], ids=["kernels", "swin"])
def test_triton_is_loaded_beside_what_paints_and_only_where_it_is_needed(work, said_by):
    lines = said_by(f"{EXPLAINING}\n{LOADED}\nprint('triton' in sys.modules)\n{work}")
    assert lines == ["False", "Triton: True"]


@deep
@pytest.mark.slow
@pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")
def test_what_pytorch_loads_later_finds_triton_there():
    work = "from napari_ies.own_symbols import load_triton; load_triton(); import torch.optim"
    run = subprocess.run(
        [sys.executable, "-c", LOADED + work], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == ["Triton: True"]
