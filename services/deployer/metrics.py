"""The deployer's metrics."""

from prometheus_client import Counter, Gauge, Histogram

ROLLOUT_SECONDS = Histogram(
    "so1s_deployer_rollout_seconds",
    "From the request of a revision until it was ready.",
    buckets=(0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600),
)

FAILED = Counter(
    "so1s_deployer_failed_total", "Revisions that failed.", ["reason"]
)  # reason: as in DeploymentFailed

DRIFT = Counter("so1s_deployer_drift_total", "Deployments that another hand changed, and that were put back.")

STRANGERS = Gauge(
    "so1s_deployer_strangers",
    "Deployments in the cluster that nobody recorded, kept since the database had none at the start.",
)

UNVERIFIED = Counter(
    "so1s_deployer_unverified_images_total",
    "Images that were not verified when they were applied.",
    ["reason"],
)  # reason: missing, unsigned, wrong_key, other_image, changed
