"""The console's own metrics."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

ACCEPTED = Counter("so1s_console_accepted_total", "Events accepted over HTTP.", ["type"])

REFUSED = Counter("so1s_console_refused_total", "Requests whose token is not valid.", ["reason"])
# reason: not_valid, too_often

WAITS = Gauge("so1s_console_waits", "Requests that wait for news of a chain.")
