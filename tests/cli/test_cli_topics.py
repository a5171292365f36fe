"""`so1s topics`."""

import subprocess
import uuid
from pathlib import Path

import pytest
import yaml

from so1s.broker.topics import wanted
from so1s.cli.topics import SERVICES


@pytest.fixture
def consumer():
    return f"c-{uuid.uuid4().hex[:8]}"


def states(so1s, consumer):
    rows = so1s("topics", "list", "--consumer", consumer, "-o", "json").json
    return {row["topic"]: row["state"] for row in rows}


def test_apply_makes_what_is_missing(so1s, laptop, consumer):
    topic = f"so1s.dlq.{consumer}"
    assert states(so1s, consumer)[topic] == "missing"
    assert so1s("topics", "apply", "--consumer", consumer).code == 0
    assert states(so1s, consumer)[topic] == "ready"
    assert so1s("topics", "apply", "--consumer", consumer).code == 0


def test_the_shell_export_makes_each_topic_once(so1s, tmp_path):
    script = so1s("topics", "export", "--format", "shell", "--replication", "2").out
    fake = tmp_path / "kafka-topics.sh"
    fake.write_text('#!/bin/sh\necho "$@"\n')
    fake.chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "BOOTSTRAP": "kafka:9092",
        "COMMAND_CONFIG": "my file",
    }
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True, env=environment)
    calls = done.stdout.splitlines()
    assert len(calls) == len(wanted(SERVICES))
    start = "--bootstrap-server kafka:9092 --command-config my file --create --if-not-exists --topic "
    assert all(call.startswith(start) for call in calls)
    assert all("--replication-factor 2 --config cleanup.policy=delete" in call for call in calls)


def test_the_strimzi_export_names_the_cluster(so1s):
    text = so1s("topics", "export", "--format", "strimzi", "--cluster", "main").out
    resources = list(yaml.safe_load_all(text))
    assert [each["metadata"]["name"] for each in resources] == [topic.name for topic in wanted(SERVICES)]
    assert {each["kind"] for each in resources} == {"KafkaTopic"}
    assert {each["metadata"]["labels"]["strimzi.io/cluster"] for each in resources} == {"main"}
    assert all(isinstance(each["spec"]["config"]["retention.ms"], str) for each in resources)


def test_the_terraform_export_has_a_resource_a_topic(so1s):
    text = so1s("topics", "export", "--format", "terraform").out
    assert text.count('resource "kafka_topic"') == len(wanted(SERVICES))
    assert text.count("{") == text.count("}")


def test_another_number_of_partitions_is_told_and_left(so1s, laptop, monkeypatch, consumer):
    from so1s.cli import topics
    from so1s.events import Topic

    so1s("topics", "apply", "--consumer", consumer)
    monkeypatch.setattr(topics, "wanted", lambda _: [Topic(f"so1s.dlq.{consumer}", 5, 7)])
    result = so1s("topics", "apply")
    assert result.code == 1
    assert f"so1s.dlq.{consumer} has 1 partitions, not 5" in result.err


def test_templates_are_part_of_the_package():
    import so1s.cli

    assert (Path(so1s.cli.__file__).parent / "templates" / "consumer.py.txt").is_file()
