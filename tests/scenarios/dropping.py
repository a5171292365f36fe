"""A platform that watches a bucket, and what a pipeline does that can only put files there."""

import json
import re
from pathlib import Path
from typing import Any

import boto3

from so1s_local.settings import load
from tests.scenarios.running import ACCOUNT, Running, until

BUCKET, PREFIX = "drops", "in/"


class Dropping(Running):
    """A platform whose console watches a bucket."""

    def __init__(self, directory: Path, store: dict[str, Any], **watching: Any) -> None:
        """Make a platform.

        Args:
            directory: for its state.
            store: where S3 is, as services are told: `s3_endpoint_url`, `s3_access_key_id`…
            watching: `drops_seconds` and further settings of the console; `ports`.
        """
        uri = f"s3://{BUCKET}/{PREFIX}"
        prefixes = [uri + "{account}/", f"file://{directory.resolve()}/.so1s/artifacts/{{account}}/"]
        ports = {"ports": watching.pop("ports")} if "ports" in watching else {}
        told = {
            "builder": store | {"artifact_prefixes": json.dumps(prefixes)},
            "console": store | {"drops": uri} | watching,
        }
        services = {name: said | told.get(name, {}) for name, said in load().services.items()}
        super().__init__(directory, services=services, **ports)
        self._s3 = boto3.client(
            "s3",
            endpoint_url=store["s3_endpoint_url"],
            region_name="us-east-1",
            aws_access_key_id=store["s3_access_key_id"],
            aws_secret_access_key=store["s3_secret_access_key"],
        )

    def make_bucket(self) -> None:
        self._s3.create_bucket(Bucket=BUCKET)

    def drop(self, key: str, body: bytes) -> None:
        self._s3.put_object(Bucket=BUCKET, Key=PREFIX + key, Body=body)

    def wait_until_told(self) -> None:
        """Wait until the console hears what the store says of its bucket."""
        until(lambda: self._heard() > 0, 60)

    def _heard(self) -> float:
        self.drop("elsewhere", b"")  # lies where no upload does
        metrics = self.http.get(f"{self.at.services['console']}/metrics").text
        found = re.search(r'notifications_total{outcome="woke"} (\S+)', metrics)
        return float(found[1]) if found else 0.0

    def serves(self, model: str, number: int) -> bool:
        """Whether a model's endpoint answers as that version does."""
        found = self.get("router", f"endpoints?account={ACCOUNT}")["endpoints"]
        url = next((each["url"] for each in found if each["endpoint"] == model), None)
        answer = self.ask(url) if url else None
        return bool(answer and answer.is_success and answer.json()["y"] == self.wanted(model, number))


def dropped_files_serve(platform: Dropping, event: str) -> None:
    """A file, and then a directory, become what answers; `event` is what the store told of the file."""
    platform.drop(f"{ACCOUNT}/dropped/1.onnx", platform.write("dropped", 1).read_bytes())
    until(lambda: platform.serves("dropped", 1), 60)
    platform.drop(f"{ACCOUNT}/dropped/2/model.onnx", platform.write("dropped", 2).read_bytes())
    platform.drop(f"{ACCOUNT}/dropped/2/_SUCCESS", b"")
    until(lambda: platform.serves("dropped", 2), 60)
    first = platform.so1s("explain", "dropped@1", "--account", ACCOUNT)["events"][0]
    assert first["type"] == "so1s.ModelUploaded.v1"
    assert first["data"]["uploaded_by"] == "bucket"
    assert first["data"]["dropped"]["event"] == event
