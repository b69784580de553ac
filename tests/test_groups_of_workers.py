"""Of several workers, one runs all tests of a group: what they share is made once."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.xdist_group("seen by xdist")


def test_a_group_is_seen_where_tests_are_given_to_workers(request):
    grouped = getattr(request.config.option, "loadgroup", False)
    assert request.node.nodeid.endswith("@seen by xdist") == grouped
