"""Every command that the documents tell people to give."""

import functools
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from typer.testing import CliRunner, Result

from so1s.cli.app import app
from so1s.events import RoutesApplied
from tests.scenarios.models import ROWS
from tests.scenarios.running import Running, until

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *ROOT.glob("examples/*/*.md"),
]
BIN = Path(sys.executable).parent


def commands(document: Path, language: str = "sh") -> list[str]:
    """The lines of a document's shell blocks, without their remarks."""
    blocks = re.findall(rf"```{language}\n(.*?)```", document.read_text(), re.DOTALL)
    whole = [block.replace("\\\n", " ") for block in blocks]
    lines = [line.split(" #")[0].strip() for block in whole for line in block.splitlines()]
    return [line for line in lines if line]


def mentioned(document: Path) -> list[str]:
    """The commands of so1s that a document's sentences and blocks speak of."""
    inline = re.findall(r"`(so1s [a-z][^`]*)`", document.read_text())
    return [*inline, *(line for line in commands(document) if re.match(r"(\S*/)?so1s ", line))]


def run(command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    words = shlex.split(command.replace(".venv/bin/so1s", str(BIN / "so1s")))
    return subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False, timeout=120)


@functools.cache
def help_of(*words: str) -> Result:
    return CliRunner().invoke(app, words)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_make_target_that_a_document_names_exists(document: Path) -> None:
    targets = set(re.findall(r"`make ([a-z-]+)", document.read_text()))
    targets |= {words[1] for line in commands(document) if (words := line.split())[0] == "make"}
    known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert targets <= known


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_command_of_so1s_that_a_document_names_exists(document: Path) -> None:
    for command in mentioned(document):
        words = [word for word in shlex.split(command)[1:] if re.fullmatch(r"[a-z]+", word)]
        group = ["--help"] if not words else [words[0], "--help"]
        shown = help_of(*group)
        assert shown.exit_code == 0, f"{command}: {shown.output}"


def test_the_readme_leads_from_a_model_file_to_a_split(platform: Running) -> None:
    """The README's own commands, in their order, on a running platform."""
    folder = platform.state.parent
    for version, directory in enumerate((folder / "out", folder / "next"), start=1):
        directory.mkdir(exist_ok=True)
        (directory / "model.onnx").write_bytes(platform.write("fraud", version).read_bytes())
    (folder / "out" / "sample.json").write_text(f'{{"x": {ROWS[:1].tolist()}}}')
    for command in commands(ROOT / "README.md"):
        if not command.startswith(".venv/bin/so1s"):
            continue
        done = run(command, folder)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    assert {variant["variant"] for variant in platform.endpoint("fraud")["variants"]} == {
        "fraud",
        "fraud-next",
    }


def test_the_smallest_event_of_the_readme_is_accepted(platform: Running) -> None:
    """The README's Kafka example, with an artifact that exists."""
    block = next(
        text
        for text in re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
        if "so1s.model-uploaded" in text
    )
    artifact = platform.plan.artifacts / "risk" / "readme" / "3.onnx"
    artifact.parent.mkdir(parents=True)
    artifact.write_bytes(platform.write("readme", 3).read_bytes())
    said = block.replace("s3://models/risk/fraud/3.skops", artifact.as_uri()).replace("fraud", "readme")
    sent: list[dict[str, object]] = []

    class Producer:
        def send(self, topic: str, **record: object) -> None:
            sent.append({"topic": topic, **record})

    exec(said, {"producer": Producer()})  # the example as it stands
    platform.run(_send(platform, sent[0]))

    def applied() -> list[RoutesApplied]:
        told = [each.event for each in platform.events(RoutesApplied)]
        return [event for event in told if event.endpoint == "readme"]

    assert platform.predict(until(applied, 60)[0].url) == platform.wanted("readme", 3)


async def _send(platform: Running, record: dict) -> None:
    async with AIOKafkaProducer(bootstrap_servers=platform.at.kafka) as producer:
        await producer.send_and_wait(**record)
