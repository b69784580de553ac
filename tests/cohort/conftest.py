from __future__ import annotations

import pytest
from synthetic_cohort import SyntheticCohort, write_cohort


@pytest.fixture(scope="session")
def twelve(tmp_path_factory: pytest.TempPathFactory) -> SyntheticCohort:
    """Write the cohort of twelve cases; not to be changed."""
    return write_cohort(tmp_path_factory.mktemp("cohort"))
