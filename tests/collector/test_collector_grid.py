from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from services.collector.domain.grid import Span, floor, milliseconds, windows

moments = st.integers(0, 4_000_000_000_000)
widths = st.integers(1, 3600)


@given(moments, st.integers(0, 3_000_000), widths)
def test_windows_cover_a_stretch_without_gap_or_overlap(start, length, width):
    found = list(windows(start, start + length, width))
    assert all(each.length_ms == width * 1000 and each.start_ms % (width * 1000) == 0 for each in found)
    assert all(left.end_ms == right.start_ms for left, right in pairwise(found))
    if found:
        assert found[0].start_ms <= start < found[0].end_ms
        assert found[-1].end_ms == floor(start + length, width)


@given(moments, st.integers(0, 500_000), st.integers(1, 60))
def test_the_overlaps_with_all_windows_sum_to_the_life(start, length, width):
    life = Span(start, start + length)
    until = floor(life.end_ms, width) + width * 1000
    assert sum(window.overlap_ms(life) for window in windows(start, until, width)) == length


@given(moments, st.integers(0, 500_000), st.lists(st.integers(0, 500_000), max_size=5))
def test_sampling_in_several_rounds_yields_each_window_once(start, length, stops):
    rounds = sorted({start, *(start + stop for stop in stops if stop <= length), start + length})
    boundaries = [floor(each, 5) for each in rounds]
    found = [window for a, b in pairwise(boundaries) for window in windows(a, b, 5)]
    assert found == list(windows(boundaries[0], boundaries[-1], 5))


@given(moments)
def test_a_window_starts_on_the_grid_that_the_event_demands(moment):
    window = next(windows(moment, moment + 10_000, 5))
    assert window.start.timestamp() % 5 == 0
    assert milliseconds(window.start) == window.start_ms


def test_milliseconds_are_exact_where_a_float_is_not():
    assert milliseconds(datetime(2027, 1, 1, 0, 0, 0, 1000, tzinfo=UTC)) % 1000 == 1
    far = datetime(2100, 1, 1, tzinfo=UTC) + timedelta(milliseconds=999)
    assert milliseconds(far) % 1000 == 999
