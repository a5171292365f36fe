"""The same event from any Kafka client: a CloudEvent in binary mode, and nothing of So1s.

python without_so1s.py 127.0.0.1:9092 risk fraud 3 s3://models/risk/fraud/3.skops
"""

from __future__ import annotations

import json
import sys
import uuid

from confluent_kafka import Producer


def publish(servers: str, account: str, model: str, version: str, uri: str) -> str:
    """Say that an artifact is in place; answers the event's id."""
    data = {"account": account, "model": model, "version": version, "artifact": {"uri": uri}}
    # Made of what is said, so that a retry is the same event and takes effect once.
    event_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{uri}#{account}/{model}@{version}"))
    producer = Producer({"bootstrap.servers": servers, "enable.idempotence": True})
    producer.produce(
        "so1s.model-uploaded",
        key=f"{account}/{model}",  # the order of a model's events is kept
        value=json.dumps(data),
        headers={
            "ce_specversion": "1.0",
            "ce_id": event_id,
            "ce_source": "my-pipeline",
            "ce_type": "so1s.ModelUploaded.v1",
            "content-type": "application/json",
        },
    )
    if producer.flush(30):
        raise TimeoutError(f"Kafka does not answer at {servers}")
    return event_id


if __name__ == "__main__":
    print(publish(*sys.argv[1:]))
