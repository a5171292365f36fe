import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import psutil
import pytest

from services.collector.adapters.metrics_processes import ProcessMetrics
from tests.collector.cluster import MIB, REPLICA

CPU, MEMORY = "cpu_microseconds", "memory_bytes"
SPIN = "import time\nwhile time.process_time() < 0.2: pass\n"
WAIT = "print('ready', flush=True); import sys; sys.stdin.read()"
HELD = "held = bytearray(b'x') * (50 * 2**20)\n"


def child(program: str) -> str:
    return f"import subprocess, sys; subprocess.run([sys.executable, '-c', {program!r}])\n"


@pytest.fixture
def start() -> Iterator[Callable[[str], subprocess.Popen]]:
    """Starts a program; returns when it is ready."""
    started = []

    def run(program: str) -> subprocess.Popen:
        command = [sys.executable, "-c", program]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout.readline() == b"ready\n"
        return process

    yield run
    for process in started:
        process.communicate()  # closes its input, on which it ends


def replica_of(process, **changes):
    born = psutil.Process(process.pid).create_time()
    return replace(REPLICA, pid=process.pid, pid_started_at=born, **changes)


@pytest.fixture
def metrics() -> ProcessMetrics:
    return ProcessMetrics(lambda: time.time_ns() // 1_000_000)


async def test_cpu_counts_the_process_with_its_ended_children_and_memory_is_resident(start, metrics):
    program = start(SPIN + child(SPIN) + HELD + WAIT)
    (reading,) = (await metrics.read([replica_of(program)])).values()
    assert 350_000 <= reading.counters[CPU] <= 5_000_000
    assert 50 * MIB <= reading.gauges[MEMORY] <= 500 * MIB


async def test_a_child_that_runs_counts_too(start, metrics):
    program = start(child(SPIN + WAIT))
    (reading,) = (await metrics.read([replica_of(program)])).values()
    assert reading.counters[CPU] >= 150_000


async def test_cpu_never_falls_where_a_child_ends_that_nobody_waits_for(start, metrics):
    unwaited = "import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
    program = start(unwaited + child(SPIN + WAIT) + "import sys; sys.stdin.read()")
    replica = replica_of(program)
    (before,) = (await metrics.read([replica])).values()
    spinner = psutil.Process(program.pid).children()[0]
    spinner.kill()
    spinner.wait(10)
    (after,) = (await metrics.read([replica])).values()
    assert after.counters[CPU] >= before.counters[CPU]


async def test_a_pid_that_another_process_has_by_now_is_not_read(start, metrics):
    replica = replica_of(start(WAIT))
    reused = replace(replica, pid_started_at=replica.pid_started_at - 60)
    assert await metrics.read([reused]) == {}


async def test_a_process_that_is_gone_is_not_read(start, metrics):
    program = start(WAIT)
    gone = replica_of(program)
    program.kill()
    program.wait()
    assert await metrics.read([gone]) == {}


async def test_a_replica_between_two_processes_is_not_read(metrics):
    assert await metrics.read([replace(REPLICA, pid=None, pid_started_at=None)]) == {}


async def test_a_replica_that_ended_is_not_read(start, metrics):
    assert await metrics.read([replica_of(start(WAIT), ended_ms=1)]) == {}


async def test_another_process_of_the_same_replica_is_another_epoch(start, metrics):
    (first,) = (await metrics.read([replica_of(start(WAIT))])).values()
    (second,) = (await metrics.read([replica_of(start(WAIT))])).values()
    assert first.epoch != second.epoch
