"""The arithmetic of weights, in integers: a ratio is kept exactly or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from math import gcd

HEAVIEST = 1_000_000
"""The largest weight that an event may carry."""


class InexactWeights(Exception):
    """The ratio cannot be kept with weights of at most `HEAVIEST`."""


def join(weights: Mapping[str, int], newcomer: str, percent: int) -> dict[str, int]:
    """Give a newcomer `percent` of the traffic; the others keep their ratio.

    The newcomer x among others of sum S, scaled by k, has x / (kS + x) = percent / 100, so that
    x = percent kS / (100 - percent). The smallest k that makes x an integer is taken, and the
    result is reduced by its greatest common divisor.

    Args:
        weights: of the others; where all are 0 the newcomer takes all traffic whatever `percent` is.
        newcomer: the name that joins.
        percent: 0 to 100; 100 sets the others to 0.

    Raises:
        InexactWeights: a weight would be above `HEAVIEST`.
    """
    total = sum(weights.values())
    if total == 0 or percent == 100:  # noqa: PLR2004 - a percentage's whole
        return dict.fromkeys(weights, 0) | {newcomer: 1}
    if percent == 0:
        return dict(weights) | {newcomer: 0}
    rest = 100 - percent
    scale = rest // gcd(rest, percent * total)
    scaled = {name: weight * scale for name, weight in weights.items()}
    return _reduced(scaled | {newcomer: percent * total * scale // rest})


def _reduced(weights: dict[str, int]) -> dict[str, int]:
    divisor = gcd(*weights.values())
    reduced = {name: weight // divisor for name, weight in weights.items()}
    if max(reduced.values()) > HEAVIEST:
        raise InexactWeights
    return reduced
