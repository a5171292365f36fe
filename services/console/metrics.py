"""The console's own metrics."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

ACCEPTED = Counter("so1s_console_accepted_total", "Events accepted over HTTP.", ["type"])

REFUSED = Counter("so1s_console_refused_total", "Requests whose token is not valid.", ["reason"])
# reason: not_valid, too_often

WAITS = Gauge("so1s_console_waits", "Requests that wait for news of a chain.")

DROPS_LISTED = Gauge(
    "so1s_console_drops_listed", "Complete uploads that the last listing of the bucket showed."
)

OBJECTS_LISTED = Gauge(
    "so1s_console_drop_objects_listed", "Objects that the last listing of the bucket showed."
)

LISTING_SECONDS = Histogram(
    "so1s_console_drop_listing_seconds",
    "How long a listing of the bucket took.",
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300),
)

DROPS_TAKEN = Counter("so1s_console_drops_taken_total", "Uploads of the bucket that were published.")

DROPS_REFUSED = Counter(
    "so1s_console_drops_refused_total", "Uploads of the bucket that were refused.", ["reason"]
)  # reason: the field that is wrong: account, model, version, file, artifact.uri

NOTIFICATIONS = Counter(
    "so1s_console_drop_notifications_total", "Notifications of the bucket.", ["outcome"]
)  # outcome: woke, elsewhere, malformed

DROP_LAG_SECONDS = Histogram(
    "so1s_console_drop_lag_seconds",
    "From what is named to the recorded event of an upload of the bucket.",
    ["since"],
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 600, 3600),
)  # since: notification, modification (by the store's clock, to the second)
