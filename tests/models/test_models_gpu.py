"""Models that ask for a GPU: built with its libraries, and served on the CPU, as a test has no GPU."""

import json
import shutil
from importlib.metadata import distributions
from typing import NamedTuple

import pytest

from so1s.events import Artifact, DeployOptions, ImageBuilt, ModelUploaded, ResourceOptions
from tests.models.conftest import Proof, layer_mib, require_disk
from tests.models.test_models_serve import Example, processor_seconds, require_close, trained
from tests.served_images import ask, build_of, served, settings_in, unpacked

pytestmark = [pytest.mark.models, pytest.mark.timeout(3600)]

_NONE_SEEN = "the image has libraries for a GPU and none is seen: the model runs on the CPU"


class OnGpu(NamedTuple):
    """An example of examples/models, and the package with CUDA that takes the place of the one without."""

    example: Example
    package: str
    instead_of: str

    @property
    def row(self) -> str:
        return f"{self.example.row} with CUDA"


SERVED = [
    OnGpu(Example("onnx", "onnx", "onnxruntime", 1e-5), "onnxruntime-gpu", "onnxruntime"),
    OnGpu(
        Example("xgboost", "xgboost", "xgboost-cpu", 1e-6, compiled=True), "onnxruntime-gpu", "onnxruntime"
    ),
    OnGpu(Example("xgboost", "xgboost", "xgboost-cpu", 1e-6), "xgboost", "xgboost-cpu"),
]


@pytest.mark.parametrize("asked", SERVED, ids=lambda asked: asked.row.replace(" ", "-"))
async def test_a_model_that_asks_for_a_gpu_is_built_with_cuda_and_served_where_there_is_none(
    builder_directory, proofs, tmp_path, asked
):
    require_disk(builder_directory, 12)
    example, name = asked.example, asked.row.replace(" ", "-").lower()
    out = builder_directory / f"artifacts/risk/{name}"
    expected = trained(example, None, out)
    event = ModelUploaded(
        account="risk",
        model=f"of-{name}",
        version="1",
        artifact=Artifact(uri=f"file://{out}/"),
        optimize="onnx" if example.compiled else None,
        deploy=DeployOptions(resources=ResourceOptions(gpus=1)),
    )

    image_built = (await build_of(settings_in(builder_directory, inspect_seconds=900), event))[-1]

    assert isinstance(image_built, ImageBuilt), image_built
    layout, root, log = builder_directory / "images", tmp_path / "root", tmp_path / "log"
    try:
        config = unpacked(layout, image_built.image.digest, root)
        held = {each.name: each.version for each in distributions(path=[*map(str, root.glob("opt/so1s/*"))])}
        assert asked.package in held
        assert asked.instead_of not in held
        sample = json.loads((out / "sample.json").read_text())
        with log.open("w") as file, served(config, root, log=file.fileno()) as url:
            answer = ask(url, "/predict", sample, seconds=900)
            start_seconds = processor_seconds(url)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    for output, values in expected.items():
        require_close(answer[output], values, example.tolerance, output)
    assert [json.loads(line)["event"] for line in log.read_text().splitlines()].count(_NONE_SEEN) == 1
    size = layer_mib(layout, image_built.image.digest)
    library = f"{asked.package} {held[asked.package]}"
    proofs.append(Proof(asked.row, example.format, library, example.tolerance, size, start_seconds))
