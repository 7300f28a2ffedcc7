"""The shard option."""

from __future__ import annotations

import pytest

from bitwright.cli.calibrate import parse_shard
from bitwright.errors import UsageError


def test_shard_is_counted_from_zero():
    """0/4 to 3/4 are four parts."""
    assert [parse_shard(f"{i}/4") for i in range(4)] == [(0, 4), (1, 4), (2, 4), (3, 4)]


@pytest.mark.parametrize("text", ["4/4", "a/b", "3", "", "1/0", "-1/2", "1/2/3"])
def test_shard_refuses_what_is_no_part(text):
    """Anything else is a usage error."""
    with pytest.raises(UsageError):
        parse_shard(text)
