"""One synthetic patient for all tests of this folder: making it takes some seconds."""

import pytest

from napari_ies.demo import synthetic_patient


@pytest.fixture(scope="session")
def patient():
    return synthetic_patient(0)
