"""The deployer's metrics."""

from prometheus_client import Counter, Histogram

ROLLOUT_SECONDS = Histogram(
    "so1s_deployer_rollout_seconds",
    "From the request of a revision until it was ready.",
    buckets=(0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600),
)

FAILED = Counter(
    "so1s_deployer_failed_total", "Revisions that failed.", ["reason"]
)  # reason: as in DeploymentFailed
