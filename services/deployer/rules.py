"""Write the rules by which a cluster serves autoscalers: `python -m services.deployer.rules`.

`prometheus.yaml` records each figure; `prometheus-adapter.yaml` lets Prometheus Adapter serve the records
as pods' metrics, under the names that the deployer's HorizontalPodAutoscalers ask for.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from services.deployer.adapters.kubernetes.pod_metrics import POD_METRICS, PodMetric

DIRECTORY = Path("deploy/rules")
_HEADER = "# Written by `python -m services.deployer.rules`: change it there.\n"
_INTERVAL = "15s"
"""As often as a HorizontalPodAutoscaler decides."""


def files() -> dict[str, str]:
    """The text of each file, by its name."""
    documents = {"prometheus.yaml": recording(), "prometheus-adapter.yaml": serving()}
    return {name: _text(document) for name, document in documents.items()}


def recording() -> dict[str, Any]:
    """Prometheus' rules.

    https://prometheus.io/docs/prometheus/latest/configuration/recording_rules/
    """
    rules = [{"record": metric.name, "expr": metric.query} for metric in POD_METRICS]
    return {"groups": [{"name": "so1s-autoscaling", "interval": _INTERVAL, "rules": rules}]}


def serving() -> dict[str, Any]:
    """Prometheus Adapter's configuration.

    https://github.com/kubernetes-sigs/prometheus-adapter/blob/master/docs/config.md
    """
    return {"rules": [_served(metric) for metric in POD_METRICS]}


def _served(metric: PodMetric) -> dict[str, Any]:
    return {
        "seriesQuery": f'{metric.name}{{namespace!="",pod!=""}}',
        "resources": {
            "overrides": {"namespace": {"resource": "namespace"}, "pod": {"resource": "pod"}},
        },
        "metricsQuery": "sum by (<<.GroupBy>>) (<<.Series>>{<<.LabelMatchers>>})",
    }


def _text(document: Mapping[str, Any]) -> str:
    return _HEADER + yaml.safe_dump(document, sort_keys=False, width=1000)


if __name__ == "__main__":
    for _name, _content in files().items():
        (DIRECTORY / _name).write_text(_content)
