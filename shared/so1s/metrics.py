"""The metrics of every service, in one place."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

EVENTS = Counter(
    "so1s_events_total", "Events by type and what became of them.", ["type", "outcome"]
)  # outcome: handled, duplicate, retried, dead_lettered

HANDLER_SECONDS = Histogram(
    "so1s_handler_seconds",
    "How long a handler and its transaction took.",
    ["type"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)

PUBLISHED = Counter("so1s_published_total", "Events sent and acknowledged by Kafka.", ["topic"])

LAG = Gauge("so1s_consumer_lag", "Events of a topic that wait for this replica.", ["topic"])

OLDEST_UNHANDLED_SECONDS = Gauge(
    "so1s_oldest_unhandled_seconds", "Age of the event in hand of a topic; 0 where none waits.", ["topic"]
)

OUTBOX_DEPTH = Gauge("so1s_outbox_depth", "Events recorded and not yet sent.")

OUTBOX_REFUSED = Gauge(
    "so1s_outbox_refused", "Events recorded that Kafka refuses, such as for want of a permission."
)

LEADER = Gauge("so1s_leader", "1 where this replica runs the loops that only one may run.")

LOOP_FAILURES = Counter("so1s_loop_failures_total", "Rounds of a loop that ended in an error.", ["loop"])
