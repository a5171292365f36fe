"""The so1s.yaml that `so1s model init` writes: what is known of a model, and examples of what is not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml

from so1s import modelcheck
from so1s.events import Tensor
from so1s.events.model import Format
from so1s.formats import onnx_signature
from so1s.modelfile import DECLARED, MAX_BYTES


def of_code(packages: Sequence[str]) -> str:
    """Of user code.

    Args:
        packages: that it needs, as `requirements` has them; where there are none, an example stands there.
    """
    requirements = f"{_INSTALLED}\nrequirements: {_flow(list(packages))}" if packages else _NEEDED
    return _CODE.format(example=modelcheck.EXAMPLE, requirements=requirements)


def of_model(directory: Path, file: str, model_format: Format) -> str:
    """Of a model in a file; ONNX is asked what goes in and out, as that is read without a library."""
    signature = _signature(directory / file, model_format)
    return _MODEL.format(format=model_format, file=_quoted(file), signature=signature)


def _signature(model: Path, model_format: Format) -> str:
    told = onnx_signature.signature(model) if model_format == "onnx" else None
    if told is None:
        return f"{_DECLARE if model_format in DECLARED else _ASK}\n{_PLACEHOLDER}"
    named = {"inputs:  ": told.inputs, "outputs: ": told.outputs}
    return "\n".join([_READ, *(f"{name}{_tensors(each)}" for name, each in named.items())])


def _tensors(tensors: Sequence[Tensor]) -> str:
    return _flow([each.model_dump(exclude_defaults=True) for each in tensors])


def _flow(values: Sequence[object]) -> str:
    return yaml.safe_dump(values, default_flow_style=True, sort_keys=False, width=MAX_BYTES).strip()


def _quoted(file: str) -> str:
    """A path as YAML has it."""
    return yaml.safe_dump({"file": file}, width=MAX_BYTES, allow_unicode=True).partition(": ")[2].strip()


_INSTALLED = """\
# The packages that it imports, beside NumPy, in the versions that are here; or a requirements.txt in
# their place."""
_NEEDED = """\
# The packages that it imports, beside NumPy; or a requirements.txt in their place.
# requirements: [pandas>=2]"""
_ASK = "# What goes in and out; without these two lines the model is asked."
_DECLARE = "# What goes in and out must be said, by the names of forward's arguments, as in this example."
_READ = "# What goes in and out, as the model itself says it; -1 is any length."
_PLACEHOLDER = """\
# inputs:  [{name: x, dtype: float32, shape: [-1, 30]}]
# outputs: [{name: label, dtype: int64, shape: [-1]}]"""

_CODE = """\
schema: so1s/v1
format: python
# What goes into run() and what comes out of it: an example, to be replaced. -1 is any length.
# Beside arrays: {{name: prompt, type: text}}, and of type json, file, image, dataframe or series.
{example}
# A body of POST /predict, as JSON or as an image, CSV or text: the warm-up call, and `so1s predict --sample`.
# sample: sample.json
{requirements}
# What an event of publication does not say.
# deploy: {{resources: {{memory_mib: 1024}}, scaling: {{max_replicas: 4}}}}
# alerts: [{{availability_below: 0.99, for_seconds: 300}}]
"""
_MODEL = """\
schema: so1s/v1
format: {format}
file: {file}
{signature}
# Rows with named columns: {{name: rows, type: dataframe, columns: [{{name: amount, dtype: float64}}]}}
# A body of POST /predict, as JSON or as an image, CSV or text: the warm-up call, and `so1s predict --sample`.
# sample: sample.json
# Compile it to ONNX while its image is built, and leave its library out; other answers fail the build.
# optimize: onnx
# What an event of publication does not say.
# deploy: {{resources: {{memory_mib: 1024}}, scaling: {{max_replicas: 4}}}}
# alerts: [{{availability_below: 0.99, for_seconds: 300}}]
"""
