"""Settings come from the environment, are checked at once, and keep secrets."""

import socket

import pytest
from pydantic import Field, SecretStr, ValidationError, model_validator

from so1s.broker.connection import client_options
from so1s.settings import KafkaSettings, ServiceSettings


@pytest.fixture(autouse=True)
def bare(monkeypatch):
    """No setting of the machine that runs the tests."""
    import os

    for name in [name for name in os.environ if name.startswith("SO1S_")]:
        monkeypatch.delenv(name)


def test_a_field_is_an_environment_variable_with_a_prefix(monkeypatch):
    monkeypatch.setenv("SO1S_KAFKA", "kafka-1:9092,kafka-2:9092")
    monkeypatch.setenv("SO1S_HTTP_PORT", "8001")
    settings = ServiceSettings()
    assert (settings.kafka, settings.http_port) == ("kafka-1:9092,kafka-2:9092", 8001)


def test_a_replica_is_named_by_its_host_so_that_a_restart_has_the_name_again():
    assert ServiceSettings().instance == socket.gethostname()


def test_all_problems_are_told_at_once(monkeypatch):
    monkeypatch.setenv("SO1S_HTTP_PORT", "99999")
    monkeypatch.setenv("SO1S_LOG_LEVEL", "loud")
    monkeypatch.setenv("SO1S_DRAIN_SECONDS", "0")
    with pytest.raises(ValidationError) as raised:
        ServiceSettings()
    assert {error["loc"][0] for error in raised.value.errors()} == {"http_port", "log_level", "drain_seconds"}


def test_no_secret_is_shown(monkeypatch):
    monkeypatch.setenv("SO1S_KAFKA_PASSWORD", "hunter2")
    monkeypatch.setenv("SO1S_DATABASE_URL", "postgresql+asyncpg://so1s:hunter2@db/so1s")
    settings = ServiceSettings()
    assert "hunter2" not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"


def test_no_secret_is_shown_by_the_error_of_another_setting(monkeypatch):
    class Settings(ServiceSettings):
        token: str
        """Which nobody gave."""

    monkeypatch.setenv("SO1S_KAFKA_PASSWORD", "hunter2")
    with pytest.raises(ValidationError) as raised:
        Settings()
    assert "token" in str(raised.value)
    assert "hunter2" not in str(raised.value)


class Told(ServiceSettings):
    key: SecretStr = Field(min_length=8)
    url: str = Field(default="https://x", pattern="^https://[^@]*$")
    level: int
    names: list[str] = []

    @model_validator(mode="after")
    def _no_seven(self):
        if self.level == 7:
            raise ValueError("level 7 needs names")
        return self


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            {"KEY": "hunter2"},
            ["SO1S_KEY: its value is not allowed; value should have", "SO1S_LEVEL is missing"],
        ),
        ({"KEY": "long enough", "LEVEL": "high"}, ["SO1S_LEVEL: 'high' is not allowed; input should be"]),
        (
            {"KEY": "long enough", "LEVEL": "1", "URL": "https://me:hunter2@x"},
            ["SO1S_URL: 'https://***@x' is not"],
        ),
        ({"KEY": "long enough", "LEVEL": "7"}, ["level 7 needs names"]),
        ({"KEY": "long enough", "LEVEL": "1", "NAMES": "a,b"}, ['"names"', "allowed: JSON"]),
    ],
)
def test_a_process_ends_with_the_variables_that_are_wrong_and_no_secret(monkeypatch, said, told):
    for name, value in said.items():
        monkeypatch.setenv(f"SO1S_{name}", value)
    with pytest.raises(SystemExit) as ended:
        Told.read()
    assert all(each in str(ended.value) for each in told), ended.value
    assert not any(secret in str(ended.value) for secret in ("hunter2", "long enough"))


def test_a_plain_listener_needs_nothing_else():
    assert client_options(KafkaSettings(kafka="k:9092")) == {
        "bootstrap_servers": "k:9092",
        "security_protocol": "PLAINTEXT",
    }


def test_a_secured_listener_is_asked_with_user_and_password(monkeypatch):
    monkeypatch.setenv("SO1S_KAFKA_SECURITY", "sasl_ssl")
    monkeypatch.setenv("SO1S_KAFKA_USER", "so1s")
    monkeypatch.setenv("SO1S_KAFKA_PASSWORD", "hunter2")
    options = client_options(KafkaSettings())
    assert options["security_protocol"] == "SASL_SSL"
    assert options["ssl_context"].check_hostname
    assert (options["sasl_mechanism"], options["sasl_plain_username"]) == ("SCRAM-SHA-512", "so1s")
    assert options["sasl_plain_password"] == "hunter2"
