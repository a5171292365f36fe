"""Write the rules by which a cluster serves autoscalers: `python -m services.deployer.rules`.

`prometheus.yaml` records each figure; `prometheus-adapter.yaml` lets Prometheus Adapter serve the records
as pods' metrics, under the names that the deployer's HorizontalPodAutoscalers ask for. KEDA needs the first
file alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from services.deployer.adapters.kubernetes.pod_metrics import POD_METRICS, PodMetric

_HEADER = "# Written by `python -m services.deployer.rules`: change it there.\n"
_OVER = "1m"
"""Two scrapes of half a minute: shorter would say nothing, longer would scale late."""
_EVERY = "15s"
"""As often as a HorizontalPodAutoscaler decides."""


def files(*, over: str = _OVER, every: str = _EVERY) -> dict[str, str]:
    """The text of each file, by its name.

    Args:
        over: the time that each figure is an average of: at least two scrapes.
        every: between two figures.
    """
    documents = {"prometheus.yaml": recording(over, every), "prometheus-adapter.yaml": serving()}
    return {name: _text(document) for name, document in documents.items()}


def recording(over: str = _OVER, every: str = _EVERY) -> dict[str, Any]:
    """Prometheus' rules.

    https://prometheus.io/docs/prometheus/latest/configuration/recording_rules/
    """
    rules = [{"record": metric.name, "expr": metric.query(over)} for metric in POD_METRICS]
    return {"groups": [{"name": "so1s-autoscaling", "interval": every, "rules": rules}]}


def serving() -> dict[str, Any]:
    """Prometheus Adapter's configuration.

    https://github.com/kubernetes-sigs/prometheus-adapter/blob/master/docs/config.md
    """
    return {"rules": [_served(metric) for metric in POD_METRICS]}


def write(directory: Path, *, over: str = _OVER, every: str = _EVERY) -> None:
    """Write all files into a directory."""
    for name, text in files(over=over, every=every).items():
        (directory / name).write_text(text)


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


def _main() -> None:
    parser = argparse.ArgumentParser(description="Write the rules by which a cluster serves autoscalers.")
    parser.add_argument("--directory", type=Path, default=Path("deploy/rules"))
    parser.add_argument("--over", default=_OVER, help="what a figure is an average of: two scrapes or more")
    parser.add_argument("--every", default=_EVERY, help="between two figures")
    said = parser.parse_args()
    write(said.directory, over=said.over, every=said.every)


if __name__ == "__main__":
    _main()
