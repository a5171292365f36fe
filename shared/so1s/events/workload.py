"""The values that describe a deployment, shared by the families of events."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from so1s.events.event import Value
from so1s.events.names import Digest, Name

Strategy = Literal["rolling", "static"]
"""`rolling` starts the new replicas before it stops the old; `static` stops first, for scarce GPUs."""

Millicores = Annotated[int, Field(ge=10, le=256_000)]
Mebibytes = Annotated[int, Field(ge=16, le=4_194_304)]
Gpus = Annotated[int, Field(ge=0, le=64)]
Replicas = Annotated[int, Field(ge=1, le=1000)]
"""Nothing wakes a deployment that has none, so it keeps at least one."""
Percent = Annotated[int, Field(ge=0, le=100)]
PositiveMilliseconds = Annotated[float, Field(gt=0)]
WindowSeconds = Annotated[int, Field(ge=0, le=3600)]
ReplicasPerMinute = Annotated[int, Field(ge=1, le=1000)]


class ResourceOptions(Value):
    """What one replica reserves, as far as it is said."""

    cpu_millicores: Millicores | None = None
    memory_mib: Mebibytes | None = None
    gpus: Gpus | None = None


class Resources(Value):
    """What one replica reserves."""

    cpu_millicores: Millicores = 500
    memory_mib: Mebibytes = 512
    gpus: Gpus = 0


class ScalingTargets(Value):
    """The averages that an autoscaler holds; the target that asks for most replicas wins."""

    cpu_percent: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Of the reserved CPU, averaged over the replicas."""
    gpu_percent: Annotated[int, Field(ge=1, le=100)] | None = None
    """How busy the reserved GPUs are, averaged over the replicas; needs `resources.gpus`."""
    requests_per_second: Annotated[float, Field(gt=0)] | None = None
    """Predictions answered, per replica."""
    concurrency: Annotated[float, Field(gt=0)] | None = None
    """Requests in work or waiting, per replica."""
    latency_p90_ms: PositiveMilliseconds | None = None
    """The time to answer that nine of ten requests stay below."""
    latency_p99_ms: PositiveMilliseconds | None = None
    """The time to answer that 99 of 100 requests stay below."""


class ScalingBehavior(Value):
    """How fast an autoscaler moves the number of replicas; the platform's default where it is absent."""

    scale_up_window_seconds: WindowSeconds | None = None
    """More replicas come only once the targets asked for them all that time."""
    scale_down_window_seconds: WindowSeconds | None = None
    """Replicas go only once the targets could do without them all that time, so that a dip costs none."""
    scale_up_replicas_per_minute: ReplicasPerMinute | None = None
    """At most so many come within a minute."""
    scale_down_replicas_per_minute: ReplicasPerMinute | None = None
    """At most so many go within a minute."""


class ScalingOptions(ScalingBehavior, ScalingTargets):
    """How many replicas, as far as it is said."""

    min_replicas: Replicas | None = None
    max_replicas: Replicas | None = None


class Scaling(ScalingBehavior, ScalingTargets):
    """How many replicas: `min_replicas` where both bounds are the same or no target is set."""

    min_replicas: Replicas = 1
    max_replicas: Replicas = 1

    @property
    def is_fixed(self) -> bool:
        """Whether the number is `min_replicas`, so that no autoscaler decides on it."""
        targets = (getattr(self, name) for name in ScalingTargets.model_fields)
        return self.min_replicas == self.max_replicas or all(target is None for target in targets)

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Self:
        low, high = self.min_replicas, self.max_replicas
        if low > high:
            problem = PydanticCustomError("order", "allowed: at least min_replicas, {low}", {"low": low})
            line = InitErrorDetails(type=problem, loc=("max_replicas",), input=high)
            raise ValidationError.from_exception_data("scaling", [line])
        return self


def require_gpus(targets: ScalingTargets, gpus: int | None, *at: str) -> None:
    """Refuse a GPU target without a GPU: for the validator of an event that says both.

    Args:
        targets: of `scaling`.
        gpus: what one replica reserves; None where it is not said.
        at: the names that lead to `scaling`.

    Raises:
        ValidationError: it names the field, its value and what is allowed.
    """
    if targets.gpu_percent is None or gpus != 0:
        return
    problem = PydanticCustomError("needs_gpus", "allowed: only where resources.gpus is at least 1; it is 0")
    field = (*at, "scaling", "gpu_percent")
    line = InitErrorDetails(type=problem, loc=field, input=targets.gpu_percent)
    raise ValidationError.from_exception_data("scaling", [line])


class DeployOptions(Value):
    """What shall become of a built image, as far as it is said."""

    deployment: Name | None = None
    """The model's name where it is absent."""
    endpoint: Name | None = None
    """The model's name where it is absent."""
    initial_percent: Percent | None = None
    """The share of a variant that joins an endpoint with others; they keep their ratio. 0 where absent."""
    requires: list[Name] | None = None
    """The checks that must have passed before the version takes traffic."""
    strategy: Strategy | None = None
    resources: ResourceOptions = ResourceOptions()
    scaling: ScalingOptions = ScalingOptions()


class AlertRule(Value):
    """A condition under which the model's author wants to be told; exactly one bound is given."""

    availability_below: Annotated[float, Field(gt=0, le=1)] | None = None
    latency_p90_above_ms: PositiveMilliseconds | None = None
    latency_p99_above_ms: PositiveMilliseconds | None = None
    for_seconds: Annotated[int, Field(ge=0, le=86_400)] = 60
    """How long the condition must hold."""

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        bounds = (self.availability_below, self.latency_p90_above_ms, self.latency_p99_above_ms)
        if sum(bound is not None for bound in bounds) != 1:
            raise ValueError(
                "allowed: exactly one of availability_below, latency_p90_above_ms, latency_p99_above_ms"
            )
        return self


class Column(Value):
    """One column of a dataframe."""

    name: Annotated[str, Field(min_length=1)]
    dtype: str
    """A numpy dtype's name, or `string`."""
    nullable: bool = False
    """Whether a value may be missing: NaN in a column of floats, None in one of strings."""


class Tensor(Value):
    """One input or output of a model."""

    name: str
    dtype: str
    """A numpy dtype's name, such as `float32`; a dataframe's columns have their own."""
    shape: list[Annotated[int, Field(ge=-1)]]
    """-1 is any size; the first axis is the batch. Empty for one text, JSON value or file alone."""
    type: str = "numpy"
    """What the model takes or gives: `numpy`, `json`, `text`, `file`, `image`, `dataframe`, `series`."""
    columns: list[Column] = []
    """Of a dataframe, in its order."""
    nullable: bool = False
    """Whether a value of a series may be missing."""
    max_bytes: Annotated[int, Field(ge=1)] | None = None
    """Of one value that is no array; without it, the server's limit on bodies alone holds."""

    def __str__(self) -> str:
        """As people read it: `x float32[-1,30]`, `document file`."""
        shape = f"[{','.join(map(str, self.shape))}]"
        if self.type == "numpy":
            return f"{self.name} {self.dtype}{shape}"
        if self.type == "dataframe":
            return f"{self.name} dataframe({_first([column.name for column in self.columns])})"
        return f"{self.name} {self.type}{shape if self.shape else ''}"


_SHOWN_COLUMNS = 10


def _first(names: list[str]) -> str:
    more = f", … and {len(names) - _SHOWN_COLUMNS} more" if len(names) > _SHOWN_COLUMNS else ""
    return ", ".join(names[:_SHOWN_COLUMNS]) + more


class Signature(Value):
    """What a model takes and answers."""

    inputs: list[Tensor]
    outputs: list[Tensor]


class Image(Value):
    """A built inference server."""

    reference: str
    """Where to pull it: a registry reference by digest, or `oci:PATH@DIGEST` for a layout on disk."""
    digest: Digest
    size_bytes: Annotated[int, Field(ge=0)]
