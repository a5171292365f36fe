import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.collector.domain.histogram import quantile

BOUNDS = (0.5, 1.0, 5.0, 10.0, math.inf)


def cumulative(counts):
    return {bound: sum(counts[: index + 1]) for index, bound in enumerate(BOUNDS)}


@pytest.mark.parametrize(
    ("q", "counts", "expected"),
    [
        (0.5, (0, 10, 0, 0, 0), 0.75),  # the middle of the bucket from 0.5 to 1
        (0.9, (90, 0, 10, 0, 0), 0.5),  # exactly at a bound
        (0.95, (90, 0, 10, 0, 0), 3.0),  # half of the bucket from 1 to 5
        (0.99, (1, 0, 0, 0, 99), 10.0),  # above the last bound: that bound
        (0.5, (4, 0, 0, 0, 0), 0.25),  # the lowest bucket begins at 0
    ],
)
def test_quantiles_are_interpolated_as_prometheus_does(q, counts, expected):
    assert quantile(q, cumulative(counts)) == pytest.approx(expected)


@pytest.mark.parametrize("buckets", [{}, cumulative((0, 0, 0, 0, 0))])
def test_nothing_observed_has_no_quantile(buckets):
    assert quantile(0.5, buckets) is None


@given(st.lists(st.integers(0, 1000), min_size=5, max_size=5).filter(any))
def test_a_quantile_lies_in_the_bucket_of_its_rank_and_grows_with_q(counts):
    buckets = cumulative(counts)
    total = buckets[math.inf]
    values = [quantile(q, buckets) for q in (0.5, 0.9, 0.99)]
    assert values == sorted(values)
    for q, value in zip((0.5, 0.9, 0.99), values, strict=True):
        upper = next(bound for bound in BOUNDS if buckets[bound] >= q * total)
        assert value <= upper
