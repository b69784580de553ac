"""Measurements of the saliency engine: `python -m benchmarks.saliency --help`."""

import importlib.util
import sys
from pathlib import Path

if importlib.util.find_spec("napari_ies") is None:  # a checkout that was never installed
    sys.path.insert(0, str(Path(__file__).parents[1] / "src"))
