"""Real servers, and a client of theirs that nobody of ours wrote: https://github.com/triton-inference-server/client."""

import pickle
import subprocess
from pathlib import Path
from typing import Any

import pytest

from so1s_runtime.dtypes import DTYPES
from so1s_runtime.manifest import Manifest, Signature, TensorSpec
from tests.environments import MissingEnvironmentError, environment
from tests.runtime.running import started

_VERSION = "2.73.0"
_COLUMNS = 2

# Gives back what it gets, so that whatever is changed on the way is seen.
_PREPARED = """
def load_artifacts():
    return None


def run(artifacts, input):
    if input.get("string", [[""]])[0][0] == "fail":
        raise RuntimeError("as asked")
    return {f"same_{name}": value for name, value in input.items()}
"""


class RefusedError(Exception):
    """The client was refused; `status` is as the client tells it."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status


class Triton:
    """The client's process; `way` is json or binary, both HTTP, or grpc or contents, both gRPC."""

    def __init__(self, process: subprocess.Popen) -> None:
        self._process = process

    def __call__(self, way: str, method: str, **arguments: Any) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        pickle.dump((way, method, arguments), self._process.stdin)
        self._process.stdin.flush()
        kind, *told = pickle.load(self._process.stdout)
        if kind == "refused":
            raise RefusedError(*told)
        return told[0]


@pytest.fixture(scope="session")
def triton_python() -> Path:
    try:
        return environment(f"tritonclient-{_VERSION}", f"tritonclient[http,grpc]=={_VERSION}")
    except MissingEnvironmentError as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def triton_of(triton_python):
    """Makes a client of the server on a port."""
    clients = []

    def make(port: int) -> Triton:
        command = [str(triton_python), str(Path(__file__).with_name("client.py")), f"127.0.0.1:{port}"]
        clients.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        return Triton(clients[-1])

    yield make
    for client in clients:
        client.communicate()


@pytest.fixture(scope="module")
def same(tmp_path_factory):
    """Makes the directory of a model that gives back arrays of these types."""

    def make(*dtypes: str) -> Path:
        directory = tmp_path_factory.mktemp("same")
        (directory / "prepared.py").write_text(_PREPARED)
        sides = (
            tuple(TensorSpec(prefix + each, DTYPES[each], (-1, _COLUMNS)) for each in dtypes)
            for prefix in ("", "same_")
        )
        fields = {"name": "same", "version": "7", "format": "python", "file": "prepared.py"}
        (directory / "model.json").write_bytes(Manifest(**fields, signature=Signature(*sides)).to_json())
        return directory

    return make


@pytest.fixture(scope="module")
def triton(same, triton_of, tmp_path_factory) -> Triton:
    """A client of a server whose model takes all types but FP16, which typed contents cannot hold."""
    directory = same(*(name for name in DTYPES if name != "float16"))
    log = tmp_path_factory.mktemp("log") / "log"
    with started(directory, log, "--max-body-bytes=65536") as (_, port):
        yield triton_of(port)
