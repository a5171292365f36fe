"""Reads from replicas what the autoscaler decides on."""

from __future__ import annotations

import asyncio
import time

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
    requests, buckets = parse(text)
    return Reading(reading.at, reading.process, cpu_seconds, requests, buckets)


def parse(text: str) -> tuple[float, dict[float, float]]:
    """The predictions answered, and the cumulative buckets of their durations, of all routes together."""
    requests = 0.0
    buckets: dict[float, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if not _is_prediction(sample.labels.get("route", "")):
                continue
            if sample.name == "http_requests_total":
                requests += sample.value
            elif sample.name == "http_request_duration_seconds_bucket":
                bound = float(sample.labels["le"])
                buckets[bound] = buckets.get(bound, 0.0) + sample.value
    return requests, buckets


def _is_prediction(route: str) -> bool:
    return route == "/predict" or route.endswith("/infer")
