"""A model's own enclosure inside of the sandbox of its libraries.

bubblewrap makes the sandbox, once for the warm process of some libraries: no network, nothing to see but
these libraries, nothing to write but memory. The children of that process share it, so each puts itself into
namespaces of its own before it looks at its model:

    warm process ─ fork ─ watcher ─ fork ─ first process ─ fork ─ the check
                          makes them       of these pids, ends all others when it ends

It sees its own processes and its own model, has its own temporary files, and no way to any further namespace.
The watcher ends it when it has too much memory, or when the builder goes away.
"""

import os
import random
import resource
import select
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import calls, kernel
from .places import LENT, MODEL, NOBODY, SHARED_MEMORY, TEMPORARY
from .processes import memory

_WATCH_MILLISECONDS = 50
_FILES = 4096
"""Open ones."""
_HARMLESS = kernel.NO_SUID | kernel.NO_DEVICES


@dataclass(frozen=True)
class Limits:
    """What one model may use."""

    memory_bytes: int
    """Address space of each process, and memory of all together."""
    temporary_bytes: int
    processes: int
    """Threads count, too."""
    processors: int
    seconds: float
    """Of one processor, for each of `processors`."""
    files: int = 4096
    """That may lie in the temporary directory."""
    what: str = "the model"
    """It is called so where it has too much memory."""


def become_nobody() -> None:
    """Be an unprivileged user, as which the sandbox of a builder that is root does not start."""
    if os.getuid() != 0:
        return
    kernel.mount("proc", "/proc", "proc", _HARMLESS | kernel.NO_EXEC)  # bubblewrap's hides a part from root
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    kernel.own_again()


def run(check: Callable[[], None], lent: str, limits: Limits, connection: int) -> None:
    """Run a check in an enclosure of its own, and return when nothing of it is left.

    Args:
        check: what is tried; its output goes where this process's goes.
        lent: the name of the directory below LENT that becomes MODEL.
        limits: of everything that it starts.
        connection: file descriptor of a socket: when its other end is closed, the enclosure ends.

    Raises:
        OSError: this machine does not allow it.
    """
    _enter(lent, limits)
    reading, writing = os.pipe()
    first = os.fork()
    if first == 0:
        try:
            os.close(reading)
            _be_first(check, limits, writing)
        except BaseException as error:  # noqa: BLE001 - it never goes back to the caller's frames
            _say(f"the sandbox failed: {error}")
        finally:
            os._exit(1)
    os.close(writing)
    os.read(reading, 1)  # it is ready, or is no more
    _watch(first, limits, connection)


def _enter(lent: str, limits: Limits) -> None:
    user, group = os.getuid(), os.getgid()
    new = kernel.NEW_USER | kernel.NEW_MOUNTS | kernel.NEW_PIDS | kernel.NEW_NETWORK | kernel.NEW_IPC
    kernel.unshare(new)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    kernel.mount("none", "/", None, kernel.PRIVATE | kernel.RECURSIVE)
    size = f"size={limits.temporary_bytes},nr_inodes={limits.files},mode=0700"
    kernel.mount("tmpfs", TEMPORARY, "tmpfs", _HARMLESS, size)
    memory = Path(TEMPORARY, ".shm")
    memory.mkdir()
    kernel.mount(str(memory), SHARED_MEMORY, None, kernel.BIND)
    kernel.mount(f"{LENT}/{lent}", MODEL, None, kernel.BIND)  # read-only as it is where it comes from
    kernel.mount("tmpfs", LENT, "tmpfs", _HARMLESS | kernel.READ_ONLY, "size=4k,mode=0555")


def _be_first(check: Callable[[], None], limits: Limits, ready: int) -> None:
    """Be the process whose end ends all others, as the kernel has it: give up every power, and wait."""
    kernel.die_with_parent(signal.SIGKILL)
    kernel.mount("proc", "/proc", "proc", _HARMLESS | kernel.NO_EXEC)
    Path("/proc/sys/user/max_user_namespaces").write_text("0")
    Path("/proc/self/oom_score_adj").write_text("1000")  # rather than the builder
    os.sched_setaffinity(0, _some_processors(limits.processors))
    _limit(limits)
    os.chdir(TEMPORARY)
    kernel.drop_capabilities()
    kernel.gain_nothing()
    kernel.filter_calls(calls.program())
    os.close(ready)
    second = os.fork()
    if second == 0:
        os.setsid()
        check()
        os._exit(0)
    status = _wait_for(second)
    if os.WIFSIGNALED(status):
        _say(f"the process was ended by {signal.Signals(os.WTERMSIG(status)).name}")
    os._exit(0)


def _some_processors(most: int) -> set[int]:
    """Others than the neighbour's, with luck."""
    all_of_them = sorted(os.sched_getaffinity(0))
    return set(random.sample(all_of_them, min(most, len(all_of_them))))


def _limit(limits: Limits) -> None:
    processor_seconds = int(limits.seconds * limits.processors) + 1
    for which, most in {
        resource.RLIMIT_AS: limits.memory_bytes,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_CPU: processor_seconds,
        resource.RLIMIT_FSIZE: limits.temporary_bytes,
        resource.RLIMIT_NOFILE: _FILES,
        resource.RLIMIT_NPROC: limits.processes,
    }.items():
        _soft, hard = resource.getrlimit(which)
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(which, (allowed, allowed))


def _wait_for(child: int) -> int:
    """The exit status of a child; whoever else ended meanwhile is gone, too."""
    while True:
        ended, status = os.wait()
        if ended == child:
            return status


def _watch(first: int, limits: Limits, connection: int) -> None:
    """Wait for the end of the first process, and bring it about where that must be."""
    handle = os.pidfd_open(first)
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    poll.register(connection, 0)  # tells all the same that the other end is closed
    wait = _WATCH_MILLISECONDS
    while not (told := poll.poll(wait)):
        started = time.monotonic()
        if memory(limits.memory_bytes) > limits.memory_bytes:
            os.kill(first, signal.SIGKILL)
            _say(f"{limits.what} took more than {limits.memory_bytes // 2**20} MiB of memory")
            break
        # To look may take long where there are many processes; it shall not take a processor.
        wait = max(_WATCH_MILLISECONDS, int(4000 * (time.monotonic() - started)))
    if told and all(descriptor != handle for descriptor, _ in told):
        os.kill(first, signal.SIGKILL)
    os.waitpid(first, 0)


def _say(line: str) -> None:
    os.write(1, f"{line}\n".encode())
