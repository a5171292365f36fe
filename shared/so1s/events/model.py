"""Model versions: what a pipeline says of the bytes it uploaded."""

from __future__ import annotations

from typing import Annotated, Literal, Self, get_args

from pydantic import AfterValidator, AwareDatetime, Field, model_validator

from so1s.events.event import Event, Value
from so1s.events.names import Actor, Labels, Name, Version
from so1s.events.workload import AlertRule, DeployOptions, require_gpus

Format = Literal[
    "onnx",
    "skops",
    "xgboost",
    "lightgbm",
    "keras",
    "tensorflow",
    "torch",
    "torchscript",
    "transformers",
    "python",
    "pickle",
]
"""A serialisation that the builder can serve."""

Priority = Literal["low", "normal", "high"]
"""Of a build among those of its account; accounts take turns whatever they say."""
Compilable = Literal["skops", "xgboost", "lightgbm", "keras", "torch"]
COMPILABLE: tuple[Compilable, ...] = get_args(Compilable)
"""The formats that can be compiled to ONNX."""
CODE: tuple[Format, ...] = ("python", "pickle")
"""The formats that run their author's code, which may ask for packages of its own."""

Optimization = Literal["onnx", "none"]
"""What a model is compiled to while its image is built; `none` overrides a `so1s.yaml` that says so."""


def _check_uri(uri: str) -> str:
    scheme, _, rest = uri.partition("://")
    bucket, _, path = rest.partition("/")
    located = bool(bucket) if scheme == "s3" else scheme == "file" and not bucket
    if not located or not path.strip("/") or not uri.isprintable():
        raise ValueError("allowed: s3://BUCKET/KEY, or file:///PATH on a laptop")
    if ".." in uri.split("/"):
        raise ValueError("allowed: a URI without '..'")
    return uri


ArtifactUri = Annotated[str, Field(max_length=1024), AfterValidator(_check_uri)]


class Artifact(Value):
    """The uploaded bytes."""

    uri: ArtifactUri
    """One object or file (a model, tar or zip), or a prefix or directory that ends with `/`."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """Of the object's bytes; checked where it is given."""
    size_bytes: Annotated[int, Field(ge=0)] | None = None


class Lineage(Value):
    """Where a version comes from."""

    run_url: str | None = None
    commit: str | None = None
    dataset_uri: str | None = None


class Dropped(Value):
    """How files of a watched bucket were found."""

    event: Annotated[str, Field(max_length=64)] = ""
    """What the store said of them, such as `ObjectCreated:Put`; empty where only a listing showed them."""
    principal: Annotated[str, Field(max_length=128)] = ""
    """Who put them, as the store said it."""
    modified_at: AwareDatetime
    """When the store took the last of them."""


class ModelUploaded(Event, key=("account", "model")):
    """A model version's artifact is in place: build, deploy and route it."""

    model: Name
    version: Version
    artifact: Artifact
    format: Format | None = None
    """Recognised from the artifact where it is absent."""
    optimize: Optimization | None = None
    """Overrides the model's `so1s.yaml`; without either, the model is served by its own library."""
    uploaded_by: Actor = "unknown"
    """The user or pipeline, such as `airflow:risk_daily`; charges are reported by it."""
    lineage: Lineage = Lineage()
    evaluation: dict[str, float] = {}
    """The pipeline's own figures, such as `auc: 0.943`."""
    labels: Labels = {}
    priority: Priority = "normal"
    """Of its build among the account's own: `high` goes before what came up to an hour earlier, `low` lets
    pass what comes within an hour."""
    deploy: DeployOptions | None = DeployOptions()
    """What is said here overrides the model's `so1s.yaml`; null builds the image alone."""
    alerts: list[AlertRule] | None = None
    """Overrides the model's `so1s.yaml`."""
    dropped: Dropped | None = None
    """Where the upload is files that were dropped into a watched bucket."""

    @model_validator(mode="after")
    def _gpus_where_they_are_held(self) -> Self:
        if self.deploy:
            require_gpus(self.deploy.scaling, self.deploy.resources.gpus, "deploy")
        return self
