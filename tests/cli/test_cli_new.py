"""`so1s new consumer`."""

import subprocess
import sys
from pathlib import Path


def test_the_generated_test_passes(so1s, tmp_path):
    assert so1s("new", "consumer", "drift-check").code == 0
    command = [Path(sys.executable).with_name("pytest"), "-q", "-p", "no:looptime_plugin", "drift-check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout


def test_the_generated_code_is_formatted_and_clean(so1s, tmp_path):
    so1s("new", "consumer", "quality")
    for arguments in (["check", "--select", "E,F,I,UP,B"], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *arguments, "--isolated", "quality"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == 0, done.stdout


def test_the_readme_names_the_consumer_where_it_shows_commands(so1s, tmp_path):
    so1s("new", "consumer", "drift-check")
    readme = (tmp_path / "drift-check" / "README.md").read_text()
    for shown in ("python drift_check.py", "--requires drift-check", "so1s dlq list drift-check"):
        assert shown in readme


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
