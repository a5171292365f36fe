"""What must not be served is refused by the very libraries that would serve it, before it does anything."""

import shutil
from pathlib import Path

import pytest

from services.builder import app
from services.builder.contents import Contents, arrange
from services.builder.domain.failure import BuildError
from services.builder.locks import shipped
from so1s.events import Artifact, BuildFailed, ModelUploaded
from so1s.events.model import Format
from tests.models.conftest import require_disk
from tests.models.libraries import libraries_of
from tests.served_images import build_of, settings_in

pytestmark = [pytest.mark.models, pytest.mark.timeout(3600)]

HERE = Path(__file__).parent


class Inspected:
    """The builder's own trial of models that a script made with the libraries of a format."""

    def __init__(self, directory: Path, made: Path, model_format: Format) -> None:
        self._world = app.make_world(settings_in(directory, inspect_seconds=900))
        self._trees = directory / "trees"
        self._made = made
        self._format = model_format

    async def signature(self, file: str) -> str:
        """Such as `row float32[-1,2] → output_0 float32[-1,3]`; the reason where it is refused."""
        dependencies = await self._world.dependencies.provide(shipped(self._format), print)
        try:
            found = await self._world.inspector.signature(self._arranged(file), dependencies)
        except BuildError as error:
            return str(error)
        sides = (
            [f"{each.name} {each.dtype}{each.shape}" for each in side]
            for side in (found.inputs, found.outputs)
        )
        return " → ".join(", ".join(side) for side in sides)

    def _arranged(self, file: str) -> Path:
        """A directory with the model as its image would have it."""
        tree = self._trees / file.replace("/", "-")
        given = tree / "given"
        given.mkdir(parents=True)
        part = file.partition("/")[0]  # a SavedModel is a directory
        copy = shutil.copytree if (self._made / part).is_dir() else shutil.copy
        copy(self._made / part, given / part)
        artifact = Artifact(uri=f"file://{self._made / file}")
        uploaded = ModelUploaded(account="risk", model="refused", version="1", artifact=artifact)
        arrange(tree, uploaded, Contents(given, file, self._format, None))
        return tree


async def refusal_to_compile(directory: Path, file: Path) -> str:
    """What the build of a model says that shall be compiled."""
    target = directory / "artifacts/risk" / file.name
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(file, target)
    artifact = Artifact(uri=f"file://{target}")
    event = ModelUploaded(account="risk", model="refused", version="1", artifact=artifact, optimize="onnx")
    failed = (await build_of(settings_in(directory, inspect_seconds=900), event))[-1]
    assert isinstance(failed, BuildFailed), failed
    return failed.message


async def inspected(directory: Path, made: Path, model_format: Format, script: str) -> Inspected:
    libraries = await libraries_of(directory, model_format)
    libraries.run(HERE / script, str(made))
    return Inspected(directory, made, model_format)


async def test_tensorflow_takes_what_computes_and_refuses_what_reaches_out(builder_directory, tmp_path):
    require_disk(builder_directory, 12)
    keras = await inspected(builder_directory, tmp_path, "keras", "make_tensorflow.py")
    tensorflow = Inspected(builder_directory, tmp_path, "tensorflow")

    assert await keras.signature("unnamed.keras") == "x float32[-1, 2] → output_0 float32[-1, 3]"
    assert "Lambda" in await keras.signature("lambda.keras")
    assert await tensorflow.signature("LooksUp/saved_model.pb") == "word string[-1] → number int64[-1]"
    assert "reach out of the model: WriteFile" in await tensorflow.signature("WritesFile/saved_model.pb")
    assert "reach out of the model: PrintV2" in await tensorflow.signature("PrintsToFile/saved_model.pb")
    assert "no signature 'serving_default'" in await tensorflow.signature("Mute/saved_model.pb")
    assert not (tmp_path / "written").exists()


async def test_pytorch_takes_what_computes_and_refuses_what_runs_code_or_writes_files(
    builder_directory, tmp_path
):
    require_disk(builder_directory, 20)
    program = await inspected(builder_directory, tmp_path, "torch", "make_torch.py")
    script = Inspected(builder_directory, tmp_path, "torchscript")

    assert await program.signature("good.pt2") == (
        "image float32[-1, 3, -1, -1], scale float32[-1, 1, 1] → "
        "output_0 float32[-1, -1, 4], output_1 float32[-1, 4]"
    )
    assert "its expr_str" in await program.signature("size.pt2")
    assert "its target 'torch.hub.load'" in await program.signature("call.pt2")
    assert "its target 'torch.ops.aten.from_file" in await program.signature("file.pt2")
    assert "as a pickle" in await program.signature("pickled.pt2")
    assert "more than tensors" in await program.signature("sample.pt2")
    assert "declare inputs and outputs" in await script.signature("good.pt")
    assert "reaches files" in await script.signature("writes.pt")


@pytest.mark.parametrize(
    ("model_format", "file", "operation"),
    [("keras", "words.keras", "LookupTableFindV2"), ("torch", "bessel.pt2", "prims.bessel_j0")],
    ids=["keras", "torch"],
)
async def test_a_network_without_an_onnx_is_refused_by_the_name_of_its_operation(
    builder_directory, tmp_path, model_format, file, operation
):
    script, disk_gib = {"keras": ("make_tensorflow.py", 16), "torch": ("make_torch.py", 32)}[model_format]
    require_disk(builder_directory, disk_gib)
    await inspected(builder_directory, tmp_path, model_format, script)

    message = await refusal_to_compile(builder_directory, tmp_path / file)

    assert f"operation {operation} cannot be compiled to ONNX; leave `optimize` out" in message
