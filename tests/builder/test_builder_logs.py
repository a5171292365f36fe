"""Logs of builds: kept with the builds, so that whichever replica is asked shows them while they grow."""

import asyncio

import pytest
from sqlalchemy import delete

from services.builder import logs
from services.builder.build_log import BuildLog
from services.builder.domain.failure import BuildError
from services.builder.domain.hints import hint
from so1s.errors import TemporaryError
from so1s.events import BuildFailed
from tests.builder.working import at_work, both_databases, until


def said(lines: list[str]) -> list[str]:
    """Lines without their time."""
    return [line.partition("Z  ")[2] for line in lines]


@both_databases
async def test_a_log_can_be_read_while_its_build_runs(shop, skops_model):
    shop.inspector.hold = True
    await shop.say(shop.uploaded(data=skops_model))
    async with at_work(shop.worker(lease_seconds=5)) as task:

        async def shows_the_step() -> bool:
            return "model: started" in said(await shop.log())

        await until(shows_the_step)
        shop.inspector.go_on.set()
        await asyncio.wait_for(task, 60)

    lines = said(await shop.log())
    assert lines[0] == "build 1 of risk/fraud@3, try 1"
    assert [line.partition(":")[0] for line in lines[1:] if line.endswith("started")] == [
        *("fetch", "inspect", "dependencies", "model", "image")
    ]
    assert lines[-1].startswith("image: sha256:")
    assert len(lines) == len(set(lines))  # none is stored twice


@both_databases
async def test_each_try_goes_on_in_the_log_after_the_one_before_it(shop, skops_model):
    shop.inspector.error = TemporaryError("the store is away")
    await shop.say(shop.uploaded(data=skops_model))
    await shop.worker("one").work()
    shop.inspector.error = None
    other = shop.worker("other")

    async def built() -> bool:
        await other.work()
        return await shop.state() == "built"

    await until(built)
    tries = [line for line in said(await shop.log()) if "try" in line or "put off" in line]
    put_off = len(tries) // 2  # by the first worker more than once, where it finds the build again at once
    assert put_off > 0
    tried = (f"build 1 of risk/fraud@3, try {number}" for number in range(1, put_off + 2))
    assert tries[::2] == [*tried]
    assert set(tries[1::2]) == {"put off: TemporaryError('the store is away')"}


@both_databases
async def test_lines_whose_commit_was_not_heard_of_are_stored_once(shop, skops_model):
    await shop.say(shop.uploaded(data=skops_model))
    build = await shop.worker()._claim()
    log = BuildLog(1, 1)
    for line in ("first", "second"):
        log.write(line)
        async with shop.store.transaction() as tx:
            await logs.append(tx, build, log)
            tx.afterwards.clear()  # the answer to the commit is lost
    async with shop.store.transaction() as tx:
        await logs.append(tx, build, log)
    assert log.waiting is None
    assert said(await shop.log()) == ["first", "second"]


@both_databases
async def test_whoever_follows_a_log_is_given_what_is_new_and_older_chunks_are_not_read(shop, skops_model):
    await shop.say(shop.uploaded(data=skops_model))
    build = await shop.worker()._claim()
    for try_, chunks in ((1, ["ab", "c"]), (2, ["def", "g"])):
        log = BuildLog(1, try_)
        for chunk in chunks:
            for line in chunk:
                log.write(line)
            async with shop.store.transaction() as tx:
                await logs.append(tx, build, log)

    async def after(count: int) -> str:
        async with shop.store.read() as connection:
            found = await logs.read(connection, "risk", "fraud", "3", 1, after=count)
        return "".join(said(found))

    assert [await after(count) for count in range(9)] == ["abcdefg"[count:] for count in range(9)]
    columns = logs.build_logs.c
    async with shop.store.transaction() as tx:
        await tx.execute(delete(logs.build_logs).where(columns["try"] == 1, columns.position == 0))
    assert [await after(count) for count in (2, 5, 6)] == ["cdefg", "fg", "g"]


def test_of_two_transactions_that_store_the_same_lines_the_one_that_is_told_last_takes_no_more_away():
    log = BuildLog(1, 1)
    log.write("first")
    earlier = log.waiting
    log.write("second")
    later = log.waiting
    log.write("third")
    log.stored(later)
    log.stored(earlier)
    assert said(list(log.waiting.lines)) == ["third"]
    assert log.waiting.position == 2


def test_of_a_log_that_is_too_long_the_beginning_and_the_end_are_kept():
    log = BuildLog(1, 1)
    for number in range(3000):
        log.write(f"{number} " + "x" * 2000)
    log.write("failed: it")
    log.end()
    lines = log.waiting.lines
    assert said([lines[0]])[0].startswith("0 ")
    assert "lines are left out" in lines[-51]
    assert lines[-1] == "failed: it"
    assert sum(map(len, lines)) < 5 * 2**20


@both_databases
async def test_what_an_installer_says_in_foreign_characters_is_kept(shop, skops_model):
    await shop.say(shop.uploaded(data=skops_model))
    build = await shop.worker()._claim()
    log = BuildLog(1, 1)
    log.write("a\0b\ud800 ✗\r50 %\nnext")
    async with shop.store.transaction() as tx:
        await logs.append(tx, build, log)
    assert len(await shop.log()) >= 2


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        ("ModuleNotFoundError: No module named 'sklearn.ensemble'", "add it to requirements.txt"),
        ("error: Hash mismatch for `x`", "other bytes than the lock names"),
        ("the model took more than 8192 MiB of memory", "SO1S_INSPECT_MEMORY_MIB"),
        ("the process was ended by SIGKILL", "twice a model's size"),
        ("failed: the model did not load within 120 s", "SO1S_INSPECT_SECONDS"),
        (
            "a==1 cannot be built from source: error: command 'gcc' failed: No such file",
            "a==1 has parts that a",
        ),
        (
            "a==1 cannot be built from source: [Errno 2] No such file or directory: '/usr/bin/g++'",
            "a compiler",
        ),
        ("a==1 cannot be built from source: No CMAKE_CXX_COMPILER could be found.", "a compiler"),
        ("a==1 cannot be built from source: No such file or directory: 'README'", None),
        (
            "a==1 cannot be built from source: No module named 'numpy'",
            "a==1 imports numpy, which its pyproject",
        ),
        (
            "a==1 cannot be built from source: the build took more than 9 MiB of memory",
            "SO1S_SOURCE_MEMORY_MIB",
        ),
        ("a==1 cannot be built from source: No space left on device", "SO1S_SOURCE_TEMPORARY_MIB"),
        ("error: command 'gcc' failed: No such file", None),  # of a model, and not of a build from source
        ("all is well", None),
    ],
)
def test_errors_in_foreign_words_get_a_hint(line, asked):
    found = hint(["before", line, "after"])
    assert found is None if asked is None else asked in found


async def test_a_hint_stands_at_the_end_of_a_failed_builds_log(shop, skops_model):
    shop.inspector.error = BuildError("format", "the model breaks: No module named 'lightning'")
    await shop.say(shop.uploaded(data=skops_model))
    await shop.worker().work()
    failed = (await shop.emitted())[-1]
    assert isinstance(failed, BuildFailed)
    assert failed.log_tail[-1].startswith("hint: the model's code imports lightning")
    assert said(await shop.log())[-2:] == failed.log_tail[-2:]
