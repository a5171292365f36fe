"""Bytecode of libraries and of the inference server."""

import sys
import threading
from pathlib import Path, PurePosixPath

import psutil
import pytest

from services.builder.adapters.images_layout import LayoutImages
from services.builder.bytecode import CompilerError, compile_tree
from services.builder.runtime import stage
from services.builder.stop import Stop, Stopped
from tests.builder.test_builder_dependencies import small_lock, source
from tests.scenarios.running import until

PYTHON = Path(sys.executable)
ROOT = PurePosixPath("/opt")


def compiled(tree: Path) -> list[str]:
    """The modules that have bytecode."""
    compile_tree(Stop(), PYTHON, tree, ROOT)
    return sorted(path.name.partition(".")[0] for path in tree.rglob("*.pyc"))


def write(tree: Path, **modules: str) -> Path:
    tree.mkdir(parents=True, exist_ok=True)
    for name, text in modules.items():
        (tree / f"{name}.py").write_text(text)
    return tree


def script(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def test_modules_are_compiled_wherever_their_tree_lies_and_tests_of_libraries_are_not(tmp_path):
    tree = tmp_path / "tests/tree"
    write(tree / "library", one="x = 1\n")
    write(tree / "library/tests", case="x = 1\n")
    assert compiled(tree) == ["one"]


def test_what_is_no_module_or_none_that_compiles_keeps_no_other_from_it(tmp_path):
    deep = f"{'lambda:' * 1100}0\n"
    tree = write(tmp_path / "tree", good="x = 1\n", template="{{ name }} = 1 2\n", deep=deep)
    write(tree / "package.py", inner="x = 1\n")
    (tree / "gone.py").symlink_to("nowhere")
    assert compiled(tree) == ["good", "inner"]


def test_a_compiler_that_fails_says_why(tmp_path):
    broken = script(tmp_path / "python", "echo 'MemoryError: too little' >&2; exit 1")
    with pytest.raises(CompilerError, match="could not be compiled: MemoryError: too little"):
        compile_tree(Stop(), broken, write(tmp_path / "tree", m="x = 1\n"), ROOT)


def test_whoever_stops_it_waits_for_none_of_its_processes(tmp_path):
    text = "\n".join(f"def f{n}(a, b):\n    return a + b + {n}" for n in range(3000))
    tree = write(tmp_path / "tree", **{f"m{number}": text for number in range(300)})
    stop = Stop()
    threading.Timer(0.5, stop.tell).start()
    with pytest.raises(Stopped):
        compile_tree(stop, PYTHON, tree, ROOT)
    until(lambda: not _told_of(tree), seconds=60)  # they are killed, which takes the kernel a moment


def _told_of(tree: Path) -> list[psutil.Process]:
    """The processes that were given a directory, and are not dead."""
    found = psutil.process_iter(["cmdline", "status"])
    living = (each for each in found if each.info["status"] != psutil.STATUS_ZOMBIE)
    return [each for each in living if str(tree) in (each.info["cmdline"] or [])]


async def test_libraries_whose_compilation_was_broken_off_are_compiled_before_they_are_used(
    tmp_path, monkeypatch
):
    libraries = source(tmp_path / "d", LayoutImages(tmp_path / "images"))

    def broken(*_) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("services.builder.adapters.dependencies_uv.compile_tree", broken)
        with pytest.raises(OSError, match="full"):
            await libraries.install(small_lock(), lambda _line: None)
    found = await libraries.install(small_lock(), lambda _line: None)
    assert [*found.site_packages.rglob("*.pyc")]


def test_the_inference_server_is_staged_anew_for_another_interpreter(tmp_path):
    other = script(tmp_path / "python", f'exec {PYTHON} "$@"')
    staged = stage(tmp_path / "d", PYTHON)
    assert stage(tmp_path / "d", PYTHON) == staged
    assert stage(tmp_path / "d", other) != staged
