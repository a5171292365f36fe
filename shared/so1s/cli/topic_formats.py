"""Topics as other tools make them; pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

import yaml

from so1s.broker.topics import topic_configs
from so1s.events import Topic

_CREATE = """\
create() {
  kafka-topics.sh --bootstrap-server "$BOOTSTRAP" ${COMMAND_CONFIG:+--command-config "$COMMAND_CONFIG"} \\
    --create --if-not-exists "$@"
}"""


def shell(topics: Sequence[Topic], replication: int) -> str:
    """A script for Kafka's own `kafka-topics.sh`; it needs BOOTSTRAP, and may be run again."""
    return "\n".join(
        [
            "#!/bin/sh",
            "# BOOTSTRAP=HOST:PORT, and COMMAND_CONFIG=FILE where the brokers want to know who you are.",
            "set -eu",
            _CREATE,
            *(_command(topic, replication) for topic in topics),
        ]
    )


def _command(topic: Topic, replication: int) -> str:
    configs = [
        part for name, value in topic_configs(topic).items() for part in ("--config", f"{name}={value}")
    ]
    counts = ["--partitions", str(topic.partitions), "--replication-factor", str(replication)]
    return shlex.join(["create", "--topic", topic.name, *counts, *configs])


def strimzi(topics: Sequence[Topic], replication: int, cluster: str) -> str:
    """KafkaTopic resources of the Strimzi operator, https://strimzi.io/docs/operators/latest/configuring."""
    resources: list[dict[str, Any]] = [
        {
            "apiVersion": "kafka.strimzi.io/v1",
            "kind": "KafkaTopic",
            "metadata": {"name": topic.name, "labels": {"strimzi.io/cluster": cluster}},
            "spec": {
                "partitions": topic.partitions,
                "replicas": replication,
                "config": topic_configs(topic),
            },
        }
        for topic in topics
    ]
    return yaml.safe_dump_all(resources, sort_keys=False).rstrip()


def terraform(topics: Sequence[Topic], replication: int) -> str:
    """Resources of the provider Mongey/kafka."""
    return "\n\n".join(_resource(topic, replication) for topic in topics)


def _resource(topic: Topic, replication: int) -> str:
    configs = "\n".join(f'    "{name}" = "{value}"' for name, value in topic_configs(topic).items())
    return f"""resource "kafka_topic" "{topic.name.replace(".", "_")}" {{
  name               = "{topic.name}"
  partitions         = {topic.partitions}
  replication_factor = {replication}
  config = {{
{configs}
  }}
  lifecycle {{
    # Another number of partitions would move keys and tear the order of their events apart.
    ignore_changes = [partitions]
  }}
}}"""
