"""`python -m tests.faults.crashing SERVICE DIRECTORY`: a service that dies where a test wants it to.

The file SERVICE.json in the directory arms one point: `{"point": …, "model": …, "victim": PID or null}`.
The first call that matches kills the victim (itself, where none is named) with SIGKILL, once.
"""

import functools
import importlib
import inspect
import json
import os
import runpy
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.faults.points import ALL, BROKER_DIES, Point


class Fuse:
    """Kills at the armed point."""

    def __init__(self, armed: Path) -> None:
        self._armed = armed

    def reach(self, points: list[Point], when: str, said: object) -> None:
        if not self._armed.exists():
            return
        order = json.loads(self._armed.read_text())
        here = [each for each in points if each.when == when and str(each) == order["point"]]
        if here and all(word in repr(said) for word in (here[0].about, order["model"])):
            self._armed.unlink()
            with suppress(ProcessLookupError):
                os.kill(order["victim"] or os.getpid(), signal.SIGKILL)


def wrap(function: Callable[..., Any], points: list[Point], fuse: Fuse) -> Callable[..., Any]:
    """Reach the points of a function around each call of it."""

    @functools.wraps(function)
    async def later(*args: Any, **kwargs: Any) -> Any:
        fuse.reach(points, "before", (args, kwargs))
        answer = await function(*args, **kwargs)
        fuse.reach(points, "after", (args, kwargs, answer))
        return answer

    @functools.wraps(function)
    def now(*args: Any, **kwargs: Any) -> Any:
        fuse.reach(points, "before", (args, kwargs))
        answer = function(*args, **kwargs)
        fuse.reach(points, "after", (args, kwargs, answer))
        return answer

    return later if inspect.iscoroutinefunction(function) else now


def main(service: str, directory: Path) -> None:
    fuse = Fuse(directory / f"{service}.json")
    mine = [point for point in [*ALL, *BROKER_DIES] if point.service == service]
    for function in {point.function for point in mine}:
        module, _, name = function.partition(":")
        *path, last = name.split(".")
        owner = functools.reduce(getattr, path, importlib.import_module(module))
        points = [point for point in mine if point.function == function]
        setattr(owner, last, wrap(getattr(owner, last), points, fuse))
    sys.argv[1:] = []  # the service's own arguments: none
    runpy.run_module(f"services.{service}", run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
