"""What a cluster's services lean on beside Kubernetes, each part started once for the session."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from services.deployer import rules
from so1s.blocking import wait_for
from so1s_lab.base_image import push_base
from so1s_lab.control_plane import ControlPlane
from so1s_lab.kafka import Kafka
from so1s_lab.keda import Keda
from so1s_lab.part import Part
from so1s_lab.pki import Authority
from so1s_lab.postgres import Postgres
from so1s_lab.prometheus import Prometheus
from so1s_lab.prometheus_adapter import PrometheusAdapter
from so1s_lab.registry import Registry
from so1s_lab.runner import Runner
from so1s_lab.s3 import S3
from tests.lab.missing import skipped_where_missing

P = TypeVar("P", bound=Part)
Start = Callable[..., None]


@pytest.fixture(scope="session")
def kafka_part(lab: Runner, start: Start) -> Kafka:
    """Apache Kafka: name topics and groups uniquely."""
    return _started(Kafka(lab.directory("kafka")), start)


@pytest.fixture(scope="session")
def kafka(kafka_part: Kafka) -> str:
    """Its bootstrap servers: what a test of any other folder asks for under this name."""
    return kafka_part.bootstrap_servers


@pytest.fixture(scope="session")
def s3(lab: Runner, start: Start) -> S3:
    """S3: make a bucket of your own."""
    return _started(S3(lab.directory("s3")), start)


@pytest.fixture(scope="session")
def registry(lab: Runner, start: Start) -> Registry:
    """A registry over plain HTTP, as a kubelet of this machine pulls from it."""
    return _started(Registry(lab.directory("registry")), start)


@pytest.fixture(scope="session")
def tls_registry(lab: Runner, start: Start) -> Registry:
    """A registry whose certificate a private authority signed."""
    directory = lab.directory("tls-registry")
    return _started(Registry(directory, Authority(directory / "pki"), name="tls-registry"), start)


@pytest.fixture(scope="session")
def base_image(registry: Registry) -> str:
    """The reference, by digest, of a base of Debian packages in the registry; made once for the checkout."""
    with skipped_where_missing():
        return wait_for(push_base(registry))


@pytest.fixture(scope="session")
def postgres_part(lab: Runner, start: Start) -> Postgres:
    """PostgreSQL over TCP."""
    return _started(Postgres(lab.directory("postgres")), start)


@pytest.fixture(scope="session")
def postgres(postgres_part: Postgres) -> str:
    """Its SQLAlchemy URL: use a schema of your own."""
    return postgres_part.url


@pytest.fixture(scope="session")
def autoscaling_rules(lab: Runner) -> Path:
    """The directory of our rules for autoscalers, at a test's pace: of the last five scrapes, each second."""
    directory = lab.directory("autoscaling-rules")
    rules.write(directory, over="5s", every="1s")
    return directory


@pytest.fixture(scope="session")
def prometheus(lab: Runner, autoscaling_rules: Path, start: Start) -> Prometheus:
    """Prometheus with our rules: `prometheus.scrape(job, "HOST:PORT")`."""
    files = [autoscaling_rules / "prometheus.yaml"]
    return _started(Prometheus(lab.directory("prometheus"), rules=files), start)


@pytest.fixture(scope="session")
def prometheus_adapter(
    lab: Runner, kubernetes: ControlPlane, prometheus: Prometheus, autoscaling_rules: Path, start: Start
) -> PrometheusAdapter:
    """Prometheus Adapter with our rules: autoscalers may ask for pods' metrics."""
    file = autoscaling_rules / "prometheus-adapter.yaml"
    adapter = PrometheusAdapter(lab.directory("prometheus-adapter"), kubernetes, prometheus, rules=file)
    start(adapter)
    wait_for(adapter.register())
    return adapter


@pytest.fixture(scope="session")
def keda(lab: Runner, kubernetes: ControlPlane) -> Keda:
    """KEDA, in a cluster whose pods' metrics it does not serve."""
    made = Keda(lab.directory("keda"), kubernetes)
    with skipped_where_missing():
        made.start(lab)
    return made


def _started(part: P, start: Start) -> P:
    start(part)
    return part
