"""Graphs that converters of networks write, and the rows that they are tried with."""

import numpy as np
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, helper

from so1s_compiler.errors import CannotCompile
from so1s_compiler.network import served
from so1s_compiler.rows import made_up
from so1s_runtime.dtypes import DTYPES
from so1s_runtime.manifest import Signature, TensorSpec

FLOAT = TensorProto.FLOAT


def spec(name: str, *shape: int, dtype: str = "float32") -> TensorSpec:
    return TensorSpec(name, DTYPES[dtype], shape)


def written(*nodes, inputs=("first", "captured", "second"), outputs=("sum", "difference")) -> ModelProto:
    """What a converter could write."""
    values = [
        [helper.make_tensor_value_info(name, FLOAT, [None, 2]) for name in names]
        for names in (inputs, outputs)
    ]
    graph = helper.make_graph(nodes, "written", *values)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


ADDS = written(
    helper.make_node("Add", ["first", "captured"], ["more"]),
    helper.make_node("Add", ["more", "second"], ["sum"]),
    helper.make_node("Sub", ["more", "second"], ["difference"]),
)


def test_inputs_and_outputs_go_by_the_signature_in_whatever_order_and_types_it_has_them():
    signature = Signature(
        (spec("b", -1, 2, dtype="float64"), spec("a", -1, 2)),
        (spec("minus", -1, 2, dtype="float64"),),
    )

    found = served(
        ADDS,
        signature,
        inputs=["a", "b"],
        outputs=["plus", "minus"],
        constants={"captured": np.array([[10, 20]], np.float32)},
    )

    session = onnxruntime.InferenceSession(found.SerializeToString())
    rows = {"a": np.array([[1, 2]], np.float32), "b": np.array([[3, 5]], float)}
    assert [each.name for each in session.get_inputs()] == ["b", "a"]
    (minus,) = session.run(["minus"], rows)
    assert (minus.dtype, minus.tolist()) == (np.float64, [[8, 17]])


def test_one_input_and_one_output_go_by_any_name_that_an_author_declares():
    double = written(helper.make_node("Add", ["x", "x"], ["y"]), inputs=["x"], outputs=["y"])
    signature = Signature((spec("rows", -1, 2),), (spec("twice", -1, 2),))

    found = served(double, signature, inputs=["x"], outputs=["y"], constants={})

    session = onnxruntime.InferenceSession(found.SerializeToString())
    assert session.run(["twice"], {"rows": np.ones((1, 2), np.float32)})[0].tolist() == [[2, 2]]


def test_operations_that_a_converter_left_are_named_even_within_a_branch():
    nothing = helper.make_graph(
        [helper.make_node("LookupTableFindV2", ["x"], ["found"])],
        "branch",
        [],
        [helper.make_tensor_value_info("found", FLOAT, [None, 2])],
    )
    foreign = written(
        helper.make_node("If", ["x"], ["y"], then_branch=nothing, else_branch=nothing),
        inputs=["x"],
        outputs=["y"],
    )

    with pytest.raises(CannotCompile, match=r"LookupTableFindV2 cannot be compiled.*leave `optimize` out"):
        served(
            foreign,
            Signature((spec("x", -1, 2),), (spec("y", -1, 2),)),
            inputs=["x"],
            outputs=["y"],
            constants={},
        )


def test_rows_of_several_inputs_are_as_many_and_as_long_as_the_sample_or_twice_as_long():
    specs = [spec("tokens", -1, -1, dtype="int64"), spec("image", -1, 300, 300), spec("scale", 2, 1)]
    sample = {
        "tokens": np.ones((3, 5), int),
        "image": np.ones((3, 300, 300), np.float32),
        "scale": np.ones((2, 1), np.float32),
    }

    rows, longer = (made_up(specs, sample, {}, stretch) for stretch in (1, 2))

    count = len(rows["tokens"])
    assert 1 < count < 100  # pictures are large
    assert [array.shape for array in rows.values()] == [(count, 5), (count, 300, 300), (2, 1)]
    assert longer["tokens"].shape[1:] == (10,)
    assert longer["image"].shape[1:] == (300, 300)
    assert made_up([*specs, spec("word", -1, dtype="string")], None, {}) is None
