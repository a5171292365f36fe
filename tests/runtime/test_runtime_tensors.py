"""Values are checked exactly: what fits arrives unchanged, what does not is named with its place."""

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from so1s_runtime.dtypes import DTYPES
from so1s_runtime.errors import ModelError, RequestError
from so1s_runtime.manifest import TensorSpec
from so1s_runtime.tensors import check_names, check_rows, conform, from_flat, from_nested, jsonable

numbers = st.sampled_from([dtype for dtype in DTYPES.values() if dtype.name != "string"])


def spec(dtype="float32", shape=(-1, 2)):
    return TensorSpec("x", DTYPES[dtype], shape)


def elements(dtype):
    kind = dtype.numpy
    finite = {"allow_nan": False, "allow_infinity": False} if dtype.is_float else {}
    return hnp.arrays(
        kind, hnp.array_shapes(min_dims=1, max_dims=3, max_side=4), elements=hnp.from_dtype(kind, **finite)
    )


@given(st.data())
def test_any_array_of_a_numeric_type_survives_as_nested_and_as_flat_lists(data):
    dtype = data.draw(numbers)
    array = data.draw(elements(dtype))
    some = spec(dtype.name, (-1, *array.shape[1:]))
    for read in (from_nested(some, array.tolist()), from_flat(some, array.ravel().tolist(), array.shape)):
        assert read.dtype == dtype.numpy
        np.testing.assert_array_equal(read, array)


@given(hnp.arrays(object, (3, 2), elements=st.text()))
def test_any_strings_survive(array):
    np.testing.assert_array_equal(from_nested(spec("string"), array.tolist()), array)


culprits = st.sampled_from([None, "1", True, {}, [], [1.0], float("nan"), float("inf"), 1e300, -(10**400)])


@given(st.integers(1, 5), st.integers(1, 4), culprits, st.data())
def test_one_wrong_value_is_named_with_its_position_and_the_expected_type(height, width, culprit, data):
    row, column = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    values = np.zeros((height, width)).tolist()
    values[row][column] = culprit
    with pytest.raises(RequestError) as caught:
        from_nested(spec(shape=(-1, width)), values)
    assert caught.value.body["field"] == "x"
    assert caught.value.body["position"] == [row, column]
    assert caught.value.body["expected"] == "float32"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=12,
)


@given(st.sampled_from(list(DTYPES)), hnp.array_shapes(min_dims=0, max_dims=3, max_side=2), json_values)
def test_whatever_is_sent_either_fits_or_is_refused(dtype, shape, values):
    some = spec(dtype, shape)
    with suppress(RequestError):
        assert from_nested(some, values).shape == shape


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("uint8", 256),
        ("uint8", -1),
        ("int64", 2**63),
        ("uint64", 2**64),
        ("float16", 70000),
        ("float32", 1e39),
    ],
)
def test_a_number_out_of_range_is_refused_rather_than_wrapped(dtype, value):
    with pytest.raises(RequestError, match=r"at \[1, 0\] has .*out of range"):
        from_nested(spec(dtype), [[0, 0], [value, 0]])


@pytest.mark.parametrize(
    ("values", "message", "position"),
    [
        ([[1, 2], [3]], "input 'x' at [1] has 1 values, expected 2", [1]),
        ([[1, 2, 3]], "input 'x' at [0] has 3 values, expected 2", [0]),
        ([1, 2], "input 'x' at [0] has the number 1 where a list belongs", [0]),
        ({"a": 1}, "input 'x' has an object where a list belongs", []),
        ([], "input 'x' has no values", []),
        ([[1, 2], None], "input 'x' at [1] has null where a list belongs", [1]),
        ([[1, [2]]], "input 'x' at [0, 1] has a list where a number belongs", [0, 1]),
    ],
)
def test_a_wrong_nesting_is_explained(values, message, position):
    with pytest.raises(RequestError) as caught:
        from_nested(spec(), values)
    assert str(caught.value) == message
    assert caught.value.body["position"] == position


def test_an_integer_may_stand_for_a_float_but_no_float_for_an_integer():
    assert from_nested(spec("float64"), [[1, 2.5]]).tolist() == [[1.0, 2.5]]
    with pytest.raises(RequestError, match=r"the number 2\.0 where an integer belongs"):
        from_nested(spec("int64"), [[1, 2.0]])


@pytest.mark.parametrize("dtype", ["int64", "float32", "float64"])
def test_a_scalar_input_needs_no_list(dtype):
    assert from_nested(spec(dtype, ()), 7) == 7


def test_numbers_may_be_as_large_as_their_type_though_their_sum_may_not():
    largest = float(np.finfo(np.float64).max)
    assert from_nested(spec("float64"), [[largest, largest]]).tolist() == [[largest, largest]]


def test_an_infinity_is_named_though_another_one_cancels_it():
    with pytest.raises(RequestError, match=r"at \[0, 0\] has inf"):
        from_nested(spec(), [[float("inf"), float("-inf")]])


@pytest.mark.parametrize("dtype", ["int64", "float32", "float64"])
def test_a_models_code_may_write_to_what_it_is_given(dtype):
    array = from_nested(spec(dtype), [[1, 2]])
    array += 1
    assert array.tolist() == [[2, 3]]


def test_flat_data_of_the_wrong_length_is_refused():
    with pytest.raises(RequestError, match=r"has 3 values, its shape \[2, 2\] needs 4"):
        from_flat(spec(), [1, 2, 3], (2, 2))


def test_unknown_and_missing_inputs_are_named_beside_the_known_ones():
    with pytest.raises(RequestError, match="unknown input 'z'; the model takes x"):
        check_names([spec()], ["x", "z"])
    with pytest.raises(RequestError, match="input 'x' is missing; the model takes x"):
        check_names([spec()], [])


def test_inputs_must_agree_on_the_number_of_rows():
    specs = [spec(), TensorSpec("y", DTYPES["int64"], (-1,))]
    with pytest.raises(RequestError, match=r"different numbers of rows: \{'x': 2, 'y': 3\}"):
        check_rows(specs, {"x": np.zeros((2, 2)), "y": np.zeros(3)})


def test_an_output_is_brought_to_its_declared_type_if_no_meaning_is_lost():
    assert conform(spec("float32"), np.ones((2, 2), np.float64)).dtype == np.float32
    assert jsonable(conform(spec("string", (-1,)), np.array(["a", "b"]))) == ["a", "b"]


@pytest.mark.parametrize(
    ("dtype", "answer"),
    [
        ("int64", np.ones((1, 2))),
        ("float32", np.ones((1, 3))),
        ("float32", np.ones(2)),
        ("string", np.ones((1, 2))),
    ],
)
def test_an_output_that_breaks_the_manifest_is_the_models_error(dtype, answer):
    with pytest.raises(ModelError, match=r"output 'x' .* the manifest says"):
        conform(spec(dtype), answer)
