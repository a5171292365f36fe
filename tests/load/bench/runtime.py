"""The inference server beside a bare one and beside MLServer: the same model and load, on one core each."""

import json
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median

from tests.environments import MissingEnvironmentError
from tests.load.bench import mlserver, servers
from tests.load.bench.figure import Figure
from tests.load.bench.load import load
from tests.load.bench.measure import interleaved

_CONNECTIONS = (1, 16)
_SECONDS = 1
_ROUNDS = 7
"""Many short turns: a machine that others use, too, is quicker for seconds at a time."""
_BARE = "a bare ASGI app: no checks, limits or metrics"
_MLSERVER = f"MLServer {mlserver.VERSION}"


async def measure(directory: Path) -> list[Figure]:
    model = servers.model_directory(directory / "model")
    with ExitStack() as running:
        ours = running.enter_context(servers.ours(model))
        bare = running.enter_context(servers.bare(model))
        figures = await beside(_BARE, ours, bare, servers.body(), "predict")
    try:
        mlserver.install()
    except MissingEnvironmentError as missing:
        return [*figures, Figure("infer one row", "requests/s", 0, str(missing))]
    with ExitStack() as running:
        ours = running.enter_context(servers.ours(model))
        peer = running.enter_context(mlserver.serving(directory / "mlserver", model / "model.onnx"))
        ours = ours.replace("/predict", "/v2/models/tumour/infer")
        return figures + await beside(_MLSERVER, ours, peer, _tensors(), "infer")


def _tensors() -> bytes:
    """The row as the Open Inference Protocol has it."""
    (row,) = json.loads(servers.body())["x"]
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, len(row)], "data": row}
    return json.dumps({"inputs": [tensor]}).encode()


async def beside(peer: str, ours: str, theirs: str, content: bytes, verb: str) -> list[Figure]:
    for url in (ours, theirs):
        await servers.answers(url, content)
    figures = []
    for connections in _CONNECTIONS:
        ask = [
            partial(load, url, content, connections=connections, seconds=_SECONDS) for url in (ours, theirs)
        ]
        mine, others = await interleaved(*ask, rounds=_ROUNDS)
        name = f"{verb} one row, {connections} connection{'s' if connections > 1 else ''}"
        rates = [median(each.per_second for each in loads) for loads in (mine, others)]
        slowest = [median(each.p99_ms for each in loads) for loads in (mine, others)]
        figures += [
            Figure(name, "requests/s", rates[0], peer, rates[1]),
            Figure(f"{name}, p99", "ms", slowest[0], peer, slowest[1]),
        ]
    return figures
