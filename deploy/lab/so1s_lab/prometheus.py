"""Prometheus: Debian's, on a configuration that is its caller's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from so1s_lab.debian import package_version, program
from so1s_lab.ports import any_port
from so1s_lab.readiness import answers
from so1s_local.process import Unit


class Prometheus:
    """A server that scrapes what it is told to, each second."""

    name = "prometheus"

    def __init__(
        self, directory: Path, *, rules: Sequence[Path] = (), jobs: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        """Describe a server.

        Args:
            directory: its own.
            rules: files of recording and alerting rules.
            jobs: what it scrapes beside what it is told by `scrape`.
        """
        self._jobs = jobs
        self._directory = directory
        self._rules = rules
        self._port = any_port()
        self._program = ""

    @property
    def version(self) -> str:
        """Of Debian's package."""
        return package_version("prometheus")

    @property
    def url(self) -> str:
        """Where its API is."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def targets(self) -> Path:
        """A directory; what is written there by `scrape` is scraped."""
        return self._directory / "targets"

    def scrape(self, job: str, *addresses: str, labels: Mapping[str, str] | None = None) -> None:
        """Let `HOST:PORT`s be scraped from now on, in place of those that the job had before."""
        found = [{"targets": list(addresses), "labels": {"job": job, **(labels or {})}}]
        written = self.targets / f"{job}.yml.new"
        written.write_text(yaml.safe_dump(found))
        written.replace(self.targets / f"{job}.yml")

    def prepare(self) -> None:
        """Write its configuration."""
        self._program = program("prometheus")
        self.targets.mkdir(exist_ok=True)
        (self._directory / "prometheus.yml").write_text(yaml.safe_dump(self._configuration))

    def unit(self) -> Unit:
        """The server."""
        line = [
            self._program,
            f"--config.file={self._directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={self._directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{self._port}",
            "--log.level=warn",
        ]
        return Unit(self.name, line, answers(f"{self.url}/-/ready"))

    @property
    def _configuration(self) -> dict[str, Any]:
        found = {"files": [f"{self.targets}/*.yml"], "refresh_interval": "1s"}
        return {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
            "rule_files": [str(file.absolute()) for file in self._rules],
            "scrape_configs": [{"job_name": "lab", "file_sd_configs": [found]}, *self._jobs],
        }
