"""Where a platform is: what pipelines, consumers and the command line need to reach it.

The supervisor of a laptop writes `.so1s/platform.json`; who works below that directory finds it by walking
up. The environment wins over it, each field as `SO1S_FIELD`; `SO1S_KAFKA` or `SO1S_URL` means another
platform altogether. Where neither is there, a client takes what `so1s login` kept.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from so1s.errors import MISSING, Fault, InvalidInput, Problem
from so1s.login import Login
from so1s.settings import KafkaSettings, ServiceSettings

_WHERE = frozenset({"kafka", "url"})
"""What says which platform is meant."""

REACH_A_PLATFORM = (
    "run `make up` and stay below its directory, `so1s login URL` of a console, or set SO1S_KAFKA and "
    "SO1S_ACCOUNT, and SO1S_ARTIFACTS to publish"
)
ARTIFACTS_ALLOWED = "allowed: s3://BUCKET/PREFIX/, or file:///DIRECTORY/ on a laptop"

STATE_DIR = ".so1s"
FILE_NAME = "platform.json"


class Platform(BaseModel):
    """The platform of a laptop, as its supervisor announces it."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)

    kafka: str
    """Bootstrap servers, `HOST:PORT`."""
    artifacts: str
    """Where uploads go, such as `file:///home/me/.so1s/artifacts/`."""
    gateway: str
    """Envoy, such as `http://127.0.0.1:8080`."""
    domain: str
    """Of the endpoints, such as `so1s.localhost`."""
    slack: str | None = None
    """The local Slack API, where messages can be seen."""
    account: str | None = None
    """Whose models these are, where nothing else is said."""
    services: dict[str, str] = {}
    """The URL of each service's API, by name."""

    def write(self, state_dir: Path) -> Path:
        """Announce the platform; a reader sees all of the file or none."""
        path = state_dir / FILE_NAME
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{FILE_NAME}.new")
        beside.write_text(self.model_dump_json(indent=1) + "\n")
        beside.replace(path)
        return path

    @classmethod
    def find(cls, directory: Path | None = None) -> Self | None:
        """The platform of a directory or of the nearest one above it; None where none was started.

        Raises:
            InvalidInput: the file is not one that a supervisor wrote.
        """
        start = (directory or Path.cwd()).resolve()
        files = (above / STATE_DIR / FILE_NAME for above in (start, *start.parents))
        path = next((file for file in files if file.is_file()), None)
        return cls.read(path) if path else None

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `write` wrote.

        Raises:
            InvalidInput: it is something else.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise InvalidInput.fault(
                str(path), "it is no platform", "allowed: what `make up` writes"
            ) from error


class PlatformSettings(KafkaSettings):
    """Settings that the environment gives, and else the laptop's platform."""

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """Read the environment and the platform's file; `overrides` win over both.

        Raises:
            InvalidInput: each setting that breaks a rule.
        """
        try:
            return cls(**overrides)
        except ValidationError as error:
            raise InvalidInput.from_pydantic(error, cls) from error

    @property
    def found(self) -> bool:
        """Whether anything said where the platform is."""
        return not self.model_fields_set.isdisjoint(_WHERE)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is passed wins over the environment, and that over the platform's file."""
        return (
            init_settings,
            env_settings,
            dotenv_settings,
            file_secret_settings,
            _PlatformSource(settings_cls),
        )


class ConsumerSettings(PlatformSettings, ServiceSettings):
    """What a consumer is told that runs as a service of its own."""


class ClientSettings(PlatformSettings):
    """What a client of a platform is told."""

    url: str | None = None
    """Of a platform's console: whoever has a token publishes and waits over HTTP, without Kafka."""
    token: SecretStr | None = None
    """`so1s_…`, of that console."""
    account: str | None = None
    """Whose models these are."""
    artifacts: str | None = None
    """Where uploads go: `s3://BUCKET/PREFIX/` or, on a laptop, `file:///DIRECTORY/`; the account is added."""
    gateway: str = "http://127.0.0.1:8080"
    """Where endpoints whose domain is `*.localhost` answer."""
    domain: str = "so1s.localhost"
    """An endpoint's host is `ENDPOINT--ACCOUNT.DOMAIN`."""
    slack: str | None = None
    builder_url: str | None = None
    deployer_url: str | None = None
    router_url: str | None = None
    collector_url: str | None = None
    billing_url: str | None = None
    alerter_url: str | None = None
    console_url: str | None = None
    s3_endpoint_url: str | None = None
    """Of a store that is not AWS."""
    s3_region: str | None = None
    s3_access_key_id: SecretStr | None = None
    """Without keys, boto3 finds credentials itself, such as a pod's identity."""
    s3_secret_access_key: SecretStr | None = None

    def require_for_upload(self, account: str | None, *, of_file: bool, say_account: str) -> None:
        """Tell at once all that nobody said, and first that no platform is known: it says the rest.

        With a console nothing but its token need be said, which whoever asks it misses.

        Args:
            account: as the caller said it.
            of_file: whether a file is to be sent, or what is there already.
            say_account: how the caller can say it.

        Raises:
            InvalidInput: with each setting that is missing, and what to set.
        """
        if self.url:
            return
        missing: list[Problem] = []
        if not (account or self.account):
            allowed = f"allowed: {say_account}, or SO1S_ACCOUNT in the environment"
            missing.append(Problem("account", MISSING, allowed))
        if of_file and not self.artifacts:
            missing.append(Problem("SO1S_ARTIFACTS", MISSING, ARTIFACTS_ALLOWED))
        if missing and not self.found:
            missing.insert(0, Fault("platform", "none is known here", REACH_A_PLATFORM))
        if missing:
            raise InvalidInput(missing)

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], *args: Any, **sources: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Where nothing else says which platform is meant, it is that of the login."""
        nearer = super().settings_customise_sources(settings_cls, *args, **sources)
        return (*nearer, _LoginSource(settings_cls))


class _FileSource(PydanticBaseSettingsSource):
    """Settings of a file."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002 - pydantic's signature
        return None, field_name, False  # all fields are read at once


class _LoginSource(_FileSource):
    """Settings that `so1s login` kept."""

    def __call__(self) -> dict[str, Any]:
        known = self.current_state
        meant = known.get("url")
        if "token" in known or (meant is None and not _WHERE.isdisjoint(known)):
            return {}
        login = Login.find()
        if login is None or meant not in {None, login.url}:
            return {}
        return login.model_dump()


class _PlatformSource(_FileSource):
    """Settings that the laptop's platform announces."""

    def __call__(self) -> dict[str, Any]:
        another_is_meant = not _WHERE.isdisjoint(self.current_state)
        platform = None if another_is_meant else Platform.find()
        if platform is None:
            return {}
        urls = {f"{name}_url": url for name, url in platform.services.items()}
        said = platform.model_dump(exclude={"services"}, exclude_none=True)
        return said | urls
