"""How far answers may differ."""

import numpy as np
import pytest

from so1s_compiler.agreement import NETWORKS, largest_difference

SURE, UNSURE = [0.9, 0.1], [0.500001, 0.499999]


def answer(labels, probabilities):
    return {"label": np.array(labels), "probabilities": np.array(probabilities)}


def test_another_label_is_too_much_however_near_the_probabilities():
    found = largest_difference(answer([0, 0], [SURE, SURE]), answer([0, 1], [SURE, SURE]))

    assert found.is_too_large
    assert (found.place, found.library, found.compiled) == ("label[1]", 0, 1)


def test_another_label_is_allowed_where_the_library_cannot_tell_the_classes_apart():
    found = largest_difference(answer([0, 0], [SURE, UNSURE]), answer([0, 1], [SURE, UNSURE]))

    assert not found.is_too_large


@pytest.mark.parametrize(("compiled", "is_too_large"), [(100.0009, False), (100.002, True)])
def test_a_number_may_differ_by_a_hundred_thousandth_of_itself(compiled, is_too_large):
    library = {"label": np.array([100.0, 1.0, 1.0])}

    found = largest_difference(library, {"label": np.array([compiled, 1.0, 1.0])})

    assert found.is_too_large == is_too_large
    assert found.place == "label[0]"


def test_a_small_number_among_larger_ones_is_measured_by_those():
    library = {"label": np.array([1e-9, 1.0, 1.0])}

    assert not largest_difference(library, {"label": np.array([1e-6, 1.0, 1.0])}).is_too_large


@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_what_is_no_number_must_be_none_in_both(odd):
    library = {"label": np.array([odd, 1.0])}

    assert largest_difference(library, {"label": np.array([odd, 1.0])}).size == 0
    assert largest_difference(library, {"label": np.array([1.0, 1.0])}).is_too_large


def test_other_words_are_another_answer():
    library = {"label": np.array(["low", "high"], object)}

    assert largest_difference(library, {"label": np.array(["low", "low"], object)}).place == "label[1]"


def test_a_small_number_of_a_network_is_measured_by_the_largest_of_its_row():
    library = {"scores": np.array([[1.0, 1e-9], [1e-9, 1e-9], [1e-9, 1e-9]])}
    in_first_row, in_second_row = library["scores"].copy(), library["scores"].copy()
    in_first_row[0, 1] = in_second_row[1, 1] = 1e-6

    assert not largest_difference(library, {"scores": in_first_row}, NETWORKS).is_too_large
    assert largest_difference(library, {"scores": in_second_row}, NETWORKS).is_too_large
    assert largest_difference(library, {"scores": in_first_row}).is_too_large


def test_an_answer_of_another_shape_is_told_as_that():
    found = largest_difference({"label": np.zeros((2, 3))}, {"label": np.zeros((2, 1))})

    assert found.is_too_large
    assert (found.place, found.library, found.compiled) == ("the shape of label", "[2, 3]", "[2, 1]")
