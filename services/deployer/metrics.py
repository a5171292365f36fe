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

UNVERIFIED = Counter(
    "so1s_deployer_unverified_images_total",
    "Images that were not verified when they were applied.",
    ["reason"],
)  # reason: missing, unsigned, wrong_key, other_image, changed
