import json

import pytest
from structlog.testing import capture_logs

from services.collector.adapters.world_directory import WorldDirectory
from so1s.events.envelope import Cause

REPLICA = {
    "uid": "u1", "account": "risk", "deployment": "fraud", "revision": 1, "model": "fraud", "version": "3",
    "endpoint": None, "user": "airflow:risk_daily", "labels": {"team": "fraud-ds"},
    "resources": {"cpu_millicores": 500, "memory_mib": 512, "gpus": 0}, "url": "http://127.0.0.1:1", "pid": 7,
    "pid_started_at": 1.5, "started_at": "2027-01-01T00:00:01.250Z", "ready_at": None, "ended_at": None,
    "restarts": 0, "event_id": "e", "correlation_id": "c", "traceparent": "",
}  # fmt: skip
DEPLOYMENT = {
    "account": "risk", "deployment": "fraud", "revision": 1, "model": "fraud", "version": "3",
    "endpoint": "fraud", "desired": 2, "ready": 1, "restarts": 0, "retiring": False,
}  # fmt: skip


@pytest.fixture
def root(tmp_path):
    (tmp_path / "replicas").mkdir()
    (tmp_path / "deployments").mkdir()
    (tmp_path / "replicas/u1.json").write_text(json.dumps(REPLICA))
    (tmp_path / "deployments/risk--fraud.json").write_text(json.dumps(DEPLOYMENT))
    return tmp_path


async def test_records_are_read_with_times_to_the_millisecond(root):
    running = await WorldDirectory(root).read()
    replica = running.replicas["u1"]
    assert (replica.started_ms % 60_000, replica.ended_ms) == (1250, None)
    assert (replica.cpu_millicores, replica.memory_mib, replica.gpus) == (500, 512, 0)
    assert replica.cause == Cause("e", "c", "")
    assert running.deployments["risk--fraud"].ready == 1


async def test_a_broken_record_is_reported_and_the_others_are_read(root):
    (root / "replicas/u0.json").write_text('{"uid": "u0"')
    (root / "replicas/.u2.json").write_text("{")  # one that is being written
    with capture_logs() as logs:
        running = await WorldDirectory(root).read()
    assert list(running.replicas) == ["u1"]
    assert [entry["file"] for entry in logs] == ["u0.json"]


async def test_nothing_runs_where_nothing_was_deployed_yet(tmp_path):
    running = await WorldDirectory(tmp_path / "later").read()
    assert not running.replicas
    assert not running.deployments
