"""The entry: where options may stand, exit codes, and errors without tracebacks."""

import json
import subprocess
import sys
from importlib.metadata import version

import pytest

from so1s.cli.main import hoisted


@pytest.mark.parametrize(
    ("arguments", "hoisted_"),
    [
        (["bill", "--output", "json"], ["--output", "json", "bill"]),
        (["bill", "--output=json", "--by", "model"], ["--output=json", "bill", "--by", "model"]),
        (["-o", "json", "bill"], ["-o", "json", "bill"]),
        (["dlq", "show", "x", "--", "-o"], ["dlq", "show", "x", "--", "-o"]),
        (["bill"], ["bill"]),
        (["bill", "--output"], ["--output", "bill"]),
    ],
)
def test_the_output_option_may_stand_anywhere(arguments, hoisted_):
    assert hoisted(arguments) == hoisted_


@pytest.mark.parametrize("arguments", [["bogus"], ["publish", "x"], ["bill", "--by"], ["-o", "xml", "bill"]])
def test_a_wrong_argument_is_usage(so1s, arguments):
    result = so1s(*arguments)
    assert result.code == 2
    assert "Traceback" not in result.err


def test_an_unset_platform_is_usage_and_says_which_variable(so1s, monkeypatch):
    monkeypatch.delenv("SO1S_KAFKA", raising=False)
    result = so1s("status", "--account", "risk")
    assert (result.code, result.out) == (2, "")
    assert "SO1S_BUILDER_URL is missing" in result.err


def test_a_missing_account_says_how_to_give_it(so1s, monkeypatch):
    monkeypatch.setenv("SO1S_KAFKA", "127.0.0.1:1")
    result = so1s("status")
    assert result.code == 2
    assert "--account NAME, or SO1S_ACCOUNT" in result.err


def test_away_from_any_platform_the_way_to_one_is_said_before_the_account(so1s):
    result = so1s("status")
    assert (result.code, "account is missing" in result.err) == (2, False)
    assert "run `make up`" in result.err


def test_a_broker_that_is_away_is_not_reachable(so1s, monkeypatch):
    monkeypatch.setenv("SO1S_KAFKA", "127.0.0.1:1")
    result = so1s("weights", "set", "fraud", "fraud=1", "--account", "risk")
    assert result.code == 3
    assert "Kafka does not answer at 127.0.0.1:1" in result.err
    assert "Traceback" not in result.err


def test_a_service_that_is_away_is_not_reachable(so1s, monkeypatch):
    monkeypatch.setenv("SO1S_DEPLOYER_URL", "http://127.0.0.1:1")
    result = so1s("deployments", "--account", "risk")
    assert result.code == 3
    assert "the deployer does not answer at http://127.0.0.1:1" in result.err
    assert "`make up` starts a platform here" in result.err


def test_the_version_is_that_of_the_package(so1s):
    assert so1s("--version").out == f"so1s {version('so1s')}\n"


def test_help_names_the_exit_codes(so1s):
    result = so1s("--help")
    assert result.code == 0
    assert "4 timed out" in " ".join(result.out.split())


def test_a_reader_that_leaves_early_ends_the_command_quietly(laptop):
    command = (
        f"{sys.executable} -c 'from so1s.cli import main; main()' topics export --format shell | head -1"
    )
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.stdout == "#!/bin/sh\n"
    assert "Traceback" not in done.stderr


def test_colour_is_left_out_where_nobody_looks_and_where_it_is_unwanted(so1s, laptop, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    result = so1s("topics", "list")
    assert "\x1b[3" not in result.out


def test_json_is_json_and_nothing_else(so1s, laptop):
    topics = {each["topic"] for each in json.loads(so1s("topics", "list", "-o", "json").out)}
    assert "so1s.model-uploaded" in topics
