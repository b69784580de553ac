"""The core works where neither napari nor Qt nor matplotlib is installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import napari_ies

BLOCKED = """
import sys

class Blocked:
    names = ("napari", "qtpy", "PyQt5", "PyQt6", "PySide2", "PySide6", "vispy", "magicgui",
             "superqt", "matplotlib")

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocked())
"""


def core_modules() -> list[str]:
    root = Path(napari_ies.__file__).parent
    names = []
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        if parts[0] not in ("viewer", "__main__"):
            names.append(".".join(["napari_ies", *(p for p in parts if p != "__init__")]))
    return names


WORK = """
import importlib
from napari_ies.cli import main

# In an interpreter that has imported nothing else yet.
modules, sys.argv[1:] = sys.argv[1].split(), sys.argv[2:]
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
import napari_ies
for name in napari_ies.__all__:
    getattr(napari_ies, name)
for name in modules:
    importlib.import_module(name)
"""


@pytest.mark.slow
def test_a_lesion_is_explained_and_every_name_and_module_can_be_had(small, tmp_path):
    modules = core_modules()
    assert {"napari_ies.patient.case", "napari_ies.cli.app", "napari_ies.saliency.smoothgrad"} <= {
        *modules
    }
    options = ("--lesion=1", "--samples=1", f"--out={tmp_path}")
    done = subprocess.run(
        [
            *(sys.executable, "-c", BLOCKED + WORK, " ".join(modules)),
            *("explain", *small.arguments, *options),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.rglob("*_saliency.nii.gz"))) == 2


def test_the_command_starts_without_torch_or_a_viewer():
    heavy = "('torch', 'monai', 'napari', 'qtpy', 'nibabel', 'scipy', 'pandas')"
    code = f"import sys, napari_ies.cli\nprint([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
