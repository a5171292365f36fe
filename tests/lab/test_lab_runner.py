import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from so1s_lab import runner as runner_module
from so1s_lab.part import MissingPartError
from so1s_lab.runner import PartNotReadyError, Runner
from so1s_local.process import Unit


@dataclass(frozen=True)
class Sleeper:
    """A part that needs nothing; ready once it runs."""

    name: str = "sleeper"
    version: str = "1"
    ready: bool = True
    missing: str = ""

    def prepare(self) -> None:
        if self.missing:
            raise MissingPartError(self.missing)

    def unit(self) -> Unit:
        async def ready() -> bool:
            return self.ready

        return Unit(self.name, ["sh", "-c", "echo I sleep; exec sleep 600"], ready)


@pytest.fixture
def own(tmp_path: Path):
    with Runner(tmp_path / "own") as runner:
        yield runner


def _pid(run_dir: Path, name: str = "sleeper") -> int:
    return json.loads((run_dir / "processes" / f"{name}.json").read_text())["pid"]


def test_a_run_leaves_no_process_behind(tmp_path: Path) -> None:
    with Runner(tmp_path / "run") as runner:
        runner.start(Sleeper("a"), Sleeper("b"))
        pids = [_pid(runner.run_dir, name) for name in "ab"]
        assert all(map(psutil.pid_exists, pids))
    assert not any(map(psutil.pid_exists, pids))


def test_the_directory_of_a_run_is_removed_though_the_next_run_did_so_before(tmp_path: Path) -> None:
    with Runner(tmp_path / "run") as runner:
        pass
    with Runner(tmp_path / "next") as following:
        assert not runner.run_dir.exists()
        runner.remove()
    following.remove()
    assert not following.run_dir.exists()


def test_none_of_a_group_is_started_where_one_is_missing(own: Runner) -> None:
    with pytest.raises(MissingPartError, match="no sheep"):
        own.start(Sleeper("a"), Sleeper("b", missing="no sheep"))
    assert own.started == []
    assert not list((own.run_dir / "processes").iterdir())


async def test_a_part_that_is_not_ready_in_time_shows_what_it_printed(
    own: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "_READY_SECONDS", 0.5)
    with pytest.raises(PartNotReadyError, match=r"sleeper is not ready after .*\nI sleep"):
        own.start(Sleeper(ready=False))


def test_what_a_killed_run_left_behind_is_ended_by_the_next(tmp_path: Path, own: Runner) -> None:
    killed = tmp_path / "killed"
    program = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from pathlib import Path; from test_lab_runner import Sleeper; from so1s_lab.runner import Runner\n"
        f"with Runner(Path({str(killed)!r})) as runner:\n"
        "    runner.start(Sleeper()); print('up', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout
        assert child.stdout.readline() == b"up\n"
        pid = _pid(killed)
        child.kill()
    assert psutil.pid_exists(pid)
    with Runner(tmp_path / "next"):
        assert not psutil.pid_exists(pid)
        assert not killed.exists()
    assert own.run_dir.exists()
