"""Each example: trained with its library, uploaded, built, served, and held against the library's answers."""

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from so1s.events import Artifact, ImageBuilt, ModelUploaded
from tests.models.conftest import Proof, layer_mib
from tests.served_images import ask, build_of, served, settings_in, unpacked

pytestmark = pytest.mark.models

EXAMPLES = Path(__file__).parents[2] / "examples/models"


class Example(NamedTuple):
    """A directory of examples/models, and how near the server's answers must come to the library's."""

    name: str
    format: str
    package: str
    tolerance: float


SERVED = [
    Example("lightgbm", "lightgbm", "lightgbm", 0),
    Example("onnx", "onnx", "onnxruntime", 1e-5),
    Example("pickle", "pickle", "scikit-learn", 0),
    Example("python", "python", "numpy", 1e-15),
    Example("sklearn", "skops", "scikit-learn", 0),
    Example("xgboost", "xgboost", "xgboost-cpu", 1e-6),
]


def trained(name: str, out: Path) -> dict:
    """Run an example; answers what its library says to the sample."""
    command = [sys.executable, str(EXAMPLES / name / "train.py"), str(out)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("example", SERVED, ids=lambda example: example.name)
async def test_the_server_of_an_example_answers_as_its_library_does(
    builder_directory, proofs, tmp_path, example
):
    out = builder_directory / f"artifacts/risk/{example.name}"
    expected = trained(example.name, out)
    artifact = Artifact(uri=f"file://{out}/")
    event = ModelUploaded(account="risk", model=f"of-{example.name}", version="1", artifact=artifact)

    image_built = (
        await build_of(
            settings_in(
                builder_directory,
                user_code_accounts=["risk"],
                pickle_accounts=["risk"],
                code_without_sandbox=True,
            ),
            event,
        )
    )[-1]

    assert isinstance(image_built, ImageBuilt), image_built
    assert image_built.format == example.format
    layout = builder_directory / "images"
    config = unpacked(layout, image_built.image.digest, tmp_path)
    with served(config, tmp_path) as url:
        answer = ask(url, "/predict", json.loads((out / "sample.json").read_text()))
    for name, values in expected.items():
        if isinstance(values[0], str):
            assert answer[name] == values
        else:
            np.testing.assert_allclose(answer[name], values, atol=example.tolerance, rtol=0, err_msg=name)
    library = f"{example.package} {version(example.package)}"
    size = layer_mib(layout, image_built.image.digest)
    proofs.append(Proof(example.name, example.format, library, example.tolerance, size))
