"""The commands of docs/supply-chain.md are true."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from services.builder import app
from services.builder.adapters.images_layout import LayoutImages
from services.builder.settings import Settings
from services.deployer.settings import Settings as DeployerSettings
from so1s.cli.exit_codes import FAILED, UNSIGNED
from so1s.supply_chain.refusal import Reason
from tests.builder.signing import sign
from tests.builder.test_builder_images_port import CONFIG

PAGE = (Path(__file__).parents[2] / "docs/supply-chain.md").read_text()
SBOM, KEY, VERIFY = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
PASSWORD = "correct horse"


def shell(script: str, directory: Path, **environment: str) -> str:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    told = os.environ | {"PATH": path, "SO1S_SIGNING_KEY_PASSWORD": PASSWORD} | environment
    line = ["bash", "-euc", script]
    return subprocess.run(line, cwd=directory, env=told, capture_output=True, text=True, check=True).stdout


@pytest.mark.skipif(not shutil.which("openssl"), reason="the page makes its key with openssl")
async def test_a_key_that_is_made_as_the_page_says_signs_and_verifies_as_it_says(tmp_path):
    await asyncio.to_thread(shell, KEY, tmp_path)
    assert "ENCRYPTED" in (tmp_path / "so1s.key").read_text()
    settings = Settings(
        database_url=SecretStr("sqlite://"),
        signing_key_file=tmp_path / "so1s.key",
        signing_key_password=SecretStr(PASSWORD),
    )
    images = LayoutImages(tmp_path / "images")
    image = await images.publish("risk/fraud:3", CONFIG, [])
    await sign(images, image, app.make_attestor(settings)._signer)

    shown = await asyncio.to_thread(shell, VERIFY, tmp_path, IMAGE=image.reference)

    table = await asyncio.to_thread(shell, SBOM, tmp_path, IMAGE=image.reference)
    assert "machine-learning-model" in table
    assert json.loads((tmp_path / "sbom.cdx.json").read_bytes())["bomFormat"] == "CycloneDX"
    example = re.search(r"```text\n✓(.*?)```", PAGE, re.DOTALL)[1]
    names = {line[:11] for line in example.splitlines()[1:]}
    assert names == {line[:11] for line in shown.splitlines()[1:]} - {"data       "}


def test_every_reason_and_every_setting_is_on_the_page():
    for reason in Reason.__args__:
        code = UNSIGNED if reason == "unsigned" else FAILED
        assert f"| {code} | `{reason}` |" in PAGE
    names = {"verify_images", "verify_key_files"} & DeployerSettings.model_fields.keys()
    names |= {each for each in Settings.model_fields if each.startswith(("signing_", "builder_id"))}
    assert len(names) == 6
    for name in names:
        assert f"`SO1S_{name.upper()}`" in PAGE
