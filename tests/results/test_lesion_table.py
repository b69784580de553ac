"""A table of lesions after a spreadsheet: the same table, or a sentence that names the cell."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ies.errors import ResultsError
from napari_ies.results.lesion_table import read_lesion_table

HEADER = (
    "index\tname\tvoxels\tvolume_mm3\tmean_probability\tmax_probability\tcentre_x_mm\tcentre_y_mm"
    "\tcentre_z_mm\themisphere\tmidline_mm\tmatch"
)
ROWS = (
    "1\tlesion 1\t8\t9.5\t0.5\t0.75\t-1.0\t2.0\t3.5\tleft\t12.5\tTP",
    "3\tlesion 3\t1\t1.2\t0.5\t0.5\t1e-05\t2.0\t3.5\tunknown\tn/a\tFP",
)
GOOD = "\n".join((HEADER, *ROWS, ""))


@pytest.fixture
def labels():
    labels = np.zeros((6, 6, 6), np.int32)
    labels[1:3, 1:3, 1:3], labels[5, 5, 5] = 1, 3
    return labels


def read(tmp_path, raw, labels):
    path = tmp_path / "lesions.tsv"
    path.write_bytes(raw if isinstance(raw, bytes) else raw.encode())
    return read_lesion_table(path, labels)


@pytest.mark.parametrize(
    "raw",
    [
        GOOD,
        b"\xef\xbb\xbf" + GOOD.encode(),
        GOOD.replace("\n", "\r\n"),
        "\n".join("\t".join(f'"{cell}"' for cell in row.split("\t")) for row in (HEADER, *ROWS)),
        "\n".join((HEADER, *reversed(ROWS))),
        GOOD.replace("\tn/a\t", "\t\t"),
        GOOD.replace("match", "match\tcomment").replace("TP", "TP\tsure").replace("FP", "FP\t"),
        # A segmentation without a reference; version 0.1.
        "\n".join(row.rpartition("\t")[0] for row in (HEADER, *ROWS)),
        GOOD.replace("index\tname", "label").replace("\tlesion 1", "").replace("\tlesion 3", ""),
    ],
)
def test_what_changes_no_cell_is_read(tmp_path, labels, raw):
    table = read(tmp_path, raw, labels).sort_index()
    assert list(table.index) == [1, 3]
    assert table.index.name == "label"
    assert list(table.voxels) == [8, 1]
    assert list(table.max_probability) == [0.75, 0.5]
    assert list(table.centre_x_mm) == [-1.0, 1e-05]
    assert list(table.hemisphere) == ["left", "unknown"]
    assert table.midline_mm[1] == 12.5
    assert np.isnan(table.midline_mm[3])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\t0.75\t", "\t\t", "max_probability of lesion 1 is empty"),
        ("\t0.75\t", "\tn/a\t", "max_probability of lesion 1 is empty"),
        ("\t0.75\t", "\t0,75\t", "max_probability of lesion 1 is '0,75', expected a number"),
        ("\t0.75\t", "\t#REF!\t", "max_probability of lesion 1 is '#REF!'"),
        ("\t0.75\t", "\tinf\t", "max_probability of lesion 1 is inf"),
        ("\t8\t9.5", "\t8.5\t9.5", "voxels of lesion 1 is 8.5, expected a whole number"),
        ("\t8\t9.5", "\t-8\t9.5", "voxels of lesion 1 is -8"),
        ("left", "up", "hemisphere of lesion 1 is 'up', expected one of left"),
        ("\tTP", "\t", "match of lesion 1 is empty, expected one of TP"),
        ("\tvoxels", "\tvoxel", "the column voxels is missing"),
        ("index\t", "number\t", "no column is named index"),
        ("\t", ";", "no column is named index .*not commas or semicolons"),
        ("\n3\t", "\n4\t", "the table has lesion 4, which the image does not"),
        ("\n3\t", "\n1\t", "a lesion has two rows"),
        ("\n3\t", "\nthree\t", "'three' is no label of a lesion|'1' is no label of a lesion"),
        ("\n3\t", "\n\t", "is no label of a lesion"),
        ("\n3\t", "\n-3\t", "-3 is no label of a lesion"),
        ("\n3\t", f"\n{10**400}\t", "is no label of a lesion|cannot be read"),
        ("\n" + ROWS[1], "", "lesion 3 of the image has no row in the table"),
        ("\n3\t", "\n2\tlesion 2" + ROWS[1][10:] + "\n3\t", "the table has lesion 2"),
    ],
)
def test_what_changes_a_cell_is_named(tmp_path, labels, old, new, message):
    assert old in GOOD
    with pytest.raises(ResultsError, match=message) as caught:
        read(tmp_path, GOOD.replace(old, new), labels)
    text = str(caught.value)
    assert "lesions.tsv" in text
    assert text.endswith(".")
    assert "\n" not in text


@pytest.mark.parametrize("value", [-1, 2**31 - 1, 217])
def test_an_image_of_labels_with_values_that_are_none_is_refused_at_once(tmp_path, labels, value):
    labels[0, 0, 0] = value
    with pytest.raises(ResultsError, match="image of labels holds values that are none"):
        read(tmp_path, GOOD, labels)


@pytest.mark.parametrize("raw", [b"", b"\x00" * 100, b"\xff\xfe\x00", b'"', b"a\tb\n1\t2\t3\t4\n"])
def test_what_is_no_table_is_refused(tmp_path, labels, raw):
    with pytest.raises(ResultsError, match=r"lesions\.tsv"):
        read(tmp_path, raw, labels)
