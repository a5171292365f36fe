"""What several processes that share the tests are given: files, the longest first, and a part's together."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

LONGEST = (
    "tests/scenarios/",
    "tests/builder/test_builder_serves.py",
    "tests/publisher/test_pipeline.py",
    "tests/builder/test_builder_tried.py",
    "tests/builder/test_builder_reproducible.py",
    "tests/deployer/test_cluster_conformance.py",
    "tests/router/test_router_mesh_envoy.py",
    "tests/compiler/",
    "tests/console/test_console_parts.py",
    "tests/console/test_console_service.py",
    "tests/delivery/",
    "tests/deployer/",
    "tests/collector/test_collector_past.py",
    "tests/local_supervisor/",
    "tests/runtime/test_runtime_deferred.py",
    "tests/runtime/test_runtime_health.py",
    "tests/runtime/test_runtime_server.py",
)
"""Of all but the lab's: a platform, what builds images, and what waits for processes."""


class ByPart(LoadFileScheduling):
    """Gives each process files, and one process all files of a part that there is once."""

    def __init__(self, config: pytest.Config, log: Any, parts: Mapping[str, str]) -> None:
        """Make a scheduler.

        Args:
            config: pytest's.
            log: xdist's.
            parts: the part that a file, or a folder, needs.
        """
        super().__init__(config, log)
        self._parts = parts

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return self._parts.get(file) or self._parts.get(file.rpartition("/")[0], file)


def begin_with(longest: Sequence[str], items: list[pytest.Item]) -> None:
    """Put the tests of some files or folders in front: begun last, one would go on when all others ended."""

    def rank(item: pytest.Item) -> int:
        found = (number for number, path in enumerate(longest) if item.nodeid.startswith(path))
        return next(found, len(longest))

    items.sort(key=rank)
