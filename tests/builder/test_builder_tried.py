"""What is tried before an image is made is what its server does at the start, with real libraries."""

import asyncio
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from so1s.events import BuildFailed, ImageBuilt
from tests.builder.test_builder_worker import tar_of
from tests.served_images import ask, built, served, unpacked

ROWS = np.random.default_rng(9).normal(size=(3, 4)).astype(np.float32)
COLUMNS = 2000


@pytest.fixture(scope="module")
def directory(tmp_path_factory) -> Path:
    """Of one builder for all tests, since libraries are installed once."""
    return tmp_path_factory.mktemp("builder")


@pytest.fixture(scope="module", params=["none", "auto"])
def built_of(request, directory):
    """The last event of a file's build, without a sandbox and, where one works, in one."""

    @cache
    def build(name: str, data: bytes):
        model = f"{name.partition('.')[0]}-{request.param}"
        return asyncio.run(built(directory, name, data, model, sandbox=request.param))[-1]

    return build


def model_of(nodes, inputs, outputs, weights=()) -> onnx.ModelProto:
    def info(name, shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        nodes,
        "g",
        [info(name, shape) for name, shape in inputs.items()],
        [info(name, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in weights],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_a_table_of_two_thousand_columns_is_built_and_served(directory, built_of, tmp_path):
    names = [f"column_{number}" for number in range(COLUMNS)]
    nodes = [
        helper.make_node("Concat", names, ["table"], axis=1),
        helper.make_node("ReduceSum", ["table", "axes"], ["total"], keepdims=1),
    ]
    model = model_of(
        nodes,
        {name: ["rows", 1] for name in names},
        {"total": ["rows", 1]},
        [("axes", np.array([1]))],
    )

    image_built = built_of("wide.onnx", model.SerializeToString())

    assert isinstance(image_built, ImageBuilt), image_built
    assert [each.name for each in image_built.signature.inputs] == names
    config = unpacked(directory / "images", image_built.image.digest, tmp_path)
    with served(config, tmp_path) as url:
        answer = ask(url, "/predict", {name: [[0.5]] for name in names})
    assert answer == {"total": [[COLUMNS / 2]]}


def test_onnx_whose_weights_lie_in_a_file_beside_it_is_built_and_served(directory, built_of, tmp_path):
    weights = np.random.default_rng(10).normal(size=(4, 300)).astype(np.float32)
    model = model_of(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        {"x": ["rows", 4]},
        {"y": ["rows", 300]},
        [("w", weights)],
    )
    beside = {"save_as_external_data": True, "location": "model.onnx.data", "size_threshold": 0}
    (tmp_path / "saved").mkdir()
    onnx.save(model, tmp_path / "saved/model.onnx", **beside)
    files = {f"saved/{path.name}": path.read_bytes() for path in sorted((tmp_path / "saved").iterdir())}
    assert len(files["saved/model.onnx.data"]) == weights.nbytes

    image_built = built_of("beside.tar.gz", tar_of(files))

    assert isinstance(image_built, ImageBuilt), image_built
    assert [str(each) for each in image_built.signature.outputs] == ["y float32[-1,300]"]
    config = unpacked(directory / "images", image_built.image.digest, tmp_path / "root")
    with served(config, tmp_path / "root") as url:
        answer = ask(url, "/predict", {"x": ROWS.tolist()})
    np.testing.assert_allclose(answer["y"], ROWS @ weights, rtol=1e-5)


@pytest.fixture
def convolution() -> bytes:
    """Over images of any size, of which a row of zeros has one pixel: too few for its window."""
    weights = np.ones((1, 3, 5, 5), dtype=np.float32)
    return model_of(
        [helper.make_node("Conv", ["x", "w"], ["y"])],
        {"x": ["rows", 3, "height", "width"]},
        {"y": ["rows", 1, "h", "w_"]},
        [("w", weights)],
    ).SerializeToString()


def test_a_model_that_its_server_could_not_start_on_is_a_failed_build_that_says_what_helps(
    built_of, convolution
):
    failed = built_of("convolution.onnx", convolution)

    assert isinstance(failed, BuildFailed), failed
    assert (failed.reason, failed.step) == ("format", "model")
    assert "the warm-up call with a row of zeros, as no sample came with the model failed" in failed.message
    assert "Invalid input shape" in failed.message
    assert failed.message.endswith("name one as `sample` in so1s.yaml")


def test_the_same_model_with_a_sample_is_built(built_of, convolution):
    sample = str(np.ones((1, 3, 5, 5)).tolist()).encode()
    described = b"schema: so1s/v1\nsample: sample.json\n"
    files = {"so1s.yaml": described, "sample.json": sample, "model.onnx": convolution}

    image_built = built_of("sampled.tar.gz", tar_of(files))

    assert isinstance(image_built, ImageBuilt), image_built
    assert image_built.signature.inputs[0].shape == [-1, 3, -1, -1]
