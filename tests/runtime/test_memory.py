"""The memory plan: values that live at the same time never share a byte, and the arena is no larger than need be."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from bitwright.runtime.memory import ALIGNMENT, Span, place

SPANS = st.lists(
    st.builds(
        lambda size, first, length: Span(size, first, first + length),
        st.integers(1, 5000),
        st.integers(0, 20),
        st.integers(0, 6),
    ),
    max_size=30,
)


@given(SPANS)
@settings(deadline=None, derandomize=True)
def test_place_keeps_values_apart_that_live_at_the_same_time(spans: list[Span]) -> None:
    """Neither two values nor a value and the end of the arena overlap."""
    offsets, total = place(spans)
    for (a, at_a), (b, at_b) in itertools.combinations(zip(spans, offsets, strict=True), 2):
        if a.first <= b.last and b.first <= a.last:
            assert at_a + a.size <= at_b or at_b + b.size <= at_a
    assert all(at % ALIGNMENT == 0 and at + span.size <= total for span, at in zip(spans, offsets, strict=True))


def test_place_takes_two_values_for_a_chain() -> None:
    """Of a chain of layers, only a result and its operand are there at a time."""
    chain = [Span(1024, step, step + 1) for step in range(10)]

    assert place(chain)[1] == 2048
