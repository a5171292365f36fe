"""What shows of a model before its upload: what a build would refuse, told without any library of models."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import get_args

from so1s import prepared, requirements, sample
from so1s.errors import Fault, InvalidInput, Problem, shown
from so1s.events import ScalingOptions
from so1s.events.model import CODE, COMPILABLE, Format, Optimization
from so1s.formats.files import models, recognise_all, recognise_file
from so1s.formats.unserved import way_out
from so1s.formats.zips import Oversized
from so1s.modelfile import DECLARED, FILE_NAME, ModelFile
from so1s.modelfile_tensors import INPUT_BYTES, MOST_INPUT_BYTES, DeclaredTensor, oversize
from so1s.requirements import Requirements

_SERVERS = ("numpy", "so1s_runtime")
"""The modules that are in every image."""

_PIXELS = 3
"""The axes of one image."""

EXAMPLE = """\
inputs:  [{name: x, dtype: float64, shape: [-1, 4]}]
outputs: [{name: score, dtype: float64, shape: [-1]}]"""


def check(
    directory: Path, said_format: Format | None = None, optimize: Optimization | None = None
) -> ModelFile:
    """Read a directory's `so1s.yaml`, and look at the files that it names.

    Args:
        directory: with a `so1s.yaml`.
        said_format: by whoever publishes it, which wins over the file's.
        optimize: likewise.

    Raises:
        InvalidInput: all that a build would refuse, as far as it shows. What it takes is never refused.
    """
    described = _parsed(directory)
    if optimize:
        described = described.model_copy(update={"optimize": optimize})
    model_format = said_format or described.format or _told(directory, described)
    rules: list[Callable[[Path, ModelFile, Format | None], list[Problem]]] = [
        _files,
        _one_model,
        _format,
        _declared,
        _sample,
        _sizes,
        _options,
    ]
    if model_format == "python":
        rules.append(_code)
    if problems := [problem for rule in rules for problem in rule(directory, described, model_format)]:
        raise InvalidInput(problems)
    return described


def _parsed(directory: Path) -> ModelFile:
    try:
        return ModelFile.parse((directory / FILE_NAME).read_bytes())
    except InvalidInput as error:  # whose fields are those of the file, where they do not say so
        raise InvalidInput([_within(each) for each in error.problems]) from error


def _within(problem: Problem) -> Problem:
    if problem.field.startswith(FILE_NAME):
        return problem
    return replace(problem, field=f"{FILE_NAME}: {problem.field}")


def unnamed_imports(directory: Path, described: ModelFile) -> list[str]:
    """What `prepared.py` imports at its top where no packages are named at all, and NumPy is not enough."""
    if described.requirements or (directory / requirements.FILE_NAME).exists():
        return []
    return imports(directory)


def imports(directory: Path) -> list[str]:
    """What `prepared.py` imports at its top, beside Python's own modules, the server's and its neighbours."""
    code = directory / prepared.FILE_NAME
    if not code.is_file():
        return []
    try:
        body = ast.parse(code.read_bytes()).body
    except (SyntaxError, ValueError, RecursionError):
        return []  # told of by the check where it is the model, and else nobody's business
    there = {*_SERVERS, *sys.stdlib_module_names, *(each.stem for each in directory.iterdir())}
    imported = {name.partition(".")[0] for node in body for name in _imported(node)}
    return sorted(imported - there)


def from_urls(directory: Path, described: ModelFile) -> list[str]:
    """The packages that the code of a model takes from URLs, of which a builder's operator decides."""
    path = directory / requirements.FILE_NAME
    if described.format not in CODE and not (directory / prepared.FILE_NAME).is_file():
        return []
    if described.requirements:
        asked = Requirements.of((str(number), line) for number, line in enumerate(described.requirements))
    elif path.is_file():
        try:
            asked = Requirements.parse(path.read_bytes())
        except InvalidInput:
            return []  # told of by the check where it is read at all
    else:
        return []
    return [str(each) for each in asked.directs]


def beyond_the_default(described: ModelFile) -> Problem | None:
    """An input that is larger than a builder takes whose operator has not said that it may be."""
    return oversize(described.inputs or [], INPUT_BYTES)


def without_rows(described: ModelFile) -> list[str]:
    """The inputs and outputs that keep requests from sharing a call: their first axis has a fixed length."""
    declared = [*(described.inputs or []), *(described.outputs or [])]
    return [each.name for each in declared if not _has_rows(each)]


def _has_rows(declared: DeclaredTensor) -> bool:
    is_one_image = declared.type == "image" and len(declared.shape) == _PIXELS
    return declared.shape[:1] == [-1] and not is_one_image


def disorder(scaling: ScalingOptions) -> Problem | None:
    """Bounds that a deployer would refuse, which it hears of after the build alone."""
    least, most = scaling.min_replicas, scaling.max_replicas
    if least is None or most is None or least <= most:
        return None
    return Problem("deploy.scaling.max_replicas", shown(most), f"allowed: at least min_replicas, {least}")


def _imported(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.Import):
        return [each.name for each in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []


def _told(directory: Path, described: ModelFile) -> Format | None:
    """As the builder tells it: `prepared.py` is the model, unless another file is said."""
    if described.file in {None, prepared.FILE_NAME} and (directory / prepared.FILE_NAME).is_file():
        return "python"
    if described.file is None:
        found = list(models(_all(directory)).values())
        return found[0] if len(found) == 1 else None
    file = directory / described.file
    return _recognised(file) if file.is_file() else None


def _all(directory: Path) -> Mapping[str, Format | None]:
    try:
        return recognise_all(directory)
    except Oversized:
        return {}


def _recognised(file: Path) -> Format | None:
    try:
        return recognise_file(file)
    except Oversized:
        return None


def _files(directory: Path, described: ModelFile, _format: Format | None) -> list[Problem]:
    named = {"file": described.file, "sample": described.sample}
    return [
        Fault(f"{FILE_NAME}: {field}", f"there is no {shown(name)}", f"allowed: a file beside {FILE_NAME}")
        for field, name in named.items()
        if name and not (directory / name).exists()
    ]


def _one_model(directory: Path, described: ModelFile, said: Format | None) -> list[Problem]:
    """None, or several, where no file is named."""
    if described.file or said == "python":
        return []
    recognised = _all(directory)
    found = sorted(models(recognised, said))
    if len(found) == 1:
        return []
    if found:
        allowed = f"allowed: one of {', '.join(found)}, as there are several models"
        return [Problem(f"{FILE_NAME}: file", "nothing", allowed)]
    way = way_out(sorted(recognised))
    allowed = f"allowed: a whole model of {said or ', '.join(get_args(Format))}, and no file is one"
    return [Problem(f"{FILE_NAME}: file", "nothing", f"{allowed}{f'; {way}' if way else ''}")]


def _format(directory: Path, described: ModelFile, said: Format | None) -> list[Problem]:
    """A file that is named as the model, and is none, or one of another format than is said."""
    name = described.file
    if name is None or not (directory / name).is_file():
        return []
    told = _told(directory, described)
    if told is None:
        way = way_out([name])
        allowed = f"allowed: a whole model of {', '.join(get_args(Format))}{f'; {way}' if way else ''}"
        return [Problem(f"{FILE_NAME}: file", shown(name), allowed)]
    return [] if told == said else [Problem("format", shown(said), f"allowed: {told}, which {name} is")]


def _declared(_directory: Path, described: ModelFile, said: Format | None) -> list[Problem]:
    """What a model that cannot be asked needs."""
    if said not in DECLARED or described.signature:
        return []
    why = {
        "python": "as code cannot be asked what goes in and out",
        "torchscript": "as TorchScript keeps neither types nor shapes, by the names of forward's arguments",
    }[said]
    return [Problem(f"{FILE_NAME}: inputs, outputs", "nothing", f"allowed: both, {why}; such as:\n{EXAMPLE}")]


def _sample(directory: Path, described: ModelFile, _format: Format | None) -> list[Problem]:
    name = described.sample or ""
    if not name or not (directory / name).is_file():
        return []
    try:
        sample.check(described, name, (directory / name).read_bytes())
    except sample.Misfit as misfit:
        return [Fault(f"{FILE_NAME}: sample", f"{shown(name)} does not fit", str(misfit))]
    return []


def _sizes(_directory: Path, described: ModelFile, _format: Format | None) -> list[Problem]:
    """What no operator can allow."""
    found = oversize(described.inputs or [], MOST_INPUT_BYTES)
    return [replace(found, field=f"{FILE_NAME}: {found.field}")] if found else []


def _options(_directory: Path, described: ModelFile, said: Format | None) -> list[Problem]:
    """What is not for every format, or contradicts itself."""
    found = disorder(described.deploy.scaling)
    problems = [replace(found, field=f"{FILE_NAME}: {found.field}")] if found else []
    if described.requirements and said not in {None, *CODE}:
        allowed = f"allowed: beside {prepared.FILE_NAME} or a pickle alone; {said} has its libraries"
        problems.append(Problem(f"{FILE_NAME}: requirements", shown(described.requirements), allowed))
    if described.optimize == "onnx" and said not in {None, *COMPILABLE}:
        allowed = f"allowed: for models of {', '.join(COMPILABLE)}, not of {said}; leave it out"
        problems.append(Problem(f"{FILE_NAME}: optimize", shown("onnx"), allowed))
    elif described.optimize == "onnx" and any(not _is_array(each) for each in described.inputs or []):
        allowed = "allowed: where all inputs are arrays, without missing values; leave it out"
        problems.append(Problem(f"{FILE_NAME}: optimize", shown("onnx"), allowed))
    return problems


def _is_array(declared: DeclaredTensor) -> bool:
    return declared.type == "numpy" and not declared.nullable


def _code(directory: Path, described: ModelFile, _format: Format | None) -> list[Problem]:
    """User code; nothing of it is run."""
    code, packages = directory / prepared.FILE_NAME, directory / requirements.FILE_NAME
    if not code.is_file():
        return [Problem(str(code), "nothing", f"the format python is a {prepared.FILE_NAME}")]
    problems = []
    if described.requirements and packages.exists():
        allowed = f"allowed: {requirements.FILE_NAME} or these, one of them"
        problems.append(Problem(f"{FILE_NAME}: requirements", shown(described.requirements), allowed))
    problems += _refused(lambda: prepared.check(code.read_bytes()))
    if packages.is_file():
        problems += _refused(lambda: Requirements.parse(packages.read_bytes()))
    return problems


def _refused(look: Callable[[], object]) -> list[Problem]:
    try:
        look()
    except InvalidInput as error:
        return error.problems
    return []
