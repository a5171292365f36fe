"""Models are tried outside of the builder's process."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path
from textwrap import indent

import psutil
import pytest
import uvloop

from services.builder.adapters.inspector_process import ProcessInspector
from services.builder.domain.failure import BuildError
from services.builder.domain.image import Layer
from services.builder.domain.lock import Lock
from services.builder.ports import Dependencies

SIGNATURE = '{"inputs": [{"name": "x", "dtype": "int8", "shape": [-1]}], "outputs": []}'


@pytest.fixture
def inspector(tmp_path):
    """Makes inspectors whose runtime's check does what a test says."""
    made = []

    def make(check: str, *, seconds: float = 10, memory_mib: int = 4096) -> ProcessInspector:
        package = tmp_path / "runtime/so1s_runtime"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "check.py").write_text("def main(arguments):\n" + indent(check, "    "))
        inspector = ProcessInspector(
            directory=tmp_path / "inspector",
            python=Path(sys._base_executable),
            runtime=tmp_path / "runtime",
            seconds=seconds,
            memory_mib=memory_mib,
        )
        made.append(inspector)
        return inspector

    yield make
    for each in made:
        each.close()


@pytest.fixture
def dependencies(tmp_path) -> Dependencies:
    (tmp_path / "site").mkdir()
    (tmp_path / "site/library.py").write_text("ANSWER = 42")
    return Dependencies(Lock("onnx", ""), Layer("sha256:", "sha256:", 0), tmp_path / "site", cached=True)


async def test_the_last_line_of_the_output_is_the_signature(tmp_path, inspector, dependencies):
    check = f"print('a library greets'); print('''{SIGNATURE}''')"

    found = await inspector(check).signature(tmp_path / "m", "onnx", dependencies)

    assert found.inputs[0].name == "x"


async def test_a_model_sees_its_own_libraries_and_neither_the_builders_nor_its_secrets(
    tmp_path, inspector, dependencies, monkeypatch
):
    monkeypatch.setenv("SO1S_S3_SECRET_ACCESS_KEY", "secret")
    check = f"""
import os, library
assert library.ANSWER == 42
assert "secret" not in str(os.environ)
try:
    import sqlalchemy
except ImportError:
    print('''{SIGNATURE}''')
"""
    await inspector(check).signature(tmp_path / "m", "onnx", dependencies)


async def test_the_runtimes_own_words_are_the_reason(tmp_path, inspector, dependencies):
    check = """print('{"error": "no such operator"}'); return 1"""

    with pytest.raises(BuildError, match="no such operator") as error:
        await inspector(check).check(tmp_path, dependencies)

    assert error.value.reason == "format"


@pytest.mark.parametrize(
    ("check", "said"),
    [
        ("import os; os.kill(os.getpid(), 9)", "cannot be loaded"),
        ("raise ImportError('no module named x')", "no module named x"),
        ("print('[1, 2]')", "signature cannot be served"),
        ("print('x' * 10_000_000)", "cannot be loaded"),
        ("print('''{}''')", "signature cannot be served"),
    ],
)
async def test_a_check_that_dies_or_answers_nonsense_is_a_failed_build(
    tmp_path, inspector, dependencies, check, said
):
    with pytest.raises(BuildError, match=said):
        await inspector(check).signature(tmp_path / "m", "onnx", dependencies)


async def test_a_model_that_takes_too_long_is_killed_with_its_children(tmp_path, inspector, dependencies):
    check = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
open({str(tmp_path / "pid")!r}, "w").write(str(child.pid))
time.sleep(60)
"""
    with pytest.raises(BuildError, match=r"within 1 s"):
        await inspector(check, seconds=1).check(tmp_path, dependencies)

    await gone(int((tmp_path / "pid").read_text()))


async def gone(pid: int) -> None:
    deadline = time.monotonic() + 5
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not limit address space")
async def test_a_model_that_takes_too_much_memory_is_a_failed_build(tmp_path, inspector, dependencies):
    check = "x = bytearray(10**9); print('{}')"

    with pytest.raises(BuildError, match="MemoryError"):
        await inspector(check, memory_mib=512).check(tmp_path, dependencies)


async def test_the_next_model_finds_the_libraries_warm_and_nothing_of_the_one_before(
    tmp_path, inspector, dependencies
):
    check = """
import library, os, json
assert library.ANSWER == 42
library.ANSWER = 0
print(json.dumps({"inputs": [{"name": str(os.getppid()), "dtype": "int8", "shape": []}], "outputs": []}))
"""
    warm = inspector(check)

    first = await warm.signature(tmp_path / "m", "onnx", dependencies)
    second = await warm.signature(tmp_path / "m", "onnx", dependencies)

    assert first == second  # children of one process


async def test_a_warm_process_that_was_killed_is_started_again(tmp_path, inspector, dependencies):
    check = f"""
import os, signal
marker = {str(tmp_path / "killed")!r}
if not os.path.exists(marker):
    open(marker, "w").close()
    os.kill(os.getppid(), signal.SIGKILL)
print('''{SIGNATURE}''')
"""
    warm = inspector(check)
    await warm.signature(tmp_path / "m", "onnx", dependencies)

    assert (await warm.signature(tmp_path / "m", "onnx", dependencies)).inputs[0].name == "x"


async def test_warm_processes_end_with_the_builder_even_if_it_is_killed(tmp_path, inspector, dependencies):
    inspector("""import os; print('{"error": "%d"}' % os.getppid())""")
    builder = f"""
import asyncio, os, sys
from pathlib import Path
from services.builder.adapters.inspector_process import ProcessInspector
from services.builder.domain.lock import Lock
from services.builder.ports import Dependencies

inspector = ProcessInspector(
    directory=Path({str(tmp_path / "inspector")!r}),
    python=Path(sys._base_executable),
    runtime=Path({str(tmp_path / "runtime")!r}),
    seconds=10,
    memory_mib=999,
)
dependencies = Dependencies(Lock("onnx", ""), None, Path({str(tmp_path / "site")!r}), True)
try:
    asyncio.run(inspector.check(Path(), dependencies))
except Exception as error:
    print(error, flush=True)
os.kill(os.getpid(), 9)
"""
    command = [sys.executable, "-c", builder]
    killed = await asyncio.to_thread(subprocess.run, command, stdout=subprocess.PIPE, check=False)

    await gone(int(killed.stdout))


async def test_libraries_that_cannot_be_imported_are_a_failed_build(tmp_path, inspector, dependencies):
    broken = inspector("pass")
    (tmp_path / "runtime/so1s_runtime/check.py").write_text("import no_such_library")

    with pytest.raises(BuildError, match="no_such_library") as error:
        await broken.check(tmp_path, dependencies)

    assert error.value.reason == "dependencies"


def test_the_event_loop_of_a_running_service_does_not_hold_it_up(tmp_path, inspector, dependencies):
    # uvloop, which uvicorn takes, lets its own file descriptors through to a process that is given one.
    warm = inspector(f"print('''{SIGNATURE}''')")

    assert uvloop.run(warm.signature(tmp_path / "m", "onnx", dependencies)).inputs[0].name == "x"


async def test_an_inspector_that_is_stopped_while_libraries_are_imported_leaves_nothing(
    tmp_path, inspector, dependencies
):
    begun = tmp_path / "begun"
    cold = inspector("pass")
    slow = f"from pathlib import Path; import time; Path({str(begun)!r}).touch(); time.sleep(60)"
    (tmp_path / "runtime/so1s_runtime/check.py").write_text(slow)
    starting = asyncio.create_task(cold.warm(dependencies))
    async with asyncio.timeout(10):
        while not begun.exists():  # noqa: ASYNC110 - a file does not tell
            await asyncio.sleep(0.01)
    starting.cancel()
    await asyncio.wait([starting])

    assert list((tmp_path / "inspector").iterdir()) == []


async def test_what_a_killed_builder_left_is_removed_at_the_start(tmp_path, inspector, dependencies):
    (tmp_path / "inspector/left").mkdir(parents=True)

    await inspector("pass").warm(dependencies)

    assert not (tmp_path / "inspector/left").exists()
    assert len(list((tmp_path / "inspector").iterdir())) == 1  # the warm process writes nowhere else
