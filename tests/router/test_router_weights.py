from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.router.domain.weights import HEAVIEST, InexactWeights, join

small = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=3), st.integers(0, 100), min_size=1, max_size=5
)
any_weights = st.dictionaries(st.text("abc", min_size=1, max_size=3), st.integers(0, HEAVIEST), max_size=5)


@given(small.filter(lambda weights: sum(weights.values())), st.integers(0, 99))
def test_the_newcomer_gets_its_percentage_and_the_others_keep_their_ratio(weights, percent):
    joined = join(weights, "newcomer", percent)
    total = sum(joined.values())
    assert Fraction(joined["newcomer"], total) == Fraction(percent, 100)
    before = sum(weights.values())
    for name, weight in weights.items():
        assert Fraction(joined[name], total - joined["newcomer"]) == Fraction(weight, before)


@given(any_weights, st.integers(0, 100))
def test_weights_stay_whole_and_within_bounds_or_are_refused(weights, percent):
    try:
        joined = join(weights, "newcomer", percent)
    except InexactWeights:
        return
    assert joined.keys() == weights.keys() | {"newcomer"}
    assert all(0 <= weight <= HEAVIEST for weight in joined.values())
    assert sum(joined.values()) > 0


@pytest.mark.parametrize(
    ("weights", "percent", "joined"),
    [
        ({}, 0, {"newcomer": 1}),
        ({"fraud": 0}, 0, {"fraud": 0, "newcomer": 1}),
        ({"fraud": 1}, 0, {"fraud": 1, "newcomer": 0}),
        ({"fraud": 1}, 10, {"fraud": 9, "newcomer": 1}),
        ({"fraud": 2, "fraud-next": 1}, 10, {"fraud": 6, "fraud-next": 3, "newcomer": 1}),
        ({"fraud": 2, "fraud-next": 1}, 100, {"fraud": 0, "fraud-next": 0, "newcomer": 1}),
    ],
)
def test_examples_of_joining(weights, percent, joined):
    assert join(weights, "newcomer", percent) == joined


def test_a_ratio_that_needs_heavier_weights_is_refused():
    with pytest.raises(InexactWeights):
        join({"fraud": 999_983, "fraud-next": 1_000_000}, "newcomer", 33)
