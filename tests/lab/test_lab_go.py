import shutil
import subprocess
from pathlib import Path

import pytest

from so1s_lab import go
from so1s_lab.go import GoModule, GoProgram
from so1s_lab.part import MissingPartError
from tests.lab.missing import end_for_want_of


@pytest.fixture
def compiler() -> None:
    if not shutil.which("go"):
        end_for_want_of("Go")


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GoProgram:
    """A program of no module but its own."""
    monkeypatch.setattr(go, "BIN", tmp_path / "bin")
    module = tmp_path / "module"
    (module / "hello").mkdir(parents=True)
    (module / "go.mod").write_text("module example.org/lab\n\ngo 1.21\n\nrequire example.org/other v1.2.3\n")
    (module / "go.sum").touch()
    (module / "hello" / "main.go").write_text(_source("hello"))
    return GoProgram("example.org/lab/hello", module="example.org/other", pins=GoModule(module))


def _source(says: str) -> str:
    return f'package main\n\nvar Says = "{says}"\n\nfunc main() {{ print(Says) }}\n'


def _says(binary: Path) -> str:
    return subprocess.run([binary], capture_output=True, text=True, check=True).stderr


def test_a_programs_version_is_what_go_mod_pins(program: GoProgram) -> None:
    assert program.version == "v1.2.3"


@pytest.mark.usefixtures("compiler")
def test_a_program_is_built_again_only_when_its_source_changes(program: GoProgram, tmp_path: Path) -> None:
    binary = program.build()
    assert _says(binary) == "hello"
    first = binary.stat().st_mtime_ns
    assert program.build().stat().st_mtime_ns == first
    (tmp_path / "module" / "hello" / "main.go").write_text(_source("goodbye"))
    assert _says(program.build()) == "goodbye"


def test_a_program_that_cannot_be_built_says_why(program: GoProgram, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(go.shutil, "which", lambda _: None)
    with pytest.raises(MissingPartError, match=r"Go 1\.21 is missing: https://go\.dev/dl"):
        program.build()


@pytest.mark.usefixtures("compiler")
def test_a_program_that_does_not_compile_shows_the_compilers_complaint(
    program: GoProgram, tmp_path: Path
) -> None:
    (tmp_path / "module" / "hello" / "main.go").write_text("package main\n")
    with pytest.raises(MissingPartError, match="function main is undeclared"):
        program.build()
