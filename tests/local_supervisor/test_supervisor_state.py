"""What supervisors do with the state that others use, or left behind."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from so1s_local.ports import Ports
from so1s_local.process import Process, Unit, end_leftovers, pause_seconds, python, record
from so1s_local.settings import load
from so1s_local.supervisor import Lock, PlatformRunsError, Supervisor
from so1s_local.units import Plan


@pytest.fixture
def plan(tmp_path) -> Plan:
    plan = Plan(load().model_copy(update={"ports": {}}), tmp_path / ".so1s")
    plan.prepare()
    return plan


@pytest.fixture
def left(plan: Plan) -> Iterator[subprocess.Popen]:
    """A process of a supervisor that is no more."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        record(plan.run_dir / "kafka.json", process.pid)
        yield process
        process.kill()


def supervisor(plan: Plan) -> Supervisor:
    return Supervisor(plan, output=lambda _name, _line: None, progress=lambda _name, _seconds: None)


async def test_clearing_a_state_ends_what_was_left_running_on_it(plan, left):
    await supervisor(plan).clear()
    assert left.poll() is not None
    assert not plan.state_dir.exists()


def test_a_platform_may_have_some_of_the_services(plan):
    some = plan.settings.model_copy(update={"services": {name: {} for name in ("console", "router")}})
    fewer = Plan(some, plan.state_dir)
    fewer.prepare()
    console, router = fewer.services()
    assert (console.name, router.name) == ("console", "router")
    assert "SO1S_BUILDER_URL" not in console.environment
    every = {each.name: each.environment for each in plan.services()}
    assert every["console"]["SO1S_BUILDER_URL"] == f"http://127.0.0.1:{plan.ports['builder']}"


def is_free(plan: Plan) -> bool:
    lock = Lock(plan.state_dir / "lock")
    lock.acquire()
    lock.release()
    return True


class Holding(Plan):
    """A plan whose replicas cannot be ended."""

    def down(self):
        return replace(super().down(), command=python("tests.local_supervisor.child", "3"))


async def test_a_state_whose_replicas_cannot_be_ended_is_kept_and_its_log_says_why(plan):
    said = []
    holding = Holding(plan.settings, plan.state_dir)
    clearing = Supervisor(holding, output=lambda *line: said.append(line), progress=lambda *_: None)
    with pytest.raises(PlatformRunsError, match=r"cannot be ended: .*deployer\.log says why"):
        await clearing.clear()
    assert plan.state_dir.exists()
    assert ("deployer", "replicas may run on: what ends them ended with 3") in said
    assert is_free(plan)


async def test_a_platform_stops_whole_though_nothing_can_be_forked(plan, monkeypatch):
    async def fail(_forks, _unit):
        raise OSError("the process to fork from ended")

    monkeypatch.setattr("so1s_local.forks.Forks.launch", fail)
    monkeypatch.setattr("so1s_local.supervisor._READY_SECONDS", 0.5)
    starting = supervisor(plan)
    with pytest.raises(TimeoutError):
        await starting.__aenter__()
    assert starting.processes == {}
    assert end_leftovers(plan.run_dir) == []
    assert is_free(plan)


@pytest.mark.parametrize("act", [Supervisor.clear, Supervisor.__aenter__])
async def test_a_second_supervisor_is_refused_and_changes_nothing(plan, left, act):
    lock = Lock(plan.state_dir / "lock")
    lock.acquire()
    ports = (plan.state_dir / "ports.json").read_text()
    with pytest.raises(PlatformRunsError):
        await act(supervisor(Plan(plan.settings, plan.state_dir)))
    assert left.poll() is None
    assert (plan.state_dir / "ports.json").read_text() == ports
    lock.release()


def test_ports_differ_even_where_the_system_offers_one_twice(tmp_path, monkeypatch):
    offered = iter([50_001, 50_001, 50_002])
    monkeypatch.setattr("so1s_local.ports.free_port", lambda _wanted: next(offered))
    assert Ports(tmp_path / "ports.json").choose(["kafka", "slack"]) == {"kafka": 50_001, "slack": 50_002}


def test_a_record_is_there_as_a_whole_or_not_at_all(plan, left, monkeypatch):
    """A supervisor that died while it wrote one does not keep the next one from its start."""
    path = plan.run_dir / "slack.json"

    def die(_self, _text):
        raise KeyboardInterrupt

    monkeypatch.setattr("pathlib.Path.replace", die)
    with pytest.raises(KeyboardInterrupt):
        record(path, left.pid)
    assert not path.exists()
    assert end_leftovers(plan.run_dir) == ["kafka"]


async def test_a_line_of_any_length_leaves_a_process_supervised(tmp_path, eventually):
    lines = []
    told = "print('x' * 3_000_000, flush=True); print('on', flush=True); import time; time.sleep(600)"
    unit = Unit("talker", [sys.executable, "-c", told], ready=lambda: asyncio.sleep(0, result=True))
    process = Process(unit, tmp_path, lambda _name, line: lines.append(line))
    await process.start(10)
    await eventually(lambda: "on" in lines)
    await process.stop()
    assert process.restarts == 0


def test_what_somebody_kills_comes_back_at_once_however_often_and_what_cannot_run_is_tried_less_and_less():
    def pauses(lives):
        pause = 0.0
        return [pause := pause_seconds(lived, pause) for lived in lives]

    assert pauses([8.0] * 10) == [0.2] * 10
    assert pauses([1.0] * 8) == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]
    assert pauses([1.0, 1.0, 8.0, 1.0]) == [0.2, 0.4, 0.2, 0.4]
