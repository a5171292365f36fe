"""Services are forked from one process, and are as ones that were executed."""

import asyncio
import json
import os
import signal
import socket
import sys
from contextlib import suppress

import psutil
import pytest
import pytest_asyncio

from so1s_local.fork_server import Server
from so1s_local.forks import Forks
from so1s_local.process import Process, Unit, python

SECONDS = 60


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def complaints():
    return []


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def forks(complaints):
    """One for all: it imports for more than a second."""
    made = Forks(lambda name, line: complaints.append((name, line)))
    yield made
    await made.stop()


def unit(*words: str, module: str = "tests.local_supervisor.child", **environment: str) -> Unit:
    return Unit("child", python(module, *words), _always, environment, forked=True)


async def _always() -> bool:
    return True


async def said_by(child) -> dict:
    async with asyncio.timeout(SECONDS):
        return json.loads(await child.stdout.readline())


def processes_that_say(word: str) -> list[psutil.Process]:
    found = psutil.process_iter(["cmdline", "status"])
    return [each for each in found if word in " ".join(each.info["cmdline"] or [])]


def server_of(child) -> psutil.Process:
    return psutil.Process(child.pid).parent()


async def test_a_fork_is_as_an_interpreter_that_was_started_for_the_module(forks):
    said = await said_by(await forks.launch(unit("stay", "on", SO1S_TOLD="much")))
    assert said["arguments"] == ["stay", "on"]
    assert said["told"] == "much"
    assert said["name"] == "__main__"
    assert said["threads"] == 1
    assert said["session"]


async def test_a_fork_has_nothing_open_but_its_own_output(forks):
    first = await forks.launch(unit("stay"))
    second = await forks.launch(unit("stay"))
    for child in (first, second):
        said = await said_by(child)
        assert said["input"] == ""
        assert [each for each in said["open"] if each > 2] == said["open"][3:4]  # the one that lists them


async def test_a_fork_counts_nothing_that_belongs_to_a_service(forks):
    said = await said_by(await forks.launch(unit("stay")))
    services = ("builder", "deployer", "router", "collector", "billing", "alerter", "console")
    assert not [name for name in said["metrics"] if name.removeprefix("so1s_").startswith(services)]


async def test_a_fork_is_listed_by_its_modules_name(forks):
    child = await forks.launch(unit("stay", "on"))
    await said_by(child)
    assert psutil.Process(child.pid).cmdline()[1:] == ["-m", "tests.local_supervisor.child", "stay", "on"]


@pytest.mark.parametrize(("word", "code"), [("0", 0), ("3", 3), ("raise", 1)])
async def test_how_a_fork_ends_is_told(forks, word, code):
    child = await forks.launch(unit(word))
    assert await asyncio.wait_for(child.wait(), SECONDS) == code
    assert child.returncode == code


async def test_what_kills_a_fork_is_told_and_its_output_ends(forks):
    child = await forks.launch(unit("stay"))
    await said_by(child)
    os.kill(child.pid, signal.SIGKILL)
    assert await asyncio.wait_for(child.wait(), SECONDS) == -signal.SIGKILL
    assert await child.stdout.read() == b""


async def test_a_fork_prints_what_it_failed_of(forks):
    child = await forks.launch(unit("raise"))
    printed = await asyncio.wait_for(child.stdout.read(), SECONDS)
    assert b"RuntimeError: as it was told" in printed


async def test_many_ask_at_once_and_each_gets_its_own(forks):
    children = await asyncio.gather(*(forks.launch(unit("stay", str(number))) for number in range(8)))
    said = await asyncio.gather(*map(said_by, children))
    assert [each["arguments"][1] for each in said] == [str(number) for number in range(8)]
    assert len({child.pid for child in children}) == 8


async def test_one_who_asked_and_left_leaves_nothing_to_the_next(forks):
    await said_by(await forks.launch(unit("stay")))
    left = asyncio.create_task(forks.launch(unit("stay", "left")))
    await asyncio.sleep(0)
    left.cancel()
    assert (await said_by(await forks.launch(unit("stay", "next"))))["arguments"] == ["stay", "next"]


async def test_a_process_that_nobody_waits_for_any_more_is_ended(forks, eventually):
    await said_by(await forks.launch(unit("stay")))
    left = asyncio.create_task(forks.launch(unit("stay", "in vain")))
    await asyncio.sleep(0)
    left.cancel()
    await forks.launch(unit("stay"))  # its turn is after that one's
    await eventually(lambda: not processes_that_say("in vain"))


async def test_settings_that_are_too_long_are_refused_and_the_next_is_forked(forks):
    with pytest.raises(OSError, match="allowed: 32000"):
        await forks.launch(unit("stay", SO1S_TOLD="x" * 40_000))
    assert (await said_by(await forks.launch(unit("stay", SO1S_TOLD="x" * 30_000))))["told"] == "x" * 30_000


async def test_where_no_process_can_be_made_that_is_told_and_those_that_are_there_go_on(monkeypatch):
    def fail():
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", fail)
    ours, theirs = socket.socketpair()
    answers, answered = os.pipe()
    nothing, output = os.pipe()
    socket.send_fds(ours, [b'{"module": "m", "arguments": [], "environment": {}}'], [output])
    ours.shutdown(socket.SHUT_WR)
    before = signal.getsignal(signal.SIGCHLD), signal.set_wakeup_fd(-1)
    try:
        assert Server(theirs, answered).serve() is None
    finally:
        signal.signal(signal.SIGCHLD, before[0])
        signal.set_wakeup_fd(before[1])
    assert json.loads(os.read(answers, 1000)) == {"error": "[Errno 11] Resource temporarily unavailable"}
    for each in (ours, theirs):
        each.close()
    for descriptor in (answers, answered, nothing, output):
        os.close(descriptor)


async def test_a_supervisor_that_is_killed_takes_what_it_forked_along(tmp_path, eventually):
    told = f"""
import asyncio
from so1s_local.fork_server import Server
from so1s_local.forks import Forks
from tests.local_supervisor.test_forks import unit

async def main():
    child = await Forks(print).launch(unit("stay"))
    open({str(tmp_path / "pid")!r}, "w").write(str(child.pid))
    await asyncio.Event().wait()

asyncio.run(main())
"""
    supervisor = await asyncio.create_subprocess_exec(sys.executable, "-c", told)
    await eventually(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), seconds=SECONDS)
    child = psutil.Process(int((tmp_path / "pid").read_text()))
    supervisor.kill()
    await supervisor.wait()
    await eventually(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


async def test_what_forks_has_one_thread(forks):
    child = await forks.launch(unit("stay"))
    assert server_of(child).num_threads() == 1


async def test_whoever_ends_the_process_to_fork_from_ends_what_it_forked_and_the_next_is_forked_anew(forks):
    first = await forks.launch(unit("stay"))
    await said_by(first)
    server_of(first).kill()
    assert await asyncio.wait_for(first.wait(), SECONDS) == -signal.SIGKILL
    second = await forks.launch(unit("stay"))
    assert (await said_by(second))["arguments"] == ["stay"]


async def test_a_supervised_fork_comes_back_with_the_process_to_fork_from(forks, tmp_path, eventually):
    lines: list[str] = []
    process = Process(unit("stay"), tmp_path, lambda _name, line: lines.append(line), forks.launch)
    await process.start(SECONDS)
    await eventually(lambda: lines)
    assert process.pid
    psutil.Process(process.pid).parent().kill()
    await eventually(lambda: len([line for line in lines if "arguments" in line]) == 2)
    assert process.restarts == 1
    await process.stop()


async def test_a_module_that_nobody_has_is_told_by_its_process(forks):
    child = await forks.launch(unit(module="tests.local_supervisor.nowhere"))
    assert b"No module named" in await asyncio.wait_for(child.stdout.read(), SECONDS)
    assert await child.wait() == 1


async def test_nothing_is_left_once_nobody_can_ask(complaints):
    forks = Forks(lambda name, line: complaints.append((name, line)))
    child = await forks.launch(unit("stay"))
    server = server_of(child)
    await asyncio.wait_for(forks.stop(), SECONDS)
    with suppress(psutil.NoSuchProcess):
        assert server.status() == psutil.STATUS_ZOMBIE
    assert child.returncode == -signal.SIGKILL
    assert complaints == []
