"""The signature that is read of an ONNX file is the one that onnxruntime tells."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from so1s.events import Signature
from so1s.formats import onnx_signature
from so1s_runtime.loaders import onnx as loader
from tests.scenarios.models import write_model

FLOAT = TensorProto.FLOAT


def saved(directory, inputs, outputs, nodes, weights=()):
    graph = helper.make_graph(nodes, "g", inputs, outputs, initializer=list(weights))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (directory / "model.onnx").write_bytes(model.SerializeToString())
    return directory / "model.onnx"


def tensor(name, shape, dtype=FLOAT):
    return helper.make_tensor_value_info(name, dtype, shape)


def same(name="x", other="y"):
    return helper.make_node("Identity", [name], [other])


def as_told(path):
    return Signature.model_validate(loader.inspect(path).to_dict())


@pytest.mark.parametrize("shape", [["rows", 4], [None, 4], [2, 3, 4], [], ["rows", "columns", 1]])
def test_lengths_are_read_and_those_that_vary_are_any(tmp_path, shape):
    path = saved(tmp_path, [tensor("x", shape)], [tensor("y", shape)], [same()])
    assert onnx_signature.signature(path) == as_told(path)


@pytest.mark.parametrize("dtype", onnx_signature._DTYPES)
def test_types_are_those_of_the_server(tmp_path, dtype):
    path = saved(tmp_path, [tensor("x", [-1], dtype)], [tensor("y", [-1], dtype)], [same()])
    assert onnx_signature.signature(path) == as_told(path)


def test_several_inputs_and_outputs_keep_their_order_and_weights_are_none(tmp_path):
    weights = numpy_helper.from_array(np.ones((4, 2), np.float32), "w")
    given = [tensor("b", ["n", 4]), tensor("w", [4, 2]), tensor("a", ["n", 2])]
    nodes = [helper.make_node("MatMul", ["b", "w"], ["y"]), same("a", "z")]
    path = saved(tmp_path, given, [tensor("z", ["n", 2]), tensor("y", ["n", 2])], nodes, [weights])
    found = onnx_signature.signature(path)
    assert found == as_told(path)
    assert [each.name for each in found.inputs] == ["b", "a"]


def test_what_a_converter_wrote_is_read(tmp_path):
    path = write_model(tmp_path / "model.onnx", 1)
    assert onnx_signature.signature(path) == as_told(path)


@pytest.mark.parametrize(("shape", "dtype"), [(None, FLOAT), ([1], TensorProto.BFLOAT16)])
def test_what_cannot_be_told_is_left_to_the_library(tmp_path, shape, dtype):
    path = saved(tmp_path, [tensor("x", [1])], [tensor("y", shape, dtype)], [same()])
    assert onnx_signature.signature(path) is None


@pytest.mark.parametrize("size", range(0, 60, 7))
def test_a_file_that_is_cut_short_tells_nothing(tmp_path, size):
    path = saved(tmp_path, [tensor("x", [1])], [tensor("y", [1])], [same()])
    path.write_bytes(path.read_bytes()[:size])
    assert onnx_signature.signature(path) is None
