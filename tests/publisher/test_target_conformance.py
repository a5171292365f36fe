"""Each `Target` of a pipeline; S3 is a server that speaks its protocol, and in the lab a real one."""

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from services.builder.adapters.artifacts_file import FileArtifacts
from services.builder.adapters.artifacts_s3 import S3Artifacts
from services.builder.settings import S3Settings
from so1s.artifacts import Target, target
from so1s.platform import ClientSettings
from tests.publisher.target_conformance import (  # noqa: F401 - the port's conformance suite
    prefix,
    test_a_builder_finds_a_file_of_any_name_or_the_name_is_refused,
    test_a_builder_finds_what_was_put_where_the_target_said,
    test_a_place_that_is_away_is_told_of,
    test_bytes_that_are_there_are_not_sent_again,
    test_bytes_that_changed_since_they_were_announced_are_not_taken,
    test_other_bytes_of_a_version_have_a_place_of_their_own,
    write,
)
from tests.publisher.test_uploads_s3 import client
from tests.publisher.test_uploads_s3 import settings as s3_settings  # noqa: F401 - a fixture


class Disk:
    """A directory of this machine, which a pipeline writes by itself or a console writes for it."""

    artifacts = FileArtifacts()

    def __init__(self, settings: ClientSettings, away: Mapping[str, Any]) -> None:
        self.base = settings.artifacts or ""
        self._settings, self._away = settings, away

    def target(self) -> Target:
        return target(self._settings)

    def away(self) -> Target:
        return target(self._settings.model_copy(update=self._away))

    def mark(self, uri: str) -> tuple[int, int]:
        found = Path(unquote(urlsplit(uri).path)).stat()
        return found.st_ino, found.st_mtime_ns


class Bucket:
    """A bucket that a pipeline has the keys of."""

    def __init__(self, settings: ClientSettings) -> None:
        self.base = settings.artifacts or ""
        self._settings = settings
        keys = {name: value for name, value in settings if name in S3Settings.model_fields}
        self.artifacts = S3Artifacts(S3Settings(**keys))

    def target(self) -> Target:
        return target(self._settings)

    def away(self) -> Target:
        return target(self._settings.model_copy(update={"s3_endpoint_url": "http://127.0.0.1:1"}))

    def mark(self, uri: str) -> Any:
        """Its tag: an object that is written again has none. Its time has whole seconds only."""
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        store = client(self._settings)
        tags = store.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
        if not tags:
            tags = [{"Key": "seen", "Value": uuid.uuid4().hex}]
            store.put_object_tagging(Bucket=bucket, Key=key, Tagging={"TagSet": tags})
        return tags


@pytest.fixture(params=["directory", "console", "s3"])
def place(request, tmp_path):
    match request.param:
        case "s3":
            return Bucket(request.getfixturevalue("s3_settings"))
        case "console":
            return Disk(request.getfixturevalue("over_http"), {"url": "http://127.0.0.1:1"})
    (tmp_path / "file").write_text("no directory")
    here = (tmp_path / "my artifacts %20#").as_uri() + "/"
    return Disk(ClientSettings(artifacts=here), {"artifacts": (tmp_path / "file").as_uri() + "/"})


def test_a_file_that_cannot_be_read_is_not_told_as_a_matter_of_the_place(tmp_path):
    here = target(ClientSettings(artifacts=tmp_path.as_uri() + "/"))
    with pytest.raises(FileNotFoundError):
        here.put(tmp_path / "gone.onnx", "risk/fraud/3", "a" * 64)
