"""The inference server beside a bare one: the same model, the same uvicorn, the same load."""

from functools import partial
from pathlib import Path
from statistics import median

from tests.load.bench import servers
from tests.load.bench.figure import Figure
from tests.load.bench.load import load
from tests.load.bench.measure import interleaved

_CONNECTIONS = (1, 16)
_SECONDS = 2
_ROUNDS = 3
_PEER = "a bare ASGI app: no checks, limits or metrics"


async def measure(directory: Path) -> list[Figure]:
    model = servers.model_directory(directory / "model")
    with servers.ours(model) as ours, servers.bare(model) as bare:
        await servers.answers(ours)
        await servers.answers(bare)
        figures = [await _compare(ours, bare, connections) for connections in _CONNECTIONS]
    return [figure for pair in figures for figure in pair]


async def _compare(ours: str, bare: str, connections: int) -> list[Figure]:
    content = servers.body()
    ask = [partial(load, url, content, connections=connections, seconds=_SECONDS) for url in (ours, bare)]
    mine, theirs = await interleaved(*ask, rounds=_ROUNDS)
    name = f"predict one row, {connections} connection{'s' if connections > 1 else ''}"
    rates = [median(each.per_second for each in loads) for loads in (mine, theirs)]
    slowest = [median(each.p99_ms for each in loads) for loads in (mine, theirs)]
    return [
        Figure(name, "requests/s", rates[0], _PEER, rates[1]),
        Figure(f"{name}, p99", "ms", slowest[0], "the same", slowest[1]),
    ]
