"""Models are tried outside of the builder's process."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from textwrap import indent

import psutil
import pytest
import uvloop

from services.builder.adapters.inspector_process import Bounds
from services.builder.domain.failure import BuildError
from services.builder.domain.image import Layer
from services.builder.domain.lock import Lock
from services.builder.ports import Dependencies

SIGNATURE = '{"inputs": [{"name": "x", "dtype": "int8", "shape": [-1]}], "outputs": []}'


@pytest.fixture(params=["host", "sandbox"])
def inspector(request, make_inspector):
    """Makes inspectors whose runtime's check does what a test says, without a sandbox and in one."""
    sandbox = None if request.param == "host" else request.getfixturevalue("sandbox")
    return partial(make_inspector, sandbox)


@pytest.fixture
def on_host(make_inspector):
    """The same without a sandbox, whose checks may leave their marks on this machine."""
    return partial(make_inspector, None)


async def test_the_last_line_of_the_output_is_the_signature(tmp_path, inspector, dependencies):
    check = f"print('a library greets'); print('''{SIGNATURE}''')"

    found = await inspector(check).signature(tmp_path / "model", dependencies)

    assert found.inputs[0].name == "x"


async def test_a_signature_of_two_thousand_columns_comes_whole(tmp_path, inspector, dependencies):
    check = """
import json
tensors = [{"name": f"column_{number}", "dtype": "float32", "shape": [-1, 1]} for number in range(2000)]
print(json.dumps({"inputs": tensors, "outputs": tensors[:1]}))
"""
    found = await inspector(check).check(tmp_path / "model", dependencies)

    assert [each.name for each in found.inputs] == [f"column_{number}" for number in range(2000)]


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
    await inspector(check).signature(tmp_path / "model", dependencies)


async def test_the_runtimes_own_words_are_the_reason(tmp_path, inspector, dependencies):
    check = """print('{"error": "no such operator"}'); return 1"""

    with pytest.raises(BuildError, match="no such operator") as error:
        await inspector(check).check(tmp_path / "model", dependencies)

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
        await inspector(check).signature(tmp_path / "model", dependencies)


@pytest.mark.parametrize(
    "check",
    [
        "print('x' * 3_000_000)",
        """print('{"error": "' + 'x' * 3_000_000 + '"}')""",
        """print('{"inputs": [' + '1,' * 100_000 + '1], "outputs": []}')""",
    ],
    ids=["words", "error", "signature"],
)
async def test_what_a_failed_build_says_fits_into_an_event_whatever_its_model_says(
    tmp_path, inspector, dependencies, check
):
    with pytest.raises(BuildError) as error:
        await inspector(check).check(tmp_path / "model", dependencies)

    assert len(str(error.value)) < 30_000


async def test_a_model_that_takes_too_long_is_killed_with_its_children(tmp_path, on_host, dependencies):
    check = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
open({str(tmp_path / "pid")!r}, "w").write(str(child.pid))
time.sleep(60)
"""
    with pytest.raises(BuildError, match=r"within 3 s"):
        await on_host(check, seconds=3).check(tmp_path / "model", dependencies)

    await gone(int((tmp_path / "pid").read_text()))


async def gone(pid: int) -> None:
    deadline = time.monotonic() + 60
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not limit address space")
async def test_a_model_that_takes_too_much_memory_is_a_failed_build(tmp_path, inspector, dependencies):
    check = "x = bytearray(10**9); print('{}')"

    with pytest.raises(BuildError, match="MemoryError"):
        await inspector(check, memory_mib=512).check(tmp_path / "model", dependencies)


async def test_a_model_may_use_memory_and_time_by_its_own_size(tmp_path, inspector, dependencies):
    check = """
import json, resource
print(json.dumps({"error": f"{resource.getrlimit(resource.RLIMIT_AS)[0] // 2**20} MiB of addresses"}))
"""
    with (tmp_path / "model/weights").open("wb") as file:
        file.truncate(3 * 2**30)

    with pytest.raises(BuildError, match=r"^7168 MiB of addresses$"):
        await inspector(check, memory_mib=1024).check(tmp_path / "model", dependencies)

    assert Bounds(seconds=100).of(3 * 2**30).seconds == 100 + 3 * 1024 / 25


async def test_the_next_model_finds_the_libraries_warm_and_nothing_of_the_one_before(
    tmp_path, inspector, dependencies
):
    check = f"""
import library
assert library.ANSWER == 42
library.ANSWER = 0
print('''{SIGNATURE}'''.replace("x", STARTED))
"""
    warm = inspector(check)

    first = await warm.signature(tmp_path / "model", dependencies)
    second = await warm.signature(tmp_path / "model", dependencies)

    assert first == second  # children of one process


def others(tmp_path) -> Dependencies:
    (tmp_path / "others").mkdir()
    return Dependencies(Lock("others", ""), Layer("sha256:", "sha256:", 0), tmp_path / "others", cached=True)


async def test_libraries_that_were_not_used_for_long_are_kept_warm_no_more(tmp_path, inspector, dependencies):
    check = f"print('''{SIGNATURE}'''.replace('x', STARTED))"
    warm, other = inspector(check, most_warm=1), others(tmp_path)

    first = await warm.signature(tmp_path / "model", dependencies)
    await warm.check(tmp_path / "model", other)
    again = await warm.signature(tmp_path / "model", dependencies)

    assert first != again


async def test_libraries_that_were_removed_and_installed_again_are_imported_anew(
    tmp_path, inspector, dependencies
):
    warm = inspector(f"import library; print('''{SIGNATURE}''')")
    await warm.signature(tmp_path / "model", dependencies)

    shutil.rmtree((tmp_path / "site").rename(tmp_path / "removed"))
    (tmp_path / "site").mkdir()
    (tmp_path / "site/library.py").write_text("ANSWER = 42")

    assert (await warm.signature(tmp_path / "model", dependencies)).inputs[0].name == "x"
    assert len(list((tmp_path / "inspector").glob("tmp*"))) == 1  # the one before has ended


async def test_libraries_that_are_in_use_are_not_taken_away_by_others(tmp_path, inspector, dependencies):
    slow = f"""
import time
time.sleep(0.5 if "signature" in arguments else 0)
print('''{SIGNATURE}''')
"""
    warm, other = inspector(slow, most_warm=1), others(tmp_path)
    await warm.warm(dependencies)

    found, _ = await asyncio.gather(
        warm.signature(tmp_path / "model", dependencies), warm.check(tmp_path / "model", other)
    )

    assert found.inputs[0].name == "x"


async def test_a_warm_process_that_was_killed_is_started_again(tmp_path, on_host, dependencies):
    check = f"""
import os, signal
marker = {str(tmp_path / "killed")!r}
if not os.path.exists(marker):
    open(marker, "w").close()
    os.kill(os.getppid(), signal.SIGKILL)
print('''{SIGNATURE}''')
"""
    warm = on_host(check)
    await warm.signature(tmp_path / "model", dependencies)

    assert (await warm.signature(tmp_path / "model", dependencies)).inputs[0].name == "x"


@pytest.mark.parametrize("mode", ["none", "auto"])
async def test_warm_processes_end_with_the_builder_even_if_it_is_killed(
    tmp_path, make_inspector, dependencies, mode
):
    make_inspector(None, "pass")  # for its runtime
    builder = f"""
import asyncio, os, sys
from pathlib import Path
from services.builder.adapters import bubblewrap
from services.builder.adapters.inspector_process import Bounds, ProcessInspector
from services.builder.domain.lock import Lock
from services.builder.ports import Dependencies

python = Path(sys._base_executable)
inspector = ProcessInspector(
    directory=Path({str(tmp_path / "killed")!r}),
    python=python,
    runtime=Path({str(tmp_path / "runtime")!r}),
    bounds=Bounds(),
    sandbox=bubblewrap.find({mode!r}, python)[0],
)
dependencies = Dependencies(Lock("onnx", ""), None, Path({str(tmp_path / "site")!r}), True)
asyncio.run(inspector.warm(dependencies))
print("warm", flush=True)
sys.stdin.read()
"""
    command = [sys.executable, "-c", builder]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220 - it takes a moment
    with process:
        assert await asyncio.to_thread(process.stdout.readline) == "warm\n"
        assert busy_with(tmp_path / "killed")
        process.kill()

    async with asyncio.timeout(60):
        while busy_with(tmp_path / "killed"):  # noqa: ASYNC110 - processes do not tell
            await asyncio.sleep(0.01)


def busy_with(directory: Path) -> list[int]:
    """The processes that work in a directory, or whose sandbox shows it."""
    shown = [each for each in psutil.process_iter(["cwd", "cmdline"]) if each.pid != os.getpid()]
    said = {
        each.pid: f"{each.info['cwd']} {each.info['cmdline'] and each.info['cmdline'][:-1]}" for each in shown
    }
    return [pid for pid, words in said.items() if str(directory) in words]


async def test_libraries_that_cannot_be_imported_are_a_failed_build(tmp_path, inspector, dependencies):
    broken = inspector("pass")
    (tmp_path / "runtime/so1s_runtime/check.py").write_text("import no_such_library")

    with pytest.raises(BuildError, match="no_such_library") as error:
        await broken.check(tmp_path / "model", dependencies)

    assert error.value.reason == "dependencies"


def test_the_event_loop_of_a_running_service_does_not_hold_it_up(tmp_path, inspector, dependencies):
    # uvloop, which uvicorn takes, lets its own file descriptors through to a process that is given one.
    warm = inspector(f"print('''{SIGNATURE}''')")

    assert uvloop.run(warm.signature(tmp_path / "model", dependencies)).inputs[0].name == "x"


async def test_an_inspector_that_is_stopped_while_libraries_are_imported_leaves_nothing(
    tmp_path, on_host, dependencies
):
    begun = tmp_path / "begun"
    cold = on_host("pass")
    slow = f"from pathlib import Path; import time; Path({str(begun)!r}).touch(); time.sleep(60)"
    (tmp_path / "runtime/so1s_runtime/check.py").write_text(slow)
    starting = asyncio.create_task(cold.warm(dependencies))
    async with asyncio.timeout(60):
        while not begun.exists():  # noqa: ASYNC110 - a file does not tell
            await asyncio.sleep(0.01)
    starting.cancel()
    await asyncio.wait([starting])

    assert not list((tmp_path / "inspector").glob("tmp*"))


async def test_what_a_killed_builder_left_is_removed_at_the_start(tmp_path, inspector, dependencies):
    (tmp_path / "inspector/left").mkdir(parents=True)

    await inspector("pass").warm(dependencies)

    assert not (tmp_path / "inspector/left").exists()


COMPILED = json.dumps(
    {"library": "l 1", "compiler": "c 1", "rows": 1, "sample_rows": 0, "difference": 0.0, "place": "label[0]"}
)


def compiler_in(tmp_path, body: str) -> None:
    package = tmp_path / "runtime/so1s_compiler"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "compile.py").write_text("def main(arguments):\n" + indent(body, "    "))
    (tmp_path / "model").mkdir(exist_ok=True)


async def test_a_compiled_model_comes_whole_over_the_connection(tmp_path, inspector, dependencies):
    compiling = inspector("pass")
    body = f"""
import base64
for part in range(3000):
    print("onnx " + base64.b64encode(bytes([part % 256]) * 2880).decode())
print("a library greets")
print('{COMPILED}')
"""
    compiler_in(tmp_path, body)

    found = await compiling.compile(tmp_path / "model", tmp_path / "compiled.onnx", dependencies)

    assert (found.compiler, found.rows) == ("c 1", 1)
    whole = b"".join(bytes([part % 256]) * 2880 for part in range(3000))
    assert (tmp_path / "compiled.onnx").read_bytes() == whole


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("""print('{"error": "no estimator"}')""", "no estimator"),
        ("print('onnx ?')", "cannot be loaded"),
        ("print('{}')", "answers nonsense"),
        ("import os; os.kill(os.getpid(), 9)", "cannot be loaded"),
    ],
    ids=["error", "broken", "nonsense", "killed"],
)
async def test_a_compiler_that_fails_is_a_failed_build(tmp_path, inspector, dependencies, body, said):
    compiling = inspector("pass")
    compiler_in(tmp_path, body)

    with pytest.raises(BuildError, match=said):
        await compiling.compile(tmp_path / "model", tmp_path / "compiled.onnx", dependencies)
