"""A Prometheus that has seen what a test says it has."""

import math
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from so1s_lab import LAB_DIR
from so1s_lab.debian import program
from so1s_lab.prometheus import Prometheus
from so1s_lab.runner import Runner

SCRAPE_SECONDS = 15

Values = Callable[[int], float | None]
"""What a series says so many seconds after the beginning; None where it is not scraped."""


@contextmanager
def recorded(series: dict[str, Values], begin: int, seconds: int) -> Iterator[Prometheus]:
    """A server whose past is the series, each scraped every 15 s from `begin`, in seconds of the epoch."""
    with Runner(LAB_DIR / "run" / f"recorded-{uuid.uuid4().hex[:8]}") as runner:
        prometheus = Prometheus(runner.directory("prometheus"))
        prometheus.prepare()
        write_blocks(runner.directory("prometheus"), series, begin, seconds)
        runner.start(prometheus)
        yield prometheus
    runner.remove()


def write_blocks(directory: Path, series: dict[str, Values], begin: int, seconds: int) -> None:
    text = directory / "past.om"
    text.write_text("\n".join([*_lines(series, begin, seconds), "# EOF\n"]))
    promtool = Path(program("prometheus")).with_name("promtool")
    command = [promtool, "tsdb", "create-blocks-from", "openmetrics", text, directory / "data"]
    subprocess.run(command, check=True, capture_output=True)


def _lines(series: dict[str, Values], begin: int, seconds: int) -> Iterator[str]:
    for name, values in series.items():
        for second in range(0, seconds + 1, SCRAPE_SECONDS):
            value = values(second)
            if value is not None:
                yield f"{name} {'NaN' if math.isnan(value) else value} {begin + second}"
