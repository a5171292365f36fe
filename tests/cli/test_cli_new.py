"""`so1s new consumer`."""

import subprocess
import sys


def test_the_generated_test_passes(so1s, tmp_path):
    assert so1s("new", "consumer", "drift-check").code == 0
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:looptime_plugin", "drift-check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


def test_the_generated_code_is_formatted_and_clean(so1s, tmp_path):
    so1s("new", "consumer", "quality")
    for arguments in (["check", "--select", "E,F,I,UP,B"], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *arguments, "--isolated", "quality"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == 0, done.stdout


def test_the_readme_has_the_entry_of_the_chart(so1s, tmp_path):
    so1s("new", "consumer", "quality")
    assert "  - name: quality\n" in (tmp_path / "quality" / "README.md").read_text()


def test_nothing_is_overwritten(so1s, tmp_path):
    so1s("new", "consumer", "quality")
    (tmp_path / "quality" / "quality.py").write_text("mine")
    result = so1s("new", "consumer", "quality")
    assert result.code == 2
    assert (tmp_path / "quality" / "quality.py").read_text() == "mine"


def test_a_name_that_cannot_be_proposes_one_that_can(so1s):
    result = so1s("new", "consumer", "My Check")
    assert result.code == 2
    assert "for example 'my-check'" in result.err
