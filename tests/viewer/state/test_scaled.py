"""Numbers as they are shown: to the digits that their errors leave them."""

import math

import pytest

from napari_ies.viewer.state.scaled import number, with_error


@pytest.mark.parametrize(
    ("value", "error", "power", "shown"),
    [
        (0.0123456, 0.0021, 0, "0.012 ± 0.002"),
        (0.0123456, 0.0021, -3, "12 ± 2"),
        (-0.0123456, 0.00042, -3, "−12.3 ± 0.4"),
        (12.34, 0.096, 0, "12.3 ± 0.1"),
        (1234.0, 42.0, 0, "1230 ± 40"),
        (3.0, 5.0, 0, "3 ± 5"),
        (3.14159, 0.0, 0, "3.14 ± 0"),
        (3.14159, math.nan, 0, "3.14 ± –"),
    ],
)
def test_a_value_has_as_many_digits_as_its_error_leaves_it(value, error, power, shown):
    assert with_error(value, error, power) == shown


def test_without_an_error_a_number_has_three_digits():
    assert number(-0.0123456, -3) == "−12.3"
