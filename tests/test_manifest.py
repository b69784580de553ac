"""What napari is told about the plugin, read from the installed distribution."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from npe2 import PluginManifest

from napari_ies.patient.images.volume import READABLE

ROOT = Path(__file__).parents[1]


def test_napari_finds_the_widget_the_reader_and_the_samples():
    manifest = PluginManifest.from_distribution("napari-ies")
    manifest.validate_imports()
    contributions = manifest.contributions
    assert [widget.display_name for widget in contributions.widgets] == ["Lesion saliency"]
    assert {
        pattern for reader in contributions.readers for pattern in reader.filename_patterns
    } == {*(f"*{ending}" for ending in READABLE), "*session.json"}
    assert {sample.key for sample in contributions.sample_data} == {
        "synthetic_patient",
        "segmented_patient",
    }


def test_the_root_links_to_the_manifest_of_the_package():
    assert (ROOT / "napari.yaml").resolve() == ROOT / "src" / "napari_ies" / "napari.yaml"


def test_reading_the_manifest_and_the_package_imports_nothing_heavy():
    heavy = "{'torch', 'monai', 'napari', 'qtpy', 'nibabel', 'matplotlib'}"
    code = f"import sys, napari_ies; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(("own", "expected"), [(None, "1"), ("0", "0")])
def test_large_tensors_are_given_large_pages_unless_someone_says_otherwise(own, expected):
    """Before PyTorch is imported: it reads this with its first tensor."""
    name = "THP_MEM_ALLOC_ENABLE"
    environment = {key: value for key, value in os.environ.items() if key != name}
    environment |= {} if own is None else {name: own}
    code = f"import os, napari_ies; print(os.environ['{name}'])"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == expected
