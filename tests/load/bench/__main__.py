"""`python -m tests.load.bench [SECTION… | cluster]`: measure, show the table, write docs/benchmarks.md."""

import asyncio
import logging
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog
from rich.console import Console

from tests.load.bench import asgi, codec, consume, image, optimize, platform, report, runtime, start
from tests.load.bench.figure import Figure
from tests.load.bench.load import TOOL

_CLUSTER = "cluster"
_PAGE = Path("docs/benchmarks.md")
_WIDTH = 130
"""Where the output goes to a file."""


@dataclass(frozen=True)
class _Part:
    title: str
    measure: Callable[[Path], Awaitable[Sequence[Figure]]]
    note: str


_PARTS = {
    "codec": _Part(
        "Codec",
        codec.measure,
        "The envelope tells who said an event, when, why and in which trace: nine headers, each checked.",
    ),
    "consume": _Part(
        "Consume",
        consume.measure,
        "One by one, a service commits its attempt before the handler runs, so that an event that kills the "
        "process is found out, and then state, inbox and outbox together; a raw consumer commits once, and "
        "waits for Kafka to have its offset, which a service tells behind the handler. "
        "Samples, which are many, come in batches: up to 2,000 share what one event costs.",
    ),
    "image": _Part(
        "Build",
        image.measure,
        "A build copies the artifact while it hashes it, and hashes the layer before and after "
        "compression, as OCI asks. Trying the model with its library is left out here and counted below. "
        "Weights that would hardly become smaller are not compressed by ours. Where no layer is there, "
        "ours installs the libraries from uv's cache and compiles them, while buildah finds its files "
        "ready-made, but for the last row: there uv has installed and compiled the same ones before. "
        "Each begins when all that the one before wrote is on the disk. Memory is that of the whole process.",
    ),
    "runtime": _Part(
        "Inference server",
        runtime.measure,
        "This forest answers in 0.01 ms, so what is seen is what is around it: each request is checked, "
        "limited and counted. A model that is slower than a millisecond runs in a thread, so that health "
        "answers meanwhile; this one stays on the event loop. Each server has one core, and MLServer one "
        "process.",
    ),
    "start": _Part(
        "Start of an inference server",
        start.measure,
        "An interpreter starts, imports, loads the model, tries it and answers. To import its library is "
        "the limit; skops alone imports all of scikit-learn, ours less. Files are in memory, "
        "and each has one core.",
    ),
    "optimize": _Part(
        "Compiled to ONNX",
        optimize.measure,
        "100 trees of depth 6, and networks of two hidden layers of 256, built twice by the builder: as they "
        "are, and with `optimize: onnx`. An image is the bytes of its layers, without a base image. Servers "
        "are the images' own; both have one core and turns.",
    ),
    "asgi": _Part(
        "ASGI server",
        asgi.measure,
        "The same app with its checks, limits and metrics. On uvicorn it is the inference server as it is, "
        "with gRPC on the same port and limits on heads; on granian it is the app alone.",
    ),
    "platform": _Part(
        "The whole platform",
        platform.measure,
        "Each step's time is since the upload was published. Between built and ready, the inference server "
        "starts. A change of weights goes through Kafka, a decision in the database and Envoy's file, and is "
        "live when Envoy answers with the new revision.",
    ),
}


async def run(console: Console, names: Sequence[str]) -> list[report.Section]:
    with tempfile.TemporaryDirectory(prefix="so1s-bench-") as directory:
        os.chmod(directory, 0o711)  # noqa: PTH101 - root starts PostgreSQL as another user
        asked = _of_cluster(Path(directory)) if names == [_CLUSTER] else _of_laptop(Path(directory), names)
        sections, began = [], time.monotonic()
        async for section in asked:
            console.print(f"[green]✓[/] {section.title:<28} [dim]{time.monotonic() - began:.0f} s[/]")
            sections.append(section)
            began = time.monotonic()
    return sections


async def _of_laptop(directory: Path, names: Sequence[str]) -> AsyncIterator[report.Section]:
    for name in names:
        part, place = _PARTS[name], directory / name
        place.mkdir()
        yield report.Section(part.title, part.note, await part.measure(place))


def _of_cluster(directory: Path) -> AsyncIterator[report.Section]:
    from tests.load.bench.cluster import everything  # its parts are the lab's, which may not be here

    return everything.measure(directory)


def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH)
    names = sys.argv[1:] or list(_PARTS)
    sections = asyncio.run(run(console, names))
    console.print(report.table(sections))
    if names == [_CLUSTER]:
        report.write(_PAGE, report.CLUSTER, sections, ["pods on nodes that kwok plays"])
    elif len(names) == len(_PARTS):
        report.write(_PAGE, report.LAPTOP, sections, [f"load on HTTP by {TOOL}"])
    console.print("; ".join(report.machine()))


if __name__ == "__main__":
    main()
