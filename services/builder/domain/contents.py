"""What the files of an artifact are: which one is the model, and what `so1s.yaml` says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import get_args

from services.builder.domain.failure import BuildError
from so1s.events.model import Format
from so1s.formats import files
from so1s.formats.directories import marker_in
from so1s.formats.unserved import DETECTRON2, is_pytorch, way_out
from so1s.modelfile import FILE_NAME, ModelFile
from so1s.modelfile_tensors import oversize

PREPARED = "prepared.py"

_FORMATS = ", ".join(get_args(Format))
_SHOWN_FILES = 10
_TRIED_CHECKPOINTS = 3


def choose_model(
    recognised: Mapping[str, Format | None],
    *,
    said_file: str | None,
    said_format: Format | None,
    is_detectron2: Callable[[str], bool] = lambda _: False,
) -> tuple[str, Format]:
    """The model's path and format.

    Args:
        recognised: path to format of each file, None for what is no model.
        said_file: by `so1s.yaml`; a directory where the model is one.
        said_format: by the event or by `so1s.yaml`.
        is_detectron2: whether a file is a checkpoint of it; asked of few files, as that is slow.

    Raises:
        BuildError: no file fits, or several do.
    """
    if said_file is None and said_format in {None, "python"} and PREPARED in recognised:
        return PREPARED, "python"  # whatever else lies there, it loads
    if said_file is not None:
        path = said_file if said_file in recognised else marker_in(said_file, recognised) or said_file
        return path, _format_of(path, recognised, said_format, is_detectron2)
    models = files.models(recognised, said_format)
    if not models:
        what = f"a {said_format} model" if said_format else f"a model; allowed: {_FORMATS}"
        problem = f"no file is {what}, or it is cut short; there is {_names(recognised)}"
        raise BuildError("format", _with_way_out(problem, recognised, is_detectron2))
    if len(models) > 1:
        raise BuildError(
            "format", f"there are several models, {_names(models)}; name one as `file` in so1s.yaml"
        )
    ((path, model_format),) = models.items()
    assert model_format is not None
    return path, model_format


def require_signature(model_format: Format, described: ModelFile | None) -> None:
    """Refuse code whose author does not say what goes in and out.

    Raises:
        BuildError: with an example.
    """
    if model_format == "python" and not (described and described.signature):
        raise BuildError("format", _EXAMPLE)


def require_sizes(described: ModelFile | None, most_bytes: int) -> None:
    """Refuse inputs that declare more bytes than the operator lets a request have.

    Raises:
        BuildError: with the setting.
    """
    inputs = described.inputs if described else None
    if found := oversize(inputs or [], most_bytes):
        said = f"{FILE_NAME}: {found}; the builder's setting SO1S_MAX_INPUT_BYTES says so"
        raise BuildError("format", said)


_EXAMPLE = (
    "so1s.yaml must say what goes into prepared.py and what comes out, as code cannot be asked; such as: "
    "inputs: [{name: x, dtype: float64, shape: [-1, 4]}] and "
    "outputs: [{name: score, dtype: float64, shape: [-1]}]"
)


def _format_of(
    path: str,
    recognised: Mapping[str, Format | None],
    said_format: Format | None,
    is_detectron2: Callable[[str], bool],
) -> Format:
    if path not in recognised:
        raise BuildError.of("format", "file", path, f"one of {_names(recognised)}")
    found = "python" if path == PREPARED else recognised[path]
    if found is None:
        problem = f"{path} is no model of {_FORMATS}, or it is cut short"
        raise BuildError("format", _with_way_out(problem, [path], is_detectron2))
    if said_format not in {None, found}:
        raise BuildError.of("format", "format", said_format, f"{found}, which {path} is")
    return found


def _with_way_out(problem: str, paths: Iterable[str], is_detectron2: Callable[[str], bool]) -> str:
    checkpoints = islice(filter(is_pytorch, paths), _TRIED_CHECKPOINTS)
    way = DETECTRON2 if any(map(is_detectron2, checkpoints)) else way_out(paths)
    return f"{problem}. {way}" if way else problem


def _names(paths: Mapping[str, object]) -> str:
    names = sorted(paths)
    more = f" and {len(names) - _SHOWN_FILES} more" if len(names) > _SHOWN_FILES else ""
    return ", ".join(names[:_SHOWN_FILES]) + more
