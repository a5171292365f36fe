"""Let a version take traffic only if it is right on rows that it was not trained on."""

import httpx

from so1s.events import CheckFinished, DeploymentReady
from so1s.service import Consumer

# Replace them: a body of POST /predict, and what a good model answers.
ROWS = {"x": [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]}
LABELS = [0, 2]
NEEDED = 0.9

consumer = Consumer("quality")


@consumer.on(DeploymentReady)
async def check(ready: DeploymentReady) -> CheckFinished | None:
    """Judge a deployment that asked for it by `deploy.requires`."""
    if "quality" not in ready.requires:
        return None  # publishes nothing
    async with httpx.AsyncClient(base_url=ready.url) as http:
        answer = await http.post("/predict", json=ROWS)
    if answer.status_code == httpx.codes.BAD_REQUEST:  # the rows do not fit the model
        reason = answer.text
        return CheckFinished.of(ready, check="quality", passed=False, reason=reason)
    answer.raise_for_status()  # an error means: try again
    pairs = zip(answer.json()["label"], LABELS, strict=True)
    accuracy = sum(got == right for got, right in pairs) / len(LABELS)
    passed = accuracy >= NEEDED
    reason = f"accuracy {accuracy:.3f}, needs {NEEDED:.3f}"
    return CheckFinished.of(ready, check="quality", passed=passed, reason=reason)


if __name__ == "__main__":
    consumer.run()  # health, metrics, drain, retry and dead letters included
