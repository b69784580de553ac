from __future__ import annotations

import pytest

from napari_ies.cli.original import rewritten

MANY = {"--input-val-paths", "--method"}


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("--input_val_paths a b --seed 1", "--input-val-paths a --input-val-paths b --seed 1"),
        ("--input-val-paths a b_c", "--input-val-paths a --input-val-paths b_c"),
        ("--input_val_paths=a_b --method x y", "--input-val-paths=a_b --method x --method y"),
        ("--num_workers 0 --use_checkpoint", "--num-workers 0 --use-checkpoint"),
        ("--spacing 1 1 2 -h", "--spacing 1 1 2 -h"),
        ("in --method x y -w b c", "in --method x --method y -w b c"),
        ("--method x --input_val_paths a", "--method x --input-val-paths a"),
    ],
)
def test_words_of_the_original_scripts_are_spelled_as_this_program_reads_them(typed, read):
    assert rewritten(typed.split(), MANY) == read.split()
