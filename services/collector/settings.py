"""What the collector is told."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from so1s.events.names import Account, Name
from so1s.settings import ServiceSettings

_WINDOW_SECONDS = {"laptop": 5, "cluster": 60}


class ClusterSettings(ServiceSettings):
    """What `source = "cluster"` needs."""

    kubeconfig: Path | None = None
    """Where the Kubernetes cluster is; the one that this pod runs in where it is absent."""
    namespace_prefix: str = Field(default="so1s-", pattern="^[a-z0-9-]{1,20}$")
    """An account's namespace is this and its name, as the deployer is told."""
    gpu_resource: str = "nvidia.com/gpu"
    """What a GPU is called among a node's resources."""
    prometheus_url: str = "http://prometheus-operated.monitoring:9090"
    """Of Prometheus, or of what speaks its API; with the path before `/api/v1` where there is one."""
    prometheus_token: SecretStr | None = None
    """A bearer token."""
    prometheus_token_file: Path | None = None
    """A file with one, read for each request: a service account's is renewed every hour."""
    prometheus_ca_file: Path | None = None
    """PEM file of a private authority; the system's where it is absent."""
    prometheus_timeout_seconds: float = Field(default=30.0, gt=0)
    """For one query: 30 s is beyond what a query of one window takes on a busy server."""
    gateway_metrics: Literal["istio", "envoy"] = "istio"
    """Istio's telemetry; or the statistics of its proxies' clusters, which an operator must let them keep
    (`proxyStatsMatcher`, with `cluster.outbound` as a prefix)."""
    gateway_matchers: str | None = None
    """PromQL label matchers that tell the gateway's series from other proxies', such as
    `reporter="source",source_workload="istio-ingressgateway"`; by default `reporter="source"` for Istio."""
    gateway_up: str = 'up{namespace="istio-system",pod=~"istio-ingressgateway-.+"}'
    """A PromQL selector of `up` that finds the gateway's pods: without one that is scraped, nothing is known
    of its requests."""
    gpu_metric: Literal["DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_PROF_GR_ENGINE_ACTIVE"] = "DCGM_FI_DEV_GPU_UTIL"
    """What of NVIDIA's DCGM exporter tells how busy a GPU is: the part of the time in which anything ran on
    it. The second needs a GPU of a data center, and is the only one that partitions of a GPU (MIG) have.
    Where Prometheus does not have it, no use of GPUs is metered."""
    settle_seconds: float = Field(default=30.0, ge=0)
    """How long after a window everything is known of it: a scrape's interval and a little; more where agents
    write to Prometheus. What comes later is counted in the window in which it is seen, as `partial`."""
    stale_seconds: float = Field(default=45.0, gt=0)
    """What was scraped last so long ago says nothing of the present: more than a scrape's interval, or every
    window has gaps; less than a window, or one in which nothing was scraped counts as known. One sample of a
    GPU speaks for so long at most."""
    lookback_seconds: float = Field(default=3600.0, gt=0)
    """A gateway's pod that Prometheus could not scrape for so long, while it scraped others, is taken for a
    new one whose counters began at zero; a longer time costs Prometheus more memory for each query."""
    reach_seconds: float = Field(default=86_400.0, gt=0)
    """How far back windows are caught up one by one, under what Prometheus retains; older ones are gaps."""

    @model_validator(mode="after")
    def _one_token(self) -> Self:
        if self.prometheus_token and self.prometheus_token_file:
            raise ValueError("allowed: prometheus_token or prometheus_token_file, not both")
        return self


class Settings(ClusterSettings):
    """Each field as `SO1S_FIELD`."""

    source: Literal["laptop", "cluster"] = "laptop"
    """What is sampled: processes of this machine, by scrapes; or pods, by watches and Prometheus."""
    database_url: SecretStr  # ty: ignore[incompatible-mutable-override] - whoever owns state needs one
    """An SQLAlchemy URL: `sqlite+aiosqlite:///PATH` or `postgresql+asyncpg://…`; it holds the cursors."""
    world_dir: Path = Path(".so1s/world")
    """What runs, as the deployer records it."""
    envoy_admin_port: int = Field(default=9901, ge=1, le=65535)
    """Of Envoy's admin interface on 127.0.0.1."""
    gateway: Name = "envoy"
    """What people call it."""
    operator_account: Account = "so1s"
    """Whose the gateway is, since it serves every tenant."""
    window_seconds: int = Field(
        default_factory=lambda known: _WINDOW_SECONDS[known.get("source", "laptop")], ge=1, le=3600
    )
    """The grid of samples. On a laptop 5 s: short enough to bill and watch what a demo does. In a cluster
    60 s, which hold some scrapes of its Prometheus."""
    scrape_seconds: float = Field(default=1.0, gt=0)
    """Between two looks at the counters: at most so much is lost where something dies."""

    @model_validator(mode="after")
    def _looks_often_enough(self) -> Self:
        name = "scrape_seconds" if self.source == "laptop" else "stale_seconds"
        if getattr(self, name) > self.window_seconds:
            raise ValueError(f"{name}: allowed: at most window_seconds, {self.window_seconds}")
        return self
