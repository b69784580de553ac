"""Tables on disk: every number comes back as it was written, whichever pandas reads it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from napari_ies.results.storage.tables import read_table, table_writer


@pytest.fixture
def table() -> pd.DataFrame:
    generator = np.random.default_rng(3)
    # Bit patterns at random, and a value that pandas before 3.1 reads as its neighbour.
    patterns = generator.integers(0, 2**63, 500, dtype=np.int64).view(np.float64)
    values = np.append(patterns[np.isfinite(patterns)], [10.799999732478721, -0.0, 5e-324, np.nan])
    return pd.DataFrame(
        {
            "voxels": generator.integers(-5, 2**62, len(values)),
            "value": values,
            "missing": np.full(len(values), np.nan),
            "place": ["left", "NA", "nan", "midline"] * (len(values) // 4)
            + ["right"] * (len(values) % 4),
        },
        index=pd.RangeIndex(1, len(values) + 1, name="index"),
    )


def test_every_number_comes_back_bit_for_bit(tmp_path, table):
    table_writer(table)(tmp_path / "a.tsv")
    read = read_table(tmp_path / "a.tsv").set_index("index")
    assert read["value"].to_numpy().tobytes() == table["value"].to_numpy().tobytes()
    assert_frame_equal(read, table, check_exact=True, check_dtype=False, check_index_type=False)
    kinds = {name: read[name].dtype.kind for name in ("voxels", "value", "missing")}
    assert kinds == {"voxels": "i", "value": "f", "missing": "f"}


def test_a_column_without_rows_adds_up_to_0(tmp_path):
    path = tmp_path / "table.tsv"
    path.write_text("index\tname\tvolume_mm3\n")
    table = read_table(path)
    assert list(table) == ["index", "name", "volume_mm3"]
    assert float(table["volume_mm3"].sum()) == 0
