"""Quantiles of a histogram, as Prometheus' `histogram_quantile` estimates them.

https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile: observations are taken
to lie evenly within their bucket; the lowest bucket begins at 0; a quantile in the last bucket, which has
no upper bound, is that bucket's lower bound.
"""

from __future__ import annotations

import math
from collections.abc import Mapping


def quantile(q: float, buckets: Mapping[float, int]) -> float | None:
    """Estimate a quantile.

    Args:
        q: between 0 and 1.
        buckets: cumulative counts by upper bound; the last bound is infinity.

    Returns:
        A value in the bounds' unit; None where nothing was observed.
    """
    bounds = sorted(buckets)
    total = buckets[bounds[-1]] if bounds else 0
    if total <= 0:
        return None
    rank = q * total
    lower, below = 0.0, 0
    for bound in bounds:
        inside = buckets[bound] - below
        if buckets[bound] >= rank and inside > 0:
            return lower if math.isinf(bound) else lower + (bound - lower) * (rank - below) / inside
        lower, below = (lower if math.isinf(bound) else bound), max(below, buckets[bound])
    return lower
