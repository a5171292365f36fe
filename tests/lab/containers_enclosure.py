"""`python -m tests.lab.containers_enclosure SCRIPT GROUP`: a script in namespaces of its own.

However the script ends, its containers and their mounts are gone with the namespaces. Control groups are
the kernel's: those below the group are removed here, also what a run left that was killed.
"""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

_CONTROL_GROUPS = Path("/sys/fs/cgroup")
_PRIVATE = [Path("/etc/cni"), Path("/run"), Path("/var/lib/containers")]
"""Where podman writes whatever it is told; in these namespaces, in memory."""
_MOUNTS = "; ".join(
    ["mount --make-rprivate /", *(f"mount -t tmpfs tmpfs {directory}" for directory in _PRIVATE)]
)


def main(script: str, group: str) -> int:
    namespaces = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]
    inner = ["bash", "-euc", f'{_MOUNTS}; exec bash -eu "$0"', script]
    line = ["setpriv", "--pdeathsig", "KILL", *namespaces, *inner]
    _remove_groups(group.rpartition("-")[0])
    try:
        with _mount_points(), subprocess.Popen(line) as child:

            def end(*_received) -> None:
                for first in psutil.Process(child.pid).children():
                    first.kill()  # and the kernel all others in its namespace

            signal.signal(signal.SIGTERM, end)
            return child.wait()
    finally:
        _remove_groups(group)


@contextlib.contextmanager
def _mount_points() -> Iterator[None]:
    made = [directory for directory in _PRIVATE if not directory.exists()]
    for directory in made:
        directory.mkdir()
    try:
        yield
    finally:
        for directory in made:
            directory.rmdir()


def _remove_groups(prefix: str) -> None:
    """Those without processes; version 1 has a tree for each controller, version 2 one alone."""
    for root in (_CONTROL_GROUPS, *_CONTROL_GROUPS.glob("*/")):
        for group in sorted(root.glob(f"{prefix}*/**/"), reverse=True):
            with contextlib.suppress(OSError):
                group.rmdir()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
