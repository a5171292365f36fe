"""MLServer with the same model, in an environment of its own, as its dependencies fit nobody else's."""

import json
import os
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from so1s_local.ports import free_port
from tests.environments import environment
from tests.load.bench.servers import on_one_core

VERSION = "1.7.1"

_MODEL = """
import numpy as np
import onnxruntime as ort
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse


class Forest(MLModel):
    async def load(self) -> bool:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = ort.InferenceSession(self.settings.parameters.uri, options)
        self._names = [output.name for output in self._session.get_outputs()]
        return True

    async def predict(self, payload):
        rows = NumpyCodec.decode_input(payload.inputs[0]).astype(np.float32)
        answer = zip(self._names, self._session.run(self._names, {"x": rows}))
        outputs = [NumpyCodec.encode_output(name, array) for name, array in answer]
        return InferenceResponse(model_name=self.name, outputs=outputs)
"""


def install() -> Path:
    """The interpreter of an environment that has MLServer. Raises MissingEnvironmentError."""
    return environment(f"mlserver-{VERSION}", f"mlserver=={VERSION}", "onnxruntime")


@contextmanager
def serving(directory: Path, model: Path) -> Generator[str, None, None]:
    """Run MLServer; gives the URL that infers. It works in one process, which is its fastest on one core."""
    python, port = install(), free_port()
    directory.mkdir()
    (directory / "forest_model.py").write_text(_MODEL)
    server = {"http_port": port, "grpc_port": free_port(), "metrics_port": free_port()}
    common = {"host": "127.0.0.1", "parallel_workers": 0, "debug": False}
    _write(directory / "settings.json", {**server, **common})
    described = {"name": "tumour", "implementation": "forest_model.Forest"}
    _write(directory / "model-settings.json", {**described, "parameters": {"uri": str(model)}})
    command = [python.with_name("mlserver"), "start", directory]
    environment = os.environ | {"PYTHONPATH": str(directory)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    on_one_core(process)
    try:
        yield f"http://127.0.0.1:{port}/v2/models/tumour/infer"
    finally:
        process.terminate()
        process.wait()


def _write(path: Path, value: dict) -> None:
    path.write_text(json.dumps(value))
