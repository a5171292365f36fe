"""What a running Envoy says of its clusters."""

from __future__ import annotations

from dataclasses import dataclass

import httpx

from services.router.adapters.envoy_files import Resource


@dataclass(frozen=True)
class EnvoyAdmin:
    """Envoy's admin interface."""

    http: httpx.AsyncClient
    url: str

    async def healthy_hosts(self) -> dict[str, int]:
        """The clusters that can be routed to, each with how many of its replicas answer their checks.

        None where Envoy does not answer: it may be about to start.
        """
        try:
            response = await self.http.get(f"{self.url}/clusters", params={"format": "json"})
        except httpx.HTTPError:
            return {}
        clusters = response.json().get("cluster_statuses", [])
        return {cluster["name"]: sum(map(_healthy, cluster.get("host_statuses", []))) for cluster in clusters}


def _healthy(host: Resource) -> bool:
    status = host.get("health_status", {})
    failing = ("failed_active_health_check", "failed_outlier_check", "pending_active_hc")
    return not any(status.get(name) for name in failing) and status.get("eds_health_status") == "HEALTHY"
