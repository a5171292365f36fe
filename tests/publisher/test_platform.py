"""Where a client finds its platform."""

from pathlib import Path

import pytest

from so1s.errors import InvalidInput
from so1s.platform import ClientSettings, Platform

LAPTOP = Platform(
    kafka="127.0.0.1:5",
    artifacts="file:///tmp/artifacts/",
    gateway="http://127.0.0.1:8080",
    domain="so1s.localhost",
    account="risk",
    services={"billing": "http://127.0.0.1:7"},
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    LAPTOP.write(tmp_path / ".so1s")
    inner = tmp_path / "models" / "out"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    monkeypatch.delenv("SO1S_KAFKA", raising=False)
    return tmp_path


def test_the_platform_is_found_from_a_directory_below_it(project):
    assert Platform.find() == LAPTOP
    settings = ClientSettings.load()
    assert (settings.kafka, settings.account) == ("127.0.0.1:5", "risk")
    assert settings.billing_url == "http://127.0.0.1:7"
    assert settings.found


def test_no_platform_is_found_where_none_was_started(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SO1S_KAFKA", raising=False)
    assert Platform.find() is None
    assert not ClientSettings.load().found


def test_a_variable_wins_over_the_file(project, monkeypatch):
    monkeypatch.setenv("SO1S_ACCOUNT", "fraud-team")
    settings = ClientSettings.load()
    assert (settings.account, settings.kafka) == ("fraud-team", "127.0.0.1:5")


def test_another_kafka_means_another_platform(project, monkeypatch):
    monkeypatch.setenv("SO1S_KAFKA", "kafka.example:9092")
    settings = ClientSettings.load()
    assert (settings.kafka, settings.billing_url, settings.artifacts) == ("kafka.example:9092", None, None)


def test_a_broken_file_is_named(project):
    (project / ".so1s" / "platform.json").write_text("{}")
    with pytest.raises(InvalidInput, match=r"platform\.json"):
        Platform.find()
