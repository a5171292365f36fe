"""Apache Kafka: one node that is broker and controller."""

from __future__ import annotations

import subprocess
from pathlib import Path

from so1s_lab.debian import program
from so1s_lab.maven import MavenProgram
from so1s_lab.ports import any_port
from so1s_lab.readiness import listens
from so1s_local.process import Unit

_PROGRAM = MavenProgram("kafka", artifact="kafka_2.13")
_CLUSTER_ID = "c28xcy1sYWItY2x1c3Rlcg"
"""Any 16 bytes in base64."""
_JAVA_OPTIONS = (
    *("-Xmx384m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"),  # it starts in seconds beside other work
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
)


class Kafka:
    """A broker whose topics are made by their owners alone."""

    name = "kafka"
    version = _PROGRAM.version

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._port = any_port()
        self._controller_port = any_port()
        self._libraries = Path()

    @property
    def bootstrap_servers(self) -> str:
        """Where clients connect."""
        return f"127.0.0.1:{self._port}"

    def prepare(self) -> None:
        """Download it, and format its storage."""
        self._java = program("java")
        self._libraries = _PROGRAM.download()
        self._configuration.write_text(self._properties)
        arguments = ("--standalone", "--cluster-id", _CLUSTER_ID, "--config", str(self._configuration))
        line = [*self._run("kafka.tools.StorageTool"), "format", *arguments, "--ignore-formatted"]
        subprocess.run(line, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - all of it is ours

    def unit(self) -> Unit:
        """The broker."""
        line = [*self._run("kafka.Kafka"), str(self._configuration)]
        return Unit(self.name, line, listens(self._port))

    def _run(self, main: str) -> list[str]:
        return [self._java, *_JAVA_OPTIONS, "-cp", f"{self._libraries}/*", main]

    @property
    def _configuration(self) -> Path:
        return self._directory / "server.properties"

    @property
    def _properties(self) -> str:
        controller = f"127.0.0.1:{self._controller_port}"
        settings = {
            "node.id": 1,
            "process.roles": "broker,controller",
            "listeners": f"PLAINTEXT://{self.bootstrap_servers},CONTROLLER://{controller}",
            "controller.listener.names": "CONTROLLER",
            "controller.quorum.bootstrap.servers": controller,
            "log.dirs": self._directory / "data",
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 8,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 8,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
        }
        return "".join(f"{name}={value}\n" for name, value in settings.items())
