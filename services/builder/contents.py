"""Reads what was fetched: the model, its format, and what its author says of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from services.builder.domain.archive import Limits
from services.builder.domain.compilation import to_compile
from services.builder.domain.contents import PREPARED, choose_model, require_signature, require_sizes
from services.builder.domain.failure import BuildError, Hostile
from services.builder.domain.options import optimization
from services.builder.domain.permission import Permissions
from services.builder.stop import Stop
from services.builder.unpack import archive_kind, unpack
from so1s import requirements
from so1s.errors import InvalidInput
from so1s.events import ModelUploaded, Signature
from so1s.events.model import CODE, Compilable, Format
from so1s.formats.detectron2 import is_checkpoint
from so1s.formats.files import recognise_all
from so1s.formats.zips import Oversized
from so1s.links import link
from so1s.modelfile import FILE_NAME, MAX_BYTES, ModelFile
from so1s.requirements import Requirements
from so1s_runtime import manifest as manifests
from so1s_runtime.errors import ModelError

COMPILED_MODEL = "compiled.onnx"
"""Beside the manifest, too."""
_CODE = {".py", ".pyi"}
MODEL_FILES = "files"
"""Where a model's own files are, beside the manifest: whatever their names, they cannot replace it."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What an artifact turned out to be."""

    files: Path
    """The directory of all its files."""
    file: str
    """The model's path within `files`."""
    format: Format
    described: ModelFile | None
    """Its `so1s.yaml`."""
    requirements: Requirements | None = None
    """What its code asks for, beside what its server needs."""
    compiled_from: Compilable | None = None
    """Its format where it is compiled to ONNX; None where its own library serves it."""
    is_artifact: bool = False
    """Whether the model is the artifact itself, byte for byte."""

    @property
    def served_format(self) -> Format:
        """What the image serves."""
        return "onnx" if self.compiled_from else self.format


def read_contents(
    stop: Stop, fetched: Path, uploaded: ModelUploaded, limits: Limits, permissions: Permissions
) -> Contents:
    """Unpack what was fetched where it is an archive, and find out what it is.

    Raises:
        BuildError: it is hostile or broken, or holds no model that can be served.
        Stopped: `stop` was told.
    """
    files = _unpacked(stop, fetched, limits) if not uploaded.artifact.uri.endswith("/") else fetched
    described = _described(files)
    said_format = uploaded.format or (described.format if described else None)
    said_file = described.file if described else None
    file, model_format = choose_model(
        _recognised(files),
        said_file=said_file,
        said_format=said_format,
        is_detectron2=lambda path: is_checkpoint(files / path),
    )
    permissions.require(model_format, uploaded.account)
    require_signature(model_format, described)
    require_sizes(described, limits.input_bytes)
    _require_sample(files, described)
    asked = _requirements(files, model_format, described)
    if asked:
        permissions.require_directs(asked, uploaded.account)
    compiled_from = to_compile(model_format, optimization(uploaded, described)[0])
    is_artifact = files == fetched and not uploaded.artifact.uri.endswith("/")
    return Contents(files, file, model_format, described, asked, compiled_from, is_artifact)


def arrange(directory: Path, uploaded: ModelUploaded, contents: Contents) -> None:
    """Move the files below `directory`, and write beside them the manifest that the runtime reads.

    What goes in and out is not in it where the author does not declare it.

    Raises:
        BuildError: the manifest would not be valid.
    """
    contents.files.rename(directory / MODEL_FILES)
    described = contents.described
    sample = described.sample if described else None
    fields = {
        "schema": manifests.SCHEMA,
        "name": uploaded.model,
        "version": uploaded.version,
        "format": contents.format,
        "file": f"{MODEL_FILES}/{contents.file}",
        **({"sample": f"{MODEL_FILES}/{sample}"} if sample else {}),
        **(described.model_dump(include={"batching"}, exclude_none=True) if described else {}),
    }
    (directory / manifests.FILE_NAME).write_text(json.dumps(fields))
    if described and described.signature:
        complete(directory, described.signature)


def complete(directory: Path, signature: Signature) -> None:
    """Let the manifest of a directory say what goes in and out.

    Raises:
        BuildError: the manifest would not be valid.
    """
    path = directory / manifests.FILE_NAME
    fields = json.loads(path.read_bytes()) | signature.model_dump()
    try:
        manifest = manifests.parse(json.dumps(fields).encode())
    except ModelError as error:
        raise BuildError("format", str(error)) from error
    path.write_bytes(manifest.to_json())


def divide(directory: Path, weights: Path, rest: Path) -> None:
    """Link what an image holds of a model into two directories, each for a layer of its own.

    What changes with each version, or by hand, lies above the weights: the manifest, the author's description
    and sample, and code. So the same weights are one layer, whichever version or account they belong to.

    Args:
        directory: with a manifest.
        weights: an empty one.
        rest: an empty one.
    """
    about = {manifests.FILE_NAME, f"{MODEL_FILES}/{FILE_NAME}", f"{MODEL_FILES}/{requirements.FILE_NAME}"}
    about.add(manifests.read(directory).sample or manifests.FILE_NAME)
    for path in directory.rglob("*"):
        name = path.relative_to(directory)
        into = rest if path.suffix in _CODE or name.as_posix() in about else weights
        if path.is_file():
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            link(str(path), str(into / name))
        elif not any(path.iterdir()):  # such as the assets of a SavedModel, which it insists on
            (weights / name).mkdir(parents=True)


def replace_model(directory: Path, compiled: Path) -> None:
    """Let a compiled model, which lies in `directory`, be served instead of the one that it was made of."""
    manifest = manifests.read(directory)
    (directory / manifest.file).unlink()
    served = replace(manifest, format="onnx", file=str(compiled.relative_to(directory)))
    (directory / manifests.FILE_NAME).write_bytes(served.to_json())


def _unpacked(stop: Stop, fetched: Path, limits: Limits) -> Path:
    """The directory of the files of a single fetched object."""
    (path,) = fetched.iterdir()
    kind = archive_kind(path)
    if kind is None:
        return fetched
    files = fetched.with_name("unpacked")
    files.mkdir()
    unpack(stop, path, kind, files, limits)
    path.unlink()
    return _without_wrapper(files)


def _without_wrapper(files: Path) -> Path:
    """The inner directory where an archive holds nothing else: `tar czf m.tgz out/` makes one."""
    inner = list(files.iterdir())
    return inner[0] if len(inner) == 1 and inner[0].is_dir() else files


def _described(files: Path) -> ModelFile | None:
    path = files / FILE_NAME
    if not path.is_file():
        return None
    try:
        return ModelFile.parse(_start(path, MAX_BYTES))
    except InvalidInput as error:
        raise BuildError("format", f"{FILE_NAME}: {error}") from error


def _recognised(files: Path) -> dict[str, Format | None]:
    try:
        return recognise_all(files)
    except Oversized as error:
        raise Hostile(str(error)) from error


def _requirements(files: Path, model_format: Format, described: ModelFile | None) -> Requirements | None:
    """What code asks for; a format of data alone has its libraries already, whatever lies beside it."""
    path = files / requirements.FILE_NAME
    said = described.requirements if described else None
    if model_format not in CODE:
        if said:
            raise BuildError.of(
                "format", f"{FILE_NAME}: requirements", said, f"beside {PREPARED} or a pickle alone"
            )
        return None
    if said and path.exists():
        message = f"{requirements.FILE_NAME} and the requirements of {FILE_NAME}: allowed: one of them"
        raise BuildError("dependencies", message)
    try:
        if said:
            return Requirements.of((f"{FILE_NAME}: requirements.{n}", line) for n, line in enumerate(said))
        return Requirements.parse(_start(path, requirements.MAX_BYTES)) if path.is_file() else None
    except InvalidInput as error:
        raise BuildError("dependencies", str(error)) from error


def _start(path: Path, most_bytes: int) -> bytes:
    """What a file holds, with one byte too many where it is too large."""
    with path.open("rb") as file:
        return file.read(most_bytes + 1)


def _require_sample(files: Path, described: ModelFile | None) -> None:
    if described and described.sample and not (files / described.sample).is_file():
        raise BuildError.of("format", f"{FILE_NAME}: sample", described.sample, "a file beside it")
