"""The `ReplicaMetrics` of a laptop's processes; that of a cluster is asked in the lab."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace

import psutil
import pytest

from services.collector.adapters.metrics_processes import ProcessMetrics
from services.collector.domain.world import Replica
from tests.collector.cluster import REPLICA, START_MS
from tests.collector.replica_conformance import (  # noqa: F401 - the port's conformance suite
    MINUTE_MS,
    Story,
    test_a_server_that_begins_anew_counts_from_zero_and_keeps_what_was_counted,
    test_after_its_end_a_replica_uses_nothing_and_loses_nothing_that_was_counted,
    test_another_collector_goes_on_from_what_was_read_last,
    test_each_replica_has_its_own_cpu_time_and_memory,
    test_of_a_replica_that_nobody_knows_nothing_is_told,
    test_the_cpu_time_of_a_replica_is_counted_once_however_often_it_is_looked,
    test_what_nobody_saw_of_a_server_that_began_anew_is_counted_or_told_of,
    test_what_was_used_before_the_first_look_is_counted,
)

_SERVER = """
import sys, time
held = bytearray(b"x") * (int(sys.argv[1]) << 20)
for line in sys.stdin:
    end = time.process_time() + int(line) / 1000
    while time.process_time() < end:
        pass
    print(round(time.process_time() * 1_000_000), flush=True)
"""


class Server:
    """A process that spends what it is told to, and says what it has used."""

    def __init__(self, holds_mib: int) -> None:
        command = [sys.executable, "-ISc", _SERVER, str(holds_mib)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid, self.used_us = self._process.pid, 0
        self.started_at = psutil.Process(self.pid).create_time()
        self.spend(0)

    def spend(self, milliseconds: int) -> None:
        print(milliseconds, file=self._process.stdin, flush=True)
        self.used_us = int(self._process.stdout.readline())

    def stop(self) -> None:
        self._process.communicate()  # closes its input, on which it ends


class Told:
    """A replica, as far as its story was told."""

    def __init__(self, uid: str, story: Story) -> None:
        self._uid, self._story, self._minute = uid, story, 0
        self._servers = [Server(story.holds_mib)]

    @property
    def used_us(self) -> int:
        return sum(each.used_us for each in self._servers)

    def pass_to(self, minute: int) -> Replica:
        ended = self._story.ended
        while self._minute < minute and self._minute != ended:
            if self._minute == self._story.restarted:
                self.stop()
                self._servers.append(Server(self._story.holds_mib))
            self._servers[-1].spend(self._story.spends_ms[self._minute])
            self._minute += 1
        if ended is None or minute < ended:
            server = self._servers[-1]
            return replace(REPLICA, uid=self._uid, pid=server.pid, pid_started_at=server.started_at)
        self.stop()
        return replace(REPLICA, uid=self._uid, pid=None, ended_ms=START_MS + ended * MINUTE_MS)

    def stop(self) -> None:
        self._servers[-1].stop()


class Processes:
    """Replicas that are processes of this machine, on a clock of the test's own."""

    begin_ms = START_MS
    unsure_us = 40_000
    """Linux tells user and system time to a clock tick each; and a server uses some more once it has told."""

    def __init__(self) -> None:
        self._told: dict[str, Told] = {}
        self._now_ms = self.begin_ms

    def tell(self, *stories: Story) -> None:
        named = {f"u{number}": story for number, story in enumerate(stories, start=1)}
        self._told = {uid: Told(uid, story) for uid, story in named.items()}

    def metrics(self) -> ProcessMetrics:
        return ProcessMetrics(lambda: self._now_ms)

    def pass_to(self, minute: int) -> Mapping[str, Replica]:
        self._now_ms = self.begin_ms + minute * MINUTE_MS
        return {uid: told.pass_to(minute) for uid, told in self._told.items()}

    def used_us(self, uid: str) -> int:
        return self._told[uid].used_us

    def close(self) -> None:
        for told in self._told.values():
            told.stop()


@pytest.fixture
def source() -> Iterator[Processes]:
    made = Processes()
    yield made
    made.close()
