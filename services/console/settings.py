"""What the console is told by its environment, each field as `SO1S_FIELD`."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from services.console.domain.parts import LEAST_PART_BYTES, MOST_ARTIFACT_BYTES, MOST_PART_BYTES
from so1s.settings import ServiceSettings


def _base(base: str) -> str:
    if not base.startswith(("s3://", "file:///")) or not base.endswith("/") or base == "s3:///":
        raise ValueError("allowed: s3://BUCKET/PREFIX/, or file:///DIRECTORY/ on a laptop")
    return base


def _bucket(base: str) -> str:
    if not base.startswith("s3://") or not base.endswith("/") or base == "s3:///":
        raise ValueError("allowed: s3://BUCKET/, or s3://BUCKET/PREFIX/")
    return base


class UploadSettings(ServiceSettings):
    """Where uploads go, and how large they may be."""

    artifacts: Annotated[str, AfterValidator(_base)]
    """`s3://BUCKET/PREFIX/`, or `file:///DIRECTORY/`; the account is added. Builders look there, too."""
    s3_endpoint_url: str | None = None
    """Of a store that is not AWS."""
    s3_public_endpoint_url: str | None = None
    """As pipelines reach the same store; `s3_endpoint_url` where it is absent."""
    s3_region: str = "us-east-1"
    s3_access_key_id: SecretStr | None = None
    """Without keys, boto3 finds credentials itself, such as a pod's identity."""
    s3_secret_access_key: SecretStr | None = None
    max_artifact_bytes: int = Field(default=20 * 2**30, gt=0, le=MOST_ARTIFACT_BYTES)
    """As many as a builder takes by default; S3 takes 5 TiB."""
    part_bytes: int = Field(default=64 * 2**20, ge=LEAST_PART_BYTES, le=MOST_PART_BYTES)
    """What is larger goes to S3 in parts of this size, or of the least one that makes 10,000 of them."""
    parts_days: float = Field(default=7, gt=0)
    """How long an upload in parts may take, with all its repetitions; then what was sent of it is dropped."""
    upload_url_seconds: int = Field(default=900, ge=1, le=3600)
    """How long an upload may wait before it begins."""
    upload_seconds: float = Field(default=3600, gt=0)
    """How long an upload to this machine may take."""


class Settings(UploadSettings):
    """The settings of a console."""

    database_url: SecretStr  # ty: ignore[incompatible-mutable-override] - whoever owns state needs one
    """An SQLAlchemy URL; it holds the tokens."""
    builder_url: Annotated[str, Field(pattern=r"^https?://[^/]")] | None = None
    """Of a builder's API, such as `http://so1s-builder:8000`, for builds and logs of a token's account; these
    are not told without it. The chart says the release's own."""
    drops: Annotated[str, AfterValidator(_bucket)] | None = None
    """`s3://BUCKET/PREFIX/`, below which pipelines drop ACCOUNT/MODEL/VERSION; builders look there, too.
    Nothing is watched by default."""
    drops_seconds: float = Field(default=60, gt=0)
    """How often that is listed, for notifications that were lost."""
    drops_days: float = Field(default=30, gt=0)
    """How long a drop is remembered after its files are gone. While they are listed it is never forgotten."""
    drops_topic: str | None = None
    """The Kafka topic to which the store writes its notifications; without one, listings alone tell."""
    max_body_bytes: int = Field(default=4 * 2**20, gt=0)
    """Of a request with events; a single event has at most 512 KiB."""
    body_seconds: float = Field(default=30, gt=0)
    """How long such a request may take to arrive."""
    max_waits: int = Field(default=100, ge=0)
    """Requests that wait for news of a chain at once, each a small query every fifth of a second; further
    ones are answered without waiting."""
    failed_attempts: int = Field(default=10, ge=1)
    """Wrong secrets of one token from one address within `failed_attempts_seconds`, after which more are
    told to wait. The right secret is let in all the same."""
    failed_attempts_seconds: float = Field(default=60, gt=0)
    chain_days: int = Field(default=14, ge=1)
    """How long the events of a chain can be asked for: longer than any topic of theirs keeps them."""
    audit_days: int = Field(default=400, ge=1)
    """How long the audit is kept: over a year, as auditors ask once a year."""
