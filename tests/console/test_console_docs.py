"""The examples of docs/http.md are true."""

import asyncio
import json
import os
import re
import shutil
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from services.console.domain.scopes import SAYABLE
from tests.console.conftest import digest

PAGE = (Path(__file__).parents[2] / "docs" / "http.md").read_text()


@pytest.mark.skipif(not shutil.which("curl"), reason="the examples use curl")
async def test_the_examples_run_one_after_the_other(builder, console, serve, tmp_path):
    script = "set -eu\n" + "\n".join(re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL))
    token = await console.token("publish")
    async with serve(console.service) as served:
        told = os.environ | {"SO1S_URL": str(served.http.base_url).rstrip("/"), "SO1S_TOKEN": token}
        shell = await asyncio.create_subprocess_exec(
            "bash", "-c", script, cwd=tmp_path, env=told, stdout=PIPE, stderr=PIPE
        )
        out, err = await shell.communicate()
    assert shell.returncode == 0, out + err
    assert '{"ids":["run-7"]}' in out.decode()
    chain = json.loads(out.decode().rpartition('{"known": 1, "events": ')[2].removesuffix("}"))
    assert chain[0]["source"] == "account/risk/airflow/risk_daily"
    place = f"{tmp_path}/artifacts/risk/fraud/3/{digest(b'the bytes of a model')}/model.onnx"
    assert chain[0]["data"]["artifact"]["uri"] == f"file://{place}"


def test_the_table_of_scopes_is_complete():
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", PAGE, re.MULTILINE))
    for scope, classes in SAYABLE.items():
        assert re.findall(r"`(\w+)`", rows[scope]) == [each.__name__ for each in classes]
