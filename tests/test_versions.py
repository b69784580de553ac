"""The versions that a result is stored with, also those of a checkout that nobody installed."""

import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from napari_ies import versions

ROOT = Path(__file__).parents[1]


def test_a_checkout_says_its_own_version_where_it_is_not_installed(monkeypatch):
    def unknown(name):
        if name == "napari-ies":
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(versions, "version", unknown)
    versions._versions.cache_clear()
    try:
        found = versions.versions()
    finally:
        versions._versions.cache_clear()
    assert found["napari-ies"] == versions.__version__
    assert {"python", "torch", "monai", "numpy"} <= found.keys()


def test_the_code_and_the_package_have_one_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == versions.__version__
