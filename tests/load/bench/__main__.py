"""`python -m tests.load.bench [SECTION…]`: measure, show the table, and write docs/benchmarks.md."""

import asyncio
import logging
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import structlog
from rich.console import Console

from tests.load.bench import codec, consume, image, platform, report, runtime
from tests.load.bench.figure import Figure
from tests.load.bench.load import TOOL

_PAGE = Path("docs/benchmarks.md")
_WIDTH = 130
"""Where the output goes to a file."""

_SECTIONS: dict[str, tuple[str, Callable[[Path], Awaitable[Sequence[Figure]]]]] = {
    "codec": ("Codec", codec.measure),
    "consume": ("Consume", consume.measure),
    "image": ("Build", image.measure),
    "runtime": ("Inference server", runtime.measure),
    "platform": ("The whole platform", platform.measure),
}


async def run(console: Console, names: Sequence[str]) -> list[report.Section]:
    sections = []
    with tempfile.TemporaryDirectory(prefix="so1s-bench-") as directory:
        for name in names:
            title, measure = _SECTIONS[name]
            began = time.monotonic()
            with console.status(f"{title} …"):
                figures = await measure(Path(directory))
            console.print(f"[green]✓[/] {title:<20} [dim]{time.monotonic() - began:.0f} s[/]")
            sections.append(report.Section(title, figures))
    return sections


def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH)
    names = sys.argv[1:] or list(_SECTIONS)
    sections = asyncio.run(run(console, names))
    console.print(report.table(sections))
    if len(names) == len(_SECTIONS):
        report.write(_PAGE, sections, [f"load on HTTP by {TOOL}"])
        console.print(f"written to {_PAGE}; {'; '.join(report.machine())}")


if __name__ == "__main__":
    main()
