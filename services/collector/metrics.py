"""The collector's own metrics."""

from __future__ import annotations

from prometheus_client import Counter

SCRAPES = Counter(
    "so1s_collector_scrapes_total", "Scrapes by source and what became of them.", ["source", "outcome"]
)  # source: gateway, replicas, or gpus where they failed; outcome: read, failed, unknown (of a past moment)

SAMPLES = Counter(
    "so1s_collector_samples_total", "Usage samples said, by quality.", ["quality"]
)  # a rising share of gap or partial means that the collector or what it scrapes is in trouble
