"""Reads from replicas what the autoscaler decides on."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import httpx
from prometheus_client.parser import text_string_to_metric_families

from services.deployer.adapters.processes.world import ReplicaRecord
from services.deployer.domain.readings import Reading


async def read(http: httpx.AsyncClient, record: ReplicaRecord) -> Reading:
    """The counters of a replica's process and server; what cannot be read is absent."""
    process = record.process
    cpu_seconds = await asyncio.to_thread(process.cpu_seconds) if process else None
    reading = Reading(time.time(), record.pid or 0, cpu_seconds)
    if not process:
        return reading
    try:
        text = (await http.get(f"{record.url}/metrics")).raise_for_status().text
    except httpx.HTTPError:
        return reading
    return served(reading, text)


def served(reading: Reading, text: str) -> Reading:
    """The reading with what the server says of itself: its predictions, of all routes together."""
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    predictions = [sample for sample in samples if _is_prediction(sample.labels.get("route", ""))]
    buckets: dict[float, float] = {}
    for sample in predictions:
        if sample.name == "http_request_duration_seconds_bucket":
            bound = float(sample.labels["le"])
            buckets[bound] = buckets.get(bound, 0.0) + sample.value
    return replace(
        reading,
        requests=sum(each.value for each in predictions if each.name == "http_requests_total"),
        seconds_buckets=buckets,
        in_flight=next((each.value for each in samples if each.name == "http_requests_in_flight"), None),
    )


def _is_prediction(route: str) -> bool:
    return route == "/predict" or route.endswith("/infer")
