"""User code: a `prepared.py` that its author wrote, with what it loads beside it.

    def load_artifacts(): ...          # once, at the start
    def run(artifacts, input): ...     # for each request: inputs by name → outputs by name, or the only one

The directory of `prepared.py` is the working directory, and the first place that it imports from, as with
`python prepared.py` there.
"""

import importlib.util
import inspect as introspection
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from so1s_runtime.errors import AuthorError, ModelError, RequestError
from so1s_runtime.loaders import Predictor
from so1s_runtime.manifest import Signature

PLATFORM = "python"
STEADY = False
VALUES = True
PANDAS = True

_MODULE = "prepared"
_LONGEST_MESSAGE = 500
_CONTRACT = {"load_artifacts": ("def load_artifacts():", 0), "run": ("def run(artifacts, input):", 2)}


def inspect(path: Path) -> Signature:
    """Nothing can be told of code without running it: its author declares what goes in and out."""
    raise ModelError(f"{path.name} cannot tell what goes in and out, so it must be declared")


def load(path: Path, threads: int) -> Predictor:
    """A predictor over `run`, called from as many threads at once as the server has workers."""
    del threads  # how many the code starts is its author's
    path = path.absolute()
    os.chdir(path.parent)
    sys.path.insert(0, str(path.parent))
    sys.dont_write_bytecode = True  # an image is read-only
    module = _imported(path)
    run = _function(module, path, "run")
    artifacts = _called(path, "load_artifacts", _function(module, path, "load_artifacts"))

    def predict(inputs: Mapping[str, Any], outputs: Sequence[str]) -> Sequence[Any]:
        try:
            answer = run(artifacts, _writable(inputs))
        except RequestError:  # the code says what its caller is to change
            raise
        except BaseException as error:  # an exit of the code is none of the server's
            raise AuthorError(error, _said(path.parent, error)) from error
        return _picked(answer, outputs)

    return predict


def _imported(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(_MODULE, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[_MODULE] = module  # a pickle of its own classes names it
    _called(path, "the import", partial(spec.loader.exec_module, module))
    return module


def _called(path: Path, what: str, work: Callable[[], Any]) -> Any:
    """Do work of the author's. Raises ModelError, which says where in the author's files it failed."""
    try:
        return work()
    except BaseException as error:  # noqa: BLE001 - foreign code: an exit, too, must come to be known
        raised = AuthorError(error, _said(path.parent, error))
        raise ModelError(f"{path.name}: {what} raised {raised}") from raised


def _writable(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """As code expects its arrays, which may be views of what a caller sent."""
    return {
        name: np.require(value, requirements="W") if isinstance(value, np.ndarray) else value
        for name, value in inputs.items()
    }


def _said(directory: Path, error: BaseException) -> str:
    """Such as `FileNotFoundError at prepared.py:7: no such file: 'weights.npz'`."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [each for each in frames if Path(each.filename).is_relative_to(directory)]
    at = f" at {Path(own[-1].filename).relative_to(directory)}:{own[-1].lineno}" if own else ""
    return f"{type(error).__name__}{at}: {str(error)[:_LONGEST_MESSAGE]}"


def _function(module: ModuleType, path: Path, name: str) -> Callable[..., Any]:
    """A function of the contract. Raises ModelError where it is missing or takes something else."""
    function = getattr(module, name, None)
    expected, parameters = _CONTRACT[name]
    if not callable(function):
        raise ModelError(f"{path.name} needs a function {name}, as `{expected}`")
    if introspection.iscoroutinefunction(function) or introspection.isgeneratorfunction(function):
        raise ModelError(f"{path.name}: {name} must be a plain function, as `{expected}`")
    try:
        introspection.signature(function).bind(*range(parameters))
    except TypeError as error:
        raise ModelError(f"{path.name}: {name} must be as `{expected}`: {error}") from error
    except ValueError:
        pass  # of a built-in nothing is known
    return function


def _picked(answer: Any, outputs: Sequence[str]) -> list[Any]:
    """The wanted outputs. Raises ModelError where the answer is not by their names."""
    if not isinstance(answer, Mapping):
        if len(outputs) == 1:
            return [answer]
        raise ModelError(
            f"run returned a {type(answer).__name__}, but the model has the outputs {', '.join(outputs)}: "
            "it must return a dict of arrays by their names"
        )
    missing = [name for name in outputs if name not in answer]
    if missing:
        found = ", ".join(map(str, answer)) or "nothing"
        raise ModelError(f"run returned {found}, without the output {', '.join(missing)}")
    return [answer[name] for name in outputs]
