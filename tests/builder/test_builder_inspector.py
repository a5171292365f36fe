"""Models are tried outside of the builder's process."""

import os
import sys
from pathlib import Path

import psutil
import pytest

from services.builder.adapters.inspector_process import ProcessInspector
from services.builder.domain.failure import BuildError
from services.builder.layers import Layer
from services.builder.ports import Dependencies

SIGNATURE = '{"inputs": [{"name": "x", "dtype": "int8", "shape": [-1]}], "outputs": []}'


def inspector(directory: Path, check: str, *, seconds: float = 10, memory_mib: int = 4096):
    """An inspector whose runtime does what `check` says."""
    package = directory / "runtime/so1s_runtime"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "check.py").write_text(check)
    python = Path(getattr(sys, "_base_executable", sys.executable))
    return ProcessInspector(
        python=python, runtime=directory / "runtime", seconds=seconds, memory_mib=memory_mib
    )


@pytest.fixture
def dependencies(tmp_path) -> Dependencies:
    (tmp_path / "site").mkdir()
    (tmp_path / "site/library.py").write_text("ANSWER = 42")
    return Dependencies(Layer("sha256:", "sha256:", 0), tmp_path / "site", cached=True)


async def test_the_last_line_of_the_output_is_the_signature(tmp_path, dependencies):
    check = f"print('a library greets'); print('''{SIGNATURE}''')"

    found = await inspector(tmp_path, check).signature("onnx", tmp_path / "m", dependencies)

    assert found.inputs[0].name == "x"


async def test_a_model_sees_its_own_libraries_and_neither_the_builders_nor_its_secrets(
    tmp_path, dependencies, monkeypatch
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
    await inspector(tmp_path, check).signature("onnx", tmp_path / "m", dependencies)


async def test_the_runtimes_own_words_are_the_reason(tmp_path, dependencies):
    check = """print('{"error": "no such operator"}'); raise SystemExit(1)"""

    with pytest.raises(BuildError, match="no such operator") as error:
        await inspector(tmp_path, check).check(tmp_path, dependencies)

    assert error.value.reason == "format"


@pytest.mark.parametrize(
    ("check", "said"),
    [
        ("import os; os.kill(os.getpid(), 9)", "exit code -9"),
        ("raise ImportError('no module named x')", "no module named x"),
        ("print('[1, 2]')", "signature cannot be served"),
        ("print('x' * 10_000_000)", "cannot be loaded"),
        ("print('''{}''')", "signature cannot be served"),
    ],
)
async def test_a_check_that_dies_or_answers_nonsense_is_a_failed_build(tmp_path, dependencies, check, said):
    with pytest.raises(BuildError, match=said):
        await inspector(tmp_path, check).signature("onnx", tmp_path / "m", dependencies)


async def test_a_model_that_takes_too_long_is_killed_with_its_children(tmp_path, dependencies):
    check = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
open({str(tmp_path / "pid")!r}, "w").write(str(child.pid))
time.sleep(60)
"""
    with pytest.raises(BuildError, match=r"within 1 s"):
        await inspector(tmp_path, check, seconds=1).check(tmp_path, dependencies)

    pid = int((tmp_path / "pid").read_text())
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not limit address space")
async def test_a_model_that_takes_too_much_memory_is_a_failed_build(tmp_path, dependencies):
    check = "x = bytearray(10**9); print('{}')"

    with pytest.raises(BuildError, match="MemoryError"):
        await inspector(tmp_path, check, memory_mib=512).check(tmp_path, dependencies)

    assert os.environ  # the builder itself has no such limit
