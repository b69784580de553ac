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


def run_blocked(code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED + code, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def core_modules() -> list[str]:
    root = Path(napari_ies.__file__).parent
    names = []
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        if parts[0] not in ("viewer", "__main__"):
            names.append(".".join(["napari_ies", *(p for p in parts if p != "__init__")]))
    return names


@pytest.mark.slow
def test_every_core_module_can_be_imported():
    modules = core_modules()
    assert {"napari_ies.patient.case", "napari_ies.cli.app", "napari_ies.saliency.smoothgrad"} <= {
        *modules
    }
    run_blocked(
        "import importlib\nfor name in sys.argv[1:]:\n    importlib.import_module(name)", *modules
    )


@pytest.mark.slow
def test_the_public_names_can_be_had():
    run_blocked("import napari_ies\nfor name in napari_ies.__all__:\n    getattr(napari_ies, name)")


@pytest.mark.slow
def test_a_lesion_can_be_explained(small, tmp_path):
    run_blocked(
        "from napari_ies.cli import main\nmain()",
        *("explain", *small.arguments, "--lesion=1", "--samples=1", f"--out={tmp_path}"),
    )
    assert len(list(tmp_path.rglob("*_saliency.nii.gz"))) == 2


def test_the_command_starts_without_torch_or_a_viewer():
    heavy = "('torch', 'monai', 'napari', 'qtpy', 'nibabel', 'scipy', 'pandas')"
    code = f"import sys, napari_ies.cli\nprint([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
