"""The examples of docs/inference.md are true."""

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runtime.running import is_ready, running

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/inference.md").read_text()


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found
    return found[1]


@pytest.fixture
def compiled(tmp_path) -> Path:
    """Where the page's command has written a client's modules."""
    command = block("sh").replace("python ", f"{sys.executable} ", 1).replace("_out=.", f"_out={tmp_path}")
    subprocess.run(command, shell=True, check=True, cwd=ROOT)
    return tmp_path


async def test_a_client_made_of_the_proto_file_gets_an_answer(onnx_model, compiled):
    async with running(onnx_model.directory) as server:
        await server.until(is_ready)
        program = block("python").replace("8080", str(server.client.base_url.port))
        asked = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "ignore", "-c", program), cwd=compiled, stdout=subprocess.PIPE
        )
        printed, _ = await asked.communicate()
    assert (printed, asked.returncode) == (b"[0]\n", 0)
