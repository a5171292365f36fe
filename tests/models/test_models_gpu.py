"""Models that ask for a GPU: built with its libraries, and served on the CPU, as a test has no GPU."""

from typing import NamedTuple

import pytest

from so1s.events import Artifact, DeployOptions, ModelUploaded, ResourceOptions
from tests.models.booting import booted
from tests.models.conftest import require_disk
from tests.models.test_models_serve import Example, proof_of, require_like, trained

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
    builder_directory, machine, proofs, asked
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

    image = await booted(builder_directory, machine, event)

    assert asked.package in image.packages
    assert asked.instead_of not in image.packages
    require_like(image, expected, example.tolerance)
    assert image.log.count(_NONE_SEEN) == 1
    proofs.append(proof_of(image, example, asked.row, f"{asked.package} {image.packages[asked.package]}"))
