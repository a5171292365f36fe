"""Records of a laptop's world that cannot be read."""

import json

from structlog.testing import capture_logs

from services.collector.adapters.world_directory import WorldDirectory

REPLICA = {
    "uid": "u1", "account": "risk", "deployment": "fraud", "revision": 1, "model": "fraud", "version": "3",
    "endpoint": None, "user": "airflow:risk_daily", "labels": {"team": "fraud-ds"},
    "resources": {"cpu_millicores": 500, "memory_mib": 512, "gpus": 0}, "url": "http://127.0.0.1:1", "pid": 7,
    "pid_started_at": 1.5, "started_at": "2027-01-01T00:00:01.250Z", "ready_at": None, "ended_at": None,
    "restarts": 0, "event_id": "e", "correlation_id": "c", "traceparent": "",
}  # fmt: skip


async def test_a_broken_record_is_reported_and_the_others_are_read(tmp_path):
    (tmp_path / "replicas").mkdir()
    (tmp_path / "replicas/u1.json").write_text(json.dumps(REPLICA))
    (tmp_path / "replicas/u0.json").write_text('{"uid": "u0"')
    (tmp_path / "replicas/.u2.json").write_text("{")  # one that is being written
    with capture_logs() as logs:
        running = await WorldDirectory(tmp_path).read()
    assert list(running.replicas) == ["u1"]
    assert running.replicas["u1"].started_ms % 60_000 == 1250
    assert [entry["file"] for entry in logs] == ["u0.json"]
