"""The values that describe a deployment, shared by the families of events."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

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
    requests_per_second: Annotated[float, Field(gt=0)] | None = None
    """Per replica."""
    latency_p90_ms: PositiveMilliseconds | None = None
    latency_p99_ms: PositiveMilliseconds | None = None


class ScalingOptions(ScalingTargets):
    """How many replicas, as far as it is said."""

    min_replicas: Replicas | None = None
    max_replicas: Replicas | None = None


class Scaling(ScalingTargets):
    """How many replicas; fixed where both bounds are the same."""

    min_replicas: Replicas = 1
    max_replicas: Replicas = 1

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Self:
        if self.max_replicas < self.min_replicas:
            raise ValueError(f"allowed: max_replicas of at least min_replicas, {self.min_replicas}")
        return self


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


class Tensor(Value):
    """One input or output of a model."""

    name: str
    dtype: str
    """A numpy dtype's name, such as `float32`."""
    shape: list[Annotated[int, Field(ge=-1)]]
    """-1 is any size; the first axis is the batch."""


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
