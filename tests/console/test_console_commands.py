"""The operator's commands, as a shell runs them."""

import re
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from services.console import commands
from tests.console.conftest import bearer


@pytest.fixture
def run(settings, capsys, monkeypatch):
    """Answers the exit code, standard output and standard error."""
    monkeypatch.setenv("SO1S_DATABASE_URL", settings.database_url.get_secret_value())
    monkeypatch.setattr(commands.screen, "width", 250)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["console", *arguments])
        capsys.readouterr()
        with ThreadPoolExecutor() as thread:  # the main thread's loop belongs to pytest-asyncio
            error = thread.submit(commands.main).exception()
        assert isinstance(error, SystemExit | None)
        out, err = capsys.readouterr()
        return (error.code or 0) if error else 0, out, err

    return call


async def test_a_new_token_is_printed_once_and_works(run, console):
    code, out, err = run("token", "create", "--account", "risk", "--scope", "publish", "--days", "90")
    assert code == 0
    token = out.strip()
    assert re.fullmatch(r"so1s_[0-9a-f]{12}_[0-9a-f]{64}", token)
    assert "risk, publish, 90 days; it is not shown again" in err
    answer = await console.http.get("/v1/token", headers=bearer(token))
    assert (answer.json()["account"], answer.json()["scopes"]) == ("risk", ["publish"])


async def test_the_list_shows_no_secret_and_a_revoked_token_ends(run, console):
    token = run("token", "create", "--account", "risk", "--scope", "read", "--name", "airflow")[1].strip()
    _, token_id, secret = token.split("_")
    _, out, _ = run("token", "list")
    assert token_id in out
    assert "airflow" in out
    assert secret not in out
    assert run("token", "revoke", token_id)[0] == 0
    assert (await console.http.get("/v1/token", headers=bearer(token))).status_code == 401
    code, _, err = run("token", "revoke", token_id)
    assert (code, "no valid token" in err) == (1, True)
    _, out, _ = run("audit", "--account", "risk")
    assert "token.revoked" in out
    assert "token.created" in out
    assert secret not in out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--account", "R", "--scope", "read"], "account: 'R' is not allowed"),
        (["--account", "risk", "--scope", "root"], "'root' is not one of"),
        (["--account", "risk", "--scope", "read", "--days", "1000"], "366"),
    ],
)
def test_a_wrong_argument_is_one_message_and_exit_code_2(run, arguments, told):
    code, _, err = run("token", "create", *arguments)
    assert code == 2
    assert told in err


def test_without_a_database_the_setting_is_named(run, monkeypatch):
    monkeypatch.delenv("SO1S_DATABASE_URL")
    code, _, err = run("token", "list")
    assert code == 2
    assert "database_url is missing" in err
