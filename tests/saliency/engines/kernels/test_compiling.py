"""The kernels compile for cards that are not here: the interpreter takes what compilers refuse."""

from __future__ import annotations

import os
from importlib.metadata import version
from importlib.util import find_spec

import pytest

COMPILE = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from napari_ies.saliency.engines.kernels import extremes, transposed

POINTERS = {"values", "weight", "output", "added", "slopes", "highest", "lowest"}
PLACES = {"base_x", "base_y", "base_z", "added_at", "slopes_at"}
THREES = dict(KX=3, KY=3, KZ=3, SX=2, SY=2, SZ=2)
TWOS = dict(TX=2, TY=2, TZ=2, SX=2, SY=2, SZ=2)
BRICK = dict(BX=4, BY=4, BZ=4)
KERNELS = [
    (transposed._transposed_rows, dict(IN=20, OUT=5, IN_FILLED=32, OUT_FILLED=16, **THREES,
        PRECISION="tf32x3", PLACES_AT_ONCE=64, CHANNELS=16, TERMS=32)),
    (transposed._transposed_rows, dict(IN=16, OUT=16, IN_FILLED=16, OUT_FILLED=16, **THREES,
        PRECISION="bf16", PLACES_AT_ONCE=64, CHANNELS=16, TERMS=16)),
    (extremes._last_layer, dict(IN=32, OUT=2, IN_FILLED=32, COLUMNS=16, **TWOS,
        PRECISION="tf32x3", TERMS=32, **BRICK)),
    (extremes._last_layer, dict(IN=32, OUT=1, IN_FILLED=32, COLUMNS=16, **TWOS,
        PRECISION="ieee", TERMS=32, **BRICK)),
    (extremes._reduced, dict(OUT=3, COLUMNS=4, **BRICK)),
]
for capability, (kernel, fixed) in [(80, KERNELS[0]), *((90, each) for each in KERNELS)]:
    names, half = kernel.arg_names, fixed.get("PRECISION") == "bf16"
    types = {name: "constexpr" if name in fixed else "i32" for name in names}
    types |= {name: "*fp32" for name in names if name in POINTERS}
    types |= {name: "*i64" for name in names if name in PLACES}
    if half:
        types["weight"] = "*bf16"
    constants = {(names.index(name),): value for name, value in fixed.items()}
    source = ASTSource(fn=kernel, signature=types, constexprs=constants)
    made = triton.compile(source, target=GPUTarget("cuda", capability, 32),
                          options={"num_warps": 4, "num_stages": 3})
    assert made.asm["cubin"]
"""


@pytest.mark.slow
def test_kernels_compile(request, tmp_path, said_by):
    # Not imported here, where a window may have loaded Mesa's LLVM.
    if find_spec("triton") is None:
        pytest.skip("Triton is not installed: it is for Linux alone")
    if tuple(map(int, version("triton").split(".")[:2])) < (3, 3):
        pytest.skip("an older Triton is told otherwise what to compile")
    # What the same compiler made of the same kernels is not made again: Triton knows both.
    cache = getattr(request.config, "cache", None)  # absent where pytest is told to keep none
    made = cache.mkdir("triton") if cache else tmp_path
    environment = {**os.environ, "TRITON_CACHE_DIR": str(made)}
    environment.pop("TRITON_INTERPRET", None)
    assert said_by(COMPILE, environment=environment) == []
