"""One synthetic patient for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.parent == here and "patient" in getattr(item, "fixturenames", []):
            # Of several workers, one makes the patient and runs all of these.
            item.add_marker(pytest.mark.xdist_group("synthetic patient"))
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def patient(demo_patient):
    return demo_patient
