"""The alerter's own metrics."""

from prometheus_client import Counter, Gauge

# Incidents whose message or thread is behind their state; it stays above 0 while Slack is away.
UNTOLD = Gauge("so1s_alerter_untold_incidents", "Incidents that people do not see as they are")
# Calls that Slack accepted: post, edit or reply.
MESSAGES = Counter("so1s_alerter_messages", "Messages by kind", ["kind"])
