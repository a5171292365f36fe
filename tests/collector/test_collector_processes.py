import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import psutil
import pytest

from services.collector.adapters.metrics_processes import ProcessMetrics
from services.collector.domain.counters import Reading, born
from services.collector.domain.world import Replica
from tests.collector.cluster import MIB, REPLICA

NOTHING = born(0)
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


async def read(replica: Replica, last: Reading | None = None) -> Reading | None:
    """Read a replica as a collector does that starts now; None where it is not told of."""
    metrics = ProcessMetrics(lambda: time.time_ns() // 1_000_000)
    return (await metrics.read([replica], {replica.uid: last or NOTHING})).get(replica.uid)


async def test_cpu_counts_the_process_with_its_ended_children_and_memory_is_resident(start):
    program = start(SPIN + child(SPIN) + HELD + WAIT)
    reading = await read(replica_of(program))
    assert 350_000 <= reading.counters[CPU] <= 5_000_000
    assert 50 * MIB <= reading.gauges[MEMORY] <= 500 * MIB


async def test_a_child_that_runs_counts_too(start):
    program = start(child(SPIN + WAIT))
    reading = await read(replica_of(program))
    assert reading.counters[CPU] >= 150_000


async def test_cpu_never_falls_where_a_child_ends_that_nobody_waits_for(start):
    """Not for another collector either, which takes over meanwhile."""
    unwaited = "import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
    program = start(unwaited + child(SPIN + WAIT) + "import sys; sys.stdin.read()")
    replica = replica_of(program)
    before = await read(replica)
    spinner = psutil.Process(program.pid).children()[0]
    spinner.kill()
    spinner.wait(10)
    after = await read(replica, before)
    assert after.counters[CPU] >= before.counters[CPU]


async def test_a_pid_that_another_process_has_by_now_is_not_read(start):
    replica = replica_of(start(WAIT))
    reused = replace(replica, pid_started_at=replica.pid_started_at - 60)
    assert await read(reused) is None


async def test_a_process_that_is_gone_is_not_read(start):
    program = start(WAIT)
    gone = replica_of(program)
    program.kill()
    program.wait()
    assert await read(gone) is None


async def test_a_replica_between_two_processes_is_not_read():
    assert await read(replace(REPLICA, pid=None, pid_started_at=None)) is None


async def test_a_replica_that_ended_is_not_read(start):
    assert await read(replica_of(start(WAIT), ended_ms=1)) is None


async def test_another_process_of_the_same_replica_is_another_epoch(start):
    first = await read(replica_of(start(WAIT)))
    second = await read(replica_of(start(WAIT)))
    assert first.epoch != second.epoch
