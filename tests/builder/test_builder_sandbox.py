"""A model that attacks whoever tries it fails its own build, and nothing else happens."""

import ast
import asyncio
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from services.builder.adapters import bubblewrap
from services.builder.adapters.inspection import calls
from services.builder.adapters.uv_environment import uv_environment
from services.builder.domain.failure import BuildError
from services.builder.domain.lock import Lock
from services.builder.domain.permission import Permissions
from so1s.errors import InvalidInput
from so1s.requirements import FILE_NAME

FINE = '{"inputs": [{"name": "x", "dtype": "int8", "shape": [-1]}], "outputs": []}'
ABOVE = [path.name for path in Path(sys._base_executable).resolve().parents if path.parent == Path.home()]
"""What must be seen of this user's own directory, where the interpreter lies below it."""
HARMLESS = f"if not os.path.exists(arguments[-1] + '/evil'):\n    print('''{FINE}''')\n    return\n"


@pytest.fixture
def attack(tmp_path, make_inspector, sandbox, dependencies):
    """Tries a model that does something: answers why its build failed. The next model is tried after it."""

    async def attack(evil: str, **bounds: float) -> str:
        inspector = make_inspector(sandbox, HARMLESS + evil, **bounds)
        (tmp_path / "attacker").mkdir()
        (tmp_path / "attacker/evil").write_text("the model")
        await inspector.warm(dependencies)
        with pytest.raises(BuildError) as error:
            await inspector.signature(tmp_path / "attacker", dependencies)
        assert error.value.reason == "format"
        assert (await inspector.signature(tmp_path / "model", dependencies)).inputs[0].name == "x"
        return str(error.value)

    return attack


@pytest.fixture
def spy(tmp_path, make_inspector, sandbox, dependencies):
    """Tries a model that looks at something: answers what it saw."""

    async def spy(look: str, **given: object) -> Any:
        told = "".join(f"{name} = {value!r}\n" for name, value in given.items())
        answer = "import json, pathlib\nprint(json.dumps({'error': repr(saw)}))\n"
        inspector = make_inspector(sandbox, f"{told}{look}\n{answer}")
        with pytest.raises(BuildError) as error:
            await inspector.signature(tmp_path / "model", dependencies)
        return ast.literal_eval(str(error.value))

    return spy


@pytest.fixture
def listener():
    """The address of something that listens on this machine."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server.getsockname()


@pytest.mark.parametrize("host", ["127.0.0.1", "192.0.2.1", "::1"])
async def test_there_is_no_network_not_even_this_machine(attack, listener, host):
    said = await attack(f"import socket; socket.create_connection(({host!r}, {listener[1]}), timeout=5)")

    assert "Connection refused" in said or "unreachable" in said or "Cannot assign" in said


async def test_the_machine_below_cannot_be_called_either(attack):
    assert "not supported" in await attack("import socket; socket.socket(socket.AF_VSOCK)")


async def test_a_model_sees_no_process_but_its_own(spy, monkeypatch):
    monkeypatch.setenv("SO1S_SECRET", "hunter2")
    look = """
saw = {}
for pid in os.listdir("/proc"):
    if pid.isdigit():
        saw[pid] = open(f"/proc/{pid}/cmdline").read() + open(f"/proc/{pid}/environ").read()
"""
    saw = await spy(look)

    assert len(saw) == 2  # its own, and the first process, which waits for it
    assert all("so1s_inspection.server" in said for said in saw.values())
    assert "hunter2" not in str(saw)


async def test_a_model_sees_neither_this_machines_files_nor_another_model(spy, tmp_path):
    database = tmp_path / "builder.db"
    database.write_text("secret")
    look = """
saw = {
    "model": os.listdir(arguments[-1]),
    "others": os.listdir("/opt/so1s/lent"),
    "here": [path for path in paths if os.path.exists(path)],
    "home": os.listdir(home) if os.path.exists(home) else [],
    "descriptors": [link for link in os.listdir("/proc/self/fd") if int(link) > 3],  # 3 lists them
}
"""
    paths = [str(database), str(Path.cwd()), "/etc/shadow", "/run", "/sys", "/var"]

    saw = await spy(look, paths=paths, home=str(Path.home()))

    assert saw == {"model": ["m"], "others": [], "here": [], "home": ABOVE, "descriptors": []}


async def test_a_model_runs_as_nobody_without_any_privilege(spy):
    look = """
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
saw = [os.getuid(), os.getgid(), *(status[name].strip() for name in ("CapEff", "NoNewPrivs", "Seccomp"))]
"""
    assert await spy(look) == [65534, 65534, "0000000000000000", "1", "2"]


async def test_a_model_can_write_to_its_own_temporary_files_alone(spy):
    look = """
saw = {}
for place in places:
    try:
        open(place, "r+" if os.path.exists(place) else "w").close()
    except OSError as error:
        saw[place] = error.strerror
"""
    places = [
        "/opt/so1s/dependencies/library.py",
        "/opt/so1s/runtime/so1s_runtime/check.py",
        "/opt/so1s/model/m",
        "/opt/so1s/model/x",
        "/proc/self/exe",
        "/proc/sys/kernel/core_pattern",
        "/usr/bin/x",
        "/etc/passwd",
        "/dev/x",
        "/x",
        "/tmp/x",
        "/dev/shm/x",
    ]
    saw = await spy(look, places=places)

    assert list(saw) == places[:-2]
    assert set(saw.values()) <= {"Read-only file system", "Permission denied"}


async def test_what_one_model_writes_no_other_sees(tmp_path, make_inspector, sandbox, dependencies):
    check = """
import json
for place in ("/tmp", "/dev/shm"):
    open(f"{place}/left", "x").close()
print(json.dumps({"error": "saw nothing"}))
"""
    inspector = make_inspector(sandbox, check)

    for _ in range(2):
        with pytest.raises(BuildError, match="saw nothing"):
            await inspector.check(tmp_path / "model", dependencies)


async def test_models_at_the_same_time_see_neither_the_files_nor_the_sockets_of_each_other(
    tmp_path, make_inspector, sandbox, dependencies
):
    check = """
import json, socket, sys, time
server = socket.create_server(("127.0.0.1", 4711))  # one network for both would have one port
processes = [pid for pid in os.listdir("/proc") if pid.isdigit()]
print("bound", flush=True)
print(json.dumps({"error": f"{len(processes)} {os.listdir('/opt/so1s/lent')}"}))
time.sleep(0.3)
"""
    inspector = make_inspector(sandbox, check)
    tried = [inspector.check(tmp_path / "model", dependencies) for _ in range(3)]

    said = [str(error) for error in await asyncio.gather(*tried, return_exceptions=True)]

    assert said == ["2 []"] * 3


async def test_a_fork_bomb_ends_at_its_bound(attack):
    said = await attack("while True:\n    os.fork()", processes=20, seconds=5)

    assert "Resource temporarily unavailable" in said or "within 5 s" in said


async def test_threads_without_end_end_at_their_bound(attack):
    evil = "import threading, time\nwhile True:\n    threading.Thread(target=time.sleep, args=[60]).start()"

    assert "can't start new thread" in await attack(evil, processes=30)


async def test_memory_is_bound_for_all_processes_together(attack):
    evil = """
import time
for _ in range(8):
    if os.fork() == 0:
        filled = bytes(range(256)) * 2**18  # 64 MiB
        time.sleep(60)
time.sleep(60)
"""
    assert "more than 300 MiB of memory" in await attack(evil, memory_mib=300)


@pytest.mark.parametrize("place", ["/tmp", "/dev/shm"])
async def test_temporary_files_have_a_bound(attack, place):
    evil = f"""
for number in range(100):
    with open({place!r} + f"/{{number}}", "wb") as file:
        file.write(bytes(2**20))
"""
    assert "No space left on device" in await attack(evil, temporary_mib=8)


async def test_memory_that_no_process_shows_to_have_is_not_given(attack):
    assert "not permitted" in await attack("os.memfd_create('hidden')")


async def test_a_model_that_sleeps_for_ever_is_ended_with_all_that_it_started(attack, tmp_path):
    evil = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(4711)"], start_new_session=True)
time.sleep(4711)
"""
    assert "within 2 s" in await attack(evil, seconds=2)

    await none_left("time.sleep(4711)")


async def none_left(words: str) -> None:
    async with asyncio.timeout(60):
        while words in str([each.info["cmdline"] for each in psutil.process_iter(["cmdline"])]):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_what_a_model_left_running_ends_with_its_answer(
    tmp_path, make_inspector, sandbox, dependencies
):
    check = f"""
import subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(4712)"], start_new_session=True)
print('''{FINE}''')
"""
    await make_inspector(sandbox, check).signature(tmp_path / "model", dependencies)

    await none_left("time.sleep(4712)")


async def test_a_model_can_kill_nothing_but_itself(attack):
    said = await attack("os.kill(1, 9); os.kill(os.getppid(), 9); os.kill(os.getpid(), 9)")

    assert "ended by SIGKILL" in said


async def test_a_crash_says_how_the_process_ended(attack):
    assert "ended by SIGSEGV" in await attack("import ctypes; ctypes.string_at(0)")


async def test_calls_that_a_model_has_no_business_with_are_refused(spy):
    look = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
saw = {}
for name, number, first in numbers:
    libc.syscall(number, first, 0, 0, 0, 0)
    saw[name] = os.strerror(ctypes.get_errno())
"""
    column = {"x86_64": 0, "aarch64": 1}[os.uname().machine]
    names = ("unshare", "mount", "ptrace", "keyctl", "io_uring_setup", "bpf", "shmget", "process_vm_readv")
    numbers = [(name, calls._REFUSED[name][column], 0) for name in names]
    new_user = ("clone", calls._CLONE[column], 0x10000000)

    saw = await spy(look, numbers=[*numbers, new_user])

    assert saw == dict.fromkeys((*names, "clone"), "Operation not permitted")


async def test_a_model_that_changes_its_own_file_changes_nothing(attack, tmp_path):
    await attack("os.chmod(arguments[-1] + '/evil', 0o777)")

    assert (tmp_path / "attacker/evil").read_text() == "the model"


def test_a_sandbox_that_must_work_and_does_not_is_an_error_that_says_why(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(InvalidInput, match=r"sandbox.*bwrap is not installed"):
        bubblewrap.find("bwrap", Path(sys._base_executable))


def test_where_none_works_models_are_tried_as_the_setting_allows(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")

    found, why = bubblewrap.find("auto", Path(sys._base_executable))

    assert found is None
    assert "not installed" in why


def test_a_sandbox_that_fails_on_this_machine_says_so(tmp_path, monkeypatch):
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'setting up uid map: Permission denied' >&2; exit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.defpath}")

    assert bubblewrap.find("auto", Path(sys._base_executable))[1] == "setting up uid map: Permission denied"


async def test_packages_that_an_author_chose_run_in_the_enclosure_alone(
    tmp_path, make_inspector, sandbox, dependencies
):
    (tmp_path / "site/json.py").write_text("raise SystemExit('the warm process is taken over')")
    (tmp_path / "site/chosen.py").write_text("import os; ENCLOSED = os.path.exists('/opt/so1s/model/m')")
    inspector = make_inspector(sandbox, """print('{"error": "%s"}' % chosen.ENCLOSED)""")
    check = tmp_path / "runtime/so1s_runtime/check.py"
    check.write_text(f"import chosen\n{check.read_text()}")

    with pytest.raises(BuildError, match="True"):
        await inspector.signature(tmp_path / "model", replace(dependencies, lock=Lock(FILE_NAME, "")))


@pytest.mark.skipif(os.geteuid() != 0, reason="a builder that is not root is what the other tests have")
def test_a_builder_that_is_not_root_has_a_sandbox_too(sandbox, monkeypatch):
    python = Path("/usr/bin/python3")
    if not python.exists():
        pytest.skip("no interpreter that another user may run")
    with tempfile.TemporaryDirectory() as temporary:  # pytest's own is root's alone
        Path(temporary).chmod(0o755)
        copied = Path(shutil.copytree(bubblewrap.INSPECTION, f"{temporary}/inspection"))
        monkeypatch.setattr(bubblewrap, "INSPECTION", copied)
        as_other = partial(subprocess.run, user=65532, group=65532, extra_groups=[])
        monkeypatch.setattr(subprocess, "run", as_other)
        monkeypatch.setattr(os, "geteuid", lambda: 65532)

        assert bubblewrap.find("bwrap", python)[0] is not None


@pytest.mark.parametrize("model_format", ["python", "pickle"])
def test_code_is_refused_where_no_sandbox_works_and_the_operator_does_not_do_without(model_format):
    allowed = {"user_code": ["*"], "pickles": ["*"]}
    Permissions(**allowed).require(model_format, "risk")

    with pytest.raises(BuildError, match="SO1S_CODE_WITHOUT_SANDBOX"):
        Permissions(**allowed, tried=False).require(model_format, "risk")
    Permissions(**allowed, tried=False).require("onnx", "risk")


def test_uv_gets_its_own_variables_and_no_secret_whatever_its_name(monkeypatch):
    for name in ("SO1S_DATABASE_URL", "AWS_SESSION_TOKEN", "VAULT_TOKEN", "KUBECONFIG"):
        monkeypatch.setenv(name, "hunter2")
    monkeypatch.setenv("UV_INDEX_URL", "https://index.example.org/simple")
    monkeypatch.setenv("https_proxy", "http://proxy.example.org:3128")

    given = uv_environment()

    assert "hunter2" not in given.values()
    assert given["UV_INDEX_URL"] == "https://index.example.org/simple"
    assert given["https_proxy"] == "http://proxy.example.org:3128"
