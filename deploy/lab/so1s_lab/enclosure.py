"""`python -m so1s_lab.enclosure SCRIPT`: a script in process and mount namespaces of its own, with a bridge.

However the script ends, and whatever it started, its processes and mounts are gone with the namespaces; the
bridge and the control groups, which the kernel keeps, are removed here, and its settings are put back.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from types import FrameType

import psutil

from so1s_local.supervisor import Lock, PlatformRunsError

LOCK = Path("/run/so1s-lab/lock")
"""A machine has one node: the bridge and the kubelet's control groups bear fixed names."""
BRIDGE = "so1s-lab0"
NODE_ADDRESS = "198.18.77.1"
POD_ADDRESSES = "198.18.77.0/24"
"""Of a range that is kept for tests of networks (RFC 2544), so that no network of this machine has it."""

_KERNEL_SETTINGS = [
    Path("/proc/sys") / name
    for name in (
        "kernel/keys/root_maxbytes",
        "kernel/keys/root_maxkeys",
        "kernel/panic",
        "kernel/panic_on_oops",
        "vm/overcommit_memory",
        "vm/panic_on_oom",
    )
]
"""What a kubelet sets as it likes for the whole machine."""
_CONTROL_GROUPS = Path("/sys/fs/cgroup")
_KUBELETS_GROUP = "kubepods"


def is_free() -> bool:
    """Whether no other run of the lab has this machine's node."""
    lock = Lock(LOCK)
    try:
        lock.acquire()
    except PlatformRunsError:
        return False
    lock.release()
    return True


def main(script: str) -> int:
    """Run the script until it ends, or until SIGTERM; answers its exit code."""
    lock = Lock(LOCK)
    lock.acquire()
    with _kernel_settings(), _bridge(), _control_groups(), subprocess.Popen(_command(script)) as child:  # noqa: S603 - ours

        def end(_signal: int, _frame: FrameType | None) -> None:
            for first in psutil.Process(child.pid).children():
                first.kill()  # and the kernel all others in its namespace, before it lets the first one go

        signal.signal(signal.SIGTERM, end)
        return child.wait()


def _command(script: str) -> list[str]:
    """What is in the namespaces dies with them, they with `unshare`, and that with this process."""
    namespaces = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]
    return ["setpriv", "--pdeathsig", "KILL", *namespaces, "bash", "-eu", script]


@contextlib.contextmanager
def _kernel_settings() -> Generator[None]:
    had = {path: path.read_text() for path in _KERNEL_SETTINGS}
    try:
        yield
    finally:
        for path, value in had.items():
            path.write_text(value)


@contextlib.contextmanager
def _bridge() -> Generator[None]:
    _ip("link", "delete", BRIDGE, check=False)  # a run that was killed could not
    _ip("link", "add", BRIDGE, "type", "bridge")
    _ip("address", "add", f"{NODE_ADDRESS}/24", "dev", BRIDGE)
    _ip("link", "set", BRIDGE, "up")
    try:
        yield
    finally:
        _ip("link", "delete", BRIDGE)


@contextlib.contextmanager
def _control_groups() -> Generator[None]:
    try:
        yield
    finally:
        # Version 1 has a tree for each controller, version 2 one alone; a group goes after those inside it.
        for root in (_CONTROL_GROUPS, *_CONTROL_GROUPS.glob("*/")):
            for group in sorted(root.glob(f"{_KUBELETS_GROUP}/**/"), reverse=True):
                with contextlib.suppress(OSError):
                    group.rmdir()


def _ip(*arguments: str, check: bool = True) -> None:
    subprocess.run(["ip", *arguments], check=check, stderr=None if check else subprocess.DEVNULL)  # noqa: S603, S607 - ours


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
