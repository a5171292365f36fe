"""Which ASGI server carries the inference server: uvicorn beside granian, the same app, on one core each."""

from contextlib import ExitStack
from pathlib import Path

from tests.environments import MissingEnvironmentError
from tests.load.bench import granian, runtime, servers
from tests.load.bench.figure import Figure


async def measure(directory: Path) -> list[Figure]:
    model = servers.model_directory(directory / "asgi")
    try:
        granian.install()
    except MissingEnvironmentError as missing:
        return [Figure("predict one row", "requests/s", 0, str(missing))]
    with ExitStack() as running:
        ours = running.enter_context(servers.ours(model))
        other = running.enter_context(servers.serving("tests.load.bench.granian", str(model), "{port}"))
        peer = f"the same app on granian {granian.VERSION}"
        return await runtime.beside(peer, ours, other, servers.body(), "predict")
